//! Codecs that run before storage.

use futures_util::future::{BoxFuture, FutureExt as _};
use temporal_claim_check::{ClaimCheckCodec, ReferenceFormat};
use temporalio_common::data_converters::{PayloadCodec, PayloadConversionError, SerializationContextData};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::support::{TestStore, decode, encode, encode_error, large, payload};

/// Marks what it encodes, and refuses to decode what another did last.
struct Layer(&'static str);

impl PayloadCodec for Layer {
    fn encode(
        &self,
        _: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let name = self.0;
        async move {
            Ok(payloads
                .into_iter()
                .map(|p| Payload { data: [name.as_bytes(), &p.data].concat(), ..p })
                .collect())
        }
        .boxed()
    }

    fn decode(
        &self,
        _: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let name = self.0;
        async move {
            payloads
                .into_iter()
                .map(|p| match p.data.strip_prefix(name.as_bytes()) {
                    Some(data) => Ok(Payload { data: data.to_vec(), ..p }),
                    None => Err(PayloadConversionError::WrongEncoding),
                })
                .collect()
        }
        .boxed()
    }
}

#[tokio::test]
async fn they_run_in_order_on_small_and_large_and_the_result_is_what_is_stored() {
    let store = TestStore::new("test");
    let codec = ClaimCheckCodec::builder().store(store.clone()).threshold(100);
    let codec = codec.before_storage(Layer("inner:")).before_storage(Layer("outer:")).build().unwrap();
    let originals = vec![payload("small"), large(b'x')];

    let encoded = encode(&codec, originals.clone()).await;
    assert_eq!(encoded[0].data, b"outer:inner:small");
    assert_eq!(ReferenceFormat::of(&encoded[1]), Some(ReferenceFormat::ExternalStorage));
    assert!(!encoded[1].metadata.contains_key("__temporal_external_storage_reference"));
    let (_, stored) = store.only_blob().await;
    let inline: Payload = prost::Message::decode(&stored[..]).unwrap();
    assert_eq!(inline, payload([b"outer:inner:".to_vec(), vec![b'x'; 1000]].concat()));
    assert_eq!(decode(&codec, encoded).await, originals);
}

#[tokio::test]
async fn the_threshold_is_for_what_they_return() {
    let store = TestStore::new("test");
    let codec = ClaimCheckCodec::builder()
        .store(store.clone())
        .threshold(100)
        .before_storage(Layer("x".repeat(90).leak()));
    encode(&codec.build().unwrap(), vec![payload("0123456789")]).await;
    assert_eq!(store.puts(), 1);
}

struct Loses;
struct Panics;

macro_rules! broken {
    ($codec:ty, $answer:expr) => {
        impl PayloadCodec for $codec {
            fn encode(
                &self,
                _: &SerializationContextData,
                _: Vec<Payload>,
            ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
                $answer
            }

            fn decode(
                &self,
                _: &SerializationContextData,
                _: Vec<Payload>,
            ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
                $answer
            }
        }
    };
}
broken!(Loses, async { Ok(Vec::new()) }.boxed());
broken!(Panics, async { panic!("a bug in a codec") }.boxed());

#[tokio::test]
async fn one_that_loses_a_payload_or_panics_is_an_error() {
    let builder = || ClaimCheckCodec::builder().store(TestStore::new("test"));
    let text = encode_error(&builder().before_storage(Loses).build().unwrap(), vec![payload("1")]).await;
    assert!(text.contains("it was given 1 payloads and returned 0"), "{text}");
    let text = encode_error(&builder().before_storage(Panics).build().unwrap(), vec![payload("1")]).await;
    assert!(text.contains("it panicked"), "{text}");
}
