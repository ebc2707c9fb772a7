//! The store against real Redis servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use blob_store::{BlobKey, BlobStore, ErrorKind, GetOptions, PutOptions, PutOutcome, Segments};
use blob_store_redis::{RedisOptions, RedisStore};
use futures_util::TryStreamExt as _;
use testkit::redis::RedisServer;
use testkit::tls::TlsFiles;

const MIB: usize = 1024 * 1024;

/// For the tests that do not touch the server itself; each has a prefix of its own.
static SERVER: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);

async fn store(query: &str) -> RedisStore {
    RedisStore::connect(&format!("{}?{query}", SERVER.url())).await.unwrap()
}

fn key(name: &str) -> BlobKey {
    BlobKey::new(name).unwrap()
}

async fn put(store: &RedisStore, name: &str, blob: impl Into<Segments>) -> blob_store::Result<PutOutcome> {
    store.put(&key(name), blob.into(), PutOptions::default()).await
}

async fn get(store: &RedisStore, name: &str) -> blob_store::Result<Vec<u8>> {
    Ok(store.get(&key(name), GetOptions::at_most(u64::MAX)).await?.bytes().await?.to_vec())
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    blob_store::conformance::run(&store("prefix=conforms:").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_a_ttl() {
    blob_store::conformance::run(&store("prefix=with-ttl:&ttl=1h").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_travels_in_pieces_and_its_body_is_not_sent_twice() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let blob = pattern(64 * MIB + 7);
    assert_eq!(put(&store, "large", blob.clone()).await, Ok(PutOutcome::Created));
    assert!(get(&store, "large").await.unwrap() == blob);
    assert_eq!(server.cli(&["DBSIZE"]), "1");

    let received = server.statistic("total_net_input_bytes");
    assert_eq!(put(&store, "large", blob).await, Ok(PutOutcome::AlreadyPresent));
    let again = server.statistic("total_net_input_bytes") - received;
    assert!(again < 10_000, "{again} bytes were sent for a blob that was there");
}

#[tokio::test]
async fn a_new_small_blob_costs_one_command() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&format!("{}?ttl=1h", server.url())).await.unwrap();
    let before = server.statistic("total_commands_processed");
    put(&store, "small", "hello").await.unwrap();
    // The INFO that asked is one of them.
    assert_eq!(server.statistic("total_commands_processed") - before - 1, 1);
}

#[tokio::test]
async fn prefixes_are_worlds_of_their_own() {
    let (a, b) = (store("prefix=world-a:").await, store("prefix=world-b:").await);
    put(&a, "same", "of a").await.unwrap();
    put(&b, "same", "of b").await.unwrap();
    assert_eq!(get(&a, "same").await.unwrap(), b"of a");
    let listed: Vec<_> = b.list("").await.unwrap().try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key, key("same"));
    assert_eq!(SERVER.cli(&["GET", "world-b:same"]), "of b");
    assert_eq!(a.location().prefix, "world-a:");
}

