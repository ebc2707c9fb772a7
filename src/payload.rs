//! A payload as it is stored: the binary `temporal.api.common.v1.Payload`, written and read around its data.

use std::collections::HashMap;

use blob_store::{Blob, Bytes, Segments};
use futures_util::StreamExt as _;
use prost::Message as _;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use sha2::{Digest as _, Sha256};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::error::Corruption;

/// The protobuf tag of `metadata` (field 1), of a map entry's key and value, and of `data` (field 2).
const METADATA_TAG: u8 = 0x0a;
const KEY_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;
const DATA_TAG: u8 = 0x12;

/// From this size on a hash takes long enough (half a millisecond) to leave the async threads for it.
const HASH_APART: usize = 1024 * 1024;

/// The length in bytes of the stored form of `payload`.
pub(crate) fn stored_len(payload: &Payload) -> usize {
    let metadata: usize = payload.metadata.iter().map(|(key, value)| field_len(entry_len(key, value))).sum();
    let data = if payload.data.is_empty() { 0 } else { field_len(payload.data.len()) };
    metadata + data + external_payloads(payload).encoded_len()
}

/// The stored form of `payload`. Its data is moved, not copied.
///
/// Metadata is sorted by key: in the map's own order, equal payloads would be stored under different hashes.
pub(crate) fn to_segments(mut payload: Payload) -> Segments {
    let rest = external_payloads(&payload).encode_to_vec();
    let mut header = Vec::with_capacity(stored_len(&payload) - payload.data.len() - rest.len());
    let mut metadata: Vec<_> = payload.metadata.iter().collect();
    metadata.sort_unstable_by_key(|(key, _)| *key);
    for (key, value) in metadata {
        header.push(METADATA_TAG);
        encode_varint(entry_len(key, value) as u64, &mut header);
        put_field(KEY_TAG, key.as_bytes(), &mut header);
        put_field(VALUE_TAG, value, &mut header);
    }
    if !payload.data.is_empty() {
        header.push(DATA_TAG);
        encode_varint(payload.data.len() as u64, &mut header);
    }
    Segments::from_iter([header, std::mem::take(&mut payload.data), rest])
}

/// The SHA-256 of `content`, computed off the async threads when that takes long.
pub(crate) async fn sha256(content: &Segments) -> [u8; 32] {
    if content.len() < HASH_APART {
        return hash(content);
    }
    let apart = content.clone();
    // The blocking pool refuses work only while the runtime shuts down.
    tokio::task::spawn_blocking(move || hash(&apart)).await.unwrap_or_else(|_| hash(content))
}

/// Reads a stored payload chunk by chunk, with one allocation for its data, and verifies length and hash.
///
/// # Errors
///
/// [`ReadError::Store`] if the store fails on the way, [`ReadError::Corrupt`] if what comes is not what was put.
pub(crate) async fn from_blob(blob: Blob, sha256: Option<&[u8; 32]>) -> Result<Payload, ReadError> {
    let size = blob.size();
    let mut chunks = blob.into_stream();
    let mut hasher = sha256.map(|_| Sha256::new());
    let mut received = 0u64;
    let mut body = Body::Unknown;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(ReadError::Store)?;
        received += chunk.len() as u64;
        if received > size {
            break;
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&chunk);
        }
        body.push(&chunk, size);
    }
    if received != size {
        return Err(Corruption::Length { announced: size, received }.into());
    }
    if let (Some(hasher), Some(expected)) = (hasher, sha256)
        && hasher.finalize().as_slice() != expected
    {
        return Err(Corruption::Hash.into());
    }
    body.into_payload()
}

/// Why a stored payload could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Store(blob_store::Error),
    Corrupt(Corruption),
}

impl From<Corruption> for ReadError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

/// What has been read so far of a stored payload.
enum Body {
    Unknown,
    /// The first chunk held all the metadata and only data follows: the usual case, copied once.
    Data(HashMap<String, Vec<u8>>, Vec<u8>),
    /// Fields in another order, or more metadata than one chunk holds: decoded when all is there.
    Joined(Vec<u8>),
}

impl Body {
    fn push(&mut self, chunk: &[u8], size: u64) {
        match self {
            Self::Unknown => *self = Self::first(chunk, size),
            Self::Data(_, bytes) | Self::Joined(bytes) => bytes.extend_from_slice(chunk),
        }
    }

    fn first(chunk: &[u8], size: u64) -> Self {
        // The store vouched for `size` and the caller bounded it, so it is safe to allocate at once.
        let size = usize::try_from(size).unwrap_or(chunk.len());
        match split_header(chunk, size) {
            Some((metadata, header_len)) => {
                let mut data = Vec::with_capacity(size - header_len);
                data.extend_from_slice(&chunk[header_len..]);
                Self::Data(metadata, data)
            }
            None => {
                let mut joined = Vec::with_capacity(size);
                joined.extend_from_slice(chunk);
                Self::Joined(joined)
            }
        }
    }

    fn into_payload(self) -> Result<Payload, ReadError> {
        match self {
            Self::Unknown => Ok(Payload::default()),
            Self::Data(metadata, data) => Ok(Payload { metadata, data, ..Payload::default() }),
            Self::Joined(bytes) => {
                Payload::decode(Bytes::from(bytes)).map_err(|_| Corruption::NotAPayload.into())
            }
        }
    }
}

