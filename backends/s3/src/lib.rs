#![doc = include_str!("../docs.md")]

mod body;
mod call;
mod change;
mod error;
mod options;
mod place;
mod put;
mod read;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use blob_store::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, KeyLayout, ListStream,
    Location, Operation, PutOptions, PutOutcome, Result, Segments,
};
use futures_util::{TryStreamExt as _, stream};

pub use crate::options::S3Options;
use crate::put::ConditionalPut;

/// What S3 takes in one PUT.
const MAX_BLOB_SIZE: u64 = 5 * 1024 * 1024 * 1024;

/// Requests cost tens of milliseconds and money: smaller payloads are better off inline.
const SUGGESTED_THRESHOLD: usize = 256 * 1024;

/// Keeps blobs as S3 objects. Clones are cheap and share connections.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    options: Arc<S3Options>,
    conditional_put: Arc<ConditionalPut>,
}

impl S3Store {
    /// A store in the bucket and prefix that `url` names; see [`S3Options::from_url`] for its options, and
    /// [`S3Options::build`] for region and credentials. Nothing is asked of S3 yet: [`check`](BlobStore::check)
    /// does.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a wrong URL, or if no region is known.
    pub async fn from_url(url: &str) -> Result<Self> {
        S3Options::from_url(url)?.build().await
    }

    /// Starts the options of a store in `bucket`.
    pub fn builder(bucket: impl Into<String>) -> S3Options {
        S3Options::new(bucket)
    }

    /// A store in `bucket` that uses an existing client; see [`S3Options::build_with`], also for a prefix and the
    /// like.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if `bucket` is empty, or a Multi-Region Access Point without the feature `sigv4a`.
    pub fn from_client(client: &Client, bucket: impl Into<String>) -> Result<Self> {
        S3Options::new(bucket).build_with(client)
    }

    fn new(client: Client, options: S3Options) -> Self {
        Self { client, options: Arc::new(options), conditional_put: Arc::new(ConditionalPut::unknown()) }
    }

    /// The object's key: prefix and key.
    fn physical(&self, key: &BlobKey) -> Result<String> {
        let physical = format!("{}{key}", self.options.prefix);
        if physical.len() > BlobKey::MAX_LEN {
            let message =
                format!("prefix and key have {} bytes, the limit is {}", physical.len(), BlobKey::MAX_LEN);
            return Err(Error::new(ErrorKind::InvalidKey, message));
        }
        Ok(physical)
    }

    fn explain(&self, operation: Operation, key: &BlobKey) -> impl Fn(Error) -> Error + use<> {
        let (name, key) = (self.options.name.clone(), key.clone());
        move |error| error.in_store(&name).during(operation).with_key(&key)
    }
}

#[async_trait]
impl BlobStore for S3Store {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all().with_max_blob_size(MAX_BLOB_SIZE).with_suggested_threshold(SUGGESTED_THRESHOLD)
    }

    fn location(&self) -> Location {
        Location::default()
            .with_bucket(&self.options.bucket)
            .with_prefix(&self.options.prefix)
            .with_layout(KeyLayout::S3)
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        let put = async { self.put_at(&self.physical(key)?, blob, options).await };
        put.await.map_err(self.explain(Operation::Put, key))
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let explain = self.explain(Operation::Get, key);
        let blob = async { self.get_at(&self.physical(key)?, options).await }.await.map_err(&explain)?;
        Ok(Blob::new(blob.size(), blob.into_stream().map_err(explain)))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let head = async { self.info_at(&self.physical(key)?).await };
        head.await.map_err(self.explain(Operation::Head, key))
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let touch = async { self.touch_at(&self.physical(key)?).await };
        touch.await.map_err(self.explain(Operation::Touch, key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        let delete = async { self.delete_at(&self.physical(key)?).await };
        delete.await.map_err(self.explain(Operation::Delete, key))
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        enum At {
            Start,
            Next(String),
            End,
        }
        let (store, prefix) = (self.clone(), format!("{}{prefix}", self.options.prefix));
        let pages = stream::try_unfold(At::Start, move |at| {
            let (store, prefix) = (store.clone(), prefix.clone());
            async move {
                let token = match at {
                    At::Start => None,
                    At::Next(token) => Some(token),
                    At::End => return Ok(None),
                };
                let page = store.page(&prefix, token).await;
                let (blobs, next) =
                    page.map_err(|error| error.in_store(&store.options.name).during(Operation::List))?;
                Ok(Some((stream::iter(blobs.into_iter().map(Ok)), next.map_or(At::End, At::Next))))
            }
        });
        Ok(Box::pin(pages.try_flatten()))
    }

    async fn check(&self) -> Result<()> {
        self.probe().await.map_err(|error| error.in_store(&self.options.name).during(Operation::Connect))
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.options).finish()
    }
}
