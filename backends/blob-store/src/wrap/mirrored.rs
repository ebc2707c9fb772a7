use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::copies::{Copy, read_any};
use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, Location,
    Operation, PutOptions, PutOutcome, Result, Segments,
};

/// The same blobs in several stores, so that they can be read while one of them is down or has lost something.
///
/// Put, touch, delete and check are done by all at once and succeed if all do. Get and head ask one after
/// another, in the order they were added, until one answers; a blob that breaks off is continued from the next,
/// and those that answered `NotFound` get it when it has been read completely, which needs its size in memory.
///
/// The name is the first store's. There is no listing: one that is whole would have to compare all stores, so
/// list them one by one. A delete while another reader repairs may leave the blob in one store.
#[derive(Clone, Debug)]
pub struct Mirrored {
    first: Copy,
    others: Vec<Copy>,
}

impl Mirrored {
    /// Keeps blobs in `first`, and in what is added.
    pub fn new(first: impl BlobStore) -> Self {
        Self { first: Arc::new(first), others: Vec::new() }
    }

    /// Keeps blobs in `other` too.
    #[must_use]
    pub fn and(mut self, other: impl BlobStore) -> Self {
        self.others.push(Arc::new(other));
        self
    }

    fn all(&self) -> impl Iterator<Item = &Copy> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl BlobStore for Mirrored {
    fn name(&self) -> &str {
        self.first.name()
    }

    /// What all of them can.
    fn capabilities(&self) -> Capabilities {
        let all = self.all().map(|store| store.capabilities());
        let common = all.reduce(|a, b| Capabilities {
            head: a.head && b.head,
            delete: a.delete && b.delete,
            touch: a.touch && b.touch,
            ages: a.ages && b.ages,
            list: false,
            persistent: a.persistent || b.persistent,
            max_blob_size: a.max_blob_size.into_iter().chain(b.max_blob_size).min(),
            suggested_threshold: a.suggested_threshold.max(b.suggested_threshold),
        });
        common.unwrap_or_default().with_list(false)
    }

    fn location(&self) -> Location {
        self.first.location()
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        let most = self.capabilities().max_blob_size.unwrap_or(u64::MAX);
        if blob.len() as u64 > most {
            let why = format!("the blob has {} bytes, one of the mirrors takes at most {most}", blob.len());
            let error = Error::new(ErrorKind::TooLarge, why);
            return Err(error.in_store(self.name()).during(Operation::Put).with_key(key));
        }
        let puts = join_all(self.all().map(|store| store.put(key, blob.clone(), options.clone()))).await;
        let mut outcome = PutOutcome::AlreadyPresent;
        for put in puts {
            if put? == PutOutcome::Created {
                outcome = PutOutcome::Created;
            }
        }
        Ok(outcome)
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        read_any(self.all().cloned().collect(), key, options, u64::MAX, worse).await
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let mut answer = self.first.head(key).await;
        for store in &self.others {
            let Err(before) = answer else { break };
            answer = store.head(key).await.map_err(|error| worse(before, error));
        }
        answer
    }

    /// A blob that only some have is touched there.
    async fn touch(&self, key: &BlobKey) -> Result<()> {
        let touches = join_all(self.all().map(|store| store.touch(key))).await;
        let somewhere = touches.iter().any(Result::is_ok);
        let failed = touches.into_iter().filter_map(Result::err).reduce(worse);
        match failed {
            Some(error) if !somewhere || error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        join_all(self.all().map(|store| store.delete(key))).await.into_iter().collect()
    }

    async fn list(&self, _prefix: &str) -> Result<ListStream> {
        Err(Error::unsupported(Operation::List).in_store(self.name()))
    }

    async fn check(&self) -> Result<()> {
        join_all(self.all().map(|store| store.check())).await.into_iter().collect()
    }
}

/// As long as one store cannot tell, it is not known that the blob is gone.
fn worse(first: Error, second: Error) -> Error {
    if first.kind() == ErrorKind::NotFound { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Fault, Faults};
    use crate::{BlobStoreExt as _, MemoryStore};

    type Faulty = Faults<MemoryStore>;

    fn mirrors() -> (Faulty, Faulty, Mirrored) {
        let left = Faults::new(MemoryStore::named("left"));
        let right = Faults::new(MemoryStore::named("right"));
        (left.clone(), right.clone(), left.mirrored_to(right))
    }

    fn key() -> BlobKey {
        BlobKey::new("k").expect("a key")
    }

    fn down() -> Error {
        Error::new(ErrorKind::Unavailable, "down")
    }

    async fn put(store: &dyn BlobStore) -> Result<PutOutcome> {
        store.put(&key(), "hello".into(), PutOptions::default()).await
    }

    async fn get(store: &dyn BlobStore) -> Result<bytes::Bytes> {
        store.get(&key(), GetOptions::at_most(100)).await?.bytes().await
    }

    #[tokio::test]
    async fn it_writes_to_all_and_reads_from_any() {
        let (left, right, store) = mirrors();
        assert_eq!(put(&store).await, Ok(PutOutcome::Created));
        for one in [&left, &right] {
            assert_eq!(get(one).await, Ok("hello".into()));
        }
        left.always(Operation::Get, Fault::Fail(down()));
        left.always(Operation::Head, Fault::Fail(down()));
        assert_eq!(get(&store).await, Ok("hello".into()));
        assert_eq!(store.head(&key()).await.map(|info| info.size), Ok(5));
        left.always(Operation::Get, Fault::BreakOff(2, down()));
        assert_eq!(get(&store).await, Ok("hello".into()));

        right.always(Operation::Put, Fault::Fail(down()));
        assert_eq!(put(&store).await, Err(down()));
    }

    #[tokio::test]
    async fn a_lost_blob_is_put_back_when_it_is_read() {
        let (left, right, store) = mirrors();
        put(&right).await.expect("put");
        store.touch(&key()).await.expect("one of them has it");
        assert_eq!(get(&store).await, Ok("hello".into()));
        assert_eq!(get(&left).await, Ok("hello".into()));
        assert_eq!(put(&store).await, Ok(PutOutcome::AlreadyPresent));
    }

    #[tokio::test]
    async fn who_cannot_tell_keeps_the_others_from_saying_it_is_gone() {
        for broken in [0, 1] {
            let (left, right, store) = mirrors();
            for operation in [Operation::Get, Operation::Head, Operation::Touch] {
                [&left, &right][broken].always(operation, Fault::Fail(down()));
            }
            assert_eq!(get(&store).await, Err(down()));
            assert_eq!(store.head(&key()).await, Err(down()));
            assert_eq!(store.touch(&key()).await, Err(down()));
        }
        let (_, _, store) = mirrors();
        assert_eq!(get(&store).await.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn it_conforms() {
        crate::conformance::small(&mirrors().2.and(MemoryStore::new())).await;
    }
}