/// Splits the metadata off the front of a stored payload of `size` bytes, if `chunk` shows that data is all that
/// follows it. Answers the metadata and where the data starts.
fn split_header(chunk: &[u8], size: usize) -> Option<(HashMap<String, Vec<u8>>, usize)> {
    let mut rest = chunk;
    let mut metadata = HashMap::new();
    while let Some((&METADATA_TAG, after)) = rest.split_first() {
        rest = after;
        let (key, value) = split_entry(take_field(&mut rest)?)?;
        metadata.insert(key, value);
    }
    let (&DATA_TAG, mut after) = rest.split_first()? else { return None };
    let data_len = usize::try_from(decode_varint(&mut after).ok()?).ok()?;
    let header_len = chunk.len() - after.len();
    (header_len.checked_add(data_len)? == size).then_some((metadata, header_len))
}

/// The key and value of a map entry that has them in this order, as every known writer does.
fn split_entry(mut entry: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut field = |tag| match entry.split_first() {
        Some((first, rest)) if *first == tag => {
            entry = rest;
            take_field(&mut entry)
        }
        _ => Some(&[][..]),
    };
    let (key, value) = (field(KEY_TAG)?, field(VALUE_TAG)?);
    entry.is_empty().then_some(())?;
    Some((String::from_utf8(key.to_vec()).ok()?, value.to_vec()))
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let (field, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(field)
}

/// Everything but metadata and data, which only references have.
fn external_payloads(payload: &Payload) -> Payload {
    Payload { external_payloads: payload.external_payloads.clone(), ..Payload::default() }
}

fn hash(content: &Segments) -> [u8; 32] {
    let mut hasher = Sha256::new();
    content.parts().iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// The length of tag, length and `len` bytes.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// An entry has both its fields even when they are empty: what the other SDKs write, and prost does not.
fn entry_len(key: &str, value: &[u8]) -> usize {
    field_len(key.len()) + field_len(value.len())
}

fn put_field(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::collection::{hash_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn payload(metadata: &[(&str, &str)], data: &[u8]) -> Payload {
        Payload {
            metadata: metadata.iter().map(|&(k, v)| (k.to_owned(), v.as_bytes().to_vec())).collect(),
            data: data.to_vec(),
            ..Payload::default()
        }
    }

    fn in_chunks(content: &[u8], size: usize) -> Blob {
        let chunks: Vec<_> = content.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Blob::new(content.len() as u64, stream::iter(chunks))
    }

    #[tokio::test]
    async fn the_golden_payload_is_stored_byte_for_byte() {
        let golden = payload(&[("encoding", "json/plain")], br#""hello""#);
        let stored = to_segments(golden);
        assert_eq!(&stored.to_bytes()[..], b"\x0a\x16\x0a\x08encoding\x12\x0ajson/plain\x12\x07\"hello\"");
        assert_eq!(
            blob_store_hex(&sha256(&stored).await),
            "1b8435174847de88db3a8c5a764295d62add152743b3a9a730796a4c090caf8c"
        );
    }

    #[test]
    fn metadata_is_sorted_and_empty_values_are_written() {
        let stored = to_segments(payload(&[("b", ""), ("a", "1")], b"")).to_bytes();
        assert_eq!(&stored[..], b"\x0a\x06\x0a\x01a\x12\x011\x0a\x05\x0a\x01b\x12\x00");
    }

    #[test]
    fn data_is_not_copied() {
        let payload = payload(&[("encoding", "binary/plain")], &[7; 1000]);
        let data = payload.data.as_ptr();
        assert_eq!(to_segments(payload).parts()[1].as_ptr(), data);
    }

    #[tokio::test]
    async fn what_is_not_a_payload_or_not_the_one_that_was_put_is_corrupt() {
        let content = to_segments(payload(&[("encoding", "json/plain")], b"[1,2,3]")).to_bytes();
        let hash = hash(&content.clone().into());
        for wrong in [&content[..content.len() - 1], b"", b"\xff\xff\xff", &[&content[..], b" "].concat()] {
            let read = from_blob(in_chunks(wrong, 4), Some(&hash)).await;
            assert!(matches!(read, Err(ReadError::Corrupt(Corruption::Hash))), "{read:?}");
        }
        let read = from_blob(in_chunks(b"not protobuf", 5), None).await;
        assert!(matches!(read, Err(ReadError::Corrupt(Corruption::NotAPayload))), "{read:?}");
        let read = from_blob(Blob::new(9, stream::iter([Ok(content)])), None).await;
        assert!(matches!(read, Err(ReadError::Corrupt(Corruption::Length { announced: 9, .. }))), "{read:?}");
    }

    fn blob_store_hex(hash: &[u8; 32]) -> String {
        crate::hex::encode(hash)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_however_it_is_cut(
            metadata in hash_map(".{0,12}", vec(any::<u8>(), 0..40), 0..5),
            data in vec(any::<u8>(), 0..300),
            sizes in vec(0i64..1000, 0..3),
            chunk in 1usize..400,
        ) {
            let external_payloads = sizes.into_iter().map(|size_bytes| {
                temporalio_common::protos::temporal::api::common::v1::payload::ExternalPayloadDetails { size_bytes }
            }).collect();
            let original = Payload { metadata, data, external_payloads };
            let stored = to_segments(original.clone()).to_bytes();

            prop_assert_eq!(stored.len(), stored_len(&original));
            prop_assert_eq!(&Payload::decode(stored.clone()).expect("valid protobuf"), &original);
            let hash = hash(&stored.clone().into());
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let read = runtime.block_on(from_blob(in_chunks(&stored, chunk), Some(&hash)));
            prop_assert_eq!(read.expect("read again"), original);
        }

        #[test]
        fn any_bytes_are_read_as_prost_reads_them(
            content in vec(prop_oneof![Just(0x0au8), Just(0x12), Just(0x1a), 0u8..20, any::<u8>()], 0..60),
            chunk in 1usize..70,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let read = runtime.block_on(from_blob(in_chunks(&content, chunk), None));
            prop_assert_eq!(read.ok(), Payload::decode(&content[..]).ok());
        }
    }
}
