//! The engine: payload to reference by way of a store, and back. It knows no trait of the SDK.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use blob_store::{BlobKey, BlobStore, GetOptions, PutOptions};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::error::{Corruption, Error, Result};
use crate::object_key::{PayloadContext, content_key};
use crate::payload::{self, ReadError};
use crate::reference::external_storage::ExternalStorageReference;
use crate::reference::{ReferenceFormat, claim_check_v1};
use crate::stores::Stores;

/// Transfers under way at a time in one call.
const TRANSFERS_PER_CALL: usize = 8;

/// Stores payloads and brings them back, for one configuration.
#[derive(Clone, Debug)]
pub(crate) struct Offload {
    pub stores: Stores,
    /// Payloads whose stored form has at least this many bytes are offloaded.
    pub threshold: usize,
    /// What is written.
    pub format: ReferenceFormat,
    /// Whether references are marked; see [`ExternalStorageReference::to_payload`].
    pub marked: bool,
    /// The largest payload that is stored, in bytes of its stored form.
    pub max_payload_size: usize,
    /// The largest payload that is read back.
    pub max_retrieved_size: u64,
    /// How long one call may take.
    pub deadline: Duration,
}

impl Offload {
    /// Whether `payload` is to be stored. References never are.
    pub(crate) fn wants(&self, payload: &Payload) -> bool {
        payload::stored_len(payload) >= self.threshold && ReferenceFormat::of(payload).is_none()
    }

    /// Replaces each payload that is [wanted](Self::wants) by a reference, after storing it. Order and count stay.
    pub(crate) async fn store_all(
        self: Arc<Self>,
        context: Arc<PayloadContext>,
        payloads: Vec<Payload>,
    ) -> Result<Vec<Payload>> {
        let wanted = || payloads.iter().filter(|payload| self.wants(payload));
        let work = Work {
            verb: "storing",
            count: wanted().count(),
            bytes: wanted().map(payload::stored_len).sum(),
            store: self.stores.for_writing().name().to_owned(),
        };
        let this = self.clone();
        let stored = each(payloads, move |payload| {
            let (this, context) = (this.clone(), context.clone());
            async move { if this.wants(&payload) { this.store(&context, payload).await } else { Ok(payload) } }
        });
        self.within_deadline(work, stored).await
    }

    /// Replaces each reference by the payload it refers to. Order and count stay.
    pub(crate) async fn retrieve_all(self: Arc<Self>, payloads: Vec<Payload>) -> Result<Vec<Payload>> {
        let work = Work {
            verb: "retrieving",
            count: payloads.iter().filter(|payload| ReferenceFormat::of(payload).is_some()).count(),
            bytes: 0,
            store: self.stores.iter().map(|store| store.name()).collect::<Vec<_>>().join(" and "),
        };
        let this = self.clone();
        let retrieved = each(payloads, move |payload| {
            let this = this.clone();
            async move { this.retrieve(payload).await }
        });
        self.within_deadline(work, retrieved).await
    }

    async fn store(&self, context: &PayloadContext, payload: Payload) -> Result<Payload> {
        let size = payload::stored_len(&payload);
        if size > self.max_payload_size {
            return Err(Error::TooLarge { size, max: self.max_payload_size });
        }
        let store = self.stores.for_writing();
        let blob = payload::to_segments(payload);
        match self.format {
            ReferenceFormat::ExternalStorage => {
                let sha256 = payload::sha256(&blob).await;
                let location = store.location();
                let key = content_key(&location, context, &sha256)?;
                store.put(&key, blob, PutOptions::default().with_sha256(sha256)).await?;
                let reference = ExternalStorageReference {
                    store: store.name().to_owned(),
                    bucket: location.bucket.clone(),
                    key: format!("{}{key}", location.prefix),
                    sha256,
                    size: Some(size as u64),
                };
                Ok(reference.to_payload(&location, self.marked))
            }
            ReferenceFormat::ClaimCheckV1 => {
                let key = claim_check_v1::new_key()?;
                store.put(&key, blob, PutOptions::default()).await?;
                Ok(claim_check_v1::to_payload(&key))
            }
        }
    }

    async fn retrieve(&self, payload: Payload) -> Result<Payload> {
        match ReferenceFormat::of(&payload) {
            None => Ok(payload),
            Some(ReferenceFormat::ExternalStorage) => {
                let reference = ExternalStorageReference::from_payload(&payload)?;
                let (store, key) = self.stores.resolve(&reference)?;
                self.read(store, &key, reference.size, Some(&reference.sha256)).await
            }
            Some(ReferenceFormat::ClaimCheckV1) => {
                self.read_anywhere(&claim_check_v1::from_payload(&payload)?).await
            }
        }
    }

    /// Reads a key whose reference does not name a store: from the first that has it.
    async fn read_anywhere(&self, key: &BlobKey) -> Result<Payload> {
        let mut missing = None;
        for store in self.stores.iter() {
            match self.read(store, key, None, None).await {
                Err(Error::Store(error)) if error.kind() == blob_store::ErrorKind::NotFound => {
                    missing.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        Err(missing.map_or_else(|| Error::InvalidConfig("there is no store".into()), Error::Store))
    }

    async fn read(
        &self,
        store: &Arc<dyn BlobStore>,
        key: &BlobKey,
        size: Option<u64>,
        sha256: Option<&[u8; 32]>,
    ) -> Result<Payload> {
        let corrupt =
            |corruption| Error::Corrupt { store: store.name().to_owned(), key: key.to_string(), corruption };
        let blob = store.get(key, GetOptions::at_most(self.max_retrieved_size)).await?;
        if let Some(expected) = size.filter(|size| *size != blob.size()) {
            return Err(corrupt(Corruption::Size { expected, actual: blob.size() }));
        }
        payload::from_blob(blob, sha256).await.map_err(|error| match error {
            ReadError::Store(error) => Error::Store(error),
            ReadError::Corrupt(corruption) => corrupt(corruption),
        })
    }

    async fn within_deadline<T>(&self, work: Work, done: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.deadline, done)
            .await
            .unwrap_or_else(|_| Err(Error::Deadline { action: work.to_string(), deadline: self.deadline }))
    }
}

/// Applies `step` to every payload, some at a time, in order. The first failure ends the rest.
async fn each<F, S>(payloads: Vec<Payload>, step: S) -> Result<Vec<Payload>>
where
    F: Future<Output = Result<Payload>>,
    S: FnMut(Payload) -> F,
{
    stream::iter(payloads).map(step).buffered(TRANSFERS_PER_CALL).try_collect().await
}

/// What a call was at when its deadline passed.
struct Work {
    verb: &'static str,
    count: usize,
    bytes: usize,
    store: String,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, count, bytes, store } = self;
        let plural = if *count == 1 { "" } else { "s" };
        match bytes {
            0 => write!(f, "{verb} {count} payload{plural} from {store}"),
            _ => write!(f, "{verb} {count} payload{plural} ({bytes} bytes) in {store}"),
        }
    }
}
