#![doc = include_str!("../docs.md")]

mod directory;
mod error;
mod layout;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use blob_store::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, ListedBlob,
    Operation, PutOptions, PutOutcome, Result, Segments, UrlOptions,
};
use futures_util::stream;
use tokio::sync::mpsc;
use url::Url;

use crate::directory::{Directory, Reading};

/// How many blobs of a listing are read ahead.
const LISTED_AHEAD: usize = 256;

/// Keeps blobs as files below a directory. Clones are cheap.
#[derive(Clone)]
pub struct FsStore {
    directory: Arc<Directory>,
    name: Arc<str>,
}

/// Where and how files are kept.
///
/// ```no_run
/// use blob_store_fs::FsOptions;
///
/// # async fn open() -> blob_store::Result<()> {
/// let store = FsOptions::new("/var/lib/claims").with_name("claims").open().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FsOptions {
    path: PathBuf,
    name: String,
    durable: bool,
}

impl FsStore {
    /// Opens a directory, creating it if it is not there.
    ///
    /// # Errors
    ///
    /// As [`FsOptions::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        FsOptions::new(path).open().await
    }

    /// Runs `work` on a thread that may block. A caller who gives up does not stop it: it happens completely.
    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        key: Option<&BlobKey>,
        work: impl FnOnce(&Directory) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let directory = self.directory.clone();
        let outcome = tokio::task::spawn_blocking(move || work(&directory)).await;
        outcome
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Cancelled, "the runtime is shutting down")))
            .map_err(|error| {
                let error = error.in_store(&*self.name).during(operation);
                key.map_or(error.clone(), |key| error.with_key(key))
            })
    }
}

impl FsOptions {
    /// A directory, a durable store named `fs`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), name: "fs".to_owned(), durable: true }
    }

    /// Reads a URL, `file:///var/lib/claims`, with the options `name` and `durable` (`true` or `false`).
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for another scheme, a host, a relative path or an unknown option.
    pub fn from_url(url: &str) -> Result<Self> {
        let invalid = |message: &str| Error::new(ErrorKind::InvalidConfig, message);
        let url = Url::parse(url).map_err(|_| invalid("the store URL cannot be read"))?;
        if url.scheme() != "file" {
            return Err(invalid("a directory is given as file:///path"));
        }
        let path = url
            .to_file_path()
            .map_err(|()| invalid("a file URL has no host: file:///path, three slashes"))?;
        let mut query = UrlOptions::of(&url)?;
        let mut options = Self::new(path);
        if let Some(name) = query.text("name")? {
            options.name = name;
        }
        if let Some(durable) = query.flag("durable")? {
            options.durable = durable;
        }
        query.finish()?;
        Ok(options)
    }

    /// Sets the name in references; see [`BlobStore::name`].
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets whether a put waits until file and directory are on the disk. Without, a power failure can take blobs
    /// whose put had succeeded; a crash of the process cannot.
    #[must_use]
    pub fn with_durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Opens the directory, creating it if it is not there, and removes what killed writers left in it.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `StorageFull` or `Other`, naming the store but not its path.
    pub async fn open(self) -> Result<FsStore> {
        let Self { path, name, durable } = self;
        let opened = tokio::task::spawn_blocking(move || Directory::open(&path, durable)).await;
        let directory = opened
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Cancelled, "the runtime is shutting down")))
            .map_err(|error| error.in_store(&name).during(Operation::Connect))?;
        Ok(FsStore { directory: Arc::new(directory), name: name.into() })
    }
}

#[async_trait]
impl BlobStore for FsStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    async fn put(&self, key: &BlobKey, blob: Segments, _options: PutOptions) -> Result<PutOutcome> {
        let path = layout::path(key.as_str());
        self.run(Operation::Put, Some(key), move |directory| directory.put(&path, &blob)).await
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let path = layout::path(key.as_str());
        let reading = self
            .run(Operation::Get, Some(key), move |directory| {
                let reading = directory.read(&path)?;
                options.check_size(reading.size())?;
                reading.next()
            })
            .await?;
        let (first, rest) = reading;
        let size = rest.size();
        let (store, key) = (self.clone(), key.clone());
        let chunks = stream::try_unfold((first, rest), move |(chunk, rest): (_, Reading)| {
            let (store, key) = (store.clone(), key.clone());
            async move {
                let Some(chunk) = chunk else { return Ok(None) };
                if rest.is_done() {
                    return Ok(Some((chunk, (None, rest))));
                }
                let next = store.run(Operation::Get, Some(&key), |_| rest.next()).await?;
                Ok(Some((chunk, next)))
            }
        });
        Ok(Blob::new(size, chunks))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let path = layout::path(key.as_str());
        self.run(Operation::Head, Some(key), move |directory| directory.info(&path)).await
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let path = layout::path(key.as_str());
        let renew = move |directory: &Directory| directory.renew(&path)?.map(drop).ok_or_else(error::missing);
        self.run(Operation::Touch, Some(key), renew).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        let path = layout::path(key.as_str());
        self.run(Operation::Delete, Some(key), move |directory| directory.delete(&path)).await
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let (send, receive) = mpsc::channel(LISTED_AHEAD);
        let (directory, name, prefix) = (self.directory.clone(), self.name.clone(), prefix.to_owned());
        tokio::task::spawn_blocking(move || {
            let listed = directory
                .list(&prefix, &mut |key, info| send.blocking_send(Ok(ListedBlob::new(key, info))).is_ok());
            if let Err(error) = listed {
                // The reader may be gone.
                let _ = send.blocking_send(Err(error.in_store(&*name).during(Operation::List)));
            }
        });
        Ok(Box::pin(stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)))))
    }

    async fn check(&self) -> Result<()> {
        self.run(Operation::Connect, None, Directory::check).await
    }
}

impl fmt::Debug for FsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsStore").field("name", &self.name).field("directory", &self.directory).finish()
    }
}