#[tokio::test]
async fn databases_are_apart() {
    let (zero, two) = (store("").await, RedisStore::connect(&format!("{}/2", SERVER.url())).await.unwrap());
    put(&two, "in-two", "x").await.unwrap();
    assert_eq!(get(&zero, "in-two").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(get(&two, "in-two").await.unwrap(), b"x");
}

#[tokio::test]
async fn a_ttl_is_set_and_renewed_and_never_shortened() {
    let pttl = |name: &str| SERVER.cli(&["PTTL", name]).parse::<i64>().unwrap();
    let hour = store("prefix=ttl:&ttl=1h").await;
    for (name, blob) in [("small", vec![1; 10]), ("large", pattern(3 * MIB))] {
        let physical = format!("ttl:{name}");
        put(&hour, name, blob.clone()).await.unwrap();
        assert!((3_500_000..=3_600_000).contains(&pttl(&physical)));

        SERVER.cli(&["PEXPIRE", &physical, "60000"]);
        let old = hour.head(&key(name)).await.unwrap();
        assert!(old.modified.unwrap() < SystemTime::now() - Duration::from_secs(3_000));
        assert_eq!(put(&hour, name, blob.clone()).await, Ok(PutOutcome::AlreadyPresent));
        assert!(pttl(&physical) > 3_500_000);
        SERVER.cli(&["PEXPIRE", &physical, "60000"]);
        hour.touch(&key(name)).await.unwrap();
        assert!(pttl(&physical) > 3_500_000);

        // A configuration with a longer TTL is not undone by one with a shorter one.
        put(&store("prefix=ttl:&ttl=1m").await, name, blob.clone()).await.unwrap();
        assert!(pttl(&physical) > 3_500_000);
        put(&store("prefix=ttl:").await, name, blob.clone()).await.unwrap();
        assert_eq!(pttl(&physical), -1);
        put(&hour, name, blob).await.unwrap();
        assert_eq!(pttl(&physical), -1);
    }
}

#[tokio::test]
async fn a_blob_of_another_length_is_damaged_and_replaced() {
    let store = store("prefix=damaged:").await;
    for (name, blob) in [("small", pattern(100)), ("large", pattern(3 * MIB))] {
        put(&store, name, blob.clone()).await.unwrap();
        SERVER.cli(&["SET", &format!("damaged:{name}"), "cut short"]);
        assert_eq!(put(&store, name, blob.clone()).await, Ok(PutOutcome::Created));
        assert!(get(&store, name).await.unwrap() == blob);
    }
}

#[tokio::test]
async fn a_password_and_an_acl_user_are_used() {
    let server = RedisServer::start_with(&[
        "requirepass admin-secret",
        "user claims on >claims-secret ~claims:* -@all +@read +@write +@connection +@transaction",
    ]);
    let at = |credentials: &str| server.url().replace("redis://", &format!("redis://{credentials}"));
    put(&RedisStore::connect(&at(":admin-secret@")).await.unwrap(), "x", "1").await.unwrap();

    let limited = RedisStore::connect(&(at("claims:claims-secret@") + "?prefix=claims:")).await.unwrap();
    put(&limited, "large", pattern(3 * MIB)).await.unwrap();
    assert_eq!(get(&limited, "large").await.unwrap().len(), 3 * MIB);

    let outside = RedisStore::connect(&(at("claims:claims-secret@") + "?prefix=other:")).await.unwrap();
    let error = put(&outside, "x", "1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("check its ACL"), "{error}");

    for wrong in ["", ":wrong-secret@", "claims:wrong-secret@", "nobody:wrong-secret@"] {
        let error = RedisStore::connect(&at(wrong)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{wrong}: {error}");
        assert!(!error.is_transient());
        assert!(!format!("{error:?}").contains("wrong-secret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_unix_socket_serves() {
    let url = format!("redis+unix://{}?prefix=socket:", SERVER_SOCKET.display());
    let store = RedisStore::connect(&url).await.unwrap();
    put(&store, "x", "through the socket").await.unwrap();
    assert_eq!(SERVER.cli(&["GET", "socket:x"]), "through the socket");
}

static SERVER_SOCKET: LazyLock<std::path::PathBuf> = LazyLock::new(|| SERVER.socket());

#[tokio::test]
async fn tls_with_a_private_ca_and_a_client_certificate() {
    let files = TlsFiles::create();
    let port = testkit::free_port();
    let path = |name: &str| files.path(name).display().to_string();
    let _server = RedisServer::start_with(&[
        &format!("tls-port {port}"),
        &format!("tls-ca-cert-file {}", path("ca.pem")),
        &format!("tls-cert-file {}", path("server.pem")),
        &format!("tls-key-file {}", path("server.key")),
        "tls-auth-clients yes",
    ]);
    let ca = format!("rediss://localhost:{port}?ca_file={}", path("ca.pem"));
    let both = format!("{ca}&cert_file={}&key_file={}", path("client.pem"), path("client.key"));
    let store = RedisStore::connect(&both).await.unwrap();
    put(&store, "large", pattern(3 * MIB)).await.unwrap();
    assert_eq!(get(&store, "large").await.unwrap().len(), 3 * MIB);

    let unknown_ca = format!("rediss://localhost:{port}");
    for url in [ca, unknown_ca] {
        let error = RedisStore::connect(&url).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::InvalidConfig, false), "{error}");
        assert!(error.to_string().contains("ertificate"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_and_comes_back_by_itself() {
    let mut server = RedisServer::start();
    let lazy = RedisStore::lazy(&server.url()).unwrap();
    put(&lazy, "before", "1").await.unwrap();
    server.kill();
    for _ in 0..2 {
        let error = put(&lazy, "x", "1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_transient());
        assert!(error.to_string().starts_with("redis: put x: the connection"), "{error}");
    }
    let error = RedisStore::connect(&server.url()).await.unwrap_err();
    let address = format!("127.0.0.1:{}", server.port());
    let text = format!("redis: connect: the connection was refused: is the server running? ({address})");
    assert_eq!(error.to_string(), text);

    server.restart();
    let mut attempts = 0;
    while let Err(error) = put(&lazy, "x", "1").await {
        assert!(error.is_transient(), "{error}");
        attempts += 1;
        assert!(attempts < 50, "it does not reconnect: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(get(&lazy, "x").await.unwrap(), b"1");
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&format!("{}?timeout=200ms", server.url())).await.unwrap();
    server.signal("STOP");
    let error = put(&store, "x", "1").await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true), "{error}");
    server.signal("CONT");
}

#[tokio::test]
async fn a_full_server_stores_nothing_half() {
    let server = RedisServer::start_with(&["maxmemory 8mb", "maxmemory-policy noeviction"]);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    for (name, size) in [("large", 16 * MIB), ("small", MIB)] {
        let mut last = Ok(PutOutcome::Created);
        for n in 0..16 {
            last = put(&store, &format!("{name}-{n}"), pattern(size)).await;
            if last.is_err() {
                break;
            }
        }
        let error = last.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert!(error.to_string().contains("maxmemory"), "{error}");
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        while !server.cli(&["KEYS", "*:upload:*"]).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("temporary keys are removed");
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    for micros in [100, 2_000, 10_000, 30_000] {
        let put = put(&store, "large", pattern(64 * MIB));
        let _ = tokio::time::timeout(Duration::from_micros(micros), put).await;
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        while server.cli(&["DBSIZE"]) != "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("temporary keys are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_writer_leaves_is_invisible_and_expires() {
    let store = store("prefix=killed:").await;
    let left = "killed:x:upload:0123456789abcdef0123456789abcdef";
    SERVER.cli(&["SET", left, "half of it", "PX", "60000"]);
    assert_eq!(store.list("").await.unwrap().try_collect::<Vec<_>>().await.unwrap(), []);
    assert_eq!(get(&store, "x").await.unwrap_err().kind(), ErrorKind::NotFound);

    // A real upload, stopped in the middle: its key has a time to live from the first piece on.
    let server = RedisServer::start();
    let slow = RedisStore::connect(&server.url()).await.unwrap();
    let upload = tokio::spawn(async move { put(&slow, "y", pattern(256 * MIB)).await });
    let temporary = loop {
        let keys = server.cli(&["KEYS", "y:upload:*"]);
        if !keys.is_empty() {
            break keys;
        }
        assert!(!upload.is_finished(), "the upload was too quick to be seen");
    };
    let left: i64 = server.cli(&["PTTL", &temporary]).parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    upload.abort();
}

#[tokio::test]
async fn a_blob_that_changes_while_it_is_read_is_an_error() {
    let store = store("prefix=changes:").await;
    for (command, kind) in [
        (&["SETRANGE", "changes:x", "0", "-"][..], None),
        (&["DEL", "changes:x"], Some(ErrorKind::NotFound)),
        (&["SET", "changes:x", "short"], Some(ErrorKind::NotFound)),
    ] {
        store.delete(&key("x")).await.unwrap();
        put(&store, "x", pattern(8 * MIB)).await.unwrap();
        let mut chunks = store.get(&key("x"), GetOptions::at_most(u64::MAX)).await.unwrap().into_stream();
        chunks.try_next().await.unwrap();
        SERVER.cli(command);
        let rest = chunks.try_collect::<Vec<_>>().await;
        assert_eq!(rest.err().map(|error| error.kind()), kind, "{command:?}");
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_corrupt() {
    let store = store("prefix=type:").await;
    SERVER.cli(&["LPUSH", "type:list", "a"]);
    let error = get(&store, "list").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(store.list("").await.unwrap().try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn more_than_a_value_may_have_is_refused_before_it_is_sent() {
    let store = store("prefix=too-large:").await;
    let quarter = blob_store::Bytes::from(vec![0; 128 * MIB + 1]);
    let blob = Segments::from_iter(vec![quarter; 4]);
    let error = put(&store, "x", blob).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}

#[test]
fn nothing_secret_is_shown() {
    let store = RedisOptions::from_url("redis://user:hunter2@127.0.0.1:1").unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store.build().unwrap();
        let error = store.check().await.unwrap_err();
        assert!(!format!("{store:?} {error:?}").contains("hunter2"));
    });
}
