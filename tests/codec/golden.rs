//! What the official SDKs wrote, byte for byte. The files in `tests/vectors` say which.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use blob_store::{BlobKey, KeyLayout, Location};
use serde_json::Value;
use temporal_claim_check::{ClaimCheckCodec, Owner, PayloadContext, ReferenceFormat};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_common::protos::temporal::api::common::v1::payload::ExternalPayloadDetails;

use crate::support::{TestStore, decode, encode};

#[tokio::test]
async fn s3_references_of_the_python_sdk_are_written_and_read() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/external-storage-s3.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let name = text(&case["name"]);
        let object = &case["object"];
        let store = TestStore::at("aws.s3driver", Location::default().with_bucket(text(&object["bucket"])));
        let codec =
            ClaimCheckCodec::builder().store(store.clone()).threshold(0).context(context(&case["target"]));
        let codec = codec.build().unwrap();
        let original = payload(&case["payload"]);

        // They do not sort metadata, so with several entries their bytes, and with them hash and key, are theirs.
        if original.metadata.len() == 1 {
            let mut written = encode(&codec, vec![original.clone()]).await;
            let marker = written[0].metadata.remove("__temporal_external_storage_reference");
            assert_eq!(marker.as_deref(), Some(&b"true"[..]), "{name}");
            assert_eq!(written, [payload(&case["reference"])], "{name}");
            assert_eq!(String::from_utf8_lossy(&written[0].data), text(&case["referenceData"]), "{name}");
            let (key, stored) = store.only_blob().await;
            assert_eq!(key.as_str(), text(&object["key"]), "{name}");
            assert_eq!(stored, bytes(&object["bytes"]), "{name}");
        }

        store.tamper(&BlobKey::new(text(&object["key"])).unwrap(), bytes(&object["bytes"])).await;
        assert_eq!(decode(&codec, vec![payload(&case["reference"])]).await, [original], "{name}");
    }
}

#[tokio::test]
async fn a_gcs_reference_of_the_python_sdk_is_resolved() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/external-storage-gcs.json")).unwrap();
    let case = &vectors["case"];
    let location = Location::default().with_bucket("gb").with_layout(KeyLayout::Gcs);
    let store = TestStore::at("gcp.gcsdriver", location);
    let codec =
        ClaimCheckCodec::builder().store(store.clone()).threshold(0).context(context(&case["target"]));
    let codec = codec.build().unwrap();

    // The vector has no payload: one of ours shows that the key, bar the hash, is what that SDK wrote.
    let written = encode(&codec, vec![Payload { data: b"x".to_vec(), ..Payload::default() }]).await;
    let claim = |payload: &Payload| -> HashMap<String, String> {
        let reference: Value = serde_json::from_slice(&payload.data).unwrap();
        serde_json::from_value(reference["claimData"].clone()).unwrap()
    };
    let theirs = Payload { data: text(&case["ref_data"]).into(), ..written[0].clone() };
    let (ours, theirs) = (claim(&written[0]), claim(&theirs));
    assert_eq!(ours["object_name"], ours["key"]);
    let expected = theirs["object_name"].replace(&theirs["hash_value"], &ours["hash_value"]);
    assert_eq!(ours["object_name"], expected);
}

#[tokio::test]
async fn the_recipes_reference_is_written_and_read() {
    let vector: Value = serde_json::from_str(include_str!("../vectors/claim-check-v1.json")).unwrap();
    let store = TestStore::new("redis");
    let codec =
        ClaimCheckCodec::builder().store(store.clone()).threshold(0).format(ReferenceFormat::ClaimCheckV1);
    let codec = codec.build().unwrap();
    let original = payload(&vector["payload"]);

    store.tamper(&BlobKey::new(text(&vector["key"])).unwrap(), bytes(&vector["stored"])).await;
    assert_eq!(decode(&codec, vec![payload(&vector["reference"])]).await, std::slice::from_ref(&original));
    store.remove(&BlobKey::new(text(&vector["key"])).unwrap()).await;

    let written = encode(&codec, vec![original]).await;
    let (key, stored) = store.only_blob().await;
    assert_eq!(stored, bytes(&vector["stored"]));
    assert_eq!(written[0].data, key.as_str().as_bytes());
    assert_eq!(written[0].metadata, payload(&vector["reference"]).metadata);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(text(value)).unwrap()
}

fn payload(json: &Value) -> Payload {
    let external = json["externalPayloads"].as_array().into_iter().flatten();
    Payload {
        metadata: json["metadata"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), bytes(v))).collect(),
        data: bytes(&json["data"]),
        external_payloads: external
            .map(|details| ExternalPayloadDetails {
                size_bytes: text(&details["sizeBytes"]).parse().unwrap(),
            })
            .collect(),
    }
}

fn context(target: &Value) -> PayloadContext {
    if target.is_null() {
        return PayloadContext::default();
    }
    let run_id = target.get("runId").or(target.get("run_id")).and_then(Value::as_str).map(str::to_owned);
    let owner = Owner::Workflow {
        id: text(&target["id"]).into(),
        run_id,
        workflow_type: Some(text(&target["type"]).into()),
    };
    PayloadContext::namespace(text(&target["namespace"])).with_owner(owner)
}
