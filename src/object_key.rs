//! Where a payload is stored: object keys from its hash and what is known of the workflow it belongs to.

use std::borrow::Cow;

use blob_store::{BlobKey, ErrorKind, KeyLayout, Location};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::hex;

/// What is known of where a payload belongs; it becomes part of the object key.
///
/// ```
/// use temporal_claim_check::{Owner, PayloadContext};
///
/// let context = PayloadContext::namespace("payments")
///     .with_owner(Owner::Workflow { id: "order-1".into(), run_id: None, workflow_type: None });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PayloadContext {
    /// The Temporal namespace.
    pub namespace: Option<String>,
    /// The workflow or standalone activity.
    pub owner: Option<Owner>,
}

/// The workflow or standalone activity a payload belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A workflow.
    Workflow {
        /// Workflow ID.
        id: String,
        /// Run ID, if known.
        run_id: Option<String>,
        /// Workflow type, if known.
        workflow_type: Option<String>,
    },
    /// An activity that belongs to no workflow.
    Activity {
        /// Activity ID.
        id: String,
        /// Run ID, if known.
        run_id: Option<String>,
        /// Activity type, if known.
        activity_type: Option<String>,
    },
}

impl PayloadContext {
    /// Only the namespace is known.
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), owner: None }
    }

    /// Sets the [`owner`](Self::owner).
    #[must_use]
    pub fn with_owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }
}

/// The key, below the prefix of `location`, of the payload with this hash.
///
/// A key that would be too long, or has a segment `..`, falls back to namespace and hash, and that to the hash.
pub(crate) fn content_key(
    location: &Location,
    context: &PayloadContext,
    sha256: &[u8; 32],
) -> blob_store::Result<BlobKey> {
    let namespace = context.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace: Vec<_> = namespace.into_iter().flat_map(|namespace| ["ns", namespace]).collect();
    let mut full = namespace.clone();
    full.extend(context.owner.iter().flat_map(Owner::segments));

    let room = BlobKey::MAX_LEN.saturating_sub(location.prefix.len());
    let mut last = None;
    for segments in [full, namespace, Vec::new()] {
        let key = join(location, segments, sha256);
        if key.len() <= room {
            match BlobKey::new(key) {
                Ok(key) => return Ok(key),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        blob_store::Error::new(ErrorKind::InvalidKey, "the store's prefix leaves no room for a key")
    }))
}

/// The key below the prefix of `location` for a key from a reference, if it is one this project or another SDK
/// could have written there for a payload with this hash. Else the reason why not.
pub(crate) fn resolve(location: &Location, key: &str, sha256: &[u8; 32]) -> Result<BlobKey, String> {
    let Some(below) = key.strip_prefix(location.prefix.as_str()) else {
        return Err(format!("it is outside of the store's prefix {:?}", location.prefix));
    };
    let root = format!("{}v0{}", root(location), separator(location.layout));
    let hash = hash_segments(location.layout, sha256);
    // With nothing known of the context, the hash follows the root directly.
    let context = below.strip_prefix(&root).and_then(|rest| rest.strip_suffix(&hash));
    let has_shape =
        context.is_some_and(|context| context.is_empty() || context.ends_with(separator(location.layout)));
    if !has_shape {
        return Err(format!("it does not have the form {root}…{hash}"));
    }
    BlobKey::new(below).map_err(|error| error.message().to_owned())
}

impl Owner {
    fn segments(&self) -> [&str; 6] {
        fn known(text: Option<&str>) -> &str {
            text.filter(|text| !text.is_empty()).unwrap_or("null")
        }
        match self {
            Self::Workflow { id, run_id, workflow_type } => {
                ["wt", known(workflow_type.as_deref()), "wi", known(Some(id)), "ri", known(run_id.as_deref())]
            }
            Self::Activity { id, run_id, activity_type } => {
                ["at", known(activity_type.as_deref()), "ai", known(Some(id)), "ri", known(run_id.as_deref())]
            }
        }
    }
}

fn join<'a>(location: &Location, context: impl IntoIterator<Item = &'a str>, sha256: &[u8; 32]) -> String {
    let separator = separator(location.layout);
    let mut key = root(location).to_owned() + "v0" + separator;
    for segment in context {
        key += &escape(location.layout, segment);
        key += separator;
    }
    key + &hash_segments(location.layout, sha256)
}

fn hash_segments(layout: KeyLayout, sha256: &[u8; 32]) -> String {
    ["d", "sha256", &hex::encode(sha256)].join(separator(layout))
}

/// What stands before `v0` where the store has no prefix of its own: in Redis, the default of Temporal's driver.
fn root(location: &Location) -> &'static str {
    match location.layout {
        KeyLayout::Redis if location.prefix.is_empty() => "temporalio:payloads:",
        _ => "",
    }
}

fn separator(layout: KeyLayout) -> &'static str {
    if layout == KeyLayout::Redis { ":" } else { "/" }
}

fn escape(layout: KeyLayout, segment: &str) -> Cow<'_, str> {
    const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    const S3: AsciiSet = UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
    const REDIS: AsciiSet = UNRESERVED.remove(b'~');
    match layout {
        KeyLayout::Gcs => escape_gcs(segment),
        KeyLayout::Redis => utf8_percent_encode(segment, &REDIS).into(),
        _ => utf8_percent_encode(segment, &S3).into(),
    }
}

