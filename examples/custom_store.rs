//! A store of one's own: name, put and get are all it takes. The conformance suite says whether it can be trusted.

use std::collections::HashMap;

use temporal_claim_check::ClaimCheckCodec;
use temporal_claim_check::blob_store::{
    Blob, BlobKey, BlobStore, Error, ErrorKind, GetOptions, Operation, PutOptions, PutOutcome, Result,
    Segments, async_trait, conformance,
};
use tokio::sync::RwLock;

#[derive(Debug, Default)]
struct MapStore(RwLock<HashMap<BlobKey, Segments>>);

#[async_trait]
impl BlobStore for MapStore {
    fn name(&self) -> &str {
        "map"
    }

    async fn put(&self, key: &BlobKey, blob: Segments, _: PutOptions) -> Result<PutOutcome> {
        let there = self.0.write().await.insert(key.clone(), blob).is_some();
        Ok(if there { PutOutcome::AlreadyPresent } else { PutOutcome::Created })
    }

    async fn get(&self, key: &BlobKey, options: GetOptions) -> Result<Blob> {
        let about = |error: Error| error.in_store(self.name()).during(Operation::Get).with_key(key);
        let blob = self.0.read().await.get(key).cloned();
        let blob = blob.ok_or_else(|| about(Error::new(ErrorKind::NotFound, "no such blob")))?;
        options.check_size(blob.len() as u64).map_err(about)?;
        Ok(blob.into())
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    conformance::run(&MapStore::default()).await;
    println!("The store keeps its contract.");

    let codec = ClaimCheckCodec::builder().store(MapStore::default()).build()?;
    println!("A codec on it stores payloads of {} bytes and more.", codec.threshold());
    Ok(())
}
