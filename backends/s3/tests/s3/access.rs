use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, ProvideCredentials, Region};
use aws_smithy_async::time::StaticTimeSource;
use blob_store::{BlobStore as _, Error, ErrorKind, PutOutcome};
use blob_store_s3::{S3Options, S3Store};
use futures_util::TryStreamExt as _;
use testkit::s3::{S3Server, User};

use crate::{get, key, options, options_at, put, store};

fn refused(error: &Error, kind: ErrorKind, text: &str) {
    assert_eq!((error.kind(), error.is_transient()), (kind, false), "{error}");
    assert!(error.to_string().contains(text), "{text:?} is not in {error}");
    assert!(error.store().is_some(), "{error}");
}

#[tokio::test]
async fn wrong_credentials() {
    let server = S3Server::shared();
    let bucket = server.create_bucket();
    for (access_key, secret_key, text) in [
        ("NOBODYSKEY", "hunter2-secret", "access key is not known"),
        (server.access_key(), "hunter2-secret", "secret key does not belong"),
    ] {
        let wrong = options_at(server.endpoint(), &bucket).with_credentials(access_key, secret_key);
        let store = store(wrong).await;
        for error in [
            store.check().await.expect_err("refused"),
            put(&store, "k", "payload").await.expect_err("refused"),
            get(&store, "k").await.expect_err("refused"),
            store.delete(&key("k")).await.expect_err("refused"),
        ] {
            refused(&error, ErrorKind::PermissionDenied, text);
            let all = format!("{error} {error:?} {store:?}");
            assert!(!all.contains("hunter2") && !all.contains("payload"), "{all}");
        }
    }
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::ready(Err(CredentialsError::not_loaded("hunter2")))
    }
}

fn config(server: &S3Server) -> aws_sdk_s3::config::Builder {
    let builder = aws_sdk_s3::Config::builder().behavior_version(BehaviorVersion::latest());
    builder.region(Region::new("us-east-1")).endpoint_url(server.endpoint()).force_path_style(true)
}

#[tokio::test]
async fn no_credentials() {
    let client = Client::from_conf(config(S3Server::shared()).credentials_provider(NoCredentials).build());
    let store = S3Store::from_client(&client, "claims").expect("valid");
    let error = put(&store, "k", "payload").await.expect_err("refused");
    refused(&error, ErrorKind::PermissionDenied, "no AWS credentials: set AWS_ACCESS_KEY_ID");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let server = S3Server::shared();
    let credentials = Credentials::new(server.access_key(), server.secret_key(), None, None, "test");
    let an_hour_ago = StaticTimeSource::new(SystemTime::now() - Duration::from_secs(3600));
    let client = config(server).credentials_provider(credentials).time_source(an_hour_ago);
    let store = S3Options::new(server.create_bucket()).build_with(&Client::from_conf(client.build()));
    let error = put(&store.expect("valid"), "k", "payload").await.expect_err("refused");
    refused(&error, ErrorKind::PermissionDenied, "set the clock (NTP)");
}

#[tokio::test]
async fn a_bucket_that_is_missing() {
    let store = store(options_at(S3Server::shared().endpoint(), "nobodys-bucket")).await;
    for error in [
        store.check().await.expect_err("no bucket"),
        put(&store, "k", "payload").await.expect_err("no bucket"),
        put(&store, "k", vec![7; 2 << 20]).await.expect_err("no bucket"),
        get(&store, "k").await.expect_err("no bucket"),
        store.list("").await.expect("a stream").try_collect::<Vec<_>>().await.expect_err("no bucket"),
    ] {
        refused(&error, ErrorKind::InvalidConfig, "no such bucket");
    }
}

async fn store_as(server: &S3Server, bucket: &str, user: &User) -> S3Store {
    store(options_at(server.endpoint(), bucket).with_credentials(&user.access_key, &user.secret_key)).await
}

#[tokio::test]
async fn a_reader_may_not_write() {
    let server = S3Server::shared();
    let bucket = server.create_bucket();
    put(&store(options_at(server.endpoint(), &bucket)).await, "k", "payload").await.expect("stored");

    let reader =
        store_as(server, &bucket, &server.create_user(&bucket, &["s3:GetObject", "s3:ListBucket"])).await;
    reader.check().await.expect("it may look");
    assert_eq!(get(&reader, "k").await.expect("readable"), "payload");
    assert_eq!(get(&reader, "missing").await.expect_err("missing").kind(), ErrorKind::NotFound);
    let error = put(&reader, "new", "payload").await.expect_err("denied");
    refused(&error, ErrorKind::PermissionDenied, "s3:PutObject");
    let error = reader.delete(&key("k")).await.expect_err("denied");
    refused(&error, ErrorKind::PermissionDenied, "s3:DeleteObject");
}

#[tokio::test]
async fn who_may_not_list_can_put_and_get() {
    let server = S3Server::shared();
    let bucket = server.create_bucket();
    let user = server.create_user(&bucket, &["s3:GetObject", "s3:PutObject"]);
    let store = store_as(server, &bucket, &user).await;
    for (name, size) in [("small", 10), ("large", 2 << 20)] {
        assert_eq!(put(&store, name, vec![7; size]).await, Ok(PutOutcome::Created));
        assert_eq!(put(&store, name, vec![7; size]).await, Ok(PutOutcome::AlreadyPresent));
        assert_eq!(get(&store, name).await.expect("readable").len(), size);
    }
    let error = get(&store, "missing").await.expect_err("missing");
    refused(
        &error,
        ErrorKind::PermissionDenied,
        "the blob is missing and the credentials lack s3:ListBucket",
    );
    let error = store.list("").await.expect("a stream").try_collect::<Vec<_>>().await.expect_err("denied");
    refused(&error, ErrorKind::PermissionDenied, "s3:ListBucket");
}

/// It cannot see whether a blob is there, so it writes it again to be sure.
#[tokio::test]
async fn who_may_only_write_can_put() {
    let server = S3Server::shared();
    let bucket = server.create_bucket();
    let owner = store(options_at(server.endpoint(), &bucket)).await;
    let writer = store_as(server, &bucket, &server.create_user(&bucket, &["s3:PutObject"])).await;
    for (name, size) in [("small", 10), ("large", 2 << 20)] {
        put(&owner, name, vec![7; size]).await.expect("stored");
        refused(&get(&writer, name).await.expect_err("denied"), ErrorKind::PermissionDenied, "s3:GetObject");
        assert_eq!(put(&writer, name, vec![7; size]).await, Ok(PutOutcome::AlreadyPresent));
        let new = format!("new-{name}");
        assert_eq!(put(&writer, &new, vec![7; size]).await, Ok(PutOutcome::Created));
    }
}

#[tokio::test]
async fn a_url_is_enough() {
    let server = S3Server::shared();
    let bucket = server.create_bucket();
    let url = format!("s3://{bucket}/team?endpoint={}&path_style=true&region=us-east-1", server.endpoint());
    let store = S3Options::from_url(&url).expect("valid");
    let store =
        store.with_credentials(server.access_key(), server.secret_key()).build().await.expect("valid");
    store.check().await.expect("there");
    assert_eq!(put(&store, "k", "payload").await, Ok(PutOutcome::Created));
    let plain = crate::store(options(server)).await;
    plain.check().await.expect("there");
}
