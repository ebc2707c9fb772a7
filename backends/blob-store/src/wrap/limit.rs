use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, TryStreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, Location,
    PutOptions, PutOutcome, Result, Segments,
};

/// Bounds how many operations run at a time, and how many bytes they hold.
///
/// A put counts while it runs; a get until its blob is read to the end or dropped. Whoever has to wait waits in
/// line. So do not put while you hold a blob you have not read: with every permit held that way, all wait.
///
/// A listing counts only until it begins, since whoever lists usually does something with every item.
#[derive(Clone, Debug)]
pub struct Limit<S> {
    store: S,
    limits: Limits,
}

/// Permits that stores may share: clones count together.
#[derive(Clone, Debug)]
pub struct Limits {
    operations: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    most_units: u32,
}

/// A permit counts bytes by the KiB: 32 bits of them reach 4 TiB.
const UNIT: u64 = 1024;

impl Limits {
    /// At most `operations` at a time, whose blobs have together at most `bytes` bytes, rounded up to whole KiB.
    ///
    /// A blob larger than that waits until it is alone. 0 is taken as 1.
    pub fn new(operations: usize, bytes: u64) -> Self {
        let most_units = units(bytes.max(1)).min(Semaphore::MAX_PERMITS.try_into().unwrap_or(u32::MAX));
        Self {
            operations: Arc::new(Semaphore::new(operations.clamp(1, Semaphore::MAX_PERMITS))),
            bytes: Arc::new(Semaphore::new(most_units as usize)),
            most_units,
        }
    }

    async fn operation(&self) -> Result<OwnedSemaphorePermit> {
        self.operations.clone().acquire_owned().await.map_err(|_| closed())
    }

    /// Only to be asked by who has an operation's permit: so whoever holds bytes can go on.
    async fn bytes(&self, count: u64) -> Result<OwnedSemaphorePermit> {
        let wanted = units(count).min(self.most_units);
        self.bytes.clone().acquire_many_owned(wanted).await.map_err(|_| closed())
    }
}

impl<S: BlobStore> Limit<S> {
    /// Bounds what is done with `store`.
    pub fn new(store: S, limits: Limits) -> Self {
        Self { store, limits }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore> BlobStore for Limit<S> {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn location(&self) -> Location {
        self.store.location()
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        let _operation = self.limits.operation().await?;
        let _bytes = self.limits.bytes(blob.len() as u64).await?;
        self.store.put(key, blob, options).await
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let operation = self.limits.operation().await?;
        let blob = self.store.get(key, options).await?;
        let size = blob.size();
        let bytes = self.limits.bytes(size).await?;
        let reading = (blob.into_stream(), operation, bytes);
        // The state is dropped, and the permits with it, when the stream ends, fails or is dropped.
        let chunks = stream::try_unfold(reading, |(mut chunks, operation, bytes)| async move {
            Ok(chunks.try_next().await?.map(|chunk| (chunk, (chunks, operation, bytes))))
        });
        Ok(Blob::new(size, chunks))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let _operation = self.limits.operation().await?;
        self.store.head(key).await
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let _operation = self.limits.operation().await?;
        self.store.touch(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        let _operation = self.limits.operation().await?;
        self.store.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let _operation = self.limits.operation().await?;
        self.store.list(prefix).await
    }

    async fn check(&self) -> Result<()> {
        let _operation = self.limits.operation().await?;
        self.store.check().await
    }
}

fn units(bytes: u64) -> u32 {
    bytes.div_ceil(UNIT).try_into().unwrap_or(u32::MAX)
}

/// Nobody closes these semaphores; were it otherwise, an error is better than a panic.
fn closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the limits were closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::StreamExt as _;
    use futures_util::future::{FutureExt as _, join_all};
    use tokio::time::Instant;

    use super::*;
    use crate::conformance::{Fault, Faults};
    use crate::{BlobStoreExt as _, MemoryStore, Operation};

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> BlobKey {
        BlobKey::new(name).expect("a key")
    }

    fn slow() -> Faults<MemoryStore> {
        let faults = Faults::new(MemoryStore::new());
        faults.always(Operation::Put, Fault::Delay(SECOND));
        faults
    }

    /// How many seconds it takes to put blobs of these sizes at once, when each takes one.
    async fn seconds(limits: Limits, sizes: &[usize]) -> u64 {
        let store = slow().with_limits(limits);
        let start = Instant::now();
        let puts = sizes.iter().enumerate().map(|(n, size)| {
            let store = &store;
            async move { store.put(&key(&n.to_string()), vec![0; *size].into(), PutOptions::default()).await }
        });
        assert!(join_all(puts).await.iter().all(Result::is_ok));
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn operations_and_bytes_are_bounded() {
        assert_eq!(seconds(Limits::new(3, u64::MAX), &[1; 10]).await, 4);
        assert_eq!(seconds(Limits::new(100, 10 << 10), &[5 << 10; 10]).await, 5);
        assert_eq!(seconds(Limits::new(0, 0), &[10; 3]).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_blob_over_the_budget_goes_alone() {
        assert_eq!(seconds(Limits::new(100, 10 << 10), &[1024, 1 << 20, 1024]).await, 3);
    }

    #[tokio::test]
    async fn a_get_counts_until_it_is_read_or_dropped() {
        let store = MemoryStore::new().with_limits(Limits::new(1, 1 << 20));
        store.put(&key("k"), "hello".into(), PutOptions::default()).await.expect("put");
        let held = store.get(&key("k"), GetOptions::at_most(9)).await.expect("get");
        assert!(store.head(&key("k")).now_or_never().is_none(), "the permit was not held");
        drop(held);
        assert!(store.head(&key("k")).now_or_never().is_some(), "the permit was not given back");

        let mut chunks = store.get(&key("k"), GetOptions::at_most(9)).await.expect("get").into_stream();
        assert!(chunks.next().await.is_some());
        assert!(store.head(&key("k")).now_or_never().is_none(), "the permit was not held");
        assert!(chunks.next().await.is_none());
        assert!(store.head(&key("k")).now_or_never().is_some(), "the permit was not given back");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_line() {
        let store = MemoryStore::new().with_limits(Limits::new(1, 1 << 20));
        store.put(&key("k"), "hello".into(), PutOptions::default()).await.expect("put");
        let held = store.get(&key("k"), GetOptions::at_most(9)).await.expect("get");
        for _ in 0..5 {
            assert!(store.head(&key("k")).now_or_never().is_none());
        }
        drop(held);
        store.head(&key("k")).now_or_never().expect("nobody is in line").expect("there");
    }

    #[tokio::test]
    async fn it_conforms() {
        crate::conformance::small(&MemoryStore::new().with_limits(Limits::new(2, 1 << 20))).await;
    }
}
