//! The suite itself: a good store passes, and each way to break the contract is found by the case for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Mutex;

use blob_store::conformance::{self, Options};
use blob_store::{
    Blob, BlobInfo, BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, ListStream, ListedBlob,
    MemoryStore, PutOptions, PutOutcome, Result, Segments, async_trait,
};
use futures_util::{StreamExt as _, stream};

#[tokio::test]
async fn the_memory_store_conforms() {
    conformance::run(&MemoryStore::new()).await;
}

#[tokio::test]
async fn a_store_that_can_only_put_and_get_conforms() {
    conformance::run(&Broken::new(Flaw::None, Capabilities::default())).await;
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    LosesLastByte,
    AnnouncesOneMore,
    OverwritesAndSaysCreated,
    ForgetsToRenew,
    WrongErrorKind,
    NamelessErrors,
    IgnoresLimit,
    FoldsCase,
    ListsHalf,
    ListsByGlob,
    KeepsDeleted,
    TearsBlobs,
    MixesBlobs,
    BelievesWrongHashes,
    ListsNoAges,
    NoSecondDelete,
    FailsUndeclared,
}

#[tokio::test]
async fn every_flaw_is_found() {
    use Flaw::*;
    let cases = [
        (LosesLastByte, "what_is_put_is_read"),
        (AnnouncesOneMore, "what_is_put_is_read"),
        (OverwritesAndSaysCreated, "a_second_put_finds_the_first"),
        (ForgetsToRenew, "a_second_put_renews_the_age"),
        (WrongErrorKind, "a_missing_blob_is_not_found"),
        (NamelessErrors, "a_missing_blob_is_not_found"),
        (IgnoresLimit, "a_blob_over_the_readers_limit_is_refused"),
        (FoldsCase, "every_legal_character_makes_a_key_of_its_own"),
        (ListsHalf, "a_list_has_every_blob_with_its_size"),
        (ListsByGlob, "a_prefix_is_plain_text"),
        (KeepsDeleted, "a_deleted_blob_is_gone"),
        (TearsBlobs, "readers_see_all_or_nothing"),
        (TearsBlobs, "a_cancelled_put_leaves_all_or_nothing"),
        (MixesBlobs, "blobs_put_at_once_do_not_mix"),
        (BelievesWrongHashes, "a_wrong_hash_damages_nothing"),
        (ListsNoAges, "a_list_tells_ages"),
        (NoSecondDelete, "a_deleted_blob_is_gone"),
        (FailsUndeclared, "what_is_not_declared_is_unsupported"),
    ];
    let runs = cases.map(|(flaw, case)| async move {
        let options = Options::quick().with_largest_blob(1 << 20);
        let can = Capabilities::all().with_touch(flaw != FailsUndeclared);
        let failed = conformance::failures(&Broken::new(flaw, can), options).await;
        assert!(
            failed.iter().any(|line| line.starts_with(case)),
            "{flaw:?} was not found by {case}: {failed:?}"
        );
    });
    futures_util::future::join_all(runs).await;
}

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    flaw: Flaw,
    can: Capabilities,
    upload: Mutex<Segments>,
}

impl Broken {
    fn new(flaw: Flaw, can: Capabilities) -> Self {
        Self { inner: MemoryStore::new(), flaw, can, upload: Mutex::default() }
    }

    fn key(&self, key: &BlobKey) -> BlobKey {
        if self.flaw == Flaw::FoldsCase {
            BlobKey::new(key.as_str().to_lowercase()).unwrap()
        } else {
            key.clone()
        }
    }

    fn spoil(&self, error: Error) -> Error {
        match self.flaw {
            Flaw::WrongErrorKind => Error::new(ErrorKind::Other, "?"),
            Flaw::NamelessErrors => Error::new(error.kind(), error.message()),
            _ => error,
        }
    }
}

#[async_trait]
impl BlobStore for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn capabilities(&self) -> Capabilities {
        self.can
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        let key = &self.key(key);
        match self.flaw {
            Flaw::LosesLastByte if !blob.is_empty() => {
                let cut = blob.to_bytes().slice(..blob.len() - 1);
                self.inner.put(key, cut.into(), options).await
            }
            Flaw::OverwritesAndSaysCreated => {
                self.inner.delete(key).await?;
                self.inner.put(key, blob, options).await
            }
            Flaw::ForgetsToRenew if self.inner.head(key).await.is_ok() => Ok(PutOutcome::AlreadyPresent),
            Flaw::MixesBlobs => {
                *self.upload.lock().unwrap() = blob;
                tokio::task::yield_now().await;
                let blob = self.upload.lock().unwrap().clone();
                self.inner.put(key, blob, options).await
            }
            Flaw::BelievesWrongHashes if options.sha256 == Some([7; 32]) => {
                self.inner.put(key, "".into(), options).await
            }
            Flaw::TearsBlobs if self.inner.head(key).await.is_err() => {
                let half = blob.to_bytes().slice(..blob.len() / 2);
                self.inner.put(key, half.into(), options.clone()).await?;
                tokio::task::yield_now().await;
                self.inner.delete(key).await?;
                self.inner.put(key, blob, options).await
            }
            _ => self.inner.put(key, blob, options).await,
        }
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let options = if self.flaw == Flaw::IgnoresLimit { GetOptions::at_most(u64::MAX) } else { options };
        let blob = self.inner.get(&self.key(key), options).await.map_err(|error| self.spoil(error))?;
        let more = u64::from(self.flaw == Flaw::AnnouncesOneMore);
        Ok(Blob::new(blob.size() + more, blob.into_stream()))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        self.inner.head(&self.key(key)).await
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        if self.flaw == Flaw::FailsUndeclared {
            return Err(Error::new(ErrorKind::Other, "?"));
        }
        self.inner.touch(&self.key(key)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        match self.flaw {
            Flaw::KeepsDeleted => Ok(()),
            Flaw::NoSecondDelete => {
                self.inner.head(key).await?;
                self.inner.delete(key).await
            }
            _ => self.inner.delete(&self.key(key)).await,
        }
    }

    async fn list(&self, prefix: &str) -> Result<ListStream> {
        let plain = if self.flaw == Flaw::ListsByGlob { prefix.trim_end_matches('*') } else { prefix };
        let listed: Vec<_> = self.inner.list(plain).await?.collect().await;
        let listed: Vec<_> = if self.flaw == Flaw::ListsNoAges {
            let sizes = |blob: ListedBlob| ListedBlob::new(blob.key, BlobInfo::new(blob.info.size));
            listed.into_iter().map(|blob| blob.map(sizes)).collect()
        } else {
            listed
        };
        let skip = if self.flaw == Flaw::ListsHalf { 2 } else { 1 };
        Ok(Box::pin(stream::iter(listed.into_iter().step_by(skip))))
    }
}
