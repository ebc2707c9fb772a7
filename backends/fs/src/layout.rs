//! Which file a blob is in. Every key has a path of its own, and the path tells the key.

use std::path::{Path, PathBuf};

/// The directory of files that are being written. No key leads here.
pub(crate) const TEMPORARY: &str = "=tmp";

/// The first directory of keys that begin with `/`.
const ROOTED: &str = "=r";
/// Ends a directory whose name goes on in the next one.
const CONTINUED: &str = "=c";
/// Ends a directory that would else look like a blob's file.
const DIRECTORY: &str = "=d";
/// Ends a file that would else look like a directory.
const FILE: &str = "=f";
/// File systems take names of 255 bytes.
const LONGEST: usize = 250;

/// The path of `key` below the root.
pub(crate) fn path(key: &str) -> PathBuf {
    let mut path = PathBuf::new();
    let relative = key.strip_prefix('/').inspect(|_| path.push(ROOTED)).unwrap_or(key);
    let (directories, name) =
        relative.rsplit_once('/').map_or((None, relative), |(dirs, name)| (Some(dirs), name));
    for segment in directories.into_iter().flat_map(|directories| directories.split('/')) {
        push(&mut path, segment, if is_content_name(segment) { DIRECTORY } else { "" });
    }
    if is_content_name(name) {
        path.push(&name[..2]);
        path.push(name);
    } else {
        push(&mut path, name, FILE);
    }
    path
}

/// The key whose blob is in `path`, if it is one that [`path()`] makes.
pub(crate) fn key(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let mut directory = path.parent()?;
    if is_content_name(file) {
        // The directory that spreads blobs over 256 is not part of the key.
        let shard = directory.file_name().filter(|shard| *shard == &file[..2]);
        directory = shard.and(directory.parent())?;
    }
    let mut key = directories(directory)?;
    if is_content_name(file) {
        key.extend_from_slice(file.as_bytes());
    } else {
        unescape(file.strip_suffix(FILE)?, &mut key)?;
    }
    String::from_utf8(key).ok()
}

/// Whether blobs below a directory can have keys that start with `prefix`.
pub(crate) fn may_hold(directory: &Path, prefix: &str) -> bool {
    // Two letters may spread blobs or be part of the key: only what is above is sure.
    let sure = directory.parent().filter(|_| directory.file_name().is_some_and(|name| name.len() == 2));
    let shared = directories(sure.unwrap_or(directory));
    shared
        .is_some_and(|shared| shared.starts_with(prefix.as_bytes()) || prefix.as_bytes().starts_with(&shared))
}

/// The part of a key that its directories tell.
fn directories(path: &Path) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for (at, name) in path.iter().enumerate() {
        let name = name.to_str()?;
        if let Some(part) = name.strip_suffix(CONTINUED) {
            unescape(part, &mut key)?;
            continue;
        }
        if at > 0 || name != ROOTED {
            unescape(name.strip_suffix(DIRECTORY).unwrap_or(name), &mut key)?;
        }
        key.push(b'/');
    }
    Some(key)
}

fn push(path: &mut PathBuf, segment: &str, suffix: &str) {
    let escaped = escape(segment);
    let mut rest = escaped.as_str();
    while rest.len() + suffix.len() > LONGEST {
        // Not within an escape.
        let cut = (LONGEST - 4..LONGEST - 1)
            .rev()
            .find(|cut| !rest[cut - 2..*cut].contains('='))
            .unwrap_or(LONGEST - 4);
        path.push(format!("{}{CONTINUED}", &rest[..cut]));
        rest = &rest[cut..];
    }
    path.push(format!("{rest}{suffix}"));
}

/// A hash in hex digits or a UUID: the last segment of every key that references have.
fn is_content_name(name: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (name.len() == 64 && hex(name))
        || (name.len() == 36
            && name.split('-').map(str::len).eq([8, 4, 4, 4, 12])
            && name.split('-').all(hex))
}

/// What S3 keys consist of stays; any other byte is `=` and two hex digits.
fn escape(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"!-_.*'()%".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("={byte:02x}");
        }
    }
    escaped
}

/// Bytes and not text: a name may be cut within a character.
fn unescape(escaped: &str, bytes: &mut Vec<u8>) -> Option<()> {
    let mut parts = escaped.split('=');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn claim_keys_are_readable_paths() {
        let hash = "ab".repeat(32);
        assert_eq!(
            path(&format!("v0/ns/payments%20prod/d/sha256/{hash}")),
            Path::new(&format!("v0/ns/payments%20prod/d/sha256/ab/{hash}"))
        );
        let uuid = "7b0f1c1e-5a5e-4f0e-9a55-0d6c2b7d9a10";
        assert_eq!(path(uuid), Path::new(&format!("7b/{uuid}")));
        assert_eq!(path("/a b/c"), Path::new("=r/a=20b/c=f"));
    }

    #[test]
    fn what_is_not_ours_has_no_key() {
        for foreign in
            ["lost+found", "a/notes.txt", "=tmp/1", "v0/a=zz=f", &format!("v0/{}", "ab".repeat(32))]
        {
            assert_eq!(key(Path::new(foreign)), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn a_path_tells_its_key(
            rooted in any::<bool>(),
            segments in proptest::collection::vec(
                prop_oneof![
                    // The two that no key has.
                    "[^/\\x00]{1,90}".prop_filter("a segment of dots", |text| text != "." && text != ".."),
                    "[a-c=]{1,4}", Just("ab".repeat(32)), "[a=ü]{240,300}",
                    Just("7b0f1c1e-5a5e-4f0e-9a55-0d6c2b7d9a10".to_owned()),
                ],
                1..5,
            ),
        ) {
            let original = format!("{}{}", if rooted { "/" } else { "" }, segments.join("/"));
            let path = path(&original);
            prop_assert!(path.iter().all(|name| name.len() <= 255));
            prop_assert_eq!(key(&path), Some(original.clone()));
            let directory = path.parent().expect("at least the root");
            for end in original.char_indices().map(|(at, _)| at) {
                prop_assert!(may_hold(directory, &original[..end]));
            }
        }
    }
}
