//! The format of Temporal's Claim Check recipe for Python: a UUID and nothing else.

use std::collections::HashMap;

use blob_store::BlobKey;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use uuid::Uuid;

use super::metadata;
use crate::{Error, Result};

const MARKER: &str = "temporal.io/claim-check-codec";
const FORMAT: &str = "claim-checked";

/// Whether `payload` is such a reference. By the marker, not by the encoding: forks changed that.
pub(crate) fn is_reference(payload: &Payload) -> bool {
    payload.metadata.contains_key(MARKER)
}

/// A fresh key. Random, because the format has no hash that could tell two payloads apart.
pub(crate) fn new_key() -> blob_store::Result<BlobKey> {
    BlobKey::new(Uuid::new_v4().to_string())
}

/// The reference to `key` as a payload.
pub(crate) fn to_payload(key: &BlobKey) -> Payload {
    Payload {
        metadata: HashMap::from([
            ("encoding".to_owned(), FORMAT.into()),
            (MARKER.to_owned(), b"v1".to_vec()),
        ]),
        data: key.as_str().into(),
        ..Payload::default()
    }
}

/// The key a reference holds.
///
/// # Errors
///
/// [`Error::MalformedReference`] if its version is unknown or its key is not a UUID: nothing else is looked up.
pub(crate) fn from_payload(payload: &Payload) -> Result<BlobKey> {
    let malformed = |reason: &str| Error::MalformedReference { format: FORMAT, reason: reason.to_owned() };
    if metadata(payload, MARKER) != Some(b"v1") {
        return Err(malformed("its version is not v1"));
    }
    let key =
        std::str::from_utf8(&payload.data).ok().filter(|key| key.len() == 36 && Uuid::try_parse(key).is_ok());
    let key = key.ok_or_else(|| malformed("its key is not a UUID"))?;
    Ok(BlobKey::new(key)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_the_recipe_does_and_read_again() {
        let key = BlobKey::new("7b0f1c1e-5a5e-4f0e-9a55-0d6c2b7d9a10").expect("a key");
        let payload = to_payload(&key);
        assert_eq!(payload.metadata["encoding"], b"claim-checked");
        assert_eq!(payload.metadata[MARKER], b"v1");
        assert_eq!(payload.data, key.as_str().as_bytes());
        assert!(is_reference(&payload));
        assert_eq!(from_payload(&payload).expect("read again"), key);
    }

    #[test]
    fn nothing_but_a_uuid_is_looked_up() {
        let reference = to_payload(&new_key().expect("a key"));
        for data in
            ["", "session:4711", "{7b0f1c1e-5a5e-4f0e-9a55-0d6c2b7d9a1}", "7b0f1c1e5a5e4f0e9a550d6c2b7d9a10"]
        {
            let text = from_payload(&Payload { data: data.into(), ..reference.clone() })
                .expect_err(data)
                .to_string();
            assert!(text.contains("its key is not a UUID"), "{text}");
        }
        let mut v9 = reference;
        v9.metadata.insert(MARKER.into(), b"v9".to_vec());
        assert!(from_payload(&v9).expect_err("v9").to_string().contains("its version is not v1"));
    }
}
