use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, Stream, StreamExt as _};

use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, Location,
    Operation, PutOptions, PutOutcome, Result, Segments,
};

/// Gives up an operation that takes too long for its size, with [`ErrorKind::Timeout`].
///
/// A blob or listing that is being read fails when nothing has come for [`TimeoutPolicy::base`], however long
/// it takes in all. The time its reader takes between chunks does not count.
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    store: S,
    policy: TimeoutPolicy,
}

/// How long is too long: `base`, and the time a blob's bytes take at `slowest`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TimeoutPolicy {
    /// What an operation without content may take, and the longest silence while content arrives. Default: 5 s.
    pub base: Duration,
    /// The slowest transfer that is waited for, in bytes per second. Default: 8 MiB/s.
    pub slowest: u64,
}

/// A reader who takes a blob of any size waits for its beginning as long as for one of this size. (A store may
/// read a blob completely before it answers.)
const LARGEST_EXPECTED: u64 = 512 << 20;

impl<S: BlobStore> Timeout<S> {
    /// Gives up what takes too long on `store`.
    pub fn new(store: S, policy: TimeoutPolicy) -> Self {
        Self { store, policy }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        operation: Operation,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(limit, work).await {
            Ok(answer) => answer,
            Err(_) => Err(too_late(self.name(), operation, limit)),
        }
    }
}

impl Default for TimeoutPolicy {
    fn default() -> Self {
        Self { base: Duration::from_secs(5), slowest: 8 << 20 }
    }
}

impl TimeoutPolicy {
    /// Sets [`base`](Self::base).
    #[must_use]
    pub fn with_base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets [`slowest`](Self::slowest); 0 is taken as 1.
    #[must_use]
    pub fn with_slowest(mut self, bytes_per_second: u64) -> Self {
        self.slowest = bytes_per_second;
        self
    }

    fn for_bytes(&self, bytes: u64) -> Duration {
        let millis = u128::from(bytes) * 1_000 / u128::from(self.slowest.max(1));
        self.base.saturating_add(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore> BlobStore for Timeout<S> {
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
        let limit = self.policy.for_bytes(blob.len() as u64);
        let put = self.within(limit, Operation::Put, self.store.put(key, blob, options)).await;
        put.map_err(|error| error.with_key(key))
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let limit = self.policy.for_bytes(options.max_size.min(LARGEST_EXPECTED));
        let blob = self.within(limit, Operation::Get, self.store.get(key, options)).await;
        let blob = blob.map_err(|error| error.with_key(key))?;
        let (size, silence) = (blob.size(), self.policy.base);
        let late = too_late(self.name(), Operation::Get, silence).with_key(key);
        Ok(Blob::new(size, never_silent(blob.into_stream(), silence, late)))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let head = self.within(self.policy.base, Operation::Head, self.store.head(key)).await;
        head.map_err(|error| error.with_key(key))
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let touch = self.within(self.policy.base, Operation::Touch, self.store.touch(key)).await;
        touch.map_err(|error| error.with_key(key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        let delete = self.within(self.policy.base, Operation::Delete, self.store.delete(key)).await;
        delete.map_err(|error| error.with_key(key))
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let silence = self.policy.base;
        let listed = self.within(silence, Operation::List, self.store.list(prefix)).await?;
        Ok(Box::pin(never_silent(listed, silence, too_late(self.name(), Operation::List, silence))))
    }

    async fn check(&self) -> Result<()> {
        self.within(self.policy.base, Operation::Connect, self.store.check()).await
    }
}

/// Ends with the error `late` when the next item takes longer than `silence`.
fn never_silent<T: Send + 'static>(
    items: impl Stream<Item = Result<T>> + Send + Unpin + 'static,
    silence: Duration,
    late: Error,
) -> impl Stream<Item = Result<T>> + Send {
    stream::unfold(Some(items), move |items| {
        let late = late.clone();
        async move {
            let mut items = items?;
            match tokio::time::timeout(silence, items.next()).await {
                Ok(item) => Some((item?, Some(items))),
                Err(_) => Some((Err(late), None)),
            }
        }
    })
}

fn too_late(store: &str, operation: Operation, limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("no answer within {limit:?}")).in_store(store).during(operation)
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use tokio::time::Instant;

    use super::*;
    use crate::conformance::{Fault, Faults};
    use crate::{BlobStoreExt as _, MemoryStore};

    fn key() -> BlobKey {
        BlobKey::new("k").expect("a key")
    }

    fn policy() -> TimeoutPolicy {
        TimeoutPolicy::default().with_base(Duration::from_secs(2)).with_slowest(1_000)
    }

    #[tokio::test(start_paused = true)]
    async fn each_operation_is_given_up() {
        let faults = Faults::new(MemoryStore::new());
        for operation in [Operation::Put, Operation::Get, Operation::Head, Operation::Touch] {
            faults.always(operation, Fault::Hang);
        }
        for operation in [Operation::Delete, Operation::List, Operation::Connect] {
            faults.always(operation, Fault::Hang);
        }
        let store = faults.with_timeout(policy());
        let start = Instant::now();
        let blob = Segments::from(vec![0; 3_000]);
        let key = key();
        let answers = [
            store.put(&key, blob, PutOptions::default()).await.err(),
            store.get(&key, GetOptions::at_most(4_000)).await.err(),
            store.head(&key).await.err(),
            store.touch(&key).await.err(),
            store.delete(&key).await.err(),
            store.list("").await.err(),
            store.check().await.err(),
        ];
        let texts: Vec<_> = answers.into_iter().flatten().map(|error| error.to_string()).collect();
        assert_eq!(
            texts,
            [
                "memory: put k: no answer within 5s",
                "memory: get k: no answer within 6s",
                "memory: head k: no answer within 2s",
                "memory: touch k: no answer within 2s",
                "memory: delete k: no answer within 2s",
                "memory: list: no answer within 2s",
                "memory: connect: no answer within 2s",
            ]
        );
        assert_eq!(start.elapsed().as_secs(), 5 + 6 + 5 * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_take_long_but_not_be_silent() {
        let slow = |silence| {
            let chunks = stream::iter(0..3).then(move |_| async move {
                tokio::time::sleep(Duration::from_secs(silence)).await;
                Ok(1)
            });
            never_silent(Box::pin(chunks), Duration::from_secs(2), Error::new(ErrorKind::Timeout, "late"))
        };
        let start = Instant::now();
        assert_eq!(Box::pin(slow(1)).try_collect::<Vec<_>>().await, Ok(vec![1; 3]));
        assert_eq!(start.elapsed().as_secs(), 3);
        let items: Vec<_> = Box::pin(slow(3)).collect().await;
        assert_eq!(items, [Err(Error::new(ErrorKind::Timeout, "late"))]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_anything_is_not_kept_for_ever() {
        let faults = Faults::new(MemoryStore::new());
        faults.always(Operation::Get, Fault::Hang);
        let store = faults.with_timeout(TimeoutPolicy::default());
        let start = Instant::now();
        store.get(&key(), GetOptions::at_most(u64::MAX)).await.expect_err("hangs");
        assert_eq!(start.elapsed().as_secs(), 5 + 64);
    }

    #[tokio::test]
    async fn it_conforms() {
        crate::conformance::small(&MemoryStore::new().with_timeout(TimeoutPolicy::default())).await;
    }
}
