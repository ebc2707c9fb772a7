use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use blob_store::{BlobStore as _, ErrorKind, KeyLayout, PutOutcome};
use blob_store_s3::{S3Options, S3Store};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use testkit::s3::S3Server;

use crate::wire::{Fake, empty};
use crate::{get, key, options, options_at, put, store};

fn client(server: &S3Server) -> Client {
    let credentials = Credentials::new(server.access_key(), server.secret_key(), None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .force_path_style(true)
        .credentials_provider(credentials);
    Client::from_conf(config.build())
}

#[tokio::test]
async fn an_existing_client_will_do() {
    let server = S3Server::shared();
    let (client, bucket) = (client(server), server.create_bucket());
    let store = S3Store::from_client(&client, &bucket).expect("valid");
    assert_eq!(put(&store, "k", "payload").await, Ok(PutOutcome::Created));

    let object = client.get_object().bucket(&bucket).key("k").send().await.expect("there");
    assert_eq!(object.content_length(), Some(7));
    let prefixed = S3Options::new(&bucket).with_prefix("team").build_with(&client).expect("valid");
    assert_eq!(prefixed.location().prefix, "team/");
    assert_eq!(prefixed.location().bucket.as_deref(), Some(bucket.as_str()));
    assert_eq!(prefixed.location().layout, KeyLayout::S3);
    assert_eq!(get(&prefixed, "k").await.expect_err("elsewhere").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn prefixes_do_not_see_each_other() {
    let server = S3Server::shared();
    let (client, bucket) = (client(server), server.create_bucket());
    let at = |prefix: &str| store(options_at(server.endpoint(), &bucket).with_prefix(prefix));
    let (outer, a, ab) = (at("").await, at("a").await, at("a b").await);
    for (store, text) in [(&outer, "outer"), (&a, "in a"), (&ab, "in a b")] {
        assert_eq!(put(store, "k", text).await, Ok(PutOutcome::Created));
        assert_eq!(get(store, "k").await.expect("its own"), text);
    }
    // A console's folder, and a key that is no blob's.
    for name in ["a/", "a/x//y", "a/line\nfeed"] {
        client.put_object().bucket(&bucket).key(name).send().await.expect("stored");
    }
    for (store, expected) in [(&outer, &["a b/k", "a/k", "k"][..]), (&a, &["k"]), (&ab, &["k"])] {
        let listed: Vec<_> = store.list("").await.expect("a list").try_collect().await.expect("a whole list");
        let keys: BTreeSet<_> = listed.iter().map(|blob| blob.key.as_str()).collect();
        assert_eq!(keys, expected.iter().copied().collect());
    }
    a.delete(&key("k")).await.expect("deleted");
    assert_eq!(get(&a, "k").await.expect_err("gone").kind(), ErrorKind::NotFound);
    assert_eq!(get(&ab, "k").await.expect("not gone"), "in a b");
}

/// A page has a thousand.
#[tokio::test]
async fn a_list_of_several_pages_is_whole() {
    let store = store(options(S3Server::shared()).with_prefix("p")).await;
    let puts = (0..1050).map(|n| {
        let store = store.clone();
        async move { put(&store, &format!("k/{n}"), "payload").await }
    });
    let outcomes: Vec<_> = stream::iter(puts).buffer_unordered(16).try_collect().await.expect("stored");
    assert_eq!(outcomes.len(), 1050);
    let listed: Vec<_> = store.list("k/").await.expect("a list").try_collect().await.expect("a whole list");
    let keys: BTreeSet<_> = listed.iter().map(|blob| blob.key.to_string()).collect();
    assert_eq!(keys, (0..1050).map(|n| format!("k/{n}")).collect());
    assert_eq!(listed.len(), 1050);
    assert!(listed.iter().all(|blob| blob.info.size == 7 && blob.info.modified.is_some()));
}

/// Each server forgets something of its own: Ceph the tags, Versity to change the time.
#[tokio::test]
async fn touch_changes_nothing_but_the_age() {
    let (ceph, versity) = (S3Server::shared(), &S3Server::versity());
    for server in [ceph, versity] {
        let (client, bucket) = (client(server), server.create_bucket());
        let object = client.put_object().bucket(&bucket).key("p/a b+ö").body(b"payload".to_vec().into());
        let object = object.metadata("owner", "team-a").content_type("text/plain").tagging("env=prod");
        object.send().await.expect("stored");
        let head = async || client.head_object().bucket(&bucket).key("p/a b+ö").send().await.expect("there");
        let before = head().await;
        tokio::time::sleep(Duration::from_millis(1100)).await;

        let store = store(options_at(server.endpoint(), &bucket).with_prefix("p")).await;
        store.touch(&key("a b+ö")).await.expect("renewed");
        let after = head().await;
        assert_eq!(after.metadata(), before.metadata());
        assert_eq!(after.content_type(), Some("text/plain"));
        assert_eq!(get(&store, "a b+ö").await.expect("there"), "payload");
        if server.port() == ceph.port() {
            assert!(after.last_modified() > before.last_modified());
        } else {
            let tags = client.get_object_tagging().bucket(&bucket).key("p/a b+ö").send().await.expect("tags");
            assert_eq!(tags.tag_set().first().map(|tag| (tag.key(), tag.value())), Some(("env", "prod")));
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_renew_is_caught() {
    let old = empty("200 OK", "last-modified: Fri, 01 Jan 2021 00:00:00 GMT\r\netag: \"e\"\r\n");
    let body = "<CopyObjectResult><LastModified>2021-01-01T00:00:00Z</LastModified></CopyObjectResult>";
    let copied = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let fake = Fake::answering(&[&old, &copied]).await;
    let error =
        store(options_at(fake.endpoint(), "claims")).await.touch(&key("k")).await.expect_err("not renewed");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let heads = fake.heads();
    for line in [
        "x-amz-copy-source: claims/k",
        "x-amz-copy-source-if-match: \"e\"",
        "x-amz-metadata-directive: replace",
    ] {
        assert!(heads[1].contains(line), "{line:?} is not in {}", heads[1]);
    }
}

#[tokio::test]
async fn head_knows_the_lifecycle_rule() {
    let expiration =
        "x-amz-expiration: expiry-date=\"Tue, 01 Jan 2030 00:00:00 GMT\", rule-id=\"claims\"\r\n";
    let fake = Fake::answering(&[&empty("200 OK", expiration)]).await;
    let info = store(options_at(fake.endpoint(), "claims")).await.head(&key("k")).await.expect("there");
    assert_eq!(info.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000)));
}

#[tokio::test]
async fn prefix_and_key_have_one_limit() {
    let store = store(options(S3Server::shared()).with_prefix("p".repeat(100))).await;
    assert_eq!(put(&store, &"k".repeat(923), "a").await, Ok(PutOutcome::Created));
    let error = put(&store, &"k".repeat(924), "a").await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidKey);
    assert!(error.message().contains("prefix and key have 1025 bytes"), "{error}");
}
