use std::time::Duration;

use temporalio_common::data_converters::PayloadConversionError;

/// Why payloads could not be stored or brought back.
///
/// The text is one line without secrets or payload data, because it ends up in the workflow's history: as the
/// cause of a failed workflow task or activity, which Temporal then tries again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed. Where it may pass, it was tried again within the deadline.
    #[error("{0}")]
    Store(#[from] blob_store::Error),

    /// A reference names a store this codec does not have.
    #[error(
        "[TMPRL1105] a payload is stored in {store:?}, which is not configured here (configured: {configured}): \
         add that store to the codec of this worker or client"
    )]
    UnknownStore {
        /// The name in the reference.
        store: String,
        /// The names this codec knows.
        configured: String,
    },

    /// A payload says it is a reference and cannot be read as one.
    #[error("[TMPRL1106] a payload is marked as a {format} reference but cannot be read as one: {reason}")]
    MalformedReference {
        /// Which wire format it claims to be in.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// A reference points outside of what its store is configured to hold.
    #[error("{store}: a reference to {key:?} was refused: {reason}")]
    ForeignReference {
        /// The store the reference names.
        store: String,
        /// The key in the reference.
        key: String,
        /// Which rule it breaks.
        reason: String,
    },

    /// What is stored is not what was put.
    #[error(
        "{store}: {key}: the stored payload is corrupt: {corruption}; it was replaced or damaged in the store, and \
         only restoring the original bytes under that key helps"
    )]
    Corrupt {
        /// The store that was read.
        store: String,
        /// The key that was read.
        key: String,
        /// In which way.
        corruption: Corruption,
    },

    /// A payload is larger than the codec was told to store.
    #[error("a payload of {size} bytes exceeds max_payload_size, {max} bytes; nothing was stored")]
    TooLarge {
        /// Its size when stored.
        size: usize,
        /// The limit.
        max: usize,
    },

    /// The deadline of one codec call passed.
    #[error("{action} did not finish within the deadline of {deadline:?}; Temporal will try again")]
    Deadline {
        /// What was being done, with count and store.
        action: String,
        /// The deadline.
        deadline: Duration,
    },

    /// The codec was called where it cannot work, or was stopped at it.
    #[error("the claim check codec was interrupted: {0}")]
    Interrupted(&'static str),

    /// The configuration cannot work.
    #[error("invalid claim check configuration: {0}")]
    InvalidConfig(String),

    /// A codec that runs before storage failed.
    #[error("a codec before storage failed: {0}")]
    BeforeStorage(String),
}

/// In which way a stored payload is not what was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// More or fewer bytes than the store announced.
    #[error("{announced} bytes were announced and {received} came")]
    Length {
        /// What the store announced.
        announced: u64,
        /// What came, until reading stopped.
        received: u64,
    },
    /// More or fewer bytes than the reference says.
    #[error("the reference speaks of {expected} bytes and the store has {actual}")]
    Size {
        /// What the reference says.
        expected: u64,
        /// What the store has.
        actual: u64,
    },
    /// Another SHA-256 than the reference says.
    #[error("its SHA-256 differs from the one in the reference")]
    Hash,
    /// The bytes are no `temporal.api.common.v1.Payload`.
    #[error("its bytes are not a Temporal payload")]
    NotAPayload,
}

/// The result of a claim check operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for PayloadConversionError {
    fn from(error: Error) -> Self {
        Self::EncodingError(Box::new(error))
    }
}
