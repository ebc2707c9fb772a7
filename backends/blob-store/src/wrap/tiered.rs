use std::sync::Arc;

use async_trait::async_trait;

use super::copies::{Copy, read_any};
use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, ErrorKind, GetOptions, ListStream, Location,
    PutOptions, PutOutcome, Result, Segments,
};

/// A near store in front of a far one: say, a local directory before S3.
///
/// The far store is the truth: its name, capabilities and location are this store's, and an operation succeeds
/// if the far store does it. The near one is asked first for a blob. It gets what is put, after the far store
/// has it, and what is read, once all of it has been read; its failures cost time and nothing else.
///
/// A blob that somebody deletes in the far store elsewhere stays in the near one, which therefore should expire
/// by itself.
#[derive(Clone, Debug)]
pub struct Tiered {
    near: Copy,
    far: Copy,
    largest_fill: u64,
}

impl Tiered {
    /// Reads from `near` where it can, else from `far`.
    pub fn new(near: impl BlobStore, far: impl BlobStore) -> Self {
        Self { near: Arc::new(near), far: Arc::new(far), largest_fill: 64 << 20 }
    }

    /// The largest blob in bytes that is copied to the near store when it is read: the copy needs so much
    /// memory. Default: 64 MiB.
    #[must_use]
    pub fn with_largest_fill(mut self, bytes: u64) -> Self {
        self.largest_fill = bytes;
        self
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl BlobStore for Tiered {
    fn name(&self) -> &str {
        self.far.name()
    }

    /// A blob is deleted only if it is in both.
    fn capabilities(&self) -> Capabilities {
        let (near, far) = (self.near.capabilities(), self.far.capabilities());
        far.with_delete(near.delete && far.delete)
    }

    fn location(&self) -> Location {
        self.far.location()
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        let outcome = self.far.put(key, blob.clone(), options.clone()).await?;
        let _ = self.near.put(key, blob, options).await;
        Ok(outcome)
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let copies = vec![self.near.clone(), self.far.clone()];
        read_any(copies, key, options, self.largest_fill, |_near, far| far).await
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        self.far.head(key).await
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        self.far.touch(key).await?;
        let _ = self.near.touch(key).await;
        Ok(())
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        if !self.near.capabilities().delete {
            return self.near.delete(key).await;
        }
        self.far.delete(key).await?;
        match self.near.delete(key).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        self.far.list(prefix).await
    }

    async fn check(&self) -> Result<()> {
        self.far.check().await
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::StreamExt as _;

    use super::*;
    use crate::conformance::{Fault, Faults};
    use crate::{BlobStoreExt as _, Error, MemoryStore, Operation};

    type Faulty = Faults<MemoryStore>;

    fn tiers() -> (Faulty, Faulty, Tiered) {
        let near = Faults::new(MemoryStore::named("near"));
        let far = Faults::new(MemoryStore::named("far"));
        (near.clone(), far.clone(), far.with_near(near))
    }

    fn key() -> BlobKey {
        BlobKey::new("k").expect("a key")
    }

    fn down() -> Fault {
        Fault::Fail(Error::new(ErrorKind::Unavailable, "down"))
    }

    async fn put(store: &dyn BlobStore) -> Result<PutOutcome> {
        store.put(&key(), Segments::from_iter(["hello ", "world"]), PutOptions::default()).await
    }

    async fn get(store: &dyn BlobStore) -> Result<bytes::Bytes> {
        store.get(&key(), GetOptions::at_most(100)).await?.bytes().await
    }

    #[tokio::test]
    async fn what_was_put_or_read_is_near() {
        let (near, far, store) = tiers();
        assert_eq!(put(&store).await, Ok(PutOutcome::Created));
        assert_eq!(get(&store).await, Ok("hello world".into()));
        assert_eq!(far.calls(Operation::Get), 0);

        near.delete(&key()).await.expect("delete");
        assert_eq!(get(&store).await, Ok("hello world".into()));
        assert_eq!(get(&store).await, Ok("hello world".into()));
        assert_eq!(far.calls(Operation::Get), 1);
        assert_eq!(store.name(), "far");
    }

    #[tokio::test]
    async fn the_near_store_may_fail_and_the_far_one_decides() {
        let (near, far, store) = tiers();
        for operation in [Operation::Put, Operation::Get, Operation::Touch] {
            near.always(operation, down());
        }
        assert_eq!(get(&store).await.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
        put(&store).await.expect("put");
        store.touch(&key()).await.expect("touch");
        assert_eq!(get(&store).await, Ok("hello world".into()));

        near.heal();
        far.always(Operation::Put, down());
        near.delete(&key()).await.expect("delete");
        put(&store).await.expect_err("the far store is down");
        assert!(near.head(&key()).await.is_err(), "the near store has what the far one may not");
    }

    #[tokio::test]
    async fn a_near_blob_that_breaks_off_is_continued_from_afar() {
        let (near, _, store) = tiers();
        put(&store).await.expect("put");
        let broken = Error::new(ErrorKind::Corrupt, "cut short");
        for fault in [Fault::BreakOff(7, broken), Fault::Truncate(3), Fault::Truncate(0)] {
            near.nth(1, Operation::Get, fault);
            assert_eq!(get(&store).await, Ok("hello world".into()));
        }
    }

    #[tokio::test]
    async fn only_whole_blobs_of_a_fitting_size_are_filled_in() {
        let (near, far, store) = tiers();
        put(&far).await.expect("put");
        for fault in [Fault::Truncate(3), Fault::Announce(5)] {
            far.nth(1, Operation::Get, fault.clone());
            get(&store).await.expect_err("not whole");
            far.nth(1, Operation::Get, fault);
            let blob = store.get(&key(), GetOptions::at_most(100)).await.expect("get");
            blob.into_stream().for_each(|_| ready(())).await;
        }
        drop(store.get(&key(), GetOptions::at_most(100)).await.expect("get"));
        let small = store.clone().with_largest_fill(10);
        get(&small).await.expect("get");
        assert_eq!(near.calls(Operation::Put), 0);
        get(&store.with_largest_fill(11)).await.expect("get");
        assert_eq!(near.calls(Operation::Put), 1);
    }

    #[tokio::test]
    async fn it_conforms() {
        crate::conformance::small(&tiers().2).await;
    }
}
