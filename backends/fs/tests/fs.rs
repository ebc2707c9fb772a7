//! The store on real file systems.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use blob_store::{BlobKey, BlobStore, ErrorKind, GetOptions, PutOptions, PutOutcome, Segments};
use blob_store_fs::{FsOptions, FsStore};
use futures_util::TryStreamExt as _;
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;

fn key(name: &str) -> BlobKey {
    BlobKey::new(name).unwrap()
}

async fn put(store: &FsStore, name: &str, blob: impl Into<Segments>) -> blob_store::Result<PutOutcome> {
    store.put(&key(name), blob.into(), PutOptions::default()).await
}

async fn get(store: &FsStore, name: &str) -> blob_store::Result<Vec<u8>> {
    Ok(store.get(&key(name), GetOptions::at_most(u64::MAX)).await?.bytes().await?.to_vec())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let dir = TempDir::new().unwrap();
    blob_store::conformance::run(&FsStore::open(dir.path()).await.unwrap()).await;
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_when_it_need_not_be_durable() {
    let dir = TempDir::new().unwrap();
    let url = format!("file://{}?durable=false&name=claims", dir.path().display());
    let store = FsOptions::from_url(&url).unwrap().open().await.unwrap();
    assert_eq!(store.name(), "claims");
    blob_store::conformance::run(&store).await;
}

#[tokio::test]
async fn files_are_private_and_where_the_documentation_says() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("claims");
    let store = FsStore::open(&root).await.unwrap();
    let hash = "1b".repeat(32);
    put(&store, &format!("v0/ns/default/d/sha256/{hash}"), "hello").await.unwrap();
    let file = root.join(format!("v0/ns/default/d/sha256/1b/{hash}"));
    assert_eq!(fs::read(&file).unwrap(), b"hello");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn symbolic_links_lead_nowhere() {
    let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = FsStore::open(dir.path()).await.unwrap();
    fs::write(outside.path().join("x=f"), "secret").unwrap();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink(outside.path().join("x=f"), dir.path().join("link=f")).unwrap();
    for name in ["out/x", "link"] {
        let error = get(&store, name).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Corrupt), "{error}");
    }
    assert!(put(&store, "out/new", "x").await.is_err());
    store.delete(&key("out/x")).await.unwrap_err();
    assert_eq!(files(outside.path()).len(), 1);
    assert_eq!(store.list("").await.unwrap().try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_blob_does_not_hang() {
    let dir = TempDir::new().unwrap();
    let store = FsStore::open(dir.path()).await.unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("pipe=f")).status().unwrap().success());
    assert_eq!(get(&store, "pipe").await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_file_that_is_cut_while_it_is_read_is_corrupt() {
    let dir = TempDir::new().unwrap();
    let store = FsStore::open(dir.path()).await.unwrap();
    put(&store, "x", vec![1; 4 * MIB]).await.unwrap();
    let mut chunks = store.get(&key("x"), GetOptions::at_most(u64::MAX)).await.unwrap().into_stream();
    chunks.try_next().await.unwrap();
    fs::File::options().write(true).open(dir.path().join("x=f")).unwrap().set_len(MIB as u64 + 5).unwrap();
    let error = chunks.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_file_of_another_length_is_damaged_and_replaced() {
    let dir = TempDir::new().unwrap();
    let store = FsStore::open(dir.path()).await.unwrap();
    put(&store, "x", "hello").await.unwrap();
    // What a power failure can leave when puts are not durable.
    fs::write(dir.path().join("x=f"), "").unwrap();
    assert_eq!(put(&store, "x", "hello").await, Ok(PutOutcome::Created));
    assert_eq!(get(&store, "x").await.unwrap(), b"hello");
}

/// A file system of a few megabytes, mounted for one test.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let dir = TempDir::new().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(dir.path()).status();
        assert!(mounted.unwrap().success(), "this test mounts a small file system and has to run as root");
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("claims")
    }

    fn remount(&self, options: &str) {
        let remounted = Command::new("mount").args(["-o", options]).arg(self.0.path()).status();
        assert!(remounted.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_and_a_read_only_one_are_clear_errors() {
    let disk = SmallDisk::mount();
    let store = FsStore::open(disk.path()).await.unwrap();
    put(&store, "kept", vec![1; MIB]).await.unwrap();
    let error = put(&store, "large", vec![1; 8 * MIB]).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::StorageFull, "the disk is full"));
    assert_eq!(files(&disk.path()).len(), 1, "nothing of it is left");
    put(&store, "small", "there is room again").await.unwrap();

    disk.remount("remount,ro");
    let error = put(&store, "x", "1").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::PermissionDenied, "the file system is read-only")
    );
    assert_eq!(get(&store, "kept").await.unwrap().len(), MIB);
}

/// Run by the tests below as a process of its own; by itself it does nothing.
#[tokio::test]
async fn writer_process() {
    let Ok(root) = std::env::var("FS_TEST_WRITER") else { return };
    let store = FsStore::open(root).await.unwrap();
    for n in 0.. {
        println!("writing");
        put(&store, &format!("blob-{}", n % 40), vec![(n % 40) as u8; 2 * MIB]).await.unwrap();
    }
}

fn spawn_writer(root: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["writer_process", "--exact", "--nocapture"]).env("FS_TEST_WRITER", root);
    command.stdout(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_writers_leave_whole_blobs_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    for round in 1..=6 {
        // Two processes at once on the same keys.
        let mut writers = [spawn_writer(dir.path()), spawn_writer(dir.path())];
        tokio::time::sleep(Duration::from_millis(60 * round)).await;
        for writer in &mut writers {
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
    }
    // As if a minute had passed.
    let temporary = dir.path().join("=tmp");
    for file in files(&temporary) {
        let old = fs::FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(61));
        fs::File::options().write(true).open(file).unwrap().set_times(old).unwrap();
    }
    let store = FsStore::open(dir.path()).await.unwrap();
    assert_eq!(files(&temporary), Vec::<PathBuf>::new());
    let listed: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert!(!listed.is_empty());
    for blob in listed {
        let content = get(&store, blob.key.as_str()).await.unwrap();
        assert!(content.len() == 2 * MIB && content.iter().all(|byte| *byte == content[0]), "{}", blob.key);
    }
}

#[tokio::test]
async fn the_temporary_file_of_a_living_writer_is_not_collected() {
    let dir = TempDir::new().unwrap();
    FsStore::open(dir.path()).await.unwrap();
    let (theirs, abandoned) = (dir.path().join("=tmp/theirs"), dir.path().join("=tmp/abandoned"));
    let old = fs::FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(3600));
    for path in [&theirs, &abandoned] {
        fs::File::create(path).unwrap().set_times(old).unwrap();
    }
    let alive = fs::File::open(&theirs).unwrap();
    alive.try_lock().unwrap();
    fs::File::create(dir.path().join("=tmp/fresh")).unwrap();
    FsStore::open(dir.path()).await.unwrap();
    let mut left = files(&dir.path().join("=tmp"));
    left.sort();
    assert_eq!(left, [dir.path().join("=tmp/fresh"), theirs]);
}

#[test]
fn a_wrong_url_says_why() {
    for (url, text) in [
        ("file://host/path", "three slashes"),
        ("s3://bucket", "file:///path"),
        ("file:///x?durabel=false", "did you mean \"durable\"?"),
    ] {
        let error = FsOptions::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(text), "{error}");
    }
}
