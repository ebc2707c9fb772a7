use std::sync::Arc;

use futures_util::future::BoxFuture;
use temporalio_client::{ClientOptions, ClientPlugin, ErasedClientPlugin, PluginError};
use temporalio_common::data_converters::{
    DataConverter, FailureConverter, PayloadCodec, PayloadConversionError, PayloadConverter,
    SerializationContextData,
};
use temporalio_common::error::{IncomingError, OutgoingError};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_common::protos::temporal::api::failure::v1::Failure;
use temporalio_sdk::workflow_replayer::WorkflowReplayerOptions;
use temporalio_sdk::{ClientAndWorkerPlugin, WorkerPlugin};

use crate::{ClaimCheckCodec, PayloadContext};

/// Wires a [`ClaimCheckCodec`] into a client, its workers and a replayer, and tells it the namespace.
///
/// The payload and failure converters that are configured stay. A codec that is configured stays too: it runs
/// before storage, so what it encrypts is stored encrypted.
///
/// ```no_run
/// use blob_store::MemoryStore;
/// use temporal_claim_check::{ClaimCheckCodec, ClaimCheckPlugin};
/// use temporalio_client::ClientOptions;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let codec = ClaimCheckCodec::builder().store(MemoryStore::new()).build()?;
/// let options = ClientOptions::new("default").plugin(ClaimCheckPlugin::new(codec)).build();
/// # Ok(()) }
/// ```
///
/// Workers made from that client have it too; do not register it on them again.
#[derive(Clone, Debug)]
pub struct ClaimCheckPlugin {
    codec: ClaimCheckCodec,
}

impl ClaimCheckPlugin {
    /// A plugin that installs `codec`.
    pub fn new(codec: ClaimCheckCodec) -> Self {
        Self { codec }
    }
}

impl From<ClaimCheckPlugin> for ErasedClientPlugin {
    fn from(plugin: ClaimCheckPlugin) -> Self {
        ClientAndWorkerPlugin::new(plugin).into()
    }
}

const NAME: &str = "temporal-claim-check";

impl ClientPlugin for ClaimCheckPlugin {
    fn name(&self) -> &str {
        NAME
    }

    fn configure_client_options(&self, options: &mut ClientOptions) -> Result<(), PluginError> {
        let codec = self.codec.with_context(PayloadContext::namespace(&options.namespace));
        options.data_converter = extend(&options.data_converter, &codec);
        Ok(())
    }
}

/// A worker takes its data converter from its client; only a replayer has one of its own.
impl WorkerPlugin for ClaimCheckPlugin {
    fn name(&self) -> &str {
        NAME
    }

    fn configure_workflow_replayer_options(
        &self,
        options: &mut WorkflowReplayerOptions,
    ) -> Result<(), PluginError> {
        // What a replay encodes is compared and thrown away: there is nothing to store.
        options.data_converter = extend(&options.data_converter, &self.codec.read_only());
        Ok(())
    }
}

/// `existing` with `codec` behind its own.
fn extend(existing: &DataConverter, codec: &ClaimCheckCodec) -> DataConverter {
    let shared = Arc::new(Existing(existing.clone()));
    let codec = codec.after(shared.clone());
    DataConverter::new(existing.payload_converter().clone(), Shared(shared), codec)
}

/// The data converter that was there before, as the codec and failure converter it brings along.
struct Existing(DataConverter);

struct Shared(Arc<Existing>);

impl PayloadCodec for Existing {
    fn encode(
        &self,
        context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        self.0.codec().encode(context, payloads)
    }

    fn decode(
        &self,
        context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        self.0.codec().decode(context, payloads)
    }
}

impl FailureConverter for Shared {
    fn to_failure(
        &self,
        error: OutgoingError,
        payload_converter: &PayloadConverter,
        context: &SerializationContextData,
    ) -> Failure {
        self.0.0.failure_converter().to_failure(error, payload_converter, context)
    }

    fn to_error(
        &self,
        failure: Failure,
        payload_converter: &PayloadConverter,
        context: &SerializationContextData,
    ) -> Result<IncomingError, PayloadConversionError> {
        self.0.0.failure_converter().to_error(failure, payload_converter, context)
    }
}

#[cfg(test)]
mod tests {
    use blob_store::{BlobStore as _, GetOptions, MemoryStore};
    use futures_util::TryStreamExt as _;
    use futures_util::future::{FutureExt as _, ready};
    use temporalio_common::data_converters::DefaultFailureConverter;

    use super::*;
    use crate::ReferenceFormat;

    /// Stands for somebody's encryption.
    struct Flips;

    impl PayloadCodec for Flips {
        fn encode(
            &self,
            _: &SerializationContextData,
            mut payloads: Vec<Payload>,
        ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
            payloads.iter_mut().flat_map(|payload| &mut payload.data).for_each(|byte| *byte = !*byte);
            ready(Ok(payloads)).boxed()
        }

        fn decode(
            &self,
            context: &SerializationContextData,
            payloads: Vec<Payload>,
        ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
            self.encode(context, payloads)
        }
    }

    fn plugin(store: &Arc<MemoryStore>) -> ClaimCheckPlugin {
        ClaimCheckPlugin::new(
            ClaimCheckCodec::builder().store(store.clone()).threshold(100).build().expect("valid"),
        )
    }

    #[tokio::test]
    async fn a_codec_that_is_there_stays_and_runs_before_storage() {
        let store = Arc::new(MemoryStore::new());
        let existing =
            DataConverter::new(PayloadConverter::default(), DefaultFailureConverter::default(), Flips);
        let mut options = ClientOptions::new("payments").data_converter(existing).build();
        ClientPlugin::configure_client_options(&plugin(&store), &mut options).expect("configured");

        let codec = options.data_converter.codec();
        let large = Payload { data: vec![b'x'; 1000], ..Payload::default() };
        let encoded =
            codec.encode(&SerializationContextData::None, vec![large.clone()]).await.expect("encoded");
        assert_eq!(ReferenceFormat::of(&encoded[0]), Some(ReferenceFormat::ExternalStorage));

        let listed: Vec<_> =
            store.list("v0/ns/payments/").await.expect("listed").try_collect().await.expect("listed");
        let stored = store.get(&listed[0].key, GetOptions::at_most(2000)).await.expect("stored");
        assert!(stored.bytes().await.expect("read").ends_with(&[!b'x'; 1000]));
        let decoded = codec.decode(&SerializationContextData::None, encoded).await.expect("decoded");
        assert_eq!(decoded, [large]);
    }

    #[tokio::test]
    async fn a_replayer_reads_and_stores_nothing() {
        let store = Arc::new(MemoryStore::new());
        let mut options = WorkflowReplayerOptions::new().build();
        plugin(&store).configure_workflow_replayer_options(&mut options).expect("configured");
        let large = Payload { data: vec![b'x'; 1000], ..Payload::default() };
        let codec = options.data_converter.codec();
        let encoded =
            codec.encode(&SerializationContextData::None, vec![large.clone()]).await.expect("encoded");
        assert_eq!(encoded, [large]);
        assert!(
            store.list("").await.expect("listed").try_collect::<Vec<_>>().await.expect("listed").is_empty()
        );
    }
}
