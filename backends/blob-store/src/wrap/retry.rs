use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt as _};
use tokio::time::Instant;

use super::resume::resumed;
use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, BlobStream, Capabilities, Error, GetOptions, ListStream, Location,
    PutOptions, PutOutcome, Result, Segments,
};

/// Tries an operation again when its failure is [transient](Error::is_transient).
///
/// The pause doubles with every attempt, and a random part of it is waited, so that callers who failed together
/// do not come back together. A pause the store asks for is kept.
///
/// A blob whose content breaks off is asked for again and continued where it broke off: blobs never change.
/// A listing that breaks off is not continued.
#[derive(Debug)]
pub struct Retry<S> {
    store: Arc<S>,
    policy: RetryPolicy,
}

/// How often and how long to try.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often an operation is tried in all; at least once. Default: 8.
    pub attempts: u32,
    /// The longest pause after the first failure. Default: 50 ms.
    pub first_pause: Duration,
    /// The longest pause at all. Default: 1 s.
    pub longest_pause: Duration,
    /// No attempt begins later than this after the first. Default: 30 s.
    pub within: Duration,
}

impl<S: BlobStore> Retry<S> {
    /// Tries what fails on `store` again.
    pub fn new(store: S, policy: RetryPolicy) -> Self {
        Self { store: Arc::new(store), policy }
    }
}

impl<S> Clone for Retry<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), policy: self.policy }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(1),
            within: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Sets [`attempts`](Self::attempts).
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets [`within`](Self::within).
    #[must_use]
    pub fn with_limit(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    fn start(self) -> Attempts {
        Attempts { policy: self, failed: 0, since: Instant::now() }
    }
}

/// The attempts at one operation.
struct Attempts {
    policy: RetryPolicy,
    failed: u32,
    since: Instant,
}

