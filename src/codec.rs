use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use blob_store::{BlobStore, BlobStoreExt as _, Limits, RetryPolicy};
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use temporalio_common::data_converters::{
    DataConverter, DefaultFailureConverter, PayloadCodec, PayloadConversionError, PayloadConverter,
    SerializationContextData,
};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::offload::Offload;
use crate::stores::Stores;
use crate::{Error, PayloadContext, ReferenceFormat, Result};

/// A codec that runs before storage; see [`ClaimCheckBuilder::before_storage`].
pub type SharedCodec = Arc<dyn PayloadCodec + Send + Sync>;

/// Keeps large payloads in a store and sends small references through Temporal in their place.
///
/// It is a [`PayloadCodec`]: install it with [`into_data_converter`](Self::into_data_converter) or with
/// `ClaimCheckPlugin` (feature `plugin`). Clones are cheap and share stores and limits.
///
/// What it guarantees:
///
/// - As many payloads come out as went in, in the same order. What is small, or not ours, is not touched.
/// - A payload of the threshold or more is in the store before its reference is handed out. If the store fails,
///   the call fails: no payload slips through inline, and no reference is ever given to user code as data.
/// - What is read back has the length and SHA-256 its reference names, or the call fails.
/// - A call ends within the deadline; a panic in a store or codec becomes an error.
///
/// ```
/// use blob_store::MemoryStore;
/// use temporal_claim_check::ClaimCheckCodec;
/// use temporalio_common::data_converters::{PayloadCodec, SerializationContextData};
/// use temporalio_common::protos::temporal::api::common::v1::Payload;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let codec = ClaimCheckCodec::builder().store(MemoryStore::new()).build()?;
/// let large = Payload { data: vec![b'x'; 1_000_000], ..Payload::default() };
///
/// let encoded = codec.encode(&SerializationContextData::None, vec![large.clone()]).await?;
/// assert!(encoded[0].data.len() < 300);
/// let decoded = codec.decode(&SerializationContextData::None, encoded).await?;
/// assert_eq!(decoded, [large]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ClaimCheckCodec {
    offload: Arc<Offload>,
    before_storage: Arc<[SharedCodec]>,
    context: Arc<PayloadContext>,
}

/// Configures a [`ClaimCheckCodec`].
#[derive(Clone)]
#[must_use]
pub struct ClaimCheckBuilder {
    stores: Vec<Arc<dyn BlobStore>>,
    before_storage: Vec<SharedCodec>,
    threshold: Option<usize>,
    format: ReferenceFormat,
    max_payload_size: usize,
    deadline: Duration,
    limits: Limits,
    context: PayloadContext,
}

impl ClaimCheckCodec {
    /// Starts a configuration. Only a store is required.
    pub fn builder() -> ClaimCheckBuilder {
        ClaimCheckBuilder {
            stores: Vec::new(),
            before_storage: Vec::new(),
            threshold: None,
            format: ReferenceFormat::default(),
            max_payload_size: 50 * 1024 * 1024,
            deadline: Duration::from_secs(5),
            limits: Limits::new(64, 256 * 1024 * 1024),
            context: PayloadContext::default(),
        }
    }

    /// A data converter with this codec and the SDK's default payload and failure converters.
    pub fn into_data_converter(self) -> DataConverter {
        DataConverter::new(PayloadConverter::default(), DefaultFailureConverter::default(), self)
    }

    /// The same codec for payloads of another context: its references name other keys of the same stores.
    #[must_use]
    pub fn with_context(&self, context: PayloadContext) -> Self {
        Self { context: Arc::new(context), ..self.clone() }
    }

    /// The same codec, except that it stores nothing: payloads of any size pass on the way out.
    #[must_use]
    pub fn read_only(&self) -> Self {
        self.with_offload(Offload { threshold: usize::MAX, ..self.offload.as_ref().clone() })
    }

    /// The same codec behind one that runs before all others.
    #[cfg(feature = "plugin")]
    pub(crate) fn after(&self, first: SharedCodec) -> Self {
        let before_storage = std::iter::once(first).chain(self.before_storage.iter().cloned()).collect();
        let unmarked = Offload { marked: false, ..self.offload.as_ref().clone() };
        Self { before_storage, ..self.with_offload(unmarked) }
    }

    fn with_offload(&self, offload: Offload) -> Self {
        Self { offload: Arc::new(offload), ..self.clone() }
    }

    /// From how many bytes on a payload is stored.
    pub fn threshold(&self) -> usize {
        self.offload.threshold
    }

    /// Asks every store whether it is there and lets us in: a clear error at start-up instead of in a workflow.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] of the first store that does not answer well.
    pub async fn check(&self) -> Result<()> {
        for store in self.offload.stores.iter() {
            store.check().await?;
        }
        Ok(())
    }
}

impl ClaimCheckBuilder {
    /// Adds a store. The first one is written to; payloads are read from whichever their reference names.
    pub fn store(mut self, store: impl BlobStore) -> Self {
        self.stores.push(Arc::new(store));
        self
    }

