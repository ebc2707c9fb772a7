//! Everything the contract of [`BlobStore`] asks, as tests that any store can run.
//!
//! ```
//! # use blob_store::MemoryStore;
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! blob_store::conformance::run(&MemoryStore::new()).await;
//! # }
//! ```
//!
//! Which cases run follows from the store's [`Capabilities`]; the output of the test says which were left out.
//! Keys start with a random word, so a store may hold other things and several runs may share it; what a run
//! stores it deletes, if the store can.
//!
//! [`Faults`] makes any store fail as told, to test what is built on stores.

mod concurrency;
mod faults;
mod keys;
mod listing;
mod reading;
mod writing;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::{StreamExt as _, stream};

use crate::{
    BlobKey, BlobStore, Capabilities, Error, ErrorKind, GetOptions, Operation, PutOptions, PutOutcome,
    Segments,
};

pub use faults::{Fault, Faults};

/// How much a run may cost.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The largest blob that is put, in bytes; less where the store's own limit is lower.
    pub largest_blob: usize,
    /// How many blobs are listed at once.
    pub listed_blobs: usize,
    /// How many callers put one key at the same time.
    pub concurrent_puts: usize,
}

impl Options {
    /// Seconds on a local store: blobs up to 64 MiB, 300 listed, 200 concurrent puts. The default.
    pub fn quick() -> Self {
        Self { largest_blob: 64 << 20, listed_blobs: 300, concurrent_puts: 200 }
    }

    /// Minutes: blobs up to 500 MiB, 10,000 listed.
    pub fn thorough() -> Self {
        Self { largest_blob: 500 << 20, listed_blobs: 10_000, ..Self::quick() }
    }

    /// Sets [`largest_blob`](Self::largest_blob).
    #[must_use]
    pub fn with_largest_blob(mut self, bytes: usize) -> Self {
        self.largest_blob = bytes;
        self
    }

    /// Sets [`listed_blobs`](Self::listed_blobs).
    #[must_use]
    pub fn with_listed_blobs(mut self, count: usize) -> Self {
        self.listed_blobs = count;
        self
    }

    /// Sets [`concurrent_puts`](Self::concurrent_puts).
    #[must_use]
    pub fn with_concurrent_puts(mut self, count: usize) -> Self {
        self.concurrent_puts = count;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::quick()
    }
}

/// Runs every case that applies, with [`Options::quick`].
///
/// # Panics
///
/// If the store breaks the contract, with every case that failed and why.
pub async fn run(store: &dyn BlobStore) {
    run_with(store, Options::default()).await;
}

/// Runs every case that applies.
///
/// # Panics
///
/// If the store breaks the contract, with every case that failed and why.
#[allow(clippy::panic)] // This is how a test fails.
pub async fn run_with(store: &dyn BlobStore, options: Options) {
    let failed = failures(store, options).await;
    if !failed.is_empty() {
        panic!("the store {:?} breaks its contract:\n  {}", store.name(), failed.join("\n  "));
    }
}

/// What the wrappers' own tests run.
#[cfg(test)]
pub(crate) async fn small(store: &dyn BlobStore) {
    run_with(store, Options::quick().with_largest_blob(1 << 20).with_concurrent_puts(50)).await;
}

/// Runs every case that applies and answers a line for each that failed.
pub async fn failures(store: &dyn BlobStore, options: Options) -> Vec<String> {
    let can = store.capabilities();
    let (apply, left_out): (Vec<_>, Vec<_>) = CASES.iter().partition(|case| (case.applies)(&can));
    for case in &left_out {
        println!("conformance: {} left out, {:?} does not declare it", case.name, store.name());
    }
    let outcomes = apply.iter().map(|case| async move {
        let prefix = format!("conformance-{:016x}/", fastrand::u64(..));
        let bench = Bench { store, can, options, prefix, keys: Mutex::default() };
        let outcome = AssertUnwindSafe((case.run)(&bench)).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
        bench.clean().await;
        outcome.err().map(|why| format!("{}: {why}", case.name))
    });
    // Some cases wait for a clock; let others run meanwhile.
    let failed: Vec<_> = stream::iter(outcomes).buffered(4).filter_map(ready).collect().await;
    println!(
        "conformance: {:?} passed {} of {} cases",
        store.name(),
        apply.len() - failed.len(),
        apply.len()
    );
    failed
}

type Outcome = Result<(), String>;

struct Case {
    name: &'static str,
    applies: fn(&Capabilities) -> bool,
    run: for<'a> fn(&'a Bench<'a>) -> BoxFuture<'a, Outcome>,
}

macro_rules! cases {
    ($($module:ident: $($name:ident $(if $applies:expr)?),+;)+) => {
        const CASES: &[Case] = &[$($(Case {
            name: stringify!($name),
            applies: cases!(@ $($applies)?),
            run: |bench| Box::pin($module::$name(bench)),
        },)+)+];
    };
    (@) => { |_| true };
    (@ $applies:expr) => { $applies };
}

