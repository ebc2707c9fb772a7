use async_trait::async_trait;

use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, Location,
    Operation, PutOptions, PutOutcome, Result, Segments,
};

/// Refuses to change anything: put, touch and delete answer [`ErrorKind::Unsupported`] without asking the store.
#[derive(Clone, Debug)]
pub struct ReadOnly<S> {
    store: S,
}

impl<S: BlobStore> ReadOnly<S> {
    /// Lets `store` only be read.
    pub fn new(store: S) -> Self {
        Self { store }
    }

    fn refuse<T>(&self, operation: Operation, key: &BlobKey) -> Result<T> {
        let error = Error::new(ErrorKind::Unsupported, "this store is opened for reading only");
        Err(error.in_store(self.name()).during(operation).with_key(key))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore> BlobStore for ReadOnly<S> {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities().with_delete(false).with_touch(false)
    }

    fn location(&self) -> Location {
        self.store.location()
    }

    async fn put(&self, key: &BlobKey, _blob: Segments, _options: PutOptions) -> Result<PutOutcome> {
        self.refuse(Operation::Put, key)
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        self.store.get(key, options).await
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        self.store.head(key).await
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        self.refuse(Operation::Touch, key)
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.refuse(Operation::Delete, key)
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        self.store.list(prefix).await
    }

    async fn check(&self) -> Result<()> {
        self.store.check().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt as _;

    use super::*;
    use crate::{BlobStoreExt as _, MemoryStore};

    #[tokio::test]
    async fn it_reads_and_changes_nothing() {
        let inner = Arc::new(MemoryStore::new());
        let key = BlobKey::new("k").expect("a key");
        inner.put(&key, "hello".into(), PutOptions::default()).await.expect("put");
        let before = inner.head(&key).await;

        let store = inner.clone().read_only();
        let can = store.capabilities();
        assert!(can.head && can.list && !can.delete && !can.touch);
        let put = store.put(&key, "other".into(), PutOptions::default()).await.map(|_| ());
        for (answer, operation) in [
            (put, Operation::Put),
            (store.touch(&key).await, Operation::Touch),
            (store.delete(&key).await, Operation::Delete),
        ] {
            let error = answer.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(
                error.to_string(),
                format!("memory: {operation} k: this store is opened for reading only")
            );
        }
        assert_eq!(store.head(&key).await, before);
        assert_eq!(
            store.get(&key, GetOptions::at_most(5)).await.expect("get").bytes().await,
            Ok("hello".into())
        );
        assert_eq!(store.list("").await.expect("list").count().await, 1);
    }
}
