use std::time::Duration;

use blob_store::{BlobStore as _, ErrorKind, PutOptions, PutOutcome, Segments};
use futures_util::future::join_all;
use testkit::s3::S3Server;

use crate::wire::{Fake, Fault, Wire, empty, refusal};
use crate::{get, key, options, options_at, put, store};

const LARGE: usize = 4 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_only_one_creates() {
    for server in [S3Server::shared(), &S3Server::versity()] {
        let store = store(options(server)).await;
        let outcomes = join_all((0..50).map(|_| put(&store, "k", "the same for all"))).await;
        let created = outcomes.iter().filter(|outcome| **outcome == Ok(PutOutcome::Created)).count();
        let present = outcomes.iter().filter(|outcome| **outcome == Ok(PutOutcome::AlreadyPresent)).count();
        assert_eq!((created, present), (1, 49), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_small_new_blob_costs_one_request_a_large_one_two() {
    let server = S3Server::versity();
    let wire = Wire::to(server.port(), Fault::None).await;
    let store = store(options_at(wire.endpoint(), server.create_bucket())).await;

    put(&store, "first", "asks whether the server knows conditions").await.expect("stored");
    assert_eq!(wire.take_methods(), ["PUT", "PUT"]);
    put(&store, "second", "does not").await.expect("stored");
    assert_eq!(wire.take_methods(), ["PUT"]);
    put(&store, "large", vec![7; LARGE]).await.expect("stored");
    assert_eq!(wire.take_methods(), ["HEAD", "PUT"]);
}

#[tokio::test]
async fn a_large_blob_that_is_there_is_not_sent_again() {
    let server = S3Server::shared();
    let wire = Wire::to(server.port(), Fault::None).await;
    let store = store(options_at(wire.endpoint(), server.create_bucket())).await;

    assert_eq!(put(&store, "k", vec![7; LARGE]).await, Ok(PutOutcome::Created));
    assert!(wire.take_sent() > LARGE as u64);
    assert_eq!(put(&store, "k", vec![7; LARGE]).await, Ok(PutOutcome::AlreadyPresent));
    let sent = wire.take_sent();
    assert!(sent < 4096, "{sent} bytes were sent for a blob that was there");
}

#[tokio::test]
async fn only_an_old_blob_is_written_again() {
    let server = S3Server::shared();
    let wire = Wire::to(server.port(), Fault::None).await;
    let bucket = server.create_bucket();
    let patient = store(options_at(wire.endpoint(), &bucket)).await;
    let eager = store(options_at(wire.endpoint(), &bucket).with_renew_after(Duration::from_secs(1))).await;

    for size in [1000, LARGE] {
        let name = format!("size-{size}");
        put(&patient, &name, vec![7; size]).await.expect("stored");
        let first = patient.head(&key(&name)).await.expect("there").modified.expect("an age");
        tokio::time::sleep(Duration::from_millis(2100)).await;

        put(&patient, &name, vec![7; size]).await.expect("there");
        assert_eq!(patient.head(&key(&name)).await.expect("there").modified, Some(first));
        wire.take_sent();
        assert_eq!(put(&eager, &name, vec![7; size]).await, Ok(PutOutcome::AlreadyPresent));
        assert!(wire.take_sent() > size as u64);
        assert!(patient.head(&key(&name)).await.expect("there").modified > Some(first));
    }
}

/// By the hash in the signature, and by the checksum, which one server looks at and the other does not.
#[tokio::test]
async fn a_wrong_hash_is_refused_and_nothing_stored() {
    for server in [S3Server::shared(), &S3Server::versity()] {
        let store = store(options(server)).await;
        for size in [10, LARGE] {
            let put = PutOptions::default().with_sha256([7; 32]);
            let error = store.put(&key("k"), vec![7; size].into(), put).await.expect_err("wrong");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert_eq!(get(&store, "k").await.expect_err("not there").kind(), ErrorKind::NotFound);
        }
    }
}

#[tokio::test]
async fn the_options_are_on_the_wire() {
    let fake = Fake::answering(&[&empty("200 OK", "server: AmazonS3\r\n")]).await;
    let all = options_at(fake.endpoint(), "claims")
        .with_prefix("team")
        .with_storage_class("STANDARD_IA")
        .with_kms_key_id("alias/claims")
        .with_tag("cost centre", "a/b")
        .with_expected_bucket_owner("123456789012");
    let all = store(all).await;
    let parts = Segments::from_iter([&b"some "[..], b"payload"]);
    assert_eq!(all.put(&key("a b+ö"), parts, PutOptions::default()).await, Ok(PutOutcome::Created));
    all.delete(&key("k")).await.expect("deleted");

    let heads = fake.heads();
    // In hexadecimal what is signed, in base64 (here in lower case) what S3 keeps: the hash of "some payload".
    for line in [
        "put /claims/team/a%20b%2b%c3%b6?x-id=putobject http/1.1\r\n",
        "\r\nif-none-match: *\r\n",
        "\r\nx-amz-content-sha256: 653ce1551c541492ea5ed24f458c7434e1ec6d298914d63beb2f38152b1156e0\r\n",
        "\r\nx-amz-checksum-sha256: ztzhvrxufjlqxtjpryx0nohsbsmjfny76y84fssrvua=\r\n",
        "\r\ncontent-length: 12\r\n",
        "\r\nx-amz-storage-class: standard_ia\r\n",
        "\r\nx-amz-server-side-encryption: aws:kms\r\n",
        "\r\nx-amz-server-side-encryption-aws-kms-key-id: alias/claims\r\n",
        "\r\nx-amz-tagging: cost%20centre=a%2fb\r\n",
        "\r\nx-amz-expected-bucket-owner: 123456789012\r\n",
    ] {
        assert!(heads[0].contains(line), "{line:?} is not in {}", heads[0]);
    }
    for absent in ["x-amz-trailer", "aws-chunked", "transfer-encoding", "crc32"] {
        assert!(!heads[0].contains(absent), "{absent} is in {}", heads[0]);
    }
    assert!(heads[1].contains("x-amz-expected-bucket-owner: 123456789012"));
}

#[tokio::test]
async fn a_server_that_refuses_conditions_is_asked_before_every_put() {
    let (refused, missing, stored) = (
        refusal("501 Not Implemented", "", "NotImplemented"),
        empty("404 Not Found", ""),
        empty("200 OK", ""),
    );
    let fake = Fake::answering(&[&refused, &missing, &stored, &missing, &stored]).await;
    let store = store(options_at(fake.endpoint(), "claims")).await;

    assert_eq!(put(&store, "first", "a").await, Ok(PutOutcome::Created));
    assert_eq!(put(&store, "second", "b").await, Ok(PutOutcome::Created));
    let seen: Vec<_> = fake
        .heads()
        .iter()
        .map(|head| (head.split(' ').next().unwrap_or_default().to_owned(), head.contains("if-none-match")))
        .collect();
    let expected = [("put", true), ("head", false), ("put", false), ("head", false), ("put", false)];
    assert_eq!(seen, expected.map(|(method, condition)| (method.to_owned(), condition)));
}

/// What cannot be read as it is does not count as there.
#[tokio::test]
async fn a_damaged_or_archived_blob_is_written_again() {
    let head = |length: usize, class: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nlast-modified: Fri, 01 Jan 2100 00:00:00 GMT\r\nx-amz-storage-class: {class}\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let stored = empty("200 OK", "server: AmazonS3\r\n");
    for (found, requests) in [
        (head(LARGE, "STANDARD_IA"), &["head"][..]),
        (head(LARGE - 1, "STANDARD_IA"), &["head", "put"]),
        (head(LARGE, "GLACIER"), &["head", "put"]),
    ] {
        let fake = Fake::answering(&[&found, &stored]).await;
        let store = store(options_at(fake.endpoint(), "claims")).await;
        assert_eq!(put(&store, "k", vec![7; LARGE]).await, Ok(PutOutcome::AlreadyPresent));
        let heads = fake.heads();
        let methods: Vec<_> = heads.iter().filter_map(|head| head.split(' ').next()).collect();
        assert_eq!(methods, requests);
    }
}

#[tokio::test]
async fn a_conflict_is_tried_again() {
    let conflict = refusal("409 Conflict", "", "ConditionalRequestConflict");
    let stored = empty("200 OK", "server: AmazonS3\r\n");
    let fake = Fake::answering(&[&conflict, &conflict, &stored]).await;
    assert_eq!(put(&store(options_at(fake.endpoint(), "b")).await, "k", "a").await, Ok(PutOutcome::Created));
    assert_eq!(fake.heads().len(), 3);

    let fake = Fake::answering(&[&conflict]).await;
    let error = put(&store(options_at(fake.endpoint(), "b")).await, "k", "a").await.expect_err("never ends");
    assert!(error.is_transient() && error.kind() == ErrorKind::Unavailable, "{error}");
}

/// Without a look, the caller would be told that a blob is not stored which is.
#[tokio::test]
async fn a_lost_answer_does_not_fail_the_put() {
    let server = S3Server::versity();
    let bucket = server.create_bucket();
    let reader = store(options_at(server.endpoint(), &bucket)).await;
    let wire = Wire::to(server.port(), Fault::CutAnswer(0)).await;
    let deaf = store(options_at(wire.endpoint(), &bucket)).await;

    // Both the answer and that of the look are lost: an error, but a transient one, and the blob is whole.
    let error = put(&deaf, "k", "payload").await.expect_err("no answer");
    assert!(error.is_transient(), "{error}");
    assert_eq!(get(&reader, "k").await.expect("stored"), "payload");

    // The connection breaks before the answer to the PUT, and the look finds the blob.
    let there =
        "HTTP/1.1 200 OK\r\nlast-modified: Fri, 01 Jan 2100 00:00:00 GMT\r\ncontent-length: 7\r\n\r\n";
    let fake = Fake::answering(&["", there]).await;
    let half_deaf = store(options_at(fake.endpoint(), &bucket)).await;
    assert_eq!(put(&half_deaf, "k", "payload").await, Ok(PutOutcome::AlreadyPresent));
}
