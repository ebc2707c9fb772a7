//! The contract of a store for immutable blobs.
//!
//! A [`BlobStore`] keeps byte strings under keys its caller chooses, usually the hash of the content. The trait
//! is small so that a store of your own is a short file; its documentation says exactly what a caller may rely
//! on, and the [conformance suite](#testing-a-store-of-your-own) checks it.
//!
//! ```
//! use blob_store::{BlobKey, BlobStore, GetOptions, MemoryStore, PutOptions, PutOutcome};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), blob_store::Error> {
//! let store = MemoryStore::new();
//! let key = BlobKey::new("greetings/hello")?;
//!
//! assert_eq!(store.put(&key, "hello".into(), PutOptions::default()).await?, PutOutcome::Created);
//! let blob = store.get(&key, GetOptions::at_most(1024)).await?;
//! assert_eq!(&blob.bytes().await?[..], b"hello");
//! # Ok(()) }
//! ```
//!
//! # Wrappers
//!
//! [`BlobStoreExt`] puts timeouts, retries, limits, a prefix, a near copy, a mirror or an observer around any
//! store. Each is a store itself, so they stack.
//!
//! # Testing a store of your own
//!
//! With the feature `conformance`, three lines run everything the contract asks of a store, according to the
//! [`Capabilities`] it declares:
//!
#![cfg_attr(feature = "conformance", doc = "```")]
#![cfg_attr(not(feature = "conformance"), doc = "```ignore")]
//! # use blob_store::MemoryStore;
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! blob_store::conformance::run(&MemoryStore::new()).await;
//! # }
//! ```

mod blob;
mod capabilities;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod key;
mod memory;
mod segments;
mod store;
#[cfg(feature = "url")]
mod url_options;
mod wrap;

pub use async_trait::async_trait;
pub use blob::{Blob, BlobStream};
pub use bytes::Bytes;
pub use capabilities::{Capabilities, KeyLayout, Location};
pub use error::{Error, ErrorKind, Operation, Result};
pub use key::BlobKey;
pub use memory::MemoryStore;
pub use segments::Segments;
pub use store::{BlobInfo, BlobStore, GetOptions, ListStream, ListedBlob, PutOptions, PutOutcome};
#[cfg(feature = "url")]
pub use url_options::UrlOptions;
pub use wrap::{
    BlobStoreExt, Limit, Limits, Mirrored, Observation, Observed, Observer, Outcome, Prefixed, ReadOnly,
    Retry, RetryPolicy, Tiered, Timeout, TimeoutPolicy,
};
