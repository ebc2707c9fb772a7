use std::time::Duration;

use blob_store::conformance;
use testkit::s3::S3Server;

use crate::{options, store};

/// The suite expects a renewal after a second, and some servers tell the time less exactly.
const RENEW_AFTER: Duration = Duration::ZERO;

#[tokio::test(flavor = "multi_thread")]
async fn ceph() {
    let options = options(S3Server::shared()).with_prefix("team a/b+c").with_renew_after(RENEW_AFTER);
    conformance::run(&store(options).await).await;
}

/// Keeps blobs as files: keys share the limits of paths, and a copy onto itself leaves the file's time alone.
#[tokio::test(flavor = "multi_thread")]
async fn versity() {
    let server = S3Server::versity();
    let store = store(options(&server).with_renew_after(RENEW_AFTER)).await;
    let known = [
        "touch_renews_the_age",
        "every_legal_character_makes_a_key_of_its_own",
        "long_keys_work",
        "a_key_may_be_the_start_of_another",
    ];
    let failed = conformance::failures(&store, conformance::Options::quick()).await;
    let failed: Vec<_> =
        failed.iter().filter(|case| !known.iter().any(|known| case.starts_with(known))).collect();
    assert_eq!(failed, [""; 0]);
}

/// Served by HEAD and PUT.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_conditional_writes() {
    let server = S3Server::without_conditional_writes();
    let store = store(options(&server).with_renew_after(RENEW_AFTER)).await;
    conformance::run(&store).await;
}
