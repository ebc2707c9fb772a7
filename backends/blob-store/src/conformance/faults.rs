use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};

use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, GetOptions, ListStream, Location, Operation,
    PutOptions, PutOutcome, Result, Segments,
};

/// A store that fails as it is told, for tests of what is built on stores. Clones share faults and counts.
///
/// ```
/// # use blob_store::{BlobKey, BlobStore, BlobStoreExt, Error, ErrorKind, MemoryStore, Operation};
/// use blob_store::conformance::{Fault, Faults};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// let faults = Faults::new(MemoryStore::new());
/// faults.nth(2, Operation::Delete, Fault::Fail(Error::new(ErrorKind::Unavailable, "down")));
///
/// let (store, key) = (faults.clone(), BlobKey::new("k")?);
/// store.delete(&key).await?;
/// assert_eq!(store.delete(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
/// store.delete(&key).await?;
/// assert_eq!(faults.calls(Operation::Delete), 3);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Faults<S> {
    store: Arc<S>,
    plan: Arc<Mutex<Plan>>,
}

/// What goes wrong with an operation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// It fails, and the store is not asked.
    Fail(Error),
    /// The store does it, but the answer is lost.
    FailAfterwards(Error),
    /// It takes longer.
    Delay(Duration),
    /// It never answers.
    Hang,
    /// Get: only so many bytes come, and then the end.
    Truncate(usize),
    /// Get: only so many bytes come, and then an error.
    BreakOff(usize, Error),
    /// Get: only so many bytes come, and then nothing.
    Stall(usize),
    /// Get: the byte at this place comes changed.
    Corrupt(usize),
    /// Get: this size is announced, whatever comes.
    Announce(u64),
}

#[derive(Debug, Default)]
struct Plan {
    calls: HashMap<Operation, u64>,
    once: HashMap<(Operation, u64), Fault>,
    always: HashMap<Operation, Fault>,
}

impl<S: BlobStore> Faults<S> {
    /// Nothing fails until told.
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store), plan: Arc::default() }
    }

    /// The `nth` call of `operation` from now on, counted from 1, has `fault`. [`check`](BlobStore::check)
    /// counts as [`Operation::Connect`].
    pub fn nth(&self, nth: u64, operation: Operation, fault: Fault) {
        let mut plan = self.plan();
        let call = plan.calls.get(&operation).unwrap_or(&0) + nth;
        plan.once.insert((operation, call), fault);
    }

    /// Every call of `operation` has `fault`, unless [`nth`](Self::nth) gave it another.
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.plan().always.insert(operation, fault);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.once.clear();
        plan.always.clear();
    }

    /// How often `operation` was called.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan().calls.get(&operation).copied().unwrap_or(0)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        let mut plan = self.plan();
        let call = plan.calls.entry(operation).or_default();
        *call += 1;
        let call = *call;
        plan.once.remove(&(operation, call)).or_else(|| plan.always.get(&operation).cloned())
    }

    /// What happens before the store is asked. Answers what is to happen to its answer.
    async fn before(&self, operation: Operation) -> Result<Option<Fault>> {
        match self.next(operation) {
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Hang) => pending().await,
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }
}

impl<S> Clone for Faults<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), plan: self.plan.clone() }
    }
}

/// Loses the answer if that is the fault.
fn after<T>(fault: Option<Fault>, answer: Result<T>) -> Result<T> {
    match fault {
        Some(Fault::FailAfterwards(error)) => Err(error),
        _ => answer,
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore> BlobStore for Faults<S> {
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
        let fault = self.before(Operation::Put).await?;
        after(fault, self.store.put(key, blob, options).await)
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let fault = self.before(Operation::Get).await?;
        let blob = self.store.get(key, options).await?;
        let size = blob.size();
        let Some(fault) = fault else { return Ok(blob) };
        let content = blob.bytes().await?;
        let first = |count: usize| content.slice(..count.min(content.len()));
        Ok(match fault {
            Fault::Truncate(count) => Blob::new(size, one(first(count))),
            Fault::BreakOff(count, error) => {
                Blob::new(size, one(first(count)).chain(stream::iter([Err(error)])))
            }
            Fault::Stall(count) => Blob::new(size, one(first(count)).chain(stream::pending())),
            Fault::Corrupt(place) => {
                let mut changed = BytesMut::from(&content[..]);
                if let Some(byte) = changed.get_mut(place) {
                    *byte ^= 1;
                }
                Blob::new(size, one(changed.freeze()))
            }
            Fault::Announce(other) => Blob::new(other, one(content)),
            fault => return after(Some(fault), Ok(Blob::new(size, one(content)))),
        })
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let fault = self.before(Operation::Head).await?;
        after(fault, self.store.head(key).await)
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let fault = self.before(Operation::Touch).await?;
        after(fault, self.store.touch(key).await)
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        let fault = self.before(Operation::Delete).await?;
        after(fault, self.store.delete(key).await)
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let fault = self.before(Operation::List).await?;
        after(fault, self.store.list(prefix).await)
    }

    async fn check(&self) -> Result<()> {
        let fault = self.before(Operation::Connect).await?;
        after(fault, self.store.check().await)
    }
}

fn one(chunk: Bytes) -> impl stream::Stream<Item = Result<Bytes>> + Send + 'static {
    stream::iter([Ok(chunk)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, MemoryStore};

    #[tokio::test]
    async fn each_fault_of_a_get_is_seen() {
        let faults = Faults::new(MemoryStore::new());
        let key = BlobKey::new("k").expect("a key");
        faults.put(&key, "hello".into(), PutOptions::default()).await.expect("put");
        let down = || Error::new(ErrorKind::Unavailable, "down");
        let cases = [
            (Fault::Truncate(2), Err(ErrorKind::Corrupt)),
            (Fault::BreakOff(2, down()), Err(ErrorKind::Unavailable)),
            (Fault::Corrupt(4), Ok("helln".into())),
            (Fault::Announce(6), Err(ErrorKind::Corrupt)),
            (Fault::Fail(down()), Err(ErrorKind::Unavailable)),
            (Fault::FailAfterwards(down()), Err(ErrorKind::Unavailable)),
            (Fault::Delay(Duration::from_millis(1)), Ok(Bytes::from("hello"))),
        ];
        for (fault, expected) in cases {
            faults.nth(1, Operation::Get, fault.clone());
            let read = async { faults.get(&key, GetOptions::at_most(9)).await?.bytes().await };
            assert_eq!(read.await.map_err(|error| error.kind()), expected, "{fault:?}");
        }
        assert_eq!(faults.calls(Operation::Get), 7);
    }

    #[tokio::test]
    async fn without_faults_it_conforms() {
        crate::conformance::small(&Faults::new(MemoryStore::new())).await;
    }
}
