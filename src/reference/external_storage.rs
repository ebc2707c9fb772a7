//! Temporal's External Storage references, as the Go, Python, TypeScript, Java and .NET SDKs write them.

use std::collections::{BTreeMap, HashMap};

use blob_store::{KeyLayout, Location};
use serde::{Deserialize, Serialize};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_common::protos::temporal::api::common::v1::payload::ExternalPayloadDetails;

use super::metadata;
use crate::{Error, Result, hex};

const MARKER: &str = "__temporal_external_storage_reference";
const MESSAGE_TYPE: &str = "temporal.api.sdk.v1.ExternalStorageReference";

/// What a reference says: which store has the payload, where, and how to recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExternalStorageReference {
    /// The name of the store.
    pub store: String,
    /// The bucket or container, if the store has one.
    pub bucket: Option<String>,
    /// The key with everything the store puts in front of it.
    pub key: String,
    /// SHA-256 of the stored payload.
    pub sha256: [u8; 32],
    /// Length of the stored payload in bytes, if the reference tells it.
    pub size: Option<u64>,
}

/// Whether `payload` is such a reference, by its metadata alone.
pub(crate) fn is_reference(payload: &Payload) -> bool {
    metadata(payload, MARKER) == Some(b"true")
        || (metadata(payload, "encoding") == Some(b"json/protobuf")
            && metadata(payload, "messageType") == Some(MESSAGE_TYPE.as_bytes()))
}

impl ExternalStorageReference {
    /// The reference as a payload. With `marked`, readers know it for a reference before they look at anything
    /// else; it must not be set where codecs run before storage.
    pub(crate) fn to_payload(&self, location: &Location, marked: bool) -> Payload {
        let hash = hex::encode(&self.sha256);
        let mut claim =
            BTreeMap::from([("hash_algorithm", "sha256"), ("hash_value", &hash), ("key", self.key.as_str())]);
        if let Some(bucket) = &self.bucket {
            claim.insert("bucket", bucket);
        }
        if location.layout == KeyLayout::Gcs {
            claim.insert("object_name", &self.key);
        }
        let claim = claim.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let wire = Wire { claim_data: claim, driver_name: self.store.clone() };
        let mut metadata = HashMap::from([
            ("encoding".to_owned(), b"json/protobuf".to_vec()),
            ("messageType".to_owned(), MESSAGE_TYPE.into()),
        ]);
        if marked {
            metadata.insert(MARKER.to_owned(), b"true".to_vec());
        }
        let size_bytes = self.size.and_then(|size| i64::try_from(size).ok());
        Payload {
            metadata,
            // Strings and a map of strings: there is nothing in it that JSON cannot say.
            data: serde_json::to_vec(&wire).unwrap_or_default(),
            external_payloads: size_bytes
                .map(|size_bytes| ExternalPayloadDetails { size_bytes })
                .into_iter()
                .collect(),
        }
    }

    /// Reads a reference in any spelling an SDK has written.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedReference`] with what is missing or wrong.
    pub(crate) fn from_payload(payload: &Payload) -> Result<Self> {
        let malformed = |reason: String| Error::MalformedReference { format: "external storage", reason };
        let Wire { claim_data: mut claim, driver_name: store } = serde_json::from_slice(&payload.data)
            // The position is safe to show; serde_json's text could quote the data.
            .map_err(|error| {
                malformed(format!("invalid JSON at line {} column {}", error.line(), error.column()))
            })?;
        if store.is_empty() {
            return Err(malformed("driverName is missing".into()));
        }
        let mut field = |names: &[&str]| {
            let found = names.iter().find_map(|name| claim.remove(*name)).filter(|value| !value.is_empty());
            found.ok_or_else(|| malformed(format!("claimData.{} is missing", names[0])))
        };
        let key = field(&["key", "object_name", "object"])?;
        let algorithm = field(&["hash_algorithm", "hashAlgorithm"])?;
        let hash = field(&["hash_value", "hashValue"])?;
        let bucket = field(&["bucket", "container"]).ok();
        if algorithm != "sha256" {
            return Err(malformed("claimData.hash_algorithm is not sha256".into()));
        }
        let sha256 = hex::decode(&hash)
            .ok_or_else(|| malformed("claimData.hash_value is not 64 lower-case hex digits".into()))?;
        let size = match payload.external_payloads.as_slice() {
            [] => None,
            [only] => Some(
                u64::try_from(only.size_bytes)
                    .map_err(|_| malformed("external_payloads tells a negative size".into()))?,
            ),
            _ => return Err(malformed("external_payloads has more than one entry".into())),
        };
        Ok(Self { store, bucket, key, sha256, size })
    }
}