cases! {
    reading:
        it_has_a_name_and_answers,
        what_is_put_is_read,
        a_large_blob_is_read,
        a_reader_may_stop_early,
        a_missing_blob_is_not_found,
        a_blob_over_the_readers_limit_is_refused,
        head_tells_the_size if |can| can.head;
    writing:
        a_second_put_finds_the_first,
        a_second_put_renews_the_age if |can| can.ages && can.head,
        touch_renews_the_age if |can| can.ages && can.head && can.touch,
        touching_a_missing_blob_is_not_found if |can| can.touch,
        a_deleted_blob_is_gone if |can| can.delete,
        more_than_the_store_takes_is_refused if |can| can.max_blob_size.is_some_and(|max| max <= 1 << 30),
        the_right_hash_is_accepted,
        a_wrong_hash_damages_nothing,
        what_is_not_declared_is_unsupported;
    keys:
        every_legal_character_makes_a_key_of_its_own,
        long_keys_work,
        a_key_may_be_the_start_of_another;
    concurrency:
        many_may_put_one_key,
        blobs_put_at_once_do_not_mix,
        readers_see_all_or_nothing,
        a_cancelled_put_leaves_all_or_nothing;
    listing:
        a_list_has_every_blob_with_its_size if |can| can.list,
        a_list_of_nothing_is_empty if |can| can.list,
        a_list_tells_ages if |can| can.list && can.ages,
        a_prefix_is_plain_text if |can| can.list;
}

/// What a case works with: the store and a part of its key space.
struct Bench<'a> {
    store: &'a dyn BlobStore,
    can: Capabilities,
    options: Options,
    prefix: String,
    keys: Mutex<BTreeSet<BlobKey>>,
}

impl Bench<'_> {
    /// The key of this name below the case's prefix. It is deleted when the case is over.
    fn key(&self, name: &str) -> Result<BlobKey, String> {
        self.exact_key(&format!("{}{name}", self.prefix))
    }

    fn exact_key(&self, key: &str) -> Result<BlobKey, String> {
        let key = BlobKey::new(key).map_err(|error| error.to_string())?;
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Ok(key)
    }

    async fn put(&self, key: &BlobKey, blob: impl Into<Segments>) -> Result<PutOutcome, String> {
        let outcome = self.store.put(key, blob.into(), PutOptions::default()).await;
        outcome.map_err(|error| format!("put failed: {error}"))
    }

    async fn get(&self, key: &BlobKey) -> Result<Bytes, String> {
        self.try_get(key).await.map_err(|error| format!("get failed: {error}"))
    }

    async fn try_get(&self, key: &BlobKey) -> crate::Result<Bytes> {
        self.store.get(key, GetOptions::at_most(u64::MAX)).await?.bytes().await
    }

    /// Puts `blob` and reads it again.
    async fn round_trip(&self, key: &BlobKey, blob: impl Into<Segments>) -> Outcome {
        let blob = blob.into();
        let outcome = self.put(key, blob.clone()).await?;
        ensure(outcome == PutOutcome::Created, || {
            format!("putting the new key {key:?} answered {outcome:?}")
        })?;
        let read = self.get(key).await?;
        ensure(Segments::from(read.clone()) == blob, || {
            format!("under {key:?}, {} bytes were put and other {} were read", blob.len(), read.len())
        })
    }

    async fn delete(&self, key: &BlobKey) -> Outcome {
        self.store.delete(key).await.map_err(|error| format!("delete failed: {error}"))
    }

    /// Deletes what the case stored, if the store can; a failure here is not the case's.
    async fn clean(self) {
        if self.can.delete {
            let keys = self.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
            let store = self.store;
            stream::iter(keys)
                .for_each_concurrent(16, |key| async move {
                    let _ = store.delete(&key).await;
                })
                .await;
        }
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// `answer` is an error of `kind` that says which store, which operation and which key.
fn ensure_error<T>(
    answer: crate::Result<T>,
    kind: ErrorKind,
    operation: Operation,
    key: &BlobKey,
) -> Outcome {
    let error: Error = match answer {
        Ok(_) => return Err(format!("{operation} succeeded where {kind:?} was due")),
        Err(error) => error,
    };
    ensure(error.kind() == kind, || {
        format!("{operation} answered {:?} where {kind:?} was due: {error}", error.kind())
    })?;
    ensure(error.store().is_some(), || format!("the error does not name the store: {error}"))?;
    ensure(error.operation() == Some(operation), || {
        format!("the error does not name the operation: {error}")
    })?;
    ensure(error.key() == Some(key), || format!("the error does not name the key: {error}"))
}

/// Bytes that tell every place of a blob from every other: numbered blocks.
fn pattern(len: usize) -> Bytes {
    let mut block: Vec<u8> = (0..4096u32).map(|at| (at * 31 + at / 251) as u8).collect();
    let mut bytes = Vec::with_capacity(len);
    for number in 0..len.div_ceil(block.len()) as u64 {
        block[..8].copy_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&block[..block.len().min(len - bytes.len())]);
    }
    bytes.into()
}
