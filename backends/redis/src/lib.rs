#![doc = include_str!("../docs.md")]

mod error;
mod options;
mod upload;

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use blob_store::{
    Blob, BlobInfo, BlobKey, BlobStore, Bytes, Capabilities, Error, ErrorKind, GetOptions, KeyLayout,
    ListStream, ListedBlob, Location, Operation, PutOptions, PutOutcome, Result, Segments,
};
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use redis::aio::ConnectionManager;
use redis::{FromRedisValue, Pipeline, cmd, pipe};

use crate::error::from_redis;
pub use crate::options::RedisOptions;

/// Longer values travel in pieces of this many bytes: one large command costs client and server several copies.
const PIECE: usize = 1024 * 1024;

/// Pieces that are asked for ahead of the reader.
const READ_AHEAD: usize = 2;

/// The server's own limit of a value.
const MAX_BLOB_SIZE: u64 = 512 * 1024 * 1024;

/// Keeps blobs as Redis strings. Clones are cheap and share one connection.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    options: RedisOptions,
}

impl RedisStore {
    /// Connects to the server that `url` names, and makes sure that it is there and lets us in. See
    /// [`RedisOptions::from_url`] for the URL and its options.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a wrong URL; `Unavailable`, `Timeout` or `PermissionDenied` if the server does not
    /// answer well.
    pub async fn connect(url: &str) -> Result<Self> {
        let store = Self::lazy(url)?;
        store.check().await?;
        Ok(store)
    }

    /// The same without asking the server yet: it connects when it is first used.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a wrong URL.
    pub fn lazy(url: &str) -> Result<Self> {
        RedisOptions::from_url(url)?.build()
    }

