//! Stores around stores: each adds one thing and forwards the rest.

mod copies;
mod limit;
mod mirrored;
mod observed;
mod prefixed;
mod read_only;
mod resume;
mod retry;
mod tiered;
mod timeout;

use std::sync::Arc;

pub use limit::{Limit, Limits};
pub use mirrored::Mirrored;
pub use observed::{Observation, Observed, Observer, Outcome};
pub use prefixed::Prefixed;
pub use read_only::ReadOnly;
pub use retry::{Retry, RetryPolicy};
pub use tiered::Tiered;
pub use timeout::{Timeout, TimeoutPolicy};

use crate::{BlobStore, Result};

/// Puts wrappers around any store.
///
/// The one called last is outermost. So that a stuck attempt is given up and tried again, and that waiting for
/// a permit counts against no timeout, the usual order is timeout, retry, limits:
///
/// ```
/// use blob_store::{BlobStoreExt as _, Limits, MemoryStore, RetryPolicy, TimeoutPolicy};
///
/// # fn main() -> Result<(), blob_store::Error> {
/// let store = MemoryStore::new()
///     .with_prefix("staging/")?
///     .with_timeout(TimeoutPolicy::default())
///     .with_retry(RetryPolicy::default())
///     .with_limits(Limits::new(64, 256 << 20));
/// # let _ = store; Ok(()) }
/// ```
pub trait BlobStoreExt: BlobStore + Sized {
    /// Gives up what takes too long: [`Timeout`].
    fn with_timeout(self, policy: TimeoutPolicy) -> Timeout<Self> {
        Timeout::new(self, policy)
    }

    /// Tries again what failed and may pass: [`Retry`].
    fn with_retry(self, policy: RetryPolicy) -> Retry<Self> {
        Retry::new(self, policy)
    }

    /// Bounds operations and bytes in flight: [`Limit`].
    fn with_limits(self, limits: Limits) -> Limit<Self> {
        Limit::new(self, limits)
    }

    /// Puts `prefix` in front of every key: [`Prefixed`].
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if no valid key begins with `prefix`.
    fn with_prefix(self, prefix: impl Into<String>) -> Result<Prefixed<Self>> {
        Prefixed::new(self, prefix)
    }

    /// Refuses every change: [`ReadOnly`].
    fn read_only(self) -> ReadOnly<Self> {
        ReadOnly::new(self)
    }

    /// Reads from `near` first, and keeps there what was put or read: [`Tiered`].
    fn with_near(self, near: impl BlobStore) -> Tiered {
        Tiered::new(near, self)
    }

    /// Keeps every blob in `other` too: [`Mirrored`].
    fn mirrored_to(self, other: impl BlobStore) -> Mirrored {
        Mirrored::new(self).and(other)
    }

    /// Tells `observer` of every operation: [`Observed`].
    fn observed_by(self, observer: impl Observer) -> Observed<Self> {
        Observed::new(self, Arc::new(observer))
    }
}

impl<S: BlobStore> BlobStoreExt for S {}
