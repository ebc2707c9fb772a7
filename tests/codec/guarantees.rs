//! What the codec promises for everything that goes right.

use blob_store::MemoryStore;
use temporal_claim_check::{ClaimCheckCodec, PayloadContext, ReferenceFormat};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::support::{TestStore, codec, decode, encode, large, payload};

#[tokio::test]
async fn order_and_count_are_kept() {
    let store = TestStore::new("test");
    let codec = codec(&store);
    let originals: Vec<_> =
        (0..40).map(|n| if n % 3 == 0 { large(n) } else { payload(vec![n; 10]) }).collect();

    let encoded = encode(&codec, originals.clone()).await;
    for (original, encoded) in originals.iter().zip(&encoded) {
        let offloaded = ReferenceFormat::of(encoded) == Some(ReferenceFormat::ExternalStorage);
        assert_eq!(offloaded, original.data.len() == 1000);
    }
    assert_eq!(store.puts(), 14);
    assert_eq!(decode(&codec, encoded).await, originals);
}

#[tokio::test]
async fn no_payloads_give_no_payloads() {
    let codec = codec(&TestStore::new("test"));
    assert_eq!(encode(&codec, vec![]).await, []);
    assert_eq!(decode(&codec, vec![]).await, []);
}

#[tokio::test]
async fn the_threshold_counts_the_whole_payload() {
    let store = TestStore::new("test");
    let small = payload([b'x'; 74]);
    let size = prost::Message::encoded_len(&small);
    for (threshold, puts) in [(size + 1, 0), (size, 1), (0, 2)] {
        let codec = ClaimCheckCodec::builder().store(store.clone()).threshold(threshold).build().unwrap();
        encode(&codec, vec![small.clone()]).await;
        assert_eq!(store.puts(), puts, "threshold {threshold}, size {size}");
    }
}

#[tokio::test]
async fn the_default_threshold_is_what_the_store_suggests() {
    let codec = ClaimCheckCodec::builder().store(MemoryStore::new()).build().unwrap();
    assert_eq!(codec.threshold(), 20 * 1024);
}

#[tokio::test]
async fn threshold_zero_stores_everything_but_references() {
    let store = TestStore::new("test");
    let codec = ClaimCheckCodec::builder().store(store.clone()).threshold(0).build().unwrap();
    let originals = vec![Payload::default(), payload("")];
    let once = encode(&codec, originals.clone()).await;
    assert_eq!(store.puts(), 2);
    let twice = encode(&codec, once.clone()).await;
    assert_eq!((store.puts(), &twice), (2, &once));
    assert_eq!(decode(&codec, twice).await, originals);
}

#[tokio::test]
async fn equal_payloads_are_stored_once_whatever_the_order_of_their_metadata() {
    let store = TestStore::new("test");
    let codec = codec(&store);
    for _ in 0..20 {
        let mut same = large(1);
        // A fresh map iterates in a random order of its own.
        same.metadata = (0..8).map(|n| (format!("key-{n}"), vec![n])).collect();
        encode(&codec, vec![same]).await;
    }
    let (key, _) = store.only_blob().await;
    assert!(key.as_str().starts_with("v0/d/sha256/"));
}

#[tokio::test]
async fn the_context_becomes_part_of_the_key() {
    let store = TestStore::new("test");
    let codec = codec(&store).with_context(PayloadContext::namespace("payments"));
    encode(&codec, vec![large(1)]).await;
    assert!(store.only_blob().await.0.as_str().starts_with("v0/ns/payments/d/sha256/"));
}

#[tokio::test]
async fn both_formats_are_read_whatever_is_written() {
    let store = TestStore::new("test");
    for (write, read) in [
        (ReferenceFormat::ExternalStorage, ReferenceFormat::ClaimCheckV1),
        (ReferenceFormat::ClaimCheckV1, ReferenceFormat::ExternalStorage),
    ] {
        let codec = |format| {
            ClaimCheckCodec::builder().store(store.clone()).threshold(100).format(format).build().unwrap()
        };
        let encoded = encode(&codec(write), vec![large(3)]).await;
        assert_eq!(ReferenceFormat::of(&encoded[0]), Some(write));
        assert_eq!(decode(&codec(read), encoded).await, [large(3)]);
    }
}

#[tokio::test]
async fn old_stores_stay_readable_and_v1_is_looked_up_in_all() {
    let (old, new) = (TestStore::new("old"), TestStore::new("new"));
    let before = |format| ClaimCheckCodec::builder().store(old.clone()).threshold(100).format(format).build();
    let after =
        ClaimCheckCodec::builder().store(new.clone()).store(old.clone()).threshold(100).build().unwrap();

    for format in [ReferenceFormat::ExternalStorage, ReferenceFormat::ClaimCheckV1] {
        let encoded = encode(&before(format).unwrap(), vec![large(4)]).await;
        assert_eq!(decode(&after, encoded).await, [large(4)]);
    }
    encode(&after, vec![large(5)]).await;
    assert_eq!((old.puts(), new.puts()), (2, 1));
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let codec = codec(&TestStore::new("test"));
    let with = |encoding: &str, data: &[u8]| Payload {
        metadata: [("encoding".to_owned(), encoding.into())].into(),
        data: data.into(),
        ..Payload::default()
    };
    let foreign = vec![
        with("json/external-storage-reference", b"{}"),
        with("binary/encrypted", b"\x00\x01"),
        with("json/protobuf", b"{}"),
        Payload::default(),
    ];
    assert_eq!(decode(&codec, foreign.clone()).await, foreign);
}

#[tokio::test]
async fn a_read_only_codec_stores_nothing_and_reads_everything() {
    let store = TestStore::new("test");
    let encoded = encode(&codec(&store), vec![large(1)]).await;
    let read_only = codec(&store).read_only();
    assert_eq!(encode(&read_only, vec![large(2)]).await, [large(2)]);
    assert_eq!(store.puts(), 1);
    assert_eq!(decode(&read_only, encoded).await, [large(1)]);
}

#[tokio::test]
async fn codecs_that_share_limits_count_together() {
    use blob_store::Limits;
    use futures_util::future::join_all;

    let store = TestStore::new("test");
    let limits = Limits::new(3, 1 << 20);
    let codecs = [(); 2].map(|()| {
        ClaimCheckCodec::builder().store(store.clone()).threshold(100).limits(limits.clone()).build().unwrap()
    });
    join_all(
        (0..40u8).map(|n| {
            encode(&codecs[usize::from(n % 2)], (0..4).map(|m| large(n * 4 + m)).collect::<Vec<_>>())
        }),
    )
    .await;
    assert_eq!((store.puts(), store.most_at_once()), (160, 3));
}

#[tokio::test]
async fn a_dropped_call_ends_its_transfer() {
    use crate::support::Behaviour;
    use temporalio_common::data_converters::{PayloadCodec as _, SerializationContextData};

    let store = TestStore::that(Behaviour::Hangs);
    let call = codec(&store).encode(&SerializationContextData::None, vec![large(1)]);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(20), call).await.is_err());
    let metrics = tokio::runtime::Handle::current().metrics();
    while metrics.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}