/// `temporal.api.sdk.v1.ExternalStorageReference` in protobuf JSON; the SDK's own protocol files lack it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(alias = "claim_data", default)]
    claim_data: BTreeMap<String, String>,
    #[serde(alias = "driver_name", default)]
    driver_name: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference() -> ExternalStorageReference {
        ExternalStorageReference {
            store: "aws.s3driver".into(),
            bucket: Some("claims".into()),
            key: "v0/d/sha256/abab".into(),
            sha256: [0xab; 32],
            size: Some(385),
        }
    }

    fn with_data(data: &str) -> Payload {
        Payload { data: data.into(), ..reference().to_payload(&Location::default(), true) }
    }

    #[test]
    fn it_is_written_as_the_other_sdks_do() {
        let payload = reference().to_payload(&Location::default(), true);
        assert_eq!(
            String::from_utf8(payload.data.clone()).expect("text"),
            format!(
                r#"{{"claimData":{{"bucket":"claims","hash_algorithm":"sha256","hash_value":"{}","key":"v0/d/sha256/abab"}},"driverName":"aws.s3driver"}}"#,
                "ab".repeat(32)
            )
        );
        assert_eq!(payload.metadata.len(), 3);
        assert_eq!(payload.metadata[MARKER], b"true");
        assert_eq!(payload.external_payloads[0].size_bytes, 385);
        let unmarked = reference().to_payload(&Location::default(), false);
        assert!(is_reference(&unmarked) && !unmarked.metadata.contains_key(MARKER));
    }

    #[test]
    fn every_spelling_in_use_is_read() {
        let hash = "ab".repeat(32);
        for data in [
            format!(
                r#"{{"driver_name":"aws.s3driver","claim_data":{{"bucket":"claims","key":"v0/d/sha256/abab","hashAlgorithm":"sha256","hashValue":"{hash}"}}}}"#
            ),
            format!(
                "{{\n \"later\": 1, \"driverName\": \"aws.s3driver\",\n \"claimData\": {{\"object_name\": \"v0/d/sha256/abab\", \"bucket\": \"claims\", \"hash_algorithm\": \"sha256\", \"hash_value\": \"{hash}\", \"x\": \"y\"}} }}"
            ),
            format!(
                r#"{{"driverName":"aws.s3driver","claimData":{{"object":"v0/d/sha256/abab","bucket":"claims","hash_algorithm":"sha256","hash_value":"{hash}"}}}}"#
            ),
        ] {
            assert_eq!(ExternalStorageReference::from_payload(&with_data(&data)).expect(&data), reference());
        }
    }

    #[test]
    fn what_cannot_be_read_says_why_and_shows_no_data() {
        let hash = "ab".repeat(32);
        let claim = |claim: &str| format!(r#"{{"driverName":"redis","claimData":{{{claim}}}}}"#);
        for (data, reason) in [
            ("secret".to_owned(), "invalid JSON at line 1 column 1"),
            (r#"{"driverName":"redis","claimData":{"key":7}}"#.into(), "invalid JSON at line 1"),
            (r#"{"claimData":{}}"#.into(), "driverName is missing"),
            (claim(r#""key":"""#), "claimData.key is missing"),
            (
                claim(r#""key":"k","hash_algorithm":"md5","hash_value":"00""#),
                "claimData.hash_algorithm is not sha256",
            ),
            (claim(r#""key":"k","hash_algorithm":"sha256""#), "claimData.hash_value is missing"),
            (
                claim(&format!(
                    r#""key":"k","hash_algorithm":"sha256","hash_value":"{}""#,
                    hash.to_uppercase()
                )),
                "claimData.hash_value is not 64 lower-case hex digits",
            ),
        ] {
            let text =
                ExternalStorageReference::from_payload(&with_data(&data)).expect_err(&data).to_string();
            assert!(text.starts_with("[TMPRL1106]") && text.contains(reason), "{data}: {text}");
            assert!(!text.contains("secret"));
        }
        let mut payload = reference().to_payload(&Location::default(), true);
        payload.external_payloads[0].size_bytes = -1;
        let text = ExternalStorageReference::from_payload(&payload).expect_err("negative").to_string();
        assert!(text.contains("negative size"), "{text}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            store in ".{1,20}", bucket in proptest::option::of(".{1,20}"), key in ".{1,80}",
            sha256 in any::<[u8; 32]>(), size in proptest::option::of(0..i64::MAX as u64),
            gcs in any::<bool>(), marked in any::<bool>(),
        ) {
            let reference = ExternalStorageReference { store, bucket, key, sha256, size };
            let layout = if gcs { KeyLayout::Gcs } else { KeyLayout::S3 };
            let payload = reference.to_payload(&Location::default().with_layout(layout), marked);
            prop_assert!(is_reference(&payload));
            prop_assert_eq!(ExternalStorageReference::from_payload(&payload).expect("read again"), reference);
        }

        #[test]
        fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let payload = Payload { data, ..reference().to_payload(&Location::default(), true) };
            let _ = ExternalStorageReference::from_payload(&payload);
        }
    }
}
