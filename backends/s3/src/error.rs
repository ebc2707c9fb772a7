use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use blob_store::{Error, ErrorKind, Operation};

/// What a failed request means for the caller.
///
/// Texts are ours: those of a server can repeat what was sent to it. Of its answer, only the error code, the
/// request id and the name of a missing permission are shown.
pub(crate) fn from_sdk<E>(operation: Operation, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match error {
        SdkError::ServiceError(refused) => {
            let meta = refused.err().meta();
            let answer = refused.raw();
            Refusal {
                operation,
                status: answer.status().as_u16(),
                code: meta.code().unwrap_or_default(),
                message: meta.message().unwrap_or_default(),
                header: &|name| answer.headers().get(name),
            }
            .explain()
        }
        SdkError::ResponseError(broken) => Refusal {
            operation,
            status: broken.raw().status().as_u16(),
            code: "",
            message: "",
            header: &|name| broken.raw().headers().get(name),
        }
        .explain_unreadable(),
        SdkError::TimeoutError(_) => Error::new(ErrorKind::Timeout, "no answer in time"),
        SdkError::DispatchFailure(failure) => {
            let text = chain(error);
            if let Some(failed) = credentials(error) {
                failed
            } else if failure.is_timeout() {
                Error::new(ErrorKind::Timeout, "no connection in time: is the endpoint right?")
            } else if text.contains("certificate") {
                Error::new(
                    ErrorKind::InvalidConfig,
                    "the server's TLS certificate is not trusted: for a private CA set SSL_CERT_FILE",
                )
            } else if failure.is_user() {
                Error::new(ErrorKind::InvalidConfig, "the request cannot be sent as configured")
            } else if text.contains("refused") {
                Error::new(ErrorKind::Unavailable, "the connection was refused: is the server running?")
            } else if text.contains("dns error") {
                Error::new(
                    ErrorKind::Unavailable,
                    "the server's name is not known: are region and endpoint right, and path_style?",
                )
            } else {
                Error::new(ErrorKind::Unavailable, "the connection failed")
            }
        }
        _ => credentials(error).unwrap_or_else(|| {
            // Nothing was sent: bucket, region or endpoint make no address.
            Error::new(ErrorKind::InvalidConfig, "bucket, region and endpoint do not fit together")
        }),
    }
}

/// The error code of the server's answer, if it gave one.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error.as_service_error().and_then(|error| error.meta().code()).unwrap_or_default()
}

/// The HTTP status of the answer; 0 if there was none.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |answer| answer.status().as_u16())
}

pub(crate) fn missing() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "no such blob: it expired, was deleted, or is in another bucket or prefix",
    )
}

struct Refusal<'a> {
    operation: Operation,
    status: u16,
    code: &'a str,
    message: &'a str,
    header: &'a dyn Fn(&'static str) -> Option<&'a str>,
}

