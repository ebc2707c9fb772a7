use blob_store::{BlobKey, Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use url::Url;

/// What an `s3://` URL says before its options: the bucket and the prefix within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// A bucket's name, or the ARN of an access point.
    pub(crate) bucket: String,
    /// Empty, or ending in `/`.
    pub(crate) prefix: String,
}

impl Place {
    /// Takes a URL apart; the second part is a URL that has the same options and nothing else.
    ///
    /// An ARN is not a host name (it has colons, and slashes of its own), so this is not left to the URL parser.
    pub(crate) fn of_url(url: &str) -> Result<(Self, Url)> {
        let Some(rest) = url.strip_prefix("s3://") else {
            let scheme = url.split_once("://").map_or("no scheme", |(scheme, _)| scheme);
            return Err(invalid(format!("{scheme:?} is not an S3 URL: it starts with s3://")));
        };
        if rest.contains('#') {
            return Err(invalid("the store URL has a #: write it as %23"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if place.contains('@') {
            return Err(invalid(
                "the store URL has an @: credentials come from the AWS credential chain, not the URL",
            ));
        }
        let (bucket, path) = place.split_at(bucket_len(place));
        if bucket.is_empty() {
            return Err(invalid("the store URL names no bucket: s3://bucket/prefix"));
        }
        let path = percent_decode_str(path.strip_prefix('/').unwrap_or(path)).decode_utf8();
        let path = path.map_err(|_| invalid("the prefix of the store URL is not valid UTF-8"))?;
        let options = Url::parse(&format!("s3://bucket/?{query}"))
            .map_err(|error| invalid(format!("the options of the store URL cannot be read: {error}")))?;
        Ok((Self { bucket: bucket.to_owned(), prefix: folder(&path)? }, options))
    }
}

/// A prefix that ends in `/`, so that no other prefix starts with it by accident.
pub(crate) fn folder(prefix: &str) -> Result<String> {
    let name = prefix.strip_suffix('/').unwrap_or(prefix);
    if name.is_empty() {
        return Ok(String::new());
    }
    // Proxies and file systems behind S3 servers read keys as paths; the rules for keys keep them inside.
    match BlobKey::new(name) {
        Ok(_) => Ok(format!("{name}/")),
        Err(error) => Err(invalid(format!("the prefix is not usable: {}", error.message()))),
    }
}

/// Whether `bucket` can be a bucket's name, by the loosest rules there are, or an ARN.
pub(crate) fn is_bucket(bucket: &str) -> bool {
    let (name, more) = match bucket.strip_prefix("arn:") {
        Some(arn) => (arn, ":/"),
        None => (bucket, ""),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || more.contains(c);
    !matches!(name, "" | "." | "..") && name.chars().all(legal)
}

/// Whether `bucket` is a Multi-Region Access Point.
pub(crate) fn is_multi_region(bucket: &str) -> bool {
    bucket.starts_with("arn:") && bucket.ends_with(".mrap")
}

/// Where the bucket ends: at the first slash, or behind the whole ARN.
fn bucket_len(place: &str) -> usize {
    let slash = |from: usize| place[from..].find('/').map_or(place.len(), |at| from + at);
    // arn:partition:service:region:account:resource
    let Some((resource, _)) = place.match_indices(':').nth(4).filter(|_| place.starts_with("arn:")) else {
        return slash(0);
    };
    let mut end = resource + 1;
    // Each part is a word and a name, separated by a slash or a colon.
    for word in ["outpost", "accesspoint"] {
        if let Some(rest) = place[end..].strip_prefix(word).filter(|rest| rest.starts_with(['/', ':'])) {
            let name = place.len() - rest.len() + 1;
            end = place[name..].find(['/', ':']).map_or(place.len(), |at| name + at);
            if word == "outpost" {
                end = (end + 1).min(place.len());
            }
        }
    }
    slash(end)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> (String, String) {
        let (place, _) = Place::of_url(url).expect(url);
        (place.bucket, place.prefix)
    }

    #[test]
    fn bucket_and_prefix() {
        for (url, bucket, prefix) in [
            ("s3://claims", "claims", ""),
            ("s3://claims/", "claims", ""),
            ("s3://claims?region=eu-west-1", "claims", ""),
            ("s3://claims/team", "claims", "team/"),
            ("s3://claims/team/", "claims", "team/"),
            ("s3://claims/a/b%20c?region=eu-west-1", "claims", "a/b c/"),
            ("s3://claims--use1-az5--x-s3/a", "claims--use1-az5--x-s3", "a/"),
        ] {
            assert_eq!(place(url), (bucket.into(), prefix.into()), "{url}");
        }
    }

    #[test]
    fn arns_stay_whole() {
        for arn in [
            "arn:aws:s3:us-west-2:123456789012:accesspoint/claims",
            "arn:aws:s3:us-west-2:123456789012:accesspoint:claims",
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/claims",
            "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01/accesspoint/claims",
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost:op-01:accesspoint:claims",
            "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/claims",
        ] {
            assert_eq!(place(&format!("s3://{arn}")), (arn.into(), "".into()));
            assert_eq!(place(&format!("s3://{arn}/team/a?region=x")), (arn.into(), "team/a/".into()));
        }
        assert!(is_multi_region("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"));
        assert!(!is_multi_region("bucket.mrap"));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for (url, text) in [
            ("http://claims/a", "\"http\" is not an S3 URL"),
            ("claims", "\"no scheme\" is not an S3 URL"),
            ("s3:///a", "names no bucket"),
            ("s3://id:hunter2@claims", "not the URL"),
            ("s3://claims/a#b", "%23"),
            ("s3://claims/a/../b", "segment \"..\""),
            ("s3://claims/a//b", "segment \"\""),
            ("s3://claims/%FF", "UTF-8"),
        ] {
            let error = Place::of_url(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(text), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
