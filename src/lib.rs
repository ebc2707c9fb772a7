//! The Claim Check pattern for [Temporal](https://temporal.io)'s Rust SDK: large payloads go to Redis, S3 or a store
//! of your own, a small reference goes through Temporal, and workflow code never notices.
//!
//! Temporal keeps every payload in the workflow's history, refuses payloads over 2 MiB, and ends histories over
//! 50 MiB. A [`ClaimCheckCodec`] sits where the SDK hands payloads to the server: it stores what is large and
//! sends a reference instead, and brings it back on the other side.
//!
//! # Five lines to wire it
//!
#![cfg_attr(all(feature = "plugin", feature = "redis"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "plugin", feature = "redis")), doc = "```ignore")]
//! use temporal_claim_check::redis::RedisStore;
//! use temporal_claim_check::{ClaimCheckCodec, ClaimCheckPlugin};
//! use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
//!
//! # async fn wire(connection: Connection) -> Result<(), Box<dyn std::error::Error>> {
//! let store = RedisStore::connect("redis://localhost:6379").await?;
//! let codec = ClaimCheckCodec::builder().store(store).build()?;
//! let options = ClientOptions::new("default").plugin(ClaimCheckPlugin::new(codec)).build();
//! let client = Client::new(connection, options)?;
//! # let _ = client;
//! # Ok(()) }
//! ```
//!
//! Workers made from that client have it too. Without the feature `plugin`, give
//! [`into_data_converter`](ClaimCheckCodec::into_data_converter) to the client's `data_converter` option, and the
//! namespace to [`ClaimCheckBuilder::context`].
//!
//! # Choosing a threshold
//!
//! Payloads of [`threshold`](ClaimCheckBuilder::threshold) bytes and more are stored. The default is what the store
//! suggests: 20 KiB for Redis and memory. What bounds the choice, in Temporal's default configuration:
//!
//! | limit | default | what happens |
//! |---|---|---|
//! | one payload | 2 MiB | the request is refused (a warning is logged from 256 KiB on) |
//! | one request | 4 MiB | refused by gRPC; all payloads of a workflow task together |
//! | one history | 50 MiB or 51,200 events | the workflow is terminated (a warning from 10 MiB on) |
//! | one memo | 2 MiB | refused |
//!
//! A workflow task that schedules 50 activities with 80 KiB each reaches 4 MiB, and a history of 5,000 such payloads
//! 400 MiB. So stay well below 256 KiB where there are many payloads; a store in the same network answers within a
//! millisecond. Not below 1 KiB: the SDK's `describe` of a child workflow fails if its `static_summary` was stored.
//!
//! # A store of your own
//!
//! Implement [`BlobStore`](blob_store::BlobStore): a name, `put` and `get`. The conformance suite (feature
//! `conformance` of the crate `blob-store`) checks it in three lines. `examples/custom_store.rs` is complete.
//!
//! # A store by URL
//!
//! [`open_store`] opens what a URL names, so that configuration decides: `redis://…`, `s3://…`, `file:///…`.
//!
//! # When something fails
//!
//! A store that does not answer fails the call, never the data: the client gets the error, a workflow task or
//! activity fails and Temporal tries it again, and the workflow goes on when the store is back. See [`Error`].
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `redis` (default) | the store `redis::RedisStore` |
//! | `fs` | the store `fs::FsStore` |
//! | `s3` | the store `s3::S3Store`; with `s3-sigv4a` also for Multi-Region Access Points |
//! | `plugin` | [`ClaimCheckPlugin`] |

mod codec;
mod config;
mod error;
mod hex;
mod object_key;
mod offload;
mod payload;
#[cfg(feature = "plugin")]
mod plugin;
mod reference;
mod stores;

pub use codec::{ClaimCheckBuilder, ClaimCheckCodec, SharedCodec};
pub use config::open_store;
pub use error::{Corruption, Error, Result};
pub use object_key::{Owner, PayloadContext};
#[cfg(feature = "plugin")]
pub use plugin::ClaimCheckPlugin;
pub use reference::ReferenceFormat;

pub use blob_store;
#[cfg(feature = "fs")]
pub use blob_store_fs as fs;
#[cfg(feature = "redis")]
pub use blob_store_redis as redis;
#[cfg(feature = "s3")]
pub use blob_store_s3 as s3;
