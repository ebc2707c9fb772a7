use std::time::SystemTime;

use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::head_object::builders::HeadObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use aws_sdk_s3::types::EncodingType;
use blob_store::{
    Blob, BlobInfo, BlobKey, Bytes, Error, ErrorKind, GetOptions, ListedBlob, Operation, Result,
};
use futures_util::{Stream, stream};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use crate::S3Store;
use crate::body::Progress;
use crate::call::{silent, unless_silent};
use crate::error::from_sdk;

/// A key that no caller uses, to see whether the server answers at all.
const NOBODYS_KEY: &str = ".blob-store-check";

impl S3Store {
    pub(crate) async fn get_at(&self, key: &str, options: GetOptions) -> Result<Blob> {
        let answer =
            unless_silent(self.options.timeout, &Progress::default(), self.get_request(key).send()).await?;
        let object = answer.map_err(|error| from_sdk(Operation::Get, &error))?;
        let Some(size) = object.content_length().and_then(|size| u64::try_from(size).ok()) else {
            return Err(Error::new(ErrorKind::Other, "the server does not say how long the blob is"));
        };
        options.check_size(size)?;
        Ok(Blob::new(size, self.chunks(size, object.body)))
    }

    pub(crate) async fn info_at(&self, key: &str) -> Result<BlobInfo> {
        let object = self.head_at(key, Operation::Head).await?;
        let info = info(object.content_length(), object.last_modified());
        Ok(match object.expiration().and_then(expiry) {
            Some(expires) => info.with_expires(expires),
            None => info,
        })
    }

    pub(crate) async fn head_at(&self, key: &str, operation: Operation) -> Result<HeadObjectOutput> {
        let answer =
            unless_silent(self.options.timeout, &Progress::default(), self.head_request(key).send()).await?;
        answer.map_err(|error| from_sdk(operation, &error))
    }

    pub(crate) fn head_request(&self, key: &str) -> HeadObjectFluentBuilder {
        let owner = self.options.expected_bucket_owner.clone();
        self.client.head_object().bucket(&self.options.bucket).key(key).set_expected_bucket_owner(owner)
    }

    fn get_request(&self, key: &str) -> GetObjectFluentBuilder {
        let owner = self.options.expected_bucket_owner.clone();
        self.client.get_object().bucket(&self.options.bucket).key(key).set_expected_bucket_owner(owner)
    }

    /// The body as it arrives. Each chunk may take as long as an answer may.
    fn chunks(&self, size: u64, body: ByteStream) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let patience = self.options.timeout;
        stream::try_unfold((body, 0), move |(mut body, received): (ByteStream, u64)| async move {
            let chunk = timeout(patience, body.next()).await.map_err(|_| silent(patience))?;
            match chunk {
                Some(Ok(chunk)) => {
                    let received = received + chunk.len() as u64;
                    if received > size {
                        return Err(Error::new(ErrorKind::Corrupt, "the server sent more than it announced"));
                    }
                    Ok(Some((chunk, (body, received))))
                }
                // The connection broke: what is stored may well be whole.
                Some(Err(_)) => Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("the connection was lost after {received} of {size} bytes"),
                )),
                None if received < size => Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("the blob ended after {received} of {size} bytes"),
                )),
                None => Ok(None),
            }
        })
    }

    /// One page of a listing and where the next one starts.
    pub(crate) async fn page(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<ListedBlob>, Option<String>)> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.options.bucket)
            .prefix(prefix)
            // XML cannot hold every character of other people's keys.
            .encoding_type(EncodingType::Url)
            .set_continuation_token(token)
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .send();
        let answer = unless_silent(self.options.timeout, &Progress::default(), request).await?;
        let page = answer.map_err(|error| from_sdk(Operation::List, &error))?;
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        let blobs = page.contents().iter().filter_map(|object| {
            let key = object.key()?;
            let key = if encoded { decoded(key)? } else { key.to_owned() };
            // What is no blob's key is somebody else's object, such as the `prefix/` that consoles create.
            let key = BlobKey::new(key.strip_prefix(&self.options.prefix)?).ok()?;
            Some(ListedBlob::new(key, info(object.size(), object.last_modified())))
        });
        let blobs = blobs.collect();
        let next = match (page.is_truncated(), page.next_continuation_token()) {
            (Some(true), None) => {
                return Err(Error::new(
                    ErrorKind::Other,
                    "the server cut the list short and does not say how to go on",
                ));
            }
            (Some(true), Some(token)) => Some(token.to_owned()),
            _ => None,
        };
        Ok((blobs, next))
    }

    /// Asks for a blob that is not there: `NoSuchKey` means that the bucket is and that we may read.
    pub(crate) async fn probe(&self) -> Result<()> {
        let key = format!("{}{NOBODYS_KEY}", self.options.prefix);
        let answer =
            unless_silent(self.options.timeout, &Progress::default(), self.get_request(&key).send()).await?;
        match answer.map_err(|error| from_sdk(Operation::Connect, &error)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn info(size: Option<i64>, modified: Option<&DateTime>) -> BlobInfo {
    let info = BlobInfo::new(size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default());
    match modified.and_then(time) {
        Some(modified) => info.with_modified(modified),
        None => info,
    }
}

pub(crate) fn time(at: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*at).ok()
}

/// When a lifecycle rule deletes the object: `expiry-date="Fri, 23 Dec 2033 00:00:00 GMT", rule-id="…"`.
fn expiry(rule: &str) -> Option<SystemTime> {
    let (_, date) = rule.split_once("expiry-date=\"")?;
    let (date, _) = date.split_once('"')?;
    time(&DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?)
}

/// Keys in a listing are encoded as in a form.
fn decoded(key: &str) -> Option<String> {
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8().ok().map(Into::into)
}
