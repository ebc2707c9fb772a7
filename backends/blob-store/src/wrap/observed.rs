use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, GetOptions, ListStream, Location, Operation,
    PutOptions, PutOutcome, Result, Segments,
};

/// Tells an [`Observer`] of every operation: for metrics, logs and tests.
#[derive(Clone, Debug)]
pub struct Observed<S> {
    store: S,
    observer: Arc<dyn Observer>,
}

/// Is told of operations. Called on the operation's own task: count and return.
pub trait Observer: std::fmt::Debug + Send + Sync + 'static {
    /// An operation begins. Exactly one [`observed`](Self::observed) follows.
    fn started(&self, store: &str, operation: Operation) {
        let _ = (store, operation);
    }

    /// An operation is over. A get is when its blob is read to the end or dropped, a listing likewise.
    fn observed(&self, observation: &Observation<'_>);
}

/// One operation that is over.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Observation<'a> {
    /// The store's name.
    pub store: &'a str,
    /// What was done. [`check`](BlobStore::check) is [`Operation::Connect`].
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// The length of the blob that was put, or how much of one was read.
    pub bytes: u64,
    /// From the beginning to the end, with the time a reader took between chunks.
    pub elapsed: Duration,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It succeeded.
    Done,
    /// A put stored a new blob.
    Created,
    /// A put found the blob there.
    AlreadyPresent,
    /// It failed.
    Failed(&'a Error),
    /// Its future, blob or listing was dropped before the end.
    Abandoned,
}

impl<S: BlobStore> Observed<S> {
    /// Tells `observer` what is done with `store`.
    pub fn new(store: S, observer: Arc<dyn Observer>) -> Self {
        Self { store, observer }
    }