    /// From how many bytes on a payload is stored, as Temporal would see it: metadata included.
    ///
    /// Default: what the store for writing suggests, 20 KiB for Redis, files and memory, 256 KiB for object
    /// storage. The [crate guide](crate#choosing-a-threshold) tells how to choose. 0 stores every payload.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = Some(bytes);
        self
    }

    /// Which references are written. Default: [`ReferenceFormat::ExternalStorage`].
    pub fn format(mut self, format: ReferenceFormat) -> Self {
        self.format = format;
        self
    }

    /// The largest payload that is stored; a larger one is an error before anything is sent. Default: 50 MiB, as
    /// in the other SDKs.
    pub fn max_payload_size(mut self, bytes: usize) -> Self {
        self.max_payload_size = bytes;
        self
    }

    /// How long one call may take, retries included. Default: 5 s.
    ///
    /// A workflow task has 10 s by default; a call that takes longer than that costs the task.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many transfers run at a time and how many bytes they hold, over all clones of the codec; what is more
    /// waits in line. Default: 64 transfers and 256 MiB. A clone of `limits` in another codec counts together
    /// with this one.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What is known of the payloads' origin. It becomes part of their keys. The plugin sets the namespace.
    pub fn context(mut self, context: PayloadContext) -> Self {
        self.context = context;
        self
    }

    /// Adds a codec, such as one that encrypts, whose output is stored. Codecs run in the order they are added on
    /// the way out, and in reverse order on the way in, on small payloads and large.
    pub fn before_storage(mut self, codec: impl PayloadCodec + Send + Sync + 'static) -> Self {
        self.before_storage.push(Arc::new(codec));
        self
    }

    /// Builds the codec. No store is asked yet; see [`ClaimCheckCodec::check`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] if there is no store, or if two stores have one name.
    pub fn build(self) -> Result<ClaimCheckCodec> {
        let policy = RetryPolicy::default().with_limit(self.deadline);
        let stores = self.stores.into_iter().map(|store| {
            let store = store.with_retry(policy).with_limits(self.limits.clone());
            Arc::new(store) as Arc<dyn BlobStore>
        });
        let stores = Stores::new(stores.collect())?;
        let suggested = stores.for_writing().capabilities().suggested_threshold;
        let offload = Offload {
            stores,
            threshold: self.threshold.unwrap_or(suggested),
            format: self.format,
            marked: self.before_storage.is_empty(),
            max_payload_size: self.max_payload_size,
            max_retrieved_size: MAX_RETRIEVED_SIZE.max(self.max_payload_size as u64),
            deadline: self.deadline,
        };
        Ok(ClaimCheckCodec {
            offload: Arc::new(offload),
            before_storage: self.before_storage.into(),
            context: Arc::new(self.context),
        })
    }
}

/// Others may have stored more than we would. This bounds what a reference can make us allocate.
const MAX_RETRIEVED_SIZE: u64 = 512 * 1024 * 1024;

impl PayloadCodec for ClaimCheckCodec {
    fn encode(
        &self,
        context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        if self.before_storage.is_empty() && !self.stores_any(&payloads) {
            return ready(Ok(payloads)).boxed();
        }
        let (this, context) = (self.clone(), context.clone());
        async move {
            let mut payloads = payloads;
            for codec in this.before_storage.iter() {
                let encode = |payloads| codec.encode(&context, payloads);
                payloads = through(payloads, encode).await?;
            }
            if !this.stores_any(&payloads) {
                return Ok(payloads);
            }
            Ok(apart(this.offload.store_all(this.context, payloads)).await?)
        }
        .boxed()
    }

    fn decode(
        &self,
        context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let any_reference = payloads.iter().any(|payload| ReferenceFormat::of(payload).is_some());
        if self.before_storage.is_empty() && !any_reference {
            return ready(Ok(payloads)).boxed();
        }
        let (this, context) = (self.clone(), context.clone());
        async move {
            let mut payloads = payloads;
            if any_reference {
                payloads = apart(this.offload.retrieve_all(payloads)).await?;
            }
            for codec in this.before_storage.iter().rev() {
                let decode = |payloads| codec.decode(&context, payloads);
                payloads = through(payloads, decode).await?;
            }
            Ok(payloads)
        }
        .boxed()
    }
}

impl ClaimCheckCodec {
    fn stores_any(&self, payloads: &[Payload]) -> bool {
        payloads.iter().any(|payload| self.offload.wants(payload))
    }
}

/// Runs `work` as a task of its own, because a panic inside a codec would take the whole worker down. Dropping
/// the future ends the task.
async fn apart(work: impl Future<Output = Result<Vec<Payload>>> + Send + 'static) -> Result<Vec<Payload>> {
    let runtime = Handle::try_current().map_err(|_| Error::Interrupted("it needs a Tokio runtime"))?;
    let mut task = JoinSet::new();
    task.spawn_on(work, &runtime);
    match task.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) if error.is_panic() => {
            Err(Error::Interrupted("a store panicked; see standard error"))
        }
        _ => Err(Error::Interrupted("the runtime is shutting down")),
    }
}

/// Passes payloads through a codec that is not ours, and trusts it with neither a panic nor their number: the
/// SDK would hand out an empty payload for one that is missing.
async fn through<F>(payloads: Vec<Payload>, codec: impl FnOnce(Vec<Payload>) -> F) -> Result<Vec<Payload>>
where
    F: Future<Output = Result<Vec<Payload>, PayloadConversionError>>,
{
    let given = payloads.len();
    let answer = AssertUnwindSafe(async { codec(payloads).await }).catch_unwind().await;
    let payloads = answer
        .map_err(|_| Error::BeforeStorage("it panicked; see standard error".into()))?
        .map_err(|error| Error::BeforeStorage(error.to_string()))?;
    if payloads.len() == given {
        return Ok(payloads);
    }
    Err(Error::BeforeStorage(format!("it was given {given} payloads and returned {}", payloads.len())))
}

impl std::fmt::Debug for ClaimCheckCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimCheckCodec")
            .field("offload", &self.offload)
            .field("before_storage", &self.before_storage.len())
            .field("context", &self.context)
            .finish()
    }
}

impl std::fmt::Debug for ClaimCheckBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimCheckBuilder")
            .field("stores", &self.stores)
            .field("threshold", &self.threshold)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}