/// GCS takes nearly everything: control characters (also those beyond ASCII), `.` and `..`, and what its
/// documentation advises against are escaped.
fn escape_gcs(segment: &str) -> Cow<'_, str> {
    const UNWISE: &str = "#[]*?:\"<>|/%";
    match segment {
        "." => return "%2E".into(),
        ".." => return "%2E%2E".into(),
        _ => {}
    }
    let escaped = |c: char| c.is_control() || UNWISE.contains(c);
    if !segment.contains(escaped) {
        return segment.into();
    }
    let mut out = String::with_capacity(segment.len() + 8);
    for c in segment.chars() {
        if escaped(c) {
            out.extend(utf8_percent_encode(c.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC));
        } else {
            out.push(c);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: [u8; 32] = [0xab; 32];

    fn workflow(id: &str) -> PayloadContext {
        let owner = Owner::Workflow { id: id.into(), run_id: None, workflow_type: Some("Type~1".into()) };
        PayloadContext::namespace("payments prod").with_owner(owner)
    }

    fn key(layout: KeyLayout, prefix: &str, context: &PayloadContext) -> String {
        let location = Location::default().with_layout(layout).with_prefix(prefix);
        content_key(&location, context, &HASH).expect("a valid key").to_string()
    }

    #[test]
    fn each_layout_has_its_escapes() {
        let hash = "ab".repeat(32);
        let context = workflow("a/b:ü+'");
        assert_eq!(
            key(KeyLayout::S3, "", &context),
            format!("v0/ns/payments%20prod/wt/Type%7E1/wi/a%2Fb%3A%C3%BC%2B'/ri/null/d/sha256/{hash}")
        );
        assert_eq!(
            key(KeyLayout::Gcs, "", &context),
            format!("v0/ns/payments prod/wt/Type~1/wi/a%2Fb%3Aü+'/ri/null/d/sha256/{hash}")
        );
        assert_eq!(
            key(KeyLayout::Redis, "", &context),
            format!(
                "temporalio:payloads:v0:ns:payments%20prod:wt:Type~1:wi:a%2Fb%3A%C3%BC%2B%27:ri:null:d:sha256:{hash}"
            )
        );
    }

    #[test]
    fn what_is_unknown_is_left_out_or_null() {
        let hash = "ab".repeat(32);
        assert_eq!(key(KeyLayout::S3, "", &PayloadContext::default()), format!("v0/d/sha256/{hash}"));
        assert_eq!(
            key(KeyLayout::S3, "", &PayloadContext::namespace("default")),
            format!("v0/ns/default/d/sha256/{hash}")
        );
        let activity = Owner::Activity { id: "a".into(), run_id: Some(String::new()), activity_type: None };
        assert_eq!(
            key(KeyLayout::S3, "", &PayloadContext::namespace("n").with_owner(activity)),
            format!("v0/ns/n/at/null/ai/a/ri/null/d/sha256/{hash}")
        );
        assert_eq!(key(KeyLayout::Redis, "team:", &PayloadContext::default()), format!("v0:d:sha256:{hash}"));
    }

    #[test]
    fn gcs_dots_and_control_characters() {
        assert_eq!(escape_gcs("."), "%2E");
        assert_eq!(escape_gcs(".."), "%2E%2E");
        assert_eq!(escape_gcs("a.b\u{85}\n"), "a.b%C2%85%0A");
    }

    #[test]
    fn a_key_that_is_too_long_falls_back_to_the_namespace() {
        let long = workflow(&"ü".repeat(200));
        assert_eq!(
            key(KeyLayout::S3, "", &long),
            format!("v0/ns/payments%20prod/d/sha256/{}", "ab".repeat(32))
        );
        assert!(key(KeyLayout::Gcs, "", &long).contains("/wi/"));
    }

    #[test]
    fn keys_of_others_are_refused_with_the_reason() {
        let location = Location::default().with_layout(KeyLayout::S3).with_prefix("claims/");
        let hash = "ab".repeat(32);
        for (key, reason) in [
            (format!("v0/d/sha256/{hash}"), "outside of the store's prefix"),
            ("claims/session:4711".into(), "does not have the form"),
            (format!("claims/v0/d/sha256/{}", "ac".repeat(32)), "does not have the form"),
            (format!("claims/v0/xd/sha256/{hash}"), "does not have the form"),
            (format!("claims/v0/../d/sha256/{hash}"), "has a segment"),
        ] {
            let refused = resolve(&location, &key, &HASH).expect_err(&key);
            assert!(refused.contains(reason), "{key}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn every_key_written_resolves_to_itself(
            namespace in ".{0,30}", id in ".{0,300}", prefix in "([a-z]{1,8}[/:]){0,2}", layout in 0usize..3,
        ) {
            let layout = [KeyLayout::S3, KeyLayout::Gcs, KeyLayout::Redis][layout];
            let location = Location::default().with_layout(layout).with_prefix(prefix.clone());
            let owner = Owner::Workflow { id, run_id: None, workflow_type: None };
            let context = PayloadContext::namespace(namespace).with_owner(owner);
            let key = content_key(&location, &context, &HASH).expect("always valid");
            prop_assert!(prefix.len() + key.as_str().len() <= 1024);
            prop_assert_eq!(resolve(&location, &format!("{prefix}{key}"), &HASH), Ok(key));
        }
    }
}
