//! The pattern without any server: encode, look at the reference, decode.

use temporal_claim_check::ClaimCheckCodec;
use temporal_claim_check::blob_store::MemoryStore;
use temporalio_common::data_converters::{PayloadCodec as _, SerializationContextData};
use temporalio_common::protos::temporal::api::common::v1::Payload;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let codec = ClaimCheckCodec::builder().store(MemoryStore::new()).build()?;

    // What Temporal's SDK would send: a small payload and a large one.
    let json = |text: String| Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: format!("{text:?}").into_bytes(),
        ..Payload::default()
    };
    let payloads = vec![json("hello".into()), json("large ".repeat(500_000))];

    let encoded = codec.encode(&SerializationContextData::None, payloads.clone()).await?;
    for (before, after) in payloads.iter().zip(&encoded) {
        println!("{} bytes of data become {}:", before.data.len(), after.data.len());
        println!("  {}", String::from_utf8_lossy(&after.data));
    }

    let decoded = codec.decode(&SerializationContextData::None, encoded).await?;
    println!("Decoded, everything is as it was: {}", decoded == payloads);
    Ok(())
}
