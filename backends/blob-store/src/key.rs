use std::fmt;
use std::sync::Arc;

use crate::{Error, ErrorKind, Result};

/// The name of a blob within a store: a validated, cheap-to-clone string.
///
/// A key is 1 to 1,024 bytes of UTF-8 without control characters. Read as a path with `/` between its segments,
/// it never leaves its root: no segment is empty, `.` or `..`. One leading `/` is allowed, because foreign
/// formats have such keys.
///
/// ```
/// # use blob_store::BlobKey;
/// assert!(BlobKey::new("v0/ns/default/d/sha256/1b84").is_ok());
/// for bad in ["", "a/../b", "a//b", "line\nfeed"] {
///     assert!(BlobKey::new(bad).is_err());
/// }
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(Arc<str>);

impl BlobKey {
    /// The longest key in bytes: the limit of S3 and GCS.
    pub const MAX_LEN: usize = 1024;

    /// Validates `key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`], saying which rule is broken. The key itself is not repeated when it is too
    /// long or has control characters.
    pub fn new(key: impl AsRef<str>) -> Result<Self> {
        let key = key.as_ref();
        let invalid = |why: String| Err(Error::new(ErrorKind::InvalidKey, why));
        if key.is_empty() {
            return invalid("the key is empty".into());
        }
        if key.len() > Self::MAX_LEN {
            return invalid(format!("the key has {} bytes, the limit is {}", key.len(), Self::MAX_LEN));
        }
        if key.chars().any(char::is_control) {
            return invalid("the key has a control character".into());
        }
        let relative = key.strip_prefix('/').unwrap_or(key);
        match relative.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
            Some(segment) => invalid(format!("the key {key:?} has a segment {segment:?}")),
            None => Ok(Self(key.into())),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for BlobKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_format_are_valid() {
        for key in [
            "v0/ns/payments%20prod/wt/Charge/wi/order%2B1/ri/null/d/sha256/1b84",
            "v0/ns/payments prod/wt/größe/d/sha256/1b84",
            "temporalio:payloads:v0:ns:default:d:sha256:1b84",
            "7b0f1c1e-5a5e-4f0e-9a55-0d6c2b7d9a10",
            "/blobs/ns/common/sha256:1b84/sha256:99",
            "...",
        ] {
            assert_eq!(BlobKey::new(key).map(|key| key.to_string()), Ok(key.to_owned()));
        }
        assert!(BlobKey::new("k".repeat(1024)).is_ok());
    }

    #[test]
    fn each_rule_has_its_own_text() {
        for (key, text) in [
            (String::new(), "the key is empty"),
            ("k".repeat(1025), "the key has 1025 bytes, the limit is 1024"),
            ("a\u{0}b".into(), "the key has a control character"),
            ("a\u{9b}b".into(), "the key has a control character"),
            ("../etc/passwd".into(), r#"the key "../etc/passwd" has a segment "..""#),
            ("a/./b".into(), r#"the key "a/./b" has a segment ".""#),
            ("a//b".into(), r#"the key "a//b" has a segment """#),
            ("a/".into(), r#"the key "a/" has a segment """#),
            ("//a".into(), r#"the key "//a" has a segment """#),
            ("/".into(), r#"the key "/" has a segment """#),
        ] {
            let error = BlobKey::new(key).expect_err("invalid");
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidKey, text));
        }
    }
}
