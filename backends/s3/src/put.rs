use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use aws_sdk_s3::types::StorageClass;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use blob_store::{Error, ErrorKind, Operation, PutOptions, PutOutcome, Result, Segments};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::body::{Progress, upload};
use crate::call::{Answer, SignWithHash, unless_silent};
use crate::error::{code, from_sdk, status};
use crate::read::time;
use crate::{MAX_BLOB_SIZE, S3Store};

/// From this size on we ask whether a blob is there before we send it: some hundred bytes. A conditional PUT tells as
/// well, but then all of the body is on its way (`Expect: 100-continue` does not help, hyper sends without waiting).
const LOOK_FIRST: usize = 1024 * 1024;

/// Larger blobs are hashed off the threads that serve connections.
const HASH_ELSEWHERE: usize = 256 * 1024;

/// How often a put starts over because others put or deleted the same key at the same time.
const ATTEMPTS: u32 = 6;

/// Whether the server knows `If-None-Match: *`. Some refuse it, some ignore it.
#[derive(Debug)]
pub(crate) struct ConditionalPut(AtomicU8);

const UNKNOWN: u8 = 0;
const ASKING: u8 = 1;
const KNOWN: u8 = 2;
const MISSING: u8 = 3;

impl ConditionalPut {
    pub(crate) fn unknown() -> Self {
        Self(AtomicU8::new(UNKNOWN))
    }

    fn is_missing(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MISSING
    }

    fn learn(&self, known: bool) {
        self.0.store(if known { KNOWN } else { MISSING }, Ordering::Relaxed);
    }

    /// For the one caller that is to find out.
    fn start_asking(&self) -> Option<Asking<'_>> {
        self.replace(UNKNOWN, ASKING).then_some(Asking(self))
    }

    fn replace(&self, old: u8, new: u8) -> bool {
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Lets the next caller ask if this one learned nothing, or was cancelled.
struct Asking<'a>(&'a ConditionalPut);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.replace(ASKING, UNKNOWN);
    }
}

enum Existing {
    /// Not there.
    No,
    /// Put or renewed a moment ago.
    Young,
    /// There, but older than `renew_after`, not of this length or in an archive: to be written again.
    Old,
    /// We may not look.
    Hidden,
}

enum Sent {
    Created {
        by_aws: bool,
    },
    Exists,
    /// Somebody else puts or deletes the key at this moment.
    Conflict(Error),
    /// The connection broke, perhaps when the server had taken the whole blob, or when it had said that the blob
    /// exists to a client that was still sending.
    Lost(Error),
    /// The server does not know the condition.
    Unconditional,
}

