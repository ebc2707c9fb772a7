use std::time::{Duration, Instant};

use blob_store::{BlobStore as _, ErrorKind, PutOutcome};
use testkit::free_port;
use testkit::s3::S3Server;

use crate::wire::{Fake, Fault, Wire, refusal};
use crate::{get, options_at, put, store};

/// More than one packet, and little enough that a network this slow would soon have taken it.
const SIZE: usize = 200_000;
const TIMEOUT: Duration = Duration::from_millis(500);

/// Far more than any of these takes when it works, far less than a wait without end.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn nobody_listens() {
    let store = store(options_at(format!("http://127.0.0.1:{}", free_port()), "claims")).await;
    let start = Instant::now();
    let error = put(&store, "k", "payload").await.expect_err("nobody");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true), "{error}");
    assert!(error.to_string().contains("connection was refused"), "{error}");
    assert!(start.elapsed() < SOON);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let server = S3Server::shared();
    let bucket = server.create_bucket();
    for (fault, kind) in [
        (Fault::CutRequest(100_000), ErrorKind::Unavailable),
        (Fault::StallRequest(100_000), ErrorKind::Timeout),
        (Fault::DamageRequest(100_000), ErrorKind::Corrupt),
    ] {
        let wire = Wire::to(server.port(), fault).await;
        let broken = store(options_at(wire.endpoint(), &bucket).with_timeout(TIMEOUT)).await;
        let start = Instant::now();
        let error = put(&broken, "k", vec![7; SIZE]).await.expect_err("broken");
        assert_eq!((error.kind(), error.is_transient()), (kind, true), "{fault:?}: {error}");
        assert!(start.elapsed() < SOON, "{fault:?}");
        let whole = store(options_at(server.endpoint(), &bucket)).await;
        assert_eq!(get(&whole, "k").await.expect_err("nothing").kind(), ErrorKind::NotFound, "{fault:?}");
    }
    let whole = store(options_at(server.endpoint(), &bucket)).await;
    assert_eq!(put(&whole, "k", vec![7; SIZE]).await, Ok(PutOutcome::Created));
}

#[tokio::test]
async fn a_download_that_breaks_off_is_transient() {
    let server = S3Server::shared();
    let bucket = server.create_bucket();
    let whole = store(options_at(server.endpoint(), &bucket)).await;
    put(&whole, "k", vec![7; SIZE]).await.expect("stored");
    for (fault, kind) in [
        (Fault::CutAnswer(0), ErrorKind::Unavailable),
        (Fault::StallAnswer(0), ErrorKind::Timeout),
        (Fault::CutAnswer(100_000), ErrorKind::Unavailable),
        (Fault::StallAnswer(100_000), ErrorKind::Timeout),
    ] {
        let wire = Wire::to(server.port(), fault).await;
        let broken = store(options_at(wire.endpoint(), &bucket).with_timeout(TIMEOUT)).await;
        let start = Instant::now();
        let error = get(&broken, "k").await.expect_err("broken");
        assert_eq!((error.kind(), error.is_transient()), (kind, true), "{fault:?}: {error}");
        assert!(error.to_string().starts_with("aws.s3driver: get k: "), "{error}");
        assert!(start.elapsed() < SOON, "{fault:?}");
    }
}

/// It takes twice the time that the server may be silent: slow is not stalled.
#[tokio::test]
async fn a_slow_upload_succeeds() {
    let server = S3Server::versity();
    let wire = Wire::to(server.port(), Fault::SlowRequest(20_000)).await;
    let store = store(options_at(wire.endpoint(), server.create_bucket()).with_timeout(TIMEOUT)).await;
    assert_eq!(put(&store, "k", vec![7; SIZE]).await, Ok(PutOutcome::Created));
}

#[tokio::test]
async fn a_server_that_stands_still_and_goes_on() {
    let server = S3Server::versity();
    let store = store(options_at(server.endpoint(), server.create_bucket()).with_timeout(TIMEOUT)).await;
    put(&store, "k", "payload").await.expect("stored");
    server.signal("STOP");
    assert_eq!(get(&store, "k").await.expect_err("silent").kind(), ErrorKind::Timeout);
    assert_eq!(store.check().await.expect_err("silent").kind(), ErrorKind::Timeout);
    server.signal("CONT");
    // What it was sent while it stood still may take it a moment, or cost a connection.
    let mut attempts = 0;
    let read = loop {
        match get(&store, "k").await {
            Err(error) if error.is_transient() && attempts < 20 => attempts += 1,
            done => break done,
        }
    };
    assert_eq!(read.expect("there again"), "payload");
}

#[tokio::test]
async fn a_server_in_trouble_is_not_asked_twice() {
    for (status, headers, code, kind, retry_after) in [
        ("503 Slow Down", "retry-after: 3\r\n", "SlowDown", ErrorKind::Throttled, Some(3)),
        ("503 Service Unavailable", "", "ServiceUnavailable", ErrorKind::Unavailable, None),
        ("500 Internal Server Error", "", "InternalError", ErrorKind::Unavailable, None),
    ] {
        let fake = Fake::answering(&[&refusal(status, headers, code)]).await;
        let store = store(options_at(fake.endpoint(), "claims")).await;
        let error = get(&store, "k").await.expect_err("in trouble");
        assert_eq!((error.kind(), error.is_transient()), (kind, true), "{error}");
        assert_eq!(error.retry_after(), retry_after.map(Duration::from_secs));
        assert_eq!(fake.heads().len(), 1);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_not_s3_is_said_to_be_none() {
    let page = "HTTP/1.1 400 Bad Request\r\ncontent-length: 13\r\n\r\n<html></html>";
    let fake = Fake::answering(&[page]).await;
    let error = get(&store(options_at(fake.endpoint(), "claims")).await, "k").await.expect_err("not S3");
    assert!(!error.is_transient(), "{error:?}");

    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let fake = Fake::answering(&[endless]).await;
    let error = get(&store(options_at(fake.endpoint(), "claims")).await, "k").await.expect_err("no length");
    assert!(error.to_string().contains("does not say how long"), "{error}");
}
