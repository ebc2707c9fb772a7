//! What the codec answers when something is wrong. Never a panic, never a payload inline by accident, never a
//! reference as data.

use std::time::Duration;

use blob_store::{ErrorKind, Location};
use temporal_claim_check::{ClaimCheckCodec, ReferenceFormat};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::support::{
    Behaviour, TestStore, codec, decode, decode_error, encode, encode_error, large, payload,
};

#[tokio::test]
async fn a_store_that_fails_fails_the_call_both_ways() {
    let down = blob_store::Error::new(ErrorKind::Unavailable, "connection refused").in_store("redis");
    let broken = codec(&TestStore::that(Behaviour::Fails(down)));
    let text = encode_error(&broken, vec![payload("small"), large(1)]).await;
    assert_eq!(text, "Encoding error: redis: connection refused");
    let reference = encode(&codec(&TestStore::new("test")), vec![large(1)]).await;
    let text = decode_error(&broken, reference).await;
    assert_eq!(text, "Encoding error: redis: connection refused");
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again() {
    let down = blob_store::Error::new(ErrorKind::Unavailable, "connection refused");
    let store = TestStore::that(Behaviour::FailsAtFirst(3, down));
    let reference = encode(&codec(&store), vec![large(1)]).await;
    assert_eq!(store.puts(), 1);
    assert_eq!(decode(&codec(&store), reference).await, [large(1)]);
}

#[tokio::test]
async fn a_store_that_panics_is_an_error() {
    let text = encode_error(&codec(&TestStore::that(Behaviour::Panics)), vec![large(1)]).await;
    assert!(text.contains("a store panicked"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_ends_with_the_deadline() {
    let builder = ClaimCheckCodec::builder().store(TestStore::that(Behaviour::Hangs)).threshold(100);
    let codec = builder.deadline(Duration::from_secs(3)).build().unwrap();
    let text = encode_error(&codec, vec![large(1), payload("small"), large(2)]).await;
    assert!(
        text.contains("storing 2 payloads (2054 bytes) in test did not finish within the deadline of 3s"),
        "{text}"
    );
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_before_anything_is_sent() {
    let store = TestStore::new("test");
    let codec =
        ClaimCheckCodec::builder().store(store.clone()).threshold(100).max_payload_size(500).build().unwrap();
    let text = encode_error(&codec, vec![large(1)]).await;
    assert!(
        text.contains("a payload of 1027 bytes exceeds max_payload_size, 500 bytes; nothing was stored"),
        "{text}"
    );
    assert_eq!(store.puts(), 0);
}

#[tokio::test]
async fn a_missing_blob_names_store_and_key() {
    let store = TestStore::new("test");
    let codec = codec(&store);
    let reference = encode(&codec, vec![large(1)]).await;
    let (key, _) = store.only_blob().await;
    store.remove(&key).await;
    assert_eq!(
        decode_error(&codec, reference).await,
        format!("Encoding error: test: get {key}: no such blob")
    );
}

#[tokio::test]
async fn a_truncated_or_replaced_blob_is_corrupt() {
    let store = TestStore::new("test");
    let codec = codec(&store);
    let reference = encode(&codec, vec![large(1)]).await;
    let (key, stored) = store.only_blob().await;

    store.tamper(&key, stored[..stored.len() - 1].to_vec()).await;
    let text = decode_error(&codec, reference.clone()).await;
    assert!(text.contains("the reference speaks of 1027 bytes and the store has 1026"), "{text}");

    let mut replaced = stored;
    *replaced.last_mut().unwrap() ^= 1;
    store.tamper(&key, replaced).await;
    let text = decode_error(&codec, reference).await;
    assert!(text.contains("its SHA-256 differs"), "{text}");
}

#[tokio::test]
async fn a_v1_blob_that_is_no_payload_is_corrupt() {
    let store = TestStore::new("test");
    let codec =
        ClaimCheckCodec::builder().store(store.clone()).threshold(100).format(ReferenceFormat::ClaimCheckV1);
    let codec = codec.build().unwrap();
    let reference = encode(&codec, vec![large(1)]).await;
    let (key, _) = store.only_blob().await;
    store.tamper(&key, b"<html>not a payload</html>".to_vec()).await;
    let text = decode_error(&codec, reference).await;
    assert!(text.contains("its bytes are not a Temporal payload"), "{text}");
}

#[tokio::test]
async fn a_reference_to_an_unknown_store_names_it_and_what_is_there() {
    let reference = encode(&codec(&TestStore::new("archive")), vec![large(1)]).await;
    let text = decode_error(&codec(&TestStore::new("redis")), reference).await;
    assert!(text.contains(r#"[TMPRL1105] a payload is stored in "archive""#), "{text}");
    assert!(text.contains("(configured: redis)"), "{text}");
}

#[tokio::test]
async fn a_reference_out_of_bounds_is_refused() {
    let at = |bucket: &str, prefix: &str| {
        TestStore::at("s3", Location::default().with_bucket(bucket).with_prefix(prefix))
    };
    let ours = codec(&at("claims", "team/"));
    for (theirs, reason) in [
        (at("secrets", "team/"), r#"its bucket is "secrets", the store's is "claims""#),
        (at("claims", "other/"), r#"it is outside of the store's prefix "team/""#),
        (TestStore::new("s3"), r#"its bucket is none, the store's is "claims""#),
    ] {
        let reference = encode(&codec(&theirs), vec![large(1)]).await;
        let text = decode_error(&ours, reference).await;
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn a_reference_with_a_key_that_is_not_ours_is_refused() {
    let codec = codec(&TestStore::new("test"));
    let reference = encode(&codec, vec![large(1)]).await.remove(0);
    let data = String::from_utf8(reference.data.clone()).unwrap();
    for key in ["session:4711", "v0/../../etc/passwd", &"k".repeat(100_000)] {
        let forged = data.replace(r#""key":"v0/"#, &format!(r#""key":"{key}/"#));
        let text = decode_error(&codec, vec![Payload { data: forged.into(), ..reference.clone() }]).await;
        assert!(text.contains("was refused"), "{text}");
        assert!(text.len() < 1000, "{} bytes of text", text.len());
    }
}

#[tokio::test]
async fn an_unreadable_reference_is_an_error_and_not_data() {
    let codec = codec(&TestStore::new("test"));
    let reference = encode(&codec, vec![large(1)]).await.remove(0);
    let broken = Payload { data: b"{\"oops\"".to_vec(), ..reference };
    let text = decode_error(&codec, vec![payload("small"), broken]).await;
    assert!(text.contains("[TMPRL1106]"), "{text}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let text = ClaimCheckCodec::builder().build().unwrap_err().to_string();
    assert!(text.contains("there is no store"), "{text}");
    let twice = ClaimCheckCodec::builder().store(TestStore::new("a")).store(TestStore::new("a"));
    let text = twice.build().unwrap_err().to_string();
    assert!(text.contains(r#"two stores are named "a""#), "{text}");
    let text = ClaimCheckCodec::builder().store(TestStore::new("")).build().unwrap_err().to_string();
    assert!(text.contains("empty name"), "{text}");
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    use temporalio_common::data_converters::{PayloadCodec as _, SerializationContextData};
    let call = codec(&TestStore::new("test")).encode(&SerializationContextData::None, vec![large(1)]);
    let answer = futures_util::FutureExt::now_or_never(call).unwrap();
    assert!(answer.unwrap_err().to_string().contains("it needs a Tokio runtime"));
}
