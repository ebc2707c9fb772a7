//! Large values, piece by piece under a temporary key that becomes the final one when all of it is there.

use blob_store::{Error, ErrorKind, Result, Segments};
use redis::pipe;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::{PIECE, RedisStore, millis};

/// Stands between the final key and a random number in the name of a temporary one.
const INFIX: &str = ":upload:";

/// A temporary key that nobody adds to goes away by itself: nothing of a killed writer stays.
const ABANDONED_AFTER_MS: i64 = 60_000;

/// Whether `key` is a temporary one.
pub(crate) fn is_temporary(key: &str) -> bool {
    key.rsplit_once(INFIX).is_some_and(|(_, number)| number.len() == 32 && Uuid::try_parse(number).is_ok())
}

/// Puts `blob` under `key` unless it is there. Answers whether it was put.
pub(crate) async fn in_pieces(store: &RedisStore, key: &str, blob: &Segments) -> Result<bool> {
    let upload = Upload { store, temporary: format!("{key}{INFIX}{}", Uuid::new_v4().simple()) };
    let mut length = 0;
    for piece in blob.pieces(PIECE) {
        length += piece.len();
        let mut append = pipe();
        append.cmd("APPEND").arg(&upload.temporary).arg(&piece[..]);
        append.cmd("PEXPIRE").arg(&upload.temporary).arg(ABANDONED_AFTER_MS).ignore();
        let (total,): (usize,) = store.query(&append).await?;
        // A piece that got lost, by eviction or a failover, shows in every total after it.
        if total != length {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the server lost a part of the blob while it was sent",
            ));
        }
    }
    upload.finish(key).await
}

struct Upload<'a> {
    store: &'a RedisStore,
    temporary: String,
}

impl Upload<'_> {
    /// One transaction: the value gets its final life time, its final name if that is free, and leaves nothing.
    async fn finish(mut self, key: &str) -> Result<bool> {
        let mut finish = pipe();
        finish.atomic();
        match self.store.options.ttl {
            Some(ttl) => finish.cmd("PEXPIRE").arg(&self.temporary).arg(millis(ttl)).ignore(),
            None => finish.cmd("PERSIST").arg(&self.temporary).ignore(),
        };
        finish.cmd("RENAMENX").arg(&self.temporary).arg(key);
        finish.cmd("UNLINK").arg(&self.temporary).ignore();
        let (renamed,): (bool,) = self.store.query(&finish).await?;
        self.temporary.clear();
        Ok(renamed)
    }
}

/// An upload that fails or is cancelled does not wait for the server to forget it.
impl Drop for Upload<'_> {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.temporary.is_empty(), Handle::try_current()) else { return };
        let (store, temporary) = (self.store.clone(), std::mem::take(&mut self.temporary));
        runtime.spawn(async move {
            // It expires soon in any case.
            let _ = store.unlink(&temporary).await;
        });
    }
}
