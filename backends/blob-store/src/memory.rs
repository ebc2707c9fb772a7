use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream;

use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, ListedBlob,
    Operation, PutOptions, PutOutcome, Result, Segments,
};

/// Keeps blobs in memory: for tests, for examples, for nothing that must outlive the process.
///
/// Its copies of a blob are the caller's own [`Segments`]; nothing is copied in or out.
pub struct MemoryStore {
    name: String,
    blobs: Mutex<BTreeMap<BlobKey, Stored>>,
}

struct Stored {
    content: Segments,
    modified: SystemTime,
}

impl MemoryStore {
    /// An empty store named `memory`.
    pub fn new() -> Self {
        Self::named("memory")
    }

    /// An empty store of another name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), blobs: Mutex::default() }
    }

    /// A panic elsewhere never leaves the map half-changed, so a poisoned lock is as good as any.
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobKey, Stored>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, operation: Operation, key: &BlobKey) -> Error {
        Error::new(ErrorKind::NotFound, "no such blob").in_store(&self.name).during(operation).with_key(key)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("name", &self.name).field("blobs", &self.blobs().len()).finish()
    }
}

#[async_trait]
impl BlobStore for MemoryStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all().with_persistent(false)
    }

    async fn put(&self, key: &BlobKey, blob: Segments, _options: PutOptions) -> Result<PutOutcome> {
        let modified = SystemTime::now();
        match self.blobs().entry(key.clone()) {
            Entry::Vacant(free) => {
                free.insert(Stored { content: blob, modified });
                Ok(PutOutcome::Created)
            }
            Entry::Occupied(mut taken) => {
                taken.get_mut().modified = modified;
                Ok(PutOutcome::AlreadyPresent)
            }
        }
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let content = self.blobs().get(key).map(|stored| stored.content.clone());
        let content = content.ok_or_else(|| self.missing(Operation::Get, key))?;
        options.check_size(content.len() as u64).map_err(|error| error.in_store(&self.name).with_key(key))?;
        Ok(content.into())
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        self.blobs().get(key).map(Stored::info).ok_or_else(|| self.missing(Operation::Head, key))
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let mut blobs = self.blobs();
        let stored = blobs.get_mut(key).ok_or_else(|| self.missing(Operation::Touch, key))?;
        stored.modified = SystemTime::now();
        Ok(())
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.blobs().remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let blobs = self.blobs();
        let listed: Vec<_> = blobs
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, stored)| Ok(ListedBlob::new(key.clone(), stored.info())))
            .collect();
        Ok(Box::pin(stream::iter(listed)))
    }
}

impl Stored {
    fn info(&self) -> BlobInfo {
        BlobInfo::new(self.content.len() as u64).with_modified(self.modified)
    }
}
