use bytes::Buf as _;
use futures_util::stream::{self, TryStreamExt as _};

use crate::{BlobKey, BlobStore, BlobStream, Error, ErrorKind, GetOptions, Operation};

/// What follows the first `delivered` bytes of a blob of `size` bytes, read again from its beginning: blobs
/// never change. A failure is the first thing the stream yields.
pub(super) async fn resumed(
    store: &dyn BlobStore,
    key: &BlobKey,
    options: GetOptions,
    size: u64,
    delivered: u64,
) -> BlobStream {
    let blob = match store.get(key, options).await {
        Ok(blob) if blob.size() == size => blob,
        Ok(_) => {
            let changed = Error::new(ErrorKind::Corrupt, "the blob changed while it was read");
            return failed(changed.in_store(store.name()).during(Operation::Get).with_key(key));
        }
        Err(error) => return failed(error),
    };
    let mut skip = delivered;
    let rest = blob.into_stream().map_ok(move |mut chunk| {
        let skipped = skip.min(chunk.len() as u64);
        skip -= skipped;
        chunk.advance(usize::try_from(skipped).unwrap_or(chunk.len()));
        chunk
    });
    Box::pin(rest)
}

/// A stream that yields `error` and nothing else.
pub(super) fn failed(error: Error) -> BlobStream {
    Box::pin(stream::iter([Err(error)]))
}
