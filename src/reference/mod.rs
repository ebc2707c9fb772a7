//! References: what goes through Temporal in place of a payload, in one file for each wire format.

pub(crate) mod claim_check_v1;
pub(crate) mod external_storage;

use temporalio_common::protos::temporal::api::common::v1::Payload;

/// A wire format of references.
///
/// Both are always read; this chooses what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReferenceFormat {
    /// Temporal's External Storage: what the Go, Python, TypeScript, Java and .NET SDKs read and write. It names
    /// the store and carries size and SHA-256. Default.
    #[default]
    ExternalStorage,
    /// `claim-checked` `v1`, the format of Temporal's Claim Check recipe for Python: a random UUID and nothing
    /// else.
    ClaimCheckV1,
}

impl ReferenceFormat {
    /// The format of `payload`, if it is a reference. Told from its metadata alone; nothing is parsed.
    ///
    /// ```
    /// use temporal_claim_check::ReferenceFormat;
    /// # use temporalio_common::protos::temporal::api::common::v1::Payload;
    /// assert_eq!(ReferenceFormat::of(&Payload::default()), None);
    /// ```
    pub fn of(payload: &Payload) -> Option<Self> {
        if external_storage::is_reference(payload) {
            Some(Self::ExternalStorage)
        } else if claim_check_v1::is_reference(payload) {
            Some(Self::ClaimCheckV1)
        } else {
            None
        }
    }
}

fn metadata<'a>(payload: &'a Payload, key: &str) -> Option<&'a [u8]> {
    payload.metadata.get(key).map(Vec::as_slice)
}
