//! The other stores, with the same workflow.

use blob_store::BlobStore;

use crate::lab::Lab;

/// Runs the workflow that echoes on a store and looks at its history.
async fn echo(name: &str, store: impl BlobStore) {
    let lab = Lab::with_store(store, name).await;
    let _worker = lab.worker();
    lab.echo().await;
    let keys = lab.keys().await;
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("v0/ns/default/d/sha256/")), "{keys:?}");
}

#[cfg(feature = "fs")]
#[tokio::test(flavor = "multi_thread")]
async fn a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    echo("directory", temporal_claim_check::open_store(&url).await.unwrap()).await;
}

#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread")]
async fn s3() {
    use temporal_claim_check::s3::S3Store;
    use testkit::s3::S3Server;

    let server = S3Server::versity();
    let store = S3Store::builder(server.create_bucket())
        .with_prefix("claims/")
        .with_endpoint(server.endpoint())
        .with_path_style(true)
        .with_region("us-east-1")
        .with_credentials(server.access_key(), server.secret_key());
    echo("s3", store.build().await.unwrap()).await;
}
