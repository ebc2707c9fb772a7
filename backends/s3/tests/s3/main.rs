//! The store against real servers, and against answers that no real server gives on demand.

#![allow(clippy::expect_used)] // This is how a test fails.

mod access;
mod conformance;
mod faults;
mod objects;
mod put;
mod wire;

use blob_store::{BlobKey, BlobStore as _, Bytes, GetOptions, PutOptions, PutOutcome, Result, Segments};
use blob_store_s3::{S3Options, S3Store};
use testkit::s3::S3Server;

/// A bucket of its own on `server`, for a test to add options.
fn options(server: &S3Server) -> S3Options {
    options_at(server.endpoint(), server.create_bucket())
}

/// The same bucket through something that stands before the server, or without one.
fn options_at(endpoint: String, bucket: impl Into<String>) -> S3Options {
    let server = S3Server::credentials();
    S3Store::builder(bucket)
        .with_endpoint(endpoint)
        .with_path_style(true)
        .with_credentials(server.access_key, server.secret_key)
}

async fn store(options: S3Options) -> S3Store {
    options.build().await.expect("valid options")
}

fn key(name: &str) -> BlobKey {
    BlobKey::new(name).expect("a valid key")
}

async fn put(store: &S3Store, name: &str, blob: impl Into<Segments>) -> Result<PutOutcome> {
    store.put(&key(name), blob.into(), PutOptions::default()).await
}

async fn get(store: &S3Store, name: &str) -> Result<Bytes> {
    store.get(&key(name), GetOptions::at_most(1 << 30)).await?.bytes().await
}