impl S3Store {
    pub(crate) async fn put_at(&self, key: &str, blob: Segments, options: PutOptions) -> Result<PutOutcome> {
        if blob.len() as u64 > MAX_BLOB_SIZE {
            let message = format!("the blob has {} bytes, one PUT takes at most {MAX_BLOB_SIZE}", blob.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let hash = match options.sha256 {
            Some(hash) => hash,
            None => sha256(&blob).await?,
        };
        let mut look = blob.len() >= LOOK_FIRST || self.conditional_put.is_missing();
        let mut conflict = None;
        for attempt in 0..ATTEMPTS {
            if look && self.renew(key, &blob, hash, false).await? {
                return Ok(PutOutcome::AlreadyPresent);
            }
            match self.send(key, &blob, hash, !self.conditional_put.is_missing()).await? {
                Sent::Created { by_aws } => {
                    if by_aws {
                        self.conditional_put.learn(true);
                    } else if blob.len() < LOOK_FIRST {
                        self.find_out_conditional_put(key, &blob, hash).await;
                    }
                    return Ok(PutOutcome::Created);
                }
                Sent::Exists => {
                    self.conditional_put.learn(true);
                    // If it is not there, it was deleted just now.
                    if self.renew(key, &blob, hash, true).await? {
                        return Ok(PutOutcome::AlreadyPresent);
                    }
                }
                Sent::Lost(error) => {
                    return match self.renew(key, &blob, hash, false).await {
                        Ok(true) => Ok(PutOutcome::AlreadyPresent),
                        _ => Err(error),
                    };
                }
                Sent::Conflict(error) => {
                    conflict = Some(error);
                    sleep(pause(attempt)).await;
                }
                Sent::Unconditional => {
                    self.conditional_put.learn(false);
                    look = true;
                }
            }
        }
        Err(conflict.unwrap_or_else(|| {
            let message = "the blob was deleted as often as it was put: what deletes it?";
            Error::new(ErrorKind::Unavailable, message)
        }))
    }

    /// Makes the blob young if it is there, and answers whether it is. What we may not see is there if it `exists`.
    async fn renew(&self, key: &str, blob: &Segments, hash: [u8; 32], exists: bool) -> Result<bool> {
        match self.existing(key, blob.len()).await? {
            Existing::Young => Ok(true),
            Existing::Old => self.write_again(key, blob, hash).await.map(|()| true),
            Existing::Hidden if exists => self.write_again(key, blob, hash).await.map(|()| true),
            Existing::Hidden | Existing::No => Ok(false),
        }
    }

    /// Renews a blob by writing it over: the same bytes, so readers notice nothing. A copy on the server would
    /// spare sending them, but needs more permissions and would renew a damaged or archived object as it is.
    async fn write_again(&self, key: &str, blob: &Segments, hash: [u8; 32]) -> Result<()> {
        let mut attempt = 0;
        loop {
            match self.send(key, blob, hash, false).await? {
                Sent::Conflict(_) if attempt < ATTEMPTS => sleep(pause(attempt)).await,
                Sent::Conflict(error) | Sent::Lost(error) => return Err(error),
                Sent::Created { .. } | Sent::Exists | Sent::Unconditional => return Ok(()),
            }
            attempt += 1;
        }
    }

    async fn existing(&self, key: &str, len: usize) -> Result<Existing> {
        let answer = Answer::default();
        let head = self.head_request(key).customize().interceptor(answer.clone()).send();
        match unless_silent(self.options.timeout, &Progress::default(), head).await? {
            Ok(object) => {
                let modified = object.last_modified().and_then(time);
                let age = modified.map(|modified| answer.time().duration_since(modified).unwrap_or_default());
                let old = age.is_none_or(|age| age >= self.options.renew_after);
                let damaged = object.content_length().is_some_and(|there| there != len as i64);
                let archived =
                    matches!(object.storage_class(), Some(StorageClass::Glacier | StorageClass::DeepArchive));
                Ok(if old || damaged || archived { Existing::Old } else { Existing::Young })
            }
            Err(error) if status(&error) == 404 => Ok(Existing::No),
            // Without s3:ListBucket a missing key looks like this, without s3:GetObject any key does.
            Err(error) if status(&error) == 403 => Ok(Existing::Hidden),
            Err(error) => Err(from_sdk(Operation::Put, &error)),
        }
    }

    async fn send(&self, key: &str, blob: &Segments, hash: [u8; 32], if_absent: bool) -> Result<Sent> {
        let (progress, answer, options) = (Progress::default(), Answer::default(), &self.options);
        let put = self
            .client
            .put_object()
            .bucket(&options.bucket)
            .key(key)
            .body(upload(blob, &progress))
            .checksum_sha256(BASE64.encode(hash))
            .set_if_none_match(if_absent.then(|| "*".to_owned()))
            .set_storage_class(options.storage_class.clone())
            .set_server_side_encryption(options.sse.clone())
            .set_ssekms_key_id(options.kms_key_id.clone())
            .set_tagging(options.tagging())
            .set_expected_bucket_owner(options.expected_bucket_owner.clone())
            .customize()
            .interceptor(SignWithHash(hash))
            .interceptor(answer.clone())
            .send();
        let error = match unless_silent(options.timeout, &progress, put).await? {
            Ok(_) => return Ok(Sent::Created { by_aws: answer.is_aws() }),
            Err(error) => error,
        };
        let failure = || from_sdk(Operation::Put, &error);
        match (status(&error), code(&error)) {
            (412, _) if if_absent => Ok(Sent::Exists),
            (501, _) if if_absent => Ok(Sent::Unconditional),
            (409, _) => {
                let message = "others put or delete this key at the same time";
                Ok(Sent::Conflict(Error::new(ErrorKind::Unavailable, message)))
            }
            // A delete came between the condition and the write.
            (404, "NoSuchKey") => Ok(Sent::Conflict(failure().with_transient(true))),
            (0, _) if progress.bytes() > 0 => Ok(Sent::Lost(failure())),
            _ => Err(failure()),
        }
    }

    /// Puts the first small blob twice: a server that says "created" again ignores the condition. AWS is known
    /// not to, and a first "exists" tells as well.
    async fn find_out_conditional_put(&self, key: &str, blob: &Segments, hash: [u8; 32]) {
        let Some(_asking) = self.conditional_put.start_asking() else { return };
        match self.send(key, blob, hash, true).await {
            Ok(Sent::Exists) => self.conditional_put.learn(true),
            Ok(Sent::Created { .. } | Sent::Unconditional) => {
                tracing::warn!(
                    store = self.options.name,
                    "the S3 server does not know conditional writes: every put asks first whether the blob is there"
                );
                self.conditional_put.learn(false);
            }
            // The blob is stored; the next one tells.
            Ok(Sent::Conflict(_) | Sent::Lost(_)) | Err(_) => {}
        }
    }
}

/// Longer and longer, never quite the same for two callers.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis((20 << attempt) + fastrand::u64(..20))
}

async fn sha256(blob: &Segments) -> Result<[u8; 32]> {
    let hash = |blob: &Segments| {
        let mut hasher = Sha256::new();
        blob.parts().iter().for_each(|part| hasher.update(part));
        hasher.finalize().into()
    };
    if blob.len() < HASH_ELSEWHERE {
        return Ok(hash(blob));
    }
    let blob = blob.clone();
    let hashed = tokio::task::spawn_blocking(move || hash(&blob)).await;
    hashed.map_err(|_| Error::new(ErrorKind::Cancelled, "the runtime shut down while the blob was hashed"))
}
