use std::future::ready;

use async_trait::async_trait;
use futures_util::stream::{StreamExt as _, TryStreamExt as _};

use crate::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, ListedBlob,
    Location, PutOptions, PutOutcome, Result, Segments,
};

/// A part of a store that looks like a whole one: every key gets a prefix, nothing outside of it can be reached.
///
/// The prefix is plain text; `team/` makes a directory, `team-` does not. Prefix and key together are at most
/// [`BlobKey::MAX_LEN`] bytes, and a key that begins with `/` does not go with a prefix that ends with one:
/// both are [`ErrorKind::InvalidKey`]. Errors name the key without the prefix.
#[derive(Clone, Debug)]
pub struct Prefixed<S> {
    store: S,
    prefix: String,
}

impl<S: BlobStore> Prefixed<S> {
    /// The part of `store` whose keys begin with `prefix`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if no valid key begins with `prefix`.
    pub fn new(store: S, prefix: impl Into<String>) -> Result<Self> {
        let prefix = prefix.into();
        if let Err(error) = BlobKey::new(format!("{prefix}k")) {
            let why = format!("the prefix {prefix:?} begins no valid key: {}", error.message());
            return Err(Error::new(ErrorKind::InvalidConfig, why).in_store(store.name()));
        }
        Ok(Self { store, prefix })
    }

    fn whole(&self, key: &BlobKey) -> Result<BlobKey> {
        BlobKey::new(format!("{}{key}", self.prefix))
            .map_err(|error| error.in_store(self.store.name()).with_key(key))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: BlobStore> BlobStore for Prefixed<S> {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn location(&self) -> Location {
        let inner = self.store.location();
        let prefix = format!("{}{}", inner.prefix, self.prefix);
        inner.with_prefix(prefix)
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        self.store.put(&self.whole(key)?, blob, options).await.map_err(|error| error.about_key(key))
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let blob = self.store.get(&self.whole(key)?, options).await.map_err(|error| error.about_key(key))?;
        let (size, key) = (blob.size(), key.clone());
        Ok(Blob::new(size, blob.into_stream().map_err(move |error| error.about_key(&key))))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        self.store.head(&self.whole(key)?).await.map_err(|error| error.about_key(key))
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        self.store.touch(&self.whole(key)?).await.map_err(|error| error.about_key(key))
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.store.delete(&self.whole(key)?).await.map_err(|error| error.about_key(key))
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let listed = self.store.list(&format!("{}{prefix}", self.prefix)).await?;
        let own = self.prefix.len();
        // What is no valid key without the prefix cannot have been put through it, and is somebody else's.
        let listed = listed.try_filter_map(move |blob| {
            let key = blob.key.as_str().get(own..).and_then(|key| BlobKey::new(key).ok());
            ready(Ok(key.map(|key| ListedBlob::new(key, blob.info))))
        });
        Ok(listed.boxed())
    }

    async fn check(&self) -> Result<()> {
        self.store.check().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{BlobStoreExt as _, MemoryStore};

    fn key(key: &str) -> BlobKey {
        BlobKey::new(key).expect("a key")
    }

    #[tokio::test]
    async fn it_sees_its_part_only() {
        let inner = Arc::new(MemoryStore::new());
        let store = inner.clone().with_prefix("team").expect("a prefix");
        for foreign in ["other", "tea", "team", "team..", "team./x"] {
            inner.put(&key(foreign), "x".into(), PutOptions::default()).await.expect("put");
        }
        store.put(&key("/a"), "hello".into(), PutOptions::default()).await.expect("put");
        inner.head(&key("team/a")).await.expect("there");
        let listed: Vec<_> = store.list("").await.expect("list").try_collect().await.expect("whole");
        assert_eq!(listed.into_iter().map(|blob| blob.key).collect::<Vec<_>>(), [key("/a")]);
        assert_eq!(store.head(&key("other")).await.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn what_makes_no_key_is_refused() {
        for prefix in ["../", "a//", "a/../", "/../", "a\n"] {
            let error = MemoryStore::new().with_prefix(prefix).expect_err("invalid");
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{prefix:?}");
        }
        let store = MemoryStore::new().with_prefix("team/").expect("a prefix");
        for bad in ["/rooted".to_owned(), "k".repeat(BlobKey::MAX_LEN)] {
            let error = store.head(&key(&bad)).await.expect_err("invalid");
            assert_eq!((error.kind(), error.key()), (ErrorKind::InvalidKey, Some(&key(&bad))));
        }
    }

    #[tokio::test]
    async fn prefixes_add_up() {
        let store = MemoryStore::new().with_prefix("a/").expect("a prefix").with_prefix("b-").expect("too");
        assert_eq!(store.location().prefix, "a/b-");
        crate::conformance::small(&store).await;
    }
}