    /// Connects to the server that the environment names: `REDIS_URL`, or `REDIS_HOST` and `REDIS_PORT`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn from_env() -> Result<Self> {
        let store = RedisOptions::from_env()?.build()?;
        store.check().await?;
        Ok(store)
    }

    /// A store over a connection that exists already; the address in `options` is not used.
    pub fn from_manager(connection: ConnectionManager, options: RedisOptions) -> Self {
        Self { connection, options }
    }

    fn physical(&self, key: &BlobKey) -> String {
        format!("{}{key}", self.options.prefix)
    }

    async fn query<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        commands.query_async(&mut self.connection.clone()).await.map_err(|error| from_redis(&error))
    }

    /// Lets the blob live as long as a new one, if it is there. Answers its length.
    async fn renew(&self, key: &str) -> Result<Option<u64>> {
        let mut ask = pipe();
        ask.cmd("EXISTS").arg(key).cmd("STRLEN").arg(key).cmd("PTTL").arg(key);
        let (exists, length, left): (bool, u64, i64) = self.query(&ask).await?;
        let renewed = match self.options.ttl.map(millis) {
            _ if !exists => false,
            // It never goes by itself, or later than a new one would: somebody else's longer TTL is left alone.
            _ if left < 0 => true,
            Some(ttl) if left >= ttl => true,
            // Both answer 0 if the key went away just now. PERSIST also does if it lost its TTL just now; then
            // the next round finds it.
            Some(ttl) => self.query::<(bool,)>(pipe().pexpire(key, ttl)).await?.0,
            None => self.query::<(bool,)>(pipe().persist(key)).await?.0,
        };
        Ok(renewed.then_some(length))
    }

    /// Whether the blob is there, and then renewed. One of another length is damaged, and removed.
    async fn find(&self, key: &str, length: usize) -> Result<bool> {
        match self.renew(key).await? {
            None => Ok(false),
            Some(there) if there == length as u64 => Ok(true),
            Some(_) => self.unlink(key).await.map(|()| false),
        }
    }

    async fn unlink(&self, key: &str) -> Result<()> {
        let mut unlink = pipe();
        unlink.cmd("UNLINK").arg(key);
        self.query::<(i64,)>(&unlink).await.map(drop)
    }

    async fn put_at(&self, key: &str, blob: &Segments) -> Result<PutOutcome> {
        if blob.len() as u64 > MAX_BLOB_SIZE {
            let message = format!("the blob has {} bytes, Redis takes at most {MAX_BLOB_SIZE}", blob.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        // A blob can go away between being found and being renewed, and come back before it is put: rarely once,
        // never for ever.
        for _ in 0..3 {
            if blob.len() > PIECE && self.find(key, blob.len()).await? {
                return Ok(PutOutcome::AlreadyPresent);
            }
            let created = if blob.len() > PIECE {
                upload::in_pieces(self, key, blob).await?
            } else {
                self.set_if_absent(key, blob).await?
            };
            if created {
                return Ok(PutOutcome::Created);
            }
            if self.find(key, blob.len()).await? {
                return Ok(PutOutcome::AlreadyPresent);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the blob went away as often as it was put: does its TTL suffice?",
        ))
    }

    async fn set_if_absent(&self, key: &str, blob: &Segments) -> Result<bool> {
        let value = blob.to_bytes();
        let mut set = cmd("SET");
        set.arg(key).arg(&value[..]).arg("NX");
        if let Some(ttl) = self.options.ttl {
            set.arg("PX").arg(millis(ttl));
        }
        let (done,): (Option<String>,) = self.query(pipe().add_command(set)).await?;
        Ok(done.is_some())
    }

    async fn get_at(&self, key: String, options: GetOptions) -> Result<Blob> {
        let mut first = pipe();
        first.cmd("EXISTS").arg(&key).cmd("STRLEN").arg(&key);
        first.cmd("GETRANGE").arg(&key).arg(0).arg(PIECE - 1);
        let (exists, size, start): (bool, u64, Vec<u8>) = self.query(&first).await?;
        if !exists {
            return Err(missing());
        }
        options.check_size(size)?;
        let start = piece(start, size.min(PIECE as u64))?;
        let store = self.clone();
        let rest = (PIECE as u64..size).step_by(PIECE).map(move |from| {
            let (store, key, length) = (store.clone(), key.clone(), (size - from).min(PIECE as u64));
            async move {
                let mut range = pipe();
                range.cmd("GETRANGE").arg(&key).arg(from).arg(from + length - 1);
                let (bytes,): (Vec<u8>,) = store.query(&range).await?;
                piece(bytes, length)
            }
        });
        let rest = stream::iter(rest).buffered(READ_AHEAD);
        Ok(Blob::new(size, stream::once(future::ready(Ok(start))).chain(rest)))
    }

    async fn info_at(&self, key: &str) -> Result<Option<BlobInfo>> {
        let mut ask = pipe();
        ask.cmd("EXISTS").arg(key).cmd("STRLEN").arg(key).cmd("PTTL").arg(key);
        let (exists, size, left): (bool, u64, i64) = self.query(&ask).await?;
        Ok(exists.then(|| self.info(size, left)))
    }

    /// With a TTL, what is left of it tells the age; without, Redis does not know.
    fn info(&self, size: u64, left: i64) -> BlobInfo {
        let (now, mut info) = (SystemTime::now(), BlobInfo::new(size));
        let Ok(left) = u64::try_from(left).map(Duration::from_millis) else { return info };
        info = info.with_expires(now + left);
        match self.options.ttl.and_then(|ttl| ttl.checked_sub(left)) {
            Some(age) => info.with_modified(now - age),
            None => info,
        }
    }

    /// One page of a scan: the blobs in it and where the next page starts.
    async fn page(&self, pattern: &str, cursor: u64) -> Result<(Vec<ListedBlob>, u64)> {
        let mut scan = pipe();
        scan.cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(1000)
            .arg("TYPE")
            .arg("string");
        let ((next, keys),): ((u64, Vec<Vec<u8>>),) = self.query(&scan).await?;
        // Keys of others need not be text; ours always are.
        let keys: Vec<_> = keys
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok())
            .filter(|key| !upload::is_temporary(key))
            .filter_map(|key| Some((BlobKey::new(key.strip_prefix(&self.options.prefix)?).ok()?, key)))
            .collect();
        if keys.is_empty() {
            return Ok((Vec::new(), next));
        }
        let mut ask = pipe();
        for (_, key) in &keys {
            ask.cmd("STRLEN").arg(key).cmd("PTTL").arg(key);
        }
        let facts: Vec<i64> = self.query(&ask).await?;
        let blobs = keys.into_iter().zip(facts.chunks_exact(2)).filter_map(|((key, _), facts)| {
            // -2: it went away since the scan.
            let size = u64::try_from(facts[0]).ok().filter(|_| facts[1] != -2)?;
            Some(ListedBlob::new(key, self.info(size, facts[1])))
        });
        Ok((blobs.collect(), next))
    }

    fn explain(&self, operation: Operation, key: &BlobKey) -> impl Fn(Error) -> Error + use<> {
        let (name, key) = (self.options.name.clone(), key.clone());
        move |error| error.in_store(&name).during(operation).with_key(&key)
    }
}