impl Refusal<'_> {
    fn explain(&self) -> Error {
        use ErrorKind::{
            Corrupt, InvalidConfig, InvalidKey, NotFound, Other, PermissionDenied, StorageFull, Throttled,
            Timeout, TooLarge, Unavailable, Unsupported,
        };
        let (kind, text) = match (self.status, self.code) {
            (_, "NoSuchBucket") => (InvalidConfig, "there is no such bucket"),
            (_, "NoSuchKey" | "NotFound") | (404, "") => return missing(),
            (_, "AccessDenied" | "AllAccessDisabled" | "AccountProblem") | (403, "" | "Forbidden") => {
                return self.explain_denial();
            }
            (_, "InvalidAccessKeyId") => (
                PermissionDenied,
                "the access key is not known to the server: check the credentials and the endpoint",
            ),
            (_, "SignatureDoesNotMatch") => {
                (PermissionDenied, "the secret key does not belong to the access key: check the credentials")
            }
            (_, "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException") => {
                (PermissionDenied, "the session token has expired: renew the credentials (aws sso login)")
            }
            (_, "InvalidToken") => {
                (PermissionDenied, "the session token is not valid: renew the credentials")
            }
            (_, "RequestTimeTooSkewed" | "RequestExpired") => (
                PermissionDenied,
                "this machine's clock and the server's are more than 15 minutes apart: set the clock (NTP)",
            ),
            (301 | 307, _)
            | (
                _,
                "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect",
            ) => {
                return self.explain_region();
            }
            (
                _,
                "SlowDown"
                | "Throttling"
                | "ThrottlingException"
                | "TooManyRequests"
                | "BandwidthLimitExceeded",
            )
            | (429, _) => (Throttled, "the server asks for fewer requests"),
            (_, "RequestTimeout") => (Timeout, "the server waited too long for the request's body"),
            (
                _,
                "BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest" | "XAmzContentChecksumMismatch",
            ) => {
                // Damage on the way passes; a caller's wrong hash does not, and costs a few attempts.
                return Error::new(
                    Corrupt,
                    "what reached the server does not have the SHA-256 that was announced",
                )
                .with_transient(true);
            }
            (413, _) | (_, "EntityTooLarge") => (TooLarge, "the server does not take a blob of this size"),
            (414, _) | (_, "KeyTooLongError") => (InvalidKey, "the key is too long for the server"),
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => {
                (StorageFull, "the quota or the disk is full")
            }
            (_, "InvalidObjectState") => (
                Unavailable,
                "the blob is in an archive storage class: restore it, and keep lifecycle rules from moving blobs there",
            ),
            (_, "InvalidStorageClass") => (InvalidConfig, "the server does not know this storage_class"),
            (_, code) if code.starts_with("KMS.") => (
                PermissionDenied,
                "the KMS key cannot be used: check that it exists, is enabled, and allows kms:GenerateDataKey and \
                 kms:Decrypt",
            ),
            (501, _) => (Unsupported, "the server does not know this request"),
            (500 | 502..=599, _) => (Unavailable, "the server failed"),
            (_, "InvalidArgument" | "InvalidRequest" | "InvalidBucketName" | "InvalidTag") => {
                (InvalidConfig, "the server does not take the request as configured")
            }
            // A HEAD's answer has no code.
            (400, "") => {
                (InvalidConfig, "the server does not take the request: are region and credentials right?")
            }
            (404, _) => (NotFound, "there is no such thing"),
            _ => (Other, "the server refused the request"),
        };
        let transient = kind.is_transient() && self.code != "InvalidObjectState";
        let error = Error::new(kind, format!("{text}{}", self.details())).with_transient(transient);
        match self.retry_after() {
            Some(delay) if transient => error.with_retry_after(delay),
            _ => error,
        }
    }

    /// Which permission is missing. AWS says it; for others we know what the operation takes.
    fn explain_denial(&self) -> Error {
        let denied = self.message.split_once("not authorized to perform: ").map(|(_, action)| action);
        let denied = denied.map(|action| action.split_whitespace().next().unwrap_or_default());
        let denied = denied.filter(|action| action.contains(':')).map(plain);
        let reads = matches!(self.operation, Operation::Get | Operation::Head | Operation::Touch);
        let needs = match (denied.as_deref(), self.operation) {
            // Only of a key that is missing does S3 ask whether the caller may list.
            (Some("s3:ListBucket"), _) if reads => return missing(),
            (Some(action), _) => format!("the credentials lack the permission {action}"),
            (None, Operation::Get | Operation::Head) => {
                "access denied: either the blob is missing and the credentials lack s3:ListBucket, or they lack \
                 s3:GetObject (and kms:Decrypt for SSE-KMS)"
                    .to_owned()
            }
            (None, Operation::Put) => {
                "access denied: the credentials lack s3:PutObject (or s3:PutObjectTagging for tags, \
                 kms:GenerateDataKey for SSE-KMS)"
                    .to_owned()
            }
            (None, Operation::Touch) => "access denied: the credentials lack s3:GetObject or s3:PutObject (or \
                                         s3:GetObjectTagging and s3:PutObjectTagging for tagged blobs)"
                .to_owned(),
            (None, Operation::Delete) => "access denied: the credentials lack s3:DeleteObject".to_owned(),
            (None, Operation::List) => "access denied: the credentials lack s3:ListBucket".to_owned(),
            (None, _) => "access denied: the credentials lack s3:ListBucket, or s3:GetObject and s3:PutObject".to_owned(),
        };
        Error::new(ErrorKind::PermissionDenied, format!("{needs}{}", self.details()))
    }

    fn explain_region(&self) -> Error {
        let hint = match (self.header)("x-amz-bucket-region") {
            Some(region) => format!("the bucket is in the region {}", plain(region)),
            None => "the bucket is in another region, or not at this endpoint".to_owned(),
        };
        Error::new(ErrorKind::InvalidConfig, format!("{hint}{}", self.details()))
    }

    /// An answer that came in part, or is not what S3 answers.
    fn explain_unreadable(&self) -> Error {
        match self.status {
            200..=299 | 500..=599 => {
                Error::new(ErrorKind::Unavailable, "the server's answer was cut short or unreadable")
            }
            status => Error::new(
                ErrorKind::Other,
                format!("the answer (HTTP {status}) is not that of an S3 server"),
            ),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        (self.header)("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }

    fn details(&self) -> String {
        let code = if self.code.is_empty() { format!("HTTP {}", self.status) } else { plain(self.code) };
        match (self.header)("x-amz-request-id") {
            Some(id) => format!(" ({code}, request {})", plain(id)),
            None => format!(" ({code})"),
        }
    }
}

fn credentials<E: StdError + 'static>(error: &SdkError<E, HttpResponse>) -> Option<Error> {
    let failed = sources(error).find_map(|source| source.downcast_ref::<CredentialsError>())?;
    let (text, transient) = match failed {
        CredentialsError::InvalidConfiguration(_) => {
            ("the AWS configuration is not valid: check ~/.aws/config and AWS_PROFILE", false)
        }
        CredentialsError::ProviderTimedOut(_) => ("the AWS credentials did not come in time", true),
        // Where a role gives them, the service that does may be back in a moment.
        failed => (
            "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (and aws sso login), \
             or run where a role gives them",
            matches!(failed, CredentialsError::ProviderError(_)),
        ),
    };
    Some(Error::new(ErrorKind::PermissionDenied, text).with_transient(transient))
}

/// The texts of an error and its sources: to look into, not to show.
fn chain(error: &(dyn StdError + 'static)) -> String {
    sources(error).map(|source| source.to_string().to_lowercase()).collect::<Vec<_>>().join(": ")
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (**error).source())
}

/// A short word of the server, without anything that could be more than a word.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.:*+/=".contains(*c)).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(operation: Operation, status: u16, code: &str, message: &str) -> Error {
        let header = |name| match name {
            "retry-after" => Some("7"),
            "x-amz-request-id" => Some("4442587FB7D0A2F9"),
            "x-amz-bucket-region" => Some("eu-west-1"),
            _ => None,
        };
        Refusal { operation, status, code, message, header: &header }.explain()
    }

    #[test]
    fn every_answer_has_its_kind() {
        use ErrorKind::{
            Corrupt, InvalidConfig, NotFound, Other, PermissionDenied, StorageFull, Throttled, Timeout,
            TooLarge, Unavailable, Unsupported,
        };
        for (status, code, kind, transient) in [
            (404, "NoSuchKey", NotFound, false),
            (404, "", NotFound, false),
            (404, "NoSuchBucket", InvalidConfig, false),
            (403, "AccessDenied", PermissionDenied, false),
            (403, "", PermissionDenied, false),
            (403, "InvalidAccessKeyId", PermissionDenied, false),
            (403, "SignatureDoesNotMatch", PermissionDenied, false),
            (403, "RequestTimeTooSkewed", PermissionDenied, false),
            (400, "ExpiredToken", PermissionDenied, false),
            (301, "PermanentRedirect", InvalidConfig, false),
            (400, "AuthorizationHeaderMalformed", InvalidConfig, false),
            (503, "SlowDown", Throttled, true),
            (429, "", Throttled, true),
            (503, "ServiceUnavailable", Unavailable, true),
            (500, "InternalError", Unavailable, true),
            (502, "", Unavailable, true),
            (501, "NotImplemented", Unsupported, false),
            (400, "RequestTimeout", Timeout, true),
            (400, "BadDigest", Corrupt, true),
            (400, "EntityTooLarge", TooLarge, false),
            (403, "QuotaExceeded", StorageFull, false),
            (403, "InvalidObjectState", Unavailable, false),
            (400, "KMS.DisabledException", PermissionDenied, false),
            (418, "Teapot", Other, false),
        ] {
            let error = explained(Operation::Get, status, code, "");
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{status} {code}: {error}");
            let waits = transient && kind != Corrupt;
            assert_eq!(error.retry_after(), waits.then_some(Duration::from_secs(7)), "{status} {code}");
        }
    }

    #[test]
    fn a_denial_names_the_permission() {
        let aws = |action: &str| {
            format!(
                "User: arn:aws:iam::123456789012:user/me is not authorized to perform: {action} on resource: x"
            )
        };
        let denied = |operation, message: &str| explained(operation, 403, "AccessDenied", message);
        for (operation, message, text) in [
            (
                Operation::Get,
                aws("s3:GetObject"),
                "lack the permission s3:GetObject (AccessDenied, request 4442",
            ),
            (Operation::Put, aws("kms:GenerateDataKey"), "lack the permission kms:GenerateDataKey"),
            (Operation::List, aws("s3:ListBucket"), "lack the permission s3:ListBucket"),
            (
                Operation::Get,
                "Access Denied".into(),
                "the blob is missing and the credentials lack s3:ListBucket",
            ),
            (Operation::Put, String::new(), "s3:PutObject"),
            (Operation::Delete, String::new(), "s3:DeleteObject"),
        ] {
            let error = denied(operation, &message);
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert!(error.to_string().contains(text), "{error}");
        }
        // S3 asks for s3:ListBucket only when the key is missing.
        assert_eq!(denied(Operation::Get, &aws("s3:ListBucket")).kind(), ErrorKind::NotFound);
    }

    #[test]
    fn the_servers_words_are_cut_down_to_words() {
        let error = explained(Operation::Get, 418, "evil\ncode <script>", "payload: secret");
        assert_eq!(
            error.to_string(),
            "the server refused the request (evilcodescript, request 4442587FB7D0A2F9)"
        );
        let error = explained(Operation::Get, 301, "", "");
        assert_eq!(
            error.message(),
            "the bucket is in the region eu-west-1 (HTTP 301, request 4442587FB7D0A2F9)"
        );
    }
}
