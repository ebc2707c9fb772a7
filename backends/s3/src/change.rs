use std::time::Duration;

use aws_sdk_s3::types::{MetadataDirective, TaggingDirective};
use blob_store::{Error, ErrorKind, Operation, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::S3Store;
use crate::body::Progress;
use crate::call::{Answer, unless_silent};
use crate::error::{code, from_sdk, status};
use crate::read::time;

/// What stays as it is in the name of a copy's source.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A copy that was made just now is not older than this, even one of 5 GiB.
const LONG_AGO: Duration = Duration::from_secs(60 * 60);

impl S3Store {
    /// Renews an object by copying it onto itself. S3 wants something to change with that: the metadata is
    /// replaced, by itself. Encryption and storage class have to be repeated, tags stay.
    pub(crate) async fn touch_at(&self, key: &str) -> Result<()> {
        let object = self.head_at(key, Operation::Touch).await?;
        let answer = Answer::default();
        let owner = &self.options.expected_bucket_owner;
        let copy = self
            .client
            .copy_object()
            .bucket(&self.options.bucket)
            .key(key)
            .copy_source(self.copy_source(key))
            // If it is put again meanwhile, it is young anyway.
            .set_copy_source_if_match(object.e_tag)
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Copy)
            .set_metadata(object.metadata)
            .set_content_type(object.content_type)
            .set_content_encoding(object.content_encoding)
            .set_cache_control(object.cache_control)
            .set_content_disposition(object.content_disposition)
            .set_content_language(object.content_language)
            .set_storage_class(object.storage_class)
            .set_server_side_encryption(object.server_side_encryption)
            .set_ssekms_key_id(object.ssekms_key_id)
            .set_bucket_key_enabled(object.bucket_key_enabled)
            .set_expected_bucket_owner(owner.clone())
            .set_expected_source_bucket_owner(owner.clone())
            .customize()
            .interceptor(answer.clone())
            .send();
        match unless_silent(self.options.timeout, &Progress::default(), copy).await? {
            Ok(copied) => {
                let made = copied.copy_object_result().and_then(|copy| copy.last_modified()).and_then(time);
                let age = made.and_then(|made| answer.time().duration_since(made).ok()).unwrap_or_default();
                if age > LONG_AGO {
                    let message =
                        "the server leaves the age of a blob that is copied onto itself: put it again";
                    return Err(Error::new(ErrorKind::Unsupported, message));
                }
                Ok(())
            }
            Err(error) if status(&error) == 412 => Ok(()),
            Err(error) => Err(from_sdk(Operation::Touch, &error)),
        }
    }

    /// Removes an object; of one that is not there, S3 says the same.
    pub(crate) async fn delete_at(&self, key: &str) -> Result<()> {
        let owner = self.options.expected_bucket_owner.clone();
        let request = self
            .client
            .delete_object()
            .bucket(&self.options.bucket)
            .key(key)
            .set_expected_bucket_owner(owner);
        match unless_silent(self.options.timeout, &Progress::default(), request.send()).await? {
            Err(error) if code(&error) != "NoSuchKey" => Err(from_sdk(Operation::Delete, &error)),
            _ => Ok(()),
        }
    }

    /// `bucket/key`, or for an access point `arn…/object/key`.
    fn copy_source(&self, key: &str) -> String {
        let (bucket, key) = (&self.options.bucket, utf8_percent_encode(key, PATH));
        if bucket.starts_with("arn:") { format!("{bucket}/object/{key}") } else { format!("{bucket}/{key}") }
    }
}