#[async_trait]
impl BlobStore for RedisStore {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all().with_ages(self.options.ttl.is_some()).with_max_blob_size(MAX_BLOB_SIZE)
    }

    fn location(&self) -> Location {
        Location::default().with_prefix(&self.options.prefix).with_layout(KeyLayout::Redis)
    }

    async fn put(&self, key: &BlobKey, blob: Segments, _options: PutOptions) -> Result<PutOutcome> {
        self.put_at(&self.physical(key), &blob).await.map_err(self.explain(Operation::Put, key))
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let explain = self.explain(Operation::Get, key);
        let blob = self.get_at(self.physical(key), options).await.map_err(&explain)?;
        Ok(Blob::new(blob.size(), blob.into_stream().map_err(explain)))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let info = self.info_at(&self.physical(key)).await;
        info.and_then(|info| info.ok_or_else(missing)).map_err(self.explain(Operation::Head, key))
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let renewed = self.renew(&self.physical(key)).await;
        renewed
            .and_then(|there| there.map(drop).ok_or_else(missing))
            .map_err(self.explain(Operation::Touch, key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.unlink(&self.physical(key)).await.map_err(self.explain(Operation::Delete, key))
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let store = self.clone();
        let pattern = format!("{}*", literal(&format!("{}{prefix}", self.options.prefix)));
        let pages = stream::try_unfold(Some(0), move |cursor| {
            let (store, pattern) = (store.clone(), pattern.clone());
            async move {
                let Some(cursor) = cursor else { return Ok(None) };
                let page = store.page(&pattern, cursor).await;
                let (blobs, next) =
                    page.map_err(|error| error.in_store(&store.options.name).during(Operation::List))?;
                let next = (next != 0).then_some(next);
                Ok(Some((stream::iter(blobs.into_iter().map(Ok)), next)))
            }
        });
        Ok(Box::pin(pages.try_flatten()))
    }

    async fn check(&self) -> Result<()> {
        let answer: Result<(String,)> = self.query(pipe().cmd("PING")).await;
        answer.map(drop).map_err(|error| {
            let text = format!("{} ({})", error.message(), self.options.address());
            let located = Error::new(error.kind(), text).with_transient(error.is_transient());
            located.in_store(&self.options.name).during(Operation::Connect)
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStore").field(&self.options).finish()
    }
}

fn missing() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "no such blob: it expired, was evicted or deleted, or is in another database",
    )
}

/// A piece that must have `length` bytes, or the blob changed while it was read.
fn piece(bytes: Vec<u8>, length: u64) -> Result<Bytes> {
    match bytes.len() as u64 {
        got if got == length => Ok(bytes.into()),
        0 => Err(missing()),
        _ => Err(Error::new(ErrorKind::Corrupt, "the blob changed while it was read")),
    }
}

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Text as a glob that matches nothing else.
fn literal(text: &str) -> String {
    let special = |c| matches!(c, '*' | '?' | '[' | ']' | '\\' | '^');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