impl Attempts {
    /// Waits until the next attempt is due, or answers the error if there is none.
    async fn pause(&mut self, error: Error) -> Result<()> {
        let RetryPolicy { attempts, first_pause, longest_pause, within } = self.policy;
        let longest = first_pause.saturating_mul(1 << self.failed.min(20)).min(longest_pause);
        let pause = error.retry_after().unwrap_or_default().max(longest.mul_f64(fastrand::f64()));
        self.failed += 1;
        if !error.is_transient() || self.failed >= attempts || self.since.elapsed() + pause > within {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// A macro because `async_trait` and async closures do not agree on lifetimes.
macro_rules! again {
    ($self:ident, $operation:expr) => {{
        let mut attempts = $self.policy.start();
        loop {
            match $operation.await {
                Err(error) => attempts.pause(error).await?,
                done => break done,
            }
        }
    }};
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore> BlobStore for Retry<S> {
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
        again!(self, self.store.put(key, blob.clone(), options.clone()))
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let first = again!(self, self.store.get(key, options))?;
        let size = first.size();
        let read = Reading {
            store: self.store.clone(),
            key: key.clone(),
            options,
            attempts: self.policy.start(),
            chunks: first.into_stream(),
            size,
            delivered: 0,
        };
        Ok(Blob::new(size, stream::try_unfold(read, Reading::next)))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        again!(self, self.store.head(key))
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        again!(self, self.store.touch(key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        again!(self, self.store.delete(key))
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        again!(self, self.store.list(prefix))
    }

    async fn check(&self) -> Result<()> {
        again!(self, self.store.check())
    }
}

/// A blob being read, and how to go on when that breaks off.
struct Reading<S> {
    store: Arc<S>,
    key: BlobKey,
    options: GetOptions,
    attempts: Attempts,
    chunks: BlobStream,
    size: u64,
    delivered: u64,
}

impl<S: BlobStore> Reading<S> {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            match self.chunks.try_next().await {
                Ok(None) => return Ok(None),
                Ok(Some(chunk)) => {
                    self.delivered += chunk.len() as u64;
                    return Ok(Some((chunk, self)));
                }
                Err(error) => {
                    self.attempts.pause(error).await?;
                    let Self { store, key, options, size, delivered, .. } = &self;
                    self.chunks = resumed(store, key, *options, *size, *delivered).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use futures_util::StreamExt as _;

    use super::*;
    use crate::conformance::{Fault, Faults};
    use crate::{BlobStoreExt as _, ErrorKind, MemoryStore, Operation, TimeoutPolicy};

    /// Fails as often as it is told, and delivers only so many bytes each time.
    #[derive(Clone, Debug)]
    struct Flaky {
        inner: Arc<MemoryStore>,
        failures: Arc<Mutex<VecDeque<Error>>>,
        breaks_after: Arc<Mutex<VecDeque<usize>>>,
    }

    impl Flaky {
        fn new(
            failures: impl IntoIterator<Item = Error>,
            breaks_after: impl IntoIterator<Item = usize>,
        ) -> Self {
            Self {
                inner: Arc::new(MemoryStore::new()),
                failures: Arc::new(Mutex::new(failures.into_iter().collect())),
                breaks_after: Arc::new(Mutex::new(breaks_after.into_iter().collect())),
            }
        }

        fn fail(&self) -> Result<()> {
            self.failures.lock().expect("no panic").pop_front().map_or(Ok(()), Err)
        }

        fn left(&self) -> usize {
            self.failures.lock().expect("no panic").len()
        }
    }

    #[async_trait]
    impl BlobStore for Flaky {
        fn name(&self) -> &str {
            "flaky"
        }

        async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
            self.fail()?;
            self.inner.put(key, blob, options).await
        }

        async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
            self.fail()?;
            let blob = self.inner.get(key, options).await?;
            let Some(most) = self.breaks_after.lock().expect("no panic").pop_front() else { return Ok(blob) };
            let (size, content) = (blob.size(), blob.bytes().await?);
            let pieces: Vec<_> =
                content[..most].chunks(3).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            Ok(Blob::new(size, stream::iter(pieces).chain(stream::iter([Err(down())]))))
        }
    }

    fn down() -> Error {
        Error::new(ErrorKind::Unavailable, "down")
    }

    fn key() -> BlobKey {
        BlobKey::new("k").expect("a key")
    }

    async fn put(store: &Retry<Flaky>) -> Result<PutOutcome> {
        store.put(&key(), "hello world".into(), PutOptions::default()).await
    }

    #[tokio::test(start_paused = true)]
    async fn transient_failures_are_tried_again_and_others_are_not() {
        let flaky = Flaky::new([down(), down(), down()], []);
        let store = Retry::new(flaky.clone(), RetryPolicy::default());
        assert_eq!(put(&store).await, Ok(PutOutcome::Created));

        let denied = Error::new(ErrorKind::PermissionDenied, "no");
        let flaky = Flaky::new([down(), denied.clone(), down()], []);
        assert_eq!(put(&Retry::new(flaky.clone(), RetryPolicy::default())).await, Err(denied));
        assert_eq!(flaky.left(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_whose_answer_was_lost_finds_its_blob() {
        let faults = Faults::new(MemoryStore::new());
        faults.nth(1, Operation::Put, Fault::FailAfterwards(down()));
        let store = faults.clone().with_retry(RetryPolicy::default());
        let put = store.put(&key(), "hello".into(), PutOptions::default()).await;
        assert_eq!((put, faults.calls(Operation::Put)), (Ok(PutOutcome::AlreadyPresent), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_attempt_is_given_up_and_tried_again() {
        let faults = Faults::new(MemoryStore::new());
        faults.put(&key(), "hello".into(), PutOptions::default()).await.expect("put");
        faults.nth(1, Operation::Get, Fault::Hang);
        faults.nth(2, Operation::Get, Fault::Stall(3));
        let store = faults.clone().with_timeout(TimeoutPolicy::default()).with_retry(RetryPolicy::default());
        let blob = store.get(&key(), GetOptions::at_most(5)).await.expect("get");
        assert_eq!(blob.bytes().await, Ok("hello".into()));
        assert_eq!(faults.calls(Operation::Get), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_and_time_are_bounded() {
        let flaky = Flaky::new(vec![down(); 10], []);
        assert_eq!(
            put(&Retry::new(flaky.clone(), RetryPolicy::default().with_attempts(4))).await,
            Err(down())
        );
        assert_eq!(flaky.left(), 6);

        let throttled = down().with_retry_after(Duration::from_secs(3));
        let flaky = Flaky::new(vec![throttled.clone(); 10], []);
        let start = Instant::now();
        let policy = RetryPolicy::default().with_limit(Duration::from_secs(8));
        assert_eq!(put(&Retry::new(flaky.clone(), policy)).await, Err(throttled));
        assert_eq!((start.elapsed().as_secs(), flaky.left()), (6, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_blob_that_breaks_off_is_continued() {
        let flaky = Flaky::new([], [4, 0, 7]);
        let store = Retry::new(flaky, RetryPolicy::default());
        put(&store).await.expect("put");
        let blob = store.get(&key(), GetOptions::at_most(100)).await.expect("get");
        assert_eq!(blob.bytes().await, Ok("hello world".into()));
    }

    #[tokio::test]
    async fn it_conforms() {
        crate::conformance::small(&Retry::new(MemoryStore::new(), RetryPolicy::default())).await;
    }
}
