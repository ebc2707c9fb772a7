use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::BlobKey;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store operation failed: one line of text that names the store, the operation and the key.
///
/// The text may end up in a workflow history that many people read, so it never holds a secret, a credential of
/// a URL or a byte of a blob. Whoever builds an error keeps to that, for the message and for the source.
///
/// ```
/// # use blob_store::{BlobKey, Error, ErrorKind, Operation};
/// # fn main() -> Result<(), Error> {
/// let error = Error::new(ErrorKind::NotFound, "no such blob")
///     .in_store("redis")
///     .during(Operation::Get)
///     .with_key(&BlobKey::new("v0/d/sha256/1b84")?);
/// assert_eq!(error.to_string(), "redis: get v0/d/sha256/1b84: no such blob");
/// assert!(!error.is_transient());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    transient: bool,
    retry_after: Option<Duration>,
    store: Option<String>,
    operation: Option<Operation>,
    key: Option<BlobKey>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no blob under that key: it expired, was deleted, or was never there.
    NotFound,
    /// What is stored is not what was put: its length or hash differs, or it is cut short.
    Corrupt,
    /// The blob is larger than the caller or the store accepts.
    TooLarge,
    /// The store has no room: disk full, `maxmemory` reached, quota used up.
    StorageFull,
    /// Credentials are missing or wrong, or they do not allow this operation.
    PermissionDenied,
    /// No answer in time.
    Timeout,
    /// The store cannot be reached or does not serve requests now.
    Unavailable,
    /// The store asks for fewer requests.
    Throttled,
    /// A URL, option or certificate is wrong; the same call will fail again.
    InvalidConfig,
    /// The key breaks a rule of [`BlobKey`] or of this store.
    InvalidKey,
    /// This store cannot do that; see [`Capabilities`](crate::Capabilities).
    Unsupported,
    /// The operation was given up by its caller or by a shutdown.
    Cancelled,
    /// Anything else.
    Other,
}

/// What the store was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening a connection, loading credentials.
    Connect,
    /// [`BlobStore::put`](crate::BlobStore::put)
    Put,
    /// [`BlobStore::get`](crate::BlobStore::get), and reading the blob it gave
    Get,
    /// [`BlobStore::head`](crate::BlobStore::head)
    Head,
    /// [`BlobStore::touch`](crate::BlobStore::touch)
    Touch,
    /// [`BlobStore::delete`](crate::BlobStore::delete)
    Delete,
    /// [`BlobStore::list`](crate::BlobStore::list)
    List,
}

impl Error {
    /// An error of a kind, transient if its kind usually is.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            transient: kind.is_transient(),
            retry_after: None,
            store: None,
            operation: None,
            key: None,
            source: None,
        }))
    }

    /// The answer of a store that cannot do `operation`.
    pub fn unsupported(operation: Operation) -> Self {
        Self::new(ErrorKind::Unsupported, "this store does not support it").during(operation)
    }

    /// Names the store, unless it is named already.
    #[must_use]
    pub fn in_store(mut self, name: impl Into<String>) -> Self {
        self.0.store.get_or_insert_with(|| name.into());
        self
    }

    /// Names the operation, unless it is named already.
    #[must_use]
    pub fn during(mut self, operation: Operation) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Names the key, unless it is named already.
    #[must_use]
    pub fn with_key(mut self, key: &BlobKey) -> Self {
        self.0.key.get_or_insert_with(|| key.clone());
        self
    }

    /// Names another key than the inner store did, for a wrapper that changes keys.
    #[must_use]
    pub(crate) fn about_key(mut self, key: &BlobKey) -> Self {
        self.0.key = self.0.key.map(|_| key.clone());
        self
    }

    /// Overrides whether trying again may help.
    #[must_use]
    pub fn with_transient(mut self, transient: bool) -> Self {
        self.0.transient = transient;
        self
    }

    /// Notes when the store wants to be asked again.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Keeps the error this one came from. It must not hold a secret: its text may be shown to users.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed when it is tried again soon.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// When the store wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The name of the store, if known.
    pub fn store(&self) -> Option<&str> {
        self.0.store.as_deref()
    }

    /// What the store was asked to do, if known.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// The key of the blob, if the failure was about one.
    pub fn key(&self) -> Option<&BlobKey> {
        self.0.key.as_ref()
    }

    /// The text without store, operation and key.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl ErrorKind {
    /// Whether failures of this kind usually pass by themselves within seconds.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Throttled)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { store, operation, key, message, .. } = &*self.0;
        if let Some(store) = store {
            write!(f, "{store}: ")?;
        }
        match (operation, key) {
            (Some(operation), Some(key)) => write!(f, "{operation} {key}: ")?,
            (Some(operation), None) => write!(f, "{operation}: ")?,
            (None, Some(key)) => write!(f, "{key}: ")?,
            (None, None) => {}
        }
        f.write_str(message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &format_args!("{self}"))
            .field("transient", &self.0.transient)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Equal when a user would read the same: kind and text.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.0.kind == other.0.kind && self.to_string() == other.to_string()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Touch => "touch",
            Self::Delete => "delete",
            Self::List => "list",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_name_a_thing_knows_best() {
        let error = Error::new(ErrorKind::Timeout, "no answer within 5s")
            .in_store("inner")
            .during(Operation::Head)
            .in_store("outer")
            .during(Operation::Put);
        assert_eq!(error.to_string(), "inner: head: no answer within 5s");
    }

    #[test]
    fn transience_follows_the_kind_until_overridden() {
        assert!(Error::new(ErrorKind::Unavailable, "down").is_transient());
        assert!(!Error::new(ErrorKind::Unavailable, "down").with_transient(false).is_transient());
        assert!(!Error::new(ErrorKind::NotFound, "gone").is_transient());
    }

    #[test]
    fn it_stays_small_in_results() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }
}
