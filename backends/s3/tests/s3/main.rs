//! The store against real servers, and against answers that no real server gives on demand.

mod conformance;

use blob_store_s3::{S3Options, S3Store};
use testkit::s3::S3Server;

/// A bucket of its own on `server`, with the options a test adds.
fn options(server: &S3Server) -> S3Options {
    options_in(server, server.create_bucket())
}

fn options_in(server: &S3Server, bucket: String) -> S3Options {
    S3Store::builder(bucket)
        .with_endpoint(server.endpoint())
        .with_path_style(true)
        .with_credentials(server.access_key(), server.secret_key())
}

async fn store(server: &S3Server) -> S3Store {
    options(server).build().await.expect("valid options")
}
