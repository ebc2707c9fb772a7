//! Claim Check for Temporal.

mod codec;
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
pub use error::{Corruption, Error, Result};
pub use object_key::{Owner, PayloadContext};
#[cfg(feature = "plugin")]
pub use plugin::ClaimCheckPlugin;
pub use reference::ReferenceFormat;

pub use blob_store;
#[cfg(feature = "redis")]
pub use blob_store_redis as redis;
