//! The suite itself: a good store passes, and each way to break the contract is found by the case for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;

use blob_store::conformance::{self, Options};
use blob_store::{
    Blob, BlobInfo, BlobKey, BlobStore, Bytes, Capabilities, Error, ErrorKind, GetOptions, ListStream,
    ListedBlob, MemoryStore, Operation, PutOptions, PutOutcome, Result, Segments, async_trait,
};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Mutex;

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
    HeadLies,
    TouchDoesNothing,
    TouchesMissing,
    TakesMoreThanDeclared,
    RefusesHashes,
    CutsLongKeys,
    HasNoDirectoryBesideFile,
    RefusesConcurrentPuts,
    FailsEmptyLists,
    LosesWhatIsNotReadToTheEnd,
    HasNoName,
    LosesTheMiddle,
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
        (HeadLies, "head_tells_the_size"),
        (TouchDoesNothing, "touch_renews_the_age"),
        (TouchesMissing, "touching_a_missing_blob_is_not_found"),
        (TakesMoreThanDeclared, "more_than_the_store_takes_is_refused"),
        (RefusesHashes, "the_right_hash_is_accepted"),
        (CutsLongKeys, "long_keys_work"),
        (HasNoDirectoryBesideFile, "a_key_may_be_the_start_of_another"),
        (RefusesConcurrentPuts, "many_may_put_one_key"),
        (FailsEmptyLists, "a_list_of_nothing_is_empty"),
        (LosesWhatIsNotReadToTheEnd, "a_reader_may_stop_early"),
        (HasNoName, "it_has_a_name_and_answers"),
        (LosesTheMiddle, "a_large_blob_is_read"),
    ];
    let runs = cases.map(|(flaw, case)| async move {
        let options = Options::quick().with_largest_blob(4 << 20);
        let mut can = Capabilities::all().with_touch(flaw != FailsUndeclared);
        if flaw == TakesMoreThanDeclared {
            can = can.with_max_blob_size(8 << 20);
        }
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
    inner: Arc<MemoryStore>,
    flaw: Flaw,
    can: Capabilities,
    upload: Mutex<Segments>,
}

impl Broken {
    fn new(flaw: Flaw, can: Capabilities) -> Self {
        Self { inner: Arc::new(MemoryStore::new()), flaw, can, upload: Mutex::default() }
    }

    fn key(&self, key: &BlobKey) -> BlobKey {
        let text = key.as_str();
        let other = match self.flaw {
            Flaw::FoldsCase => text.to_lowercase(),
            Flaw::CutsLongKeys => text.chars().take(255).collect::<String>().trim_end_matches('/').to_owned(),
            _ => return key.clone(),
        };
        BlobKey::new(other).unwrap()
    }

    /// Whether another key lies in the way, as a file does where a directory is needed.
    async fn is_in_the_way(&self, key: &BlobKey) -> bool {
        let below = format!("{key}/");
        let listed: Vec<_> = self.inner.list("").await.unwrap().map(|blob| blob.unwrap().key).collect().await;
        listed
            .iter()
            .any(|other| other.as_str().starts_with(&below) || key.as_str().starts_with(&format!("{other}/")))
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
        if self.flaw == Flaw::HasNoName { "" } else { "broken" }
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
            Flaw::RefusesHashes if options.sha256.is_some() => Err(Error::new(ErrorKind::Unsupported, "?")),
            Flaw::HasNoDirectoryBesideFile if self.is_in_the_way(key).await => {
                Err(Error::new(ErrorKind::Other, "?"))
            }
            Flaw::RefusesConcurrentPuts => {
                let Ok(_upload) = self.upload.try_lock() else {
                    return Err(Error::new(ErrorKind::Unavailable, "?"));
                };
                tokio::task::yield_now().await;
                self.inner.put(key, blob, options).await
            }
            Flaw::LosesTheMiddle if blob.len() >= 4 << 20 => {
                let whole = blob.to_bytes();
                let parts = [whole.slice(..1 << 20), whole.slice(2 << 20..), whole.slice(1 << 20..2 << 20)];
                self.inner.put(key, parts.into_iter().collect(), options).await
            }
            Flaw::MixesBlobs => {
                *self.upload.lock().await = blob;
                tokio::task::yield_now().await;
                let blob = self.upload.lock().await.clone();
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
        if self.flaw == Flaw::LosesWhatIsNotReadToTheEnd {
            let (size, (key, store)) = (blob.size(), (key.clone(), self.inner.clone()));
            let content = blob.bytes().await?;
            store.delete(&key).await?;
            let pieces: Vec<_> = content.chunks(1 << 20).map(Bytes::copy_from_slice).collect();
            let chunks = stream::iter(pieces).map(Ok).chain(stream::once(async move {
                store.put(&key, content.into(), PutOptions::default()).await.map(|_| Bytes::new())
            }));
            return Ok(Blob::new(size, chunks));
        }
        let more = u64::from(self.flaw == Flaw::AnnouncesOneMore);
        Ok(Blob::new(blob.size() + more, blob.into_stream()))
    }

    async fn head(&self, key: &BlobKey) -> Result<BlobInfo> {
        let info = self.inner.head(&self.key(key)).await?;
        if self.flaw == Flaw::HeadLies {
            return Ok(BlobInfo::new(info.size + 1).with_modified(info.modified.unwrap()));
        }
        Ok(info)
    }

    async fn touch(&self, key: &BlobKey) -> Result<()> {
        match self.flaw {
            Flaw::FailsUndeclared => Err(Error::new(ErrorKind::Other, "?")),
            Flaw::TouchDoesNothing => self.inner.head(key).await.map(|_| ()).map_err(|_| missing(key)),
            Flaw::TouchesMissing => Ok(()),
            _ => self.inner.touch(&self.key(key)).await,
        }
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
        if self.flaw == Flaw::FailsEmptyLists && listed.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "?"));
        }
        let skip = if self.flaw == Flaw::ListsHalf { 2 } else { 1 };
        Ok(Box::pin(stream::iter(listed.into_iter().step_by(skip))))
    }
}

fn missing(key: &BlobKey) -> Error {
    Error::new(ErrorKind::NotFound, "?").in_store("broken").during(Operation::Touch).with_key(key)
}