    fn begin(&self, operation: Operation) -> Watch {
        self.observer.started(self.name(), operation);
        Watch {
            observer: self.observer.clone(),
            store: self.name().to_owned(),
            operation,
            bytes: 0,
            since: Instant::now(),
            over: false,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore> BlobStore for Observed<S> {
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
        let mut watch = self.begin(Operation::Put);
        watch.bytes = blob.len() as u64;
        let put = self.store.put(key, blob, options).await;
        watch.end(match &put {
            Ok(PutOutcome::Created) => Outcome::Created,
            Ok(PutOutcome::AlreadyPresent) => Outcome::AlreadyPresent,
            Err(error) => Outcome::Failed(error),
        });
        put
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let mut watch = self.begin(Operation::Get);
        let blob =
            self.store.get(key, options).await.inspect_err(|error| watch.end(Outcome::Failed(error)))?;
        let size = blob.size();
        let chunks = blob.into_stream();
        Ok(Blob::new(size, watched(chunks, watch, |chunk: &bytes::Bytes| chunk.len() as u64)))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let watch = self.begin(Operation::Head);
        watch.answer(self.store.head(key).await)
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let watch = self.begin(Operation::Touch);
        watch.answer(self.store.touch(key).await)
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        let watch = self.begin(Operation::Delete);
        watch.answer(self.store.delete(key).await)
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let mut watch = self.begin(Operation::List);
        let listed = self.store.list(prefix).await.inspect_err(|error| watch.end(Outcome::Failed(error)))?;
        Ok(watched(listed, watch, |_| 0).boxed())
    }

    async fn check(&self) -> Result<()> {
        let watch = self.begin(Operation::Connect);
        watch.answer(self.store.check().await)
    }
}

/// An operation that is under way. Dropped before its end, it was abandoned.
struct Watch {
    observer: Arc<dyn Observer>,
    store: String,
    operation: Operation,
    bytes: u64,
    since: Instant,
    over: bool,
}

impl Watch {
    fn end(&mut self, outcome: Outcome<'_>) {
        if !std::mem::replace(&mut self.over, true) {
            self.observer.observed(&Observation {
                store: &self.store,
                operation: self.operation,
                outcome,
                bytes: self.bytes,
                elapsed: self.since.elapsed(),
            });
        }
    }

    fn answer<T>(mut self, answer: Result<T>) -> Result<T> {
        self.end(answer.as_ref().map_or_else(Outcome::Failed, |_| Outcome::Done));
        answer
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned);
    }
}

/// The same items; the watch ends with them.
fn watched<T: Send + 'static>(
    items: impl stream::Stream<Item = Result<T>> + Send + Unpin + 'static,
    watch: Watch,
    bytes: fn(&T) -> u64,
) -> impl stream::Stream<Item = Result<T>> + Send + 'static {
    stream::unfold((items, watch), move |(mut items, mut watch)| async move {
        let item = items.next().await;
        match &item {
            Some(Ok(item)) => watch.bytes += bytes(item),
            Some(Err(error)) => watch.end(Outcome::Failed(error)),
            None => watch.end(Outcome::Done),
        }
        item.map(|item| (item, (items, watch)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::conformance::{Fault, Faults};
    use crate::{BlobStoreExt as _, ErrorKind, MemoryStore};

    #[derive(Clone, Debug, Default)]
    struct Log(Arc<Mutex<(usize, Vec<String>)>>);

    impl Observer for Log {
        fn started(&self, _: &str, _: Operation) {
            self.0.lock().expect("no panic").0 += 1;
        }

        fn observed(&self, seen: &Observation<'_>) {
            let outcome = match seen.outcome {
                Outcome::Failed(error) => format!("{:?}", error.kind()),
                other => format!("{other:?}"),
            };
            let line =
                format!("{} {} {outcome} {} {:?}", seen.store, seen.operation, seen.bytes, seen.elapsed);
            self.0.lock().expect("no panic").1.push(line);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_operation_is_observed_once() {
        let (log, faults) = (Log::default(), Faults::new(MemoryStore::new()));
        let store = faults.clone().observed_by(log.clone());
        let key = BlobKey::new("k").expect("a key");
        let (put, get) = (PutOptions::default(), GetOptions::at_most(9));
        let down = || Error::new(ErrorKind::Unavailable, "down");

        faults.nth(1, Operation::Put, Fault::Delay(Duration::from_secs(2)));
        store.put(&key, Segments::from_iter(["he", "llo"]), put.clone()).await.expect("put");
        store.put(&key, "hello".into(), put.clone()).await.expect("put");
        faults.nth(1, Operation::Put, Fault::Hang);
        assert!(store.put(&key, "hello".into(), put).now_or_never().is_none());
        store.get(&key, get).await.expect("get").bytes().await.expect("whole");
        drop(store.get(&key, get).await.expect("get"));
        faults.nth(1, Operation::Get, Fault::BreakOff(3, down()));
        store.get(&key, get).await.expect("get").bytes().await.expect_err("breaks off");
        faults.nth(1, Operation::Get, Fault::Fail(down()));
        store.get(&key, get).await.expect_err("down");
        store.head(&key).await.expect("head");
        store.touch(&key).await.expect("touch");
        assert_eq!(store.list("").await.expect("list").count().await, 1);
        store.delete(&key).await.expect("delete");
        store.check().await.expect("check");

        let (started, seen) = &*log.0.lock().expect("no panic");
        assert_eq!(
            *seen,
            [
                "memory put Created 5 2s",
                "memory put AlreadyPresent 5 0ns",
                "memory put Abandoned 5 0ns",
                "memory get Done 5 0ns",
                "memory get Abandoned 0 0ns",
                "memory get Unavailable 3 0ns",
                "memory get Unavailable 0 0ns",
                "memory head Done 0 0ns",
                "memory touch Done 0 0ns",
                "memory list Done 0 0ns",
                "memory delete Done 0 0ns",
                "memory connect Done 0 0ns",
            ]
        );
        assert_eq!(*started, seen.len());
    }

    #[tokio::test]
    async fn it_conforms() {
        crate::conformance::small(&MemoryStore::new().observed_by(Log::default())).await;
    }
}
