use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use blob_store::{Error, ErrorKind, Result};

use crate::body::Progress;

/// Signs a body by the SHA-256 that is known already: it is not hashed again, and the server compares.
#[derive(Debug)]
pub(crate) struct SignWithHash(pub(crate) [u8; 32]);

impl Intercept for SignWithHash {
    fn name(&self) -> &'static str {
        "SignWithHash"
    }

    fn modify_before_signing(
        &self,
        _: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let hex = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        config.interceptor_state().store_put(PayloadSigningOverride::Precomputed(hex));
        Ok(())
    }
}

/// What an answer says about its server, which the SDK does not pass on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer(Arc<OnceLock<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    date: Option<SystemTime>,
    is_aws: bool,
}

impl Answer {
    /// The time by the server's clock, else by ours.
    pub(crate) fn time(&self) -> SystemTime {
        self.0.get().and_then(|facts| facts.date).unwrap_or_else(SystemTime::now)
    }

    /// Whether it is AWS that answered.
    pub(crate) fn is_aws(&self) -> bool {
        self.0.get().is_some_and(|facts| facts.is_aws)
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let date =
            headers.get("date").and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        let date = date.and_then(|date| SystemTime::try_from(date).ok());
        let _ = self.0.set(Facts { date, is_aws: headers.get("server") == Some("AmazonS3") });
        Ok(())
    }
}

/// What the operating system may hold of a body that the connection has taken.
const BUFFERED: u64 = 4 * 1024 * 1024;

/// A network that is slower than this many bytes in a second is taken for a broken one.
const SLOWEST: u64 = 64 * 1024;

/// Waits for an answer as long as the server is not silent for `timeout`.
///
/// While the connection takes pieces of the body, the server is not; after that, what was taken still has to get
/// there.
pub(crate) async fn unless_silent<T>(
    timeout: Duration,
    progress: &Progress,
    answer: impl Future<Output = T>,
) -> Result<T> {
    let mut answer = std::pin::pin!(answer);
    loop {
        let taken = progress.bytes();
        let patience = timeout + Duration::from_millis(taken.min(BUFFERED) * 1000 / SLOWEST);
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(answer) => return Ok(answer),
            Err(_) if progress.bytes() > taken => {}
            Err(_) => return Err(silent(patience)),
        }
    }
}

pub(crate) fn silent(patience: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("the server was silent for {patience:?}"))
}
