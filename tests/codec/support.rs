use blob_store::{
    Blob, BlobKey, BlobStore, Capabilities, GetOptions, Location, MemoryStore, PutOptions, PutOutcome,
    Result, Segments, async_trait,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use temporal_claim_check::ClaimCheckCodec;
use temporalio_common::data_converters::{PayloadCodec as _, SerializationContextData};
use temporalio_common::protos::temporal::api::common::v1::Payload;

/// A memory store with a name, place and behaviour of the test's choice, shared with the test.
#[derive(Clone, Debug)]
pub struct TestStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    blobs: MemoryStore,
    location: Location,
    puts: AtomicUsize,
    calls: AtomicUsize,
    running: AtomicUsize,
    most_at_once: AtomicUsize,
    behaviour: Behaviour,
}

#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    #[default]
    Works,
    Fails(blob_store::Error),
    /// So often, and then works.
    FailsAtFirst(usize, blob_store::Error),
    Hangs,
    Panics,
}

impl TestStore {
    pub fn new(name: &str) -> Self {
        Self::with(name, Location::default(), Behaviour::Works)
    }

    pub fn at(name: &str, location: Location) -> Self {
        Self::with(name, location, Behaviour::Works)
    }

    pub fn that(behaviour: Behaviour) -> Self {
        Self::with("test", Location::default(), behaviour)
    }

    fn with(name: &str, location: Location, behaviour: Behaviour) -> Self {
        let blobs = MemoryStore::named(name);
        let zero = || AtomicUsize::new(0);
        let (puts, calls, running, most_at_once) = (zero(), zero(), zero(), zero());
        Self(Arc::new(Inner { blobs, location, puts, calls, running, most_at_once, behaviour }))
    }

    pub fn puts(&self) -> usize {
        self.0.puts.load(Ordering::SeqCst)
    }

    /// The most puts that ran at the same time.
    pub fn most_at_once(&self) -> usize {
        self.0.most_at_once.load(Ordering::SeqCst)
    }

    /// The one blob that was stored.
    pub async fn only_blob(&self) -> (BlobKey, Vec<u8>) {
        use futures_util::TryStreamExt as _;
        let keys: Vec<_> = self.0.blobs.list("").await.unwrap().try_collect().await.unwrap();
        assert_eq!(keys.len(), 1, "{keys:?}");
        let blob = self.0.blobs.get(&keys[0].key, GetOptions::at_most(u64::MAX)).await.unwrap();
        (keys[0].key.clone(), blob.bytes().await.unwrap().to_vec())
    }

    /// Replaces what is stored under `key`, as somebody else with access to the store could.
    pub async fn tamper(&self, key: &BlobKey, content: Vec<u8>) {
        self.0.blobs.delete(key).await.unwrap();
        self.0.blobs.put(key, content.into(), PutOptions::default()).await.unwrap();
    }

    pub async fn remove(&self, key: &BlobKey) {
        self.0.blobs.delete(key).await.unwrap();
    }

    async fn behave(&self) -> Result<()> {
        match &self.0.behaviour {
            Behaviour::Works => Ok(()),
            Behaviour::Fails(error) => Err(error.clone()),
            Behaviour::FailsAtFirst(times, error) => {
                if self.0.calls.fetch_add(1, Ordering::SeqCst) < *times {
                    Err(error.clone())
                } else {
                    Ok(())
                }
            }
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Panics => panic!("a bug in a store"),
        }
    }
}

#[async_trait]
impl BlobStore for TestStore {
    fn name(&self) -> &str {
        self.0.blobs.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.blobs.capabilities()
    }

    fn location(&self) -> Location {
        self.0.location.clone()
    }

    async fn put(&self, key: &BlobKey, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        self.behave().await?;
        self.0.puts.fetch_add(1, Ordering::SeqCst);
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_at_once.fetch_max(running, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.blobs.put(key, blob, options).await
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        self.behave().await?;
        self.0.blobs.get(key, options).await
    }
}

pub fn codec(store: &TestStore) -> ClaimCheckCodec {
    ClaimCheckCodec::builder().store(store.clone()).threshold(100).build().unwrap()
}

pub fn payload(data: impl Into<Vec<u8>>) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: data.into(),
        ..Payload::default()
    }
}

pub fn large(fill: u8) -> Payload {
    payload(vec![fill; 1000])
}

pub async fn encode(codec: &ClaimCheckCodec, payloads: Vec<Payload>) -> Vec<Payload> {
    codec.encode(&SerializationContextData::None, payloads).await.unwrap()
}

pub async fn decode(codec: &ClaimCheckCodec, payloads: Vec<Payload>) -> Vec<Payload> {
    codec.decode(&SerializationContextData::None, payloads).await.unwrap()
}

pub async fn encode_error(codec: &ClaimCheckCodec, payloads: Vec<Payload>) -> String {
    codec.encode(&SerializationContextData::None, payloads).await.unwrap_err().to_string()
}

pub async fn decode_error(codec: &ClaimCheckCodec, payloads: Vec<Payload>) -> String {
    codec.decode(&SerializationContextData::None, payloads).await.unwrap_err().to_string()
}
