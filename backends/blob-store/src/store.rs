use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::Stream;

use crate::{Blob, BlobKey, Capabilities, Error, Location, Operation, Result, Segments};

/// A place that keeps immutable blobs.
///
/// Only [`name`](Self::name), [`put`](Self::put) and [`get`](Self::get) are required; the other operations
/// answer [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) until they are implemented and declared in
/// [`capabilities`](Self::capabilities). Implement it under [`async_trait`](macro@async_trait).
///
/// A blob never changes: whoever puts a key again puts the same content again (content-addressed keys), or uses
/// a key nobody else has (random keys). A store may rely on that and need not compare.
///
/// Every operation may be cancelled by dropping its future. It then has happened completely or not at all, and
/// nothing of it stays behind for good.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync + 'static {
    /// The name under which references and errors speak of this store, such as `redis` or `aws.s3driver`.
    ///
    /// Whoever reads a reference finds the store by it, so it must not change while references live.
    fn name(&self) -> &str;

    /// What this store can do.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Bucket, prefix and key spelling, as others need them to find the blobs. By default no bucket, no prefix.
    fn location(&self) -> Location {
        Location::default()
    }

    /// Stores `blob` under `key` and answers when it is as durable as this store makes it.
    ///
    /// - **Atomic.** A reader sees the whole blob or none, also while this runs, fails or is killed.
    /// - **Idempotent.** If the key exists, the call succeeds with [`PutOutcome::AlreadyPresent`]; it should not
    ///   send a large body again.
    /// - **Renewing.** If the key exists, its age starts anew (TTL, modification time), so that neither an expiry,
    ///   a lifecycle rule nor a sweep takes a blob that somebody stored again a moment ago.
    /// - **Healing**, where that costs nothing: a blob of another length under the key is damaged, and replaced.
    ///
    /// # Errors
    ///
    /// `TooLarge` and `InvalidKey` before anything is sent; `StorageFull`, `PermissionDenied`, `Unavailable`,
    /// `Timeout`, `Throttled`. After an error the blob may be there or not, but never in part.
    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome>;

    /// Reads the blob under `key`.
    ///
    /// Bounded: a blob larger than [`GetOptions::max_size`] is refused before its content is read, and nothing
    /// larger is allocated.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; `TooLarge`; `Corrupt`, also from the stream, if the content ends early;
    /// `PermissionDenied`, `Unavailable`, `Timeout`, `Throttled`.
    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob>;

    /// Size and age of the blob under `key`, without its content.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; `Unsupported` by default.
    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        Err(Error::unsupported(Operation::Head).in_store(self.name()).with_key(key))
    }

    /// Starts the age of the blob under `key` anew, as putting it again would, without sending it.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; `Unsupported` by default.
    async fn touch(&self, key: &BlobKey) -> Result<()> {
        Err(Error::unsupported(Operation::Touch).in_store(self.name()).with_key(key))
    }

    /// Removes the blob under `key`. Removing one that is not there succeeds.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    async fn delete(&self, key: &BlobKey) -> Result<()> {
        Err(Error::unsupported(Operation::Delete).in_store(self.name()).with_key(key))
    }

    /// All blobs whose key starts with `prefix` (any text, not only whole segments), in no particular order.
    ///
    /// A blob that is there from the first item to the last appears; one that is put or deleted meanwhile may or
    /// may not. A store whose keys move while they are listed (Redis) may show one twice. Streams in pages:
    /// memory does not grow with the number of blobs. An error ends the stream: what came before is not the
    /// whole list.
    ///
    /// # Errors
    ///
    /// `Unsupported` by default.
    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let _ = prefix;
        Err(Error::unsupported(Operation::List).in_store(self.name()))
    }

    /// Asks the store whether it is there and lets us in, as cheaply as it can. By default nothing is asked.
    ///
    /// # Errors
    ///
    /// What the next operation would most likely fail with.
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// What a put may know beforehand.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PutOptions {
    /// The SHA-256 of the whole blob, if the caller has it: a store that can lets the server verify it.
    pub sha256: Option<[u8; 32]>,
}

/// Whether a put had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The key was new.
    Created,
    /// The key was there; its age was renewed.
    AlreadyPresent,
}

/// How much a get may read.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GetOptions {
    /// The largest blob in bytes that the caller takes.
    pub max_size: u64,
}

/// What is known of a blob without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// Length in bytes.
    pub size: u64,
    /// When it was put or renewed last, by the store's clock, if the store can tell.
    pub modified: Option<SystemTime>,
    /// When it will go by itself, if it will and the store can tell.
    pub expires: Option<SystemTime>,
}

/// One blob of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedBlob {
    /// Its key.
    pub key: BlobKey,
    /// Its size and age.
    pub info: BlobInfo,
}

/// The blobs of a listing as they arrive.
pub type ListStream = Pin<Box<dyn Stream<Item = Result<ListedBlob>> + Send>>;

impl PutOptions {
    /// Sets [`sha256`](Self::sha256).
    #[must_use]
    pub fn with_sha256(mut self, hash: [u8; 32]) -> Self {
        self.sha256 = Some(hash);
        self
    }
}

impl GetOptions {
    /// Takes blobs of at most `max_size` bytes.
    pub fn at_most(max_size: u64) -> Self {
        Self { max_size }
    }

    /// Fails with `TooLarge` if a blob of `size` bytes is more than the caller takes.
    pub fn check_size(&self, size: u64) -> Result<()> {
        if size <= self.max_size {
            return Ok(());
        }
        let message = format!("the blob has {size} bytes, the reader takes at most {}", self.max_size);
        Err(Error::new(crate::ErrorKind::TooLarge, message).during(Operation::Get))
    }
}

impl BlobInfo {
    /// A blob of `size` bytes of unknown age.
    pub fn new(size: u64) -> Self {
        Self { size, modified: None, expires: None }
    }

    /// Sets [`modified`](Self::modified).
    #[must_use]
    pub fn with_modified(mut self, at: SystemTime) -> Self {
        self.modified = Some(at);
        self
    }

    /// Sets [`expires`](Self::expires).
    #[must_use]
    pub fn with_expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }
}

impl ListedBlob {
    /// A blob of a listing.
    pub fn new(key: BlobKey, info: BlobInfo) -> Self {
        Self { key, info }
    }
}

/// A shared store is a store; every method is forwarded.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore + ?Sized> BlobStore for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn location(&self) -> Location {
        (**self).location()
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        (**self).put(key, blob, options).await
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        (**self).get(key, options).await
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        (**self).head(key).await
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        (**self).touch(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        (**self).delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        (**self).list(prefix).await
    }

    async fn check(&self) -> Result<()> {
        (**self).check().await
    }
}
