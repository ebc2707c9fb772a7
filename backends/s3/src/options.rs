use std::fmt;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder as ClientConfig, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use blob_store::{Error, ErrorKind, Operation, Result, UrlOptions};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::S3Store;
use crate::place::{Place, folder, is_bucket, is_multi_region};

/// Which bucket, where it is, and how blobs are kept there.
///
/// ```
/// use std::time::Duration;
/// use blob_store_s3::S3Options;
///
/// # async fn example() -> Result<(), blob_store::Error> {
/// let store = S3Options::new("claims")
///     .with_prefix("team-a")
///     .with_region("eu-central-1")
///     .with_kms_key_id("alias/claims")
///     .with_renew_after(Duration::from_secs(7 * 86_400))
///     .build()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct S3Options {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) name: String,
    pub(crate) storage_class: Option<StorageClass>,
    pub(crate) sse: Option<ServerSideEncryption>,
    pub(crate) kms_key_id: Option<String>,
    tags: Vec<(String, String)>,
    pub(crate) expected_bucket_owner: Option<String>,
    pub(crate) renew_after: Duration,
    pub(crate) timeout: Duration,
    connect_timeout: Duration,
    region: Option<String>,
    endpoint: Option<String>,
    path_style: bool,
    credentials: Option<Credentials>,
}

impl S3Options {
    /// Everything as by default, in `bucket`: its name, or the ARN of an access point or (with the feature
    /// `sigv4a`) of a Multi-Region Access Point.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            name: "aws.s3driver".to_owned(),
            storage_class: None,
            sse: None,
            kms_key_id: None,
            tags: Vec::new(),
            expected_bucket_owner: None,
            renew_after: Duration::from_secs(24 * 60 * 60),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            region: None,
            endpoint: None,
            path_style: false,
            credentials: None,
        }
    }

    /// Reads `s3://bucket/prefix?option=value&…`. Instead of a bucket's name, an access point's ARN will do.
    ///
    /// | option | meaning | default |
    /// |---|---|---|
    /// | `region` | the bucket's region | `AWS_REGION`, the profile, the machine; `us-east-1` with an endpoint |
    /// | `endpoint` | where an S3-compatible server is, such as `http://localhost:9000` | AWS, or `AWS_ENDPOINT_URL` |
    /// | `path_style` | `true`: the bucket goes into the path, not into the host name | `false` |
    /// | `name` | the store's name in references | `aws.s3driver` |
    /// | `storage_class` | such as `STANDARD_IA` or `INTELLIGENT_TIERING` | the bucket's |
    /// | `sse` | `AES256`, `aws:kms` or `aws:kms:dsse` | the bucket's |
    /// | `kms_key_id` | the KMS key, its alias or ARN; says `sse=aws:kms` by itself | the account's |
    /// | `tags` | `team=payments,env=prod` | none |
    /// | `expected_bucket_owner` | the account that must own the bucket | whoever does |
    /// | `renew_after` | a blob that is put again is written again if it is older | `24h` |
    /// | `timeout` | how long the server may be silent | `5s` |
    /// | `connect_timeout` | how long connecting may take | `2s` |
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for another scheme, a malformed URL or an unknown option.
    pub fn from_url(url: &str) -> Result<Self> {
        let (place, query) = Place::of_url(url)?;
        let mut query = UrlOptions::of(&query)?;
        let mut options = Self::new(place.bucket);
        options.prefix = place.prefix;
        options.region = query.text("region")?;
        options.endpoint = query.text("endpoint")?;
        options.path_style = query.flag("path_style")?.unwrap_or_default();
        if let Some(name) = query.text("name")? {
            options.name = name;
        }
        options.storage_class = query.text("storage_class")?.map(|class| class.as_str().into());
        options.sse = query.text("sse")?.map(|sse| sse.as_str().into());
        options.kms_key_id = query.text("kms_key_id")?;
        if let Some(tags) = query.text("tags")? {
            options.tags = parse_tags(&tags)?;
        }
        options.expected_bucket_owner = query.text("expected_bucket_owner")?;
        let mut duration = |name, field: &mut Duration| -> Result<()> {
            *field = query.duration(name)?.unwrap_or(*field);
            Ok(())
        };
        duration("renew_after", &mut options.renew_after)?;
        duration("timeout", &mut options.timeout)?;
        duration("connect_timeout", &mut options.connect_timeout)?;
        query.finish()?;
        options.checked()
    }

    /// Sets the prefix of every key: `team` and `team/` both mean `team/`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the name in references; see [`BlobStore::name`](blob_store::BlobStore::name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the bucket's region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets where an S3-compatible server is, such as `http://localhost:9000`.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Puts the bucket into the path of requests instead of the host name, as most servers but AWS want it.
    #[must_use]
    pub fn with_path_style(mut self, path_style: bool) -> Self {
        self.path_style = path_style;
        self
    }

    /// Uses this key instead of the AWS credential chain.
    #[must_use]
    pub fn with_credentials(mut self, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        self.credentials = Some(Credentials::new(access_key, secret_key, None, None, "blob-store-s3"));
        self
    }

    /// Sets the storage class of new blobs, such as `STANDARD_IA`.
    #[must_use]
    pub fn with_storage_class(mut self, class: impl AsRef<str>) -> Self {
        self.storage_class = Some(class.as_ref().into());
        self
    }

    /// Sets the encryption at rest of new blobs: `AES256`, `aws:kms` or `aws:kms:dsse`.
    #[must_use]
    pub fn with_sse(mut self, sse: impl AsRef<str>) -> Self {
        self.sse = Some(sse.as_ref().into());
        self
    }

    /// Encrypts new blobs with this KMS key: its id, alias or ARN.
    #[must_use]
    pub fn with_kms_key_id(mut self, key: impl Into<String>) -> Self {
        self.kms_key_id = Some(key.into());
        self
    }

    /// Adds a tag to new blobs. Needs the permission `s3:PutObjectTagging`.
    #[must_use]
    pub fn with_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Sets the account that must own the bucket: requests to anybody else's bucket are refused.
    #[must_use]
    pub fn with_expected_bucket_owner(mut self, account: impl Into<String>) -> Self {
        self.expected_bucket_owner = Some(account.into());
        self
    }

    /// Sets the age from which on a blob that is put again is written again.
    ///
    /// It must be well below the age at which a lifecycle rule deletes.
    #[must_use]
    pub fn with_renew_after(mut self, age: Duration) -> Self {
        self.renew_after = age;
        self
    }

    /// Sets how long the server may be silent: send no answer, or take or send none of the body.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long connecting may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// A store whose region and credentials come, where they are not given here, from the standard AWS chain:
    /// environment, profile, SSO, web identity (EKS), container (ECS), instance. Nothing is asked of S3 yet.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if options contradict each other or no region is known.
    pub async fn build(self) -> Result<S3Store> {
        let options = self.checked()?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = options.region.clone() {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(credentials) = options.credentials.clone() {
            loader = loader.credentials_provider(credentials);
        }
        let shared = loader.load().await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(options.path_style);
        match shared.region() {
            Some(_) => {}
            // Servers other than AWS seldom care.
            None if shared.endpoint_url().is_some() => {
                config = config.region(Region::from_static("us-east-1"))
            }
            None => {
                return Err(options.explain(invalid(
                    "no region is known: add region=… to the store URL, or set AWS_REGION",
                )));
            }
        }
        Ok(S3Store::new(options.tune(config), options))
    }

    /// A store that uses an existing client: its credentials, region, endpoint and connections. The options of
    /// the same meaning are not used. Its retries are turned off, because whoever uses the store decides how
    /// often to try.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if options contradict each other.
    pub fn build_with(self, client: &Client) -> Result<S3Store> {
        let options = self.checked()?;
        Ok(S3Store::new(options.tune(client.config().to_builder()), options))
    }

    /// The tags as the header wants them.
    pub(crate) fn tagging(&self) -> Option<String> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let tags: Vec<_> =
            self.tags.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        (!tags.is_empty()).then(|| tags.join("&"))
    }

    /// Checksums, timeouts and retries as this store wants them.
    fn tune(&self, config: ClientConfig) -> Client {
        let timeouts = TimeoutConfig::builder().connect_timeout(self.connect_timeout).build();
        let config = config
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled())
            // We see ourselves when a transfer stands still.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // We send our own, and whoever reads a blob verifies its hash: no second pass over the data.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Client::from_conf(config.build())
    }

    fn checked(mut self) -> Result<Self> {
        self.check().map_err(|error| self.explain(error))?;
        Ok(self)
    }

    fn check(&mut self) -> Result<()> {
        self.prefix = folder(&self.prefix)?;
        if !is_bucket(&self.bucket) {
            return Err(invalid(format!("{:?} is no bucket's name and no ARN", self.bucket)));
        }
        if is_multi_region(&self.bucket) && !cfg!(feature = "sigv4a") {
            return Err(invalid(
                "a Multi-Region Access Point needs the cargo feature \"sigv4a\" of blob-store-s3",
            ));
        }
        if matches!(self.storage_class, Some(StorageClass::Glacier | StorageClass::DeepArchive)) {
            return Err(invalid("storage_class is an archive: its blobs cannot be read at once"));
        }
        match (&self.sse, &self.kms_key_id) {
            (None, Some(_)) => self.sse = Some(ServerSideEncryption::AwsKms),
            (Some(ServerSideEncryption::Aes256), Some(_)) => {
                return Err(invalid("kms_key_id goes with sse=aws:kms, not with sse=AES256"));
            }
            (Some(sse), _) if !ServerSideEncryption::values().contains(&sse.as_str()) => {
                return Err(invalid("sse is none of AES256, aws:kms, aws:kms:dsse"));
            }
            _ => {}
        }
        if let Some(endpoint) = &self.endpoint {
            let url = Url::parse(endpoint).map_err(|_| invalid("endpoint is not a URL"))?;
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                return Err(invalid("endpoint is not an http:// or https:// URL"));
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err(invalid("endpoint holds credentials: they come from the AWS credential chain"));
            }
        }
        Ok(())
    }

    fn explain(&self, error: Error) -> Error {
        error.in_store(&self.name).during(Operation::Connect)
    }
}

/// Without credentials.
impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("name", &self.name)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("path_style", &self.path_style)
            .field("storage_class", &self.storage_class)
            .field("sse", &self.sse)
            .field("tags", &self.tags)
            .field("renew_after", &self.renew_after)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn parse_tags(text: &str) -> Result<Vec<(String, String)>> {
    let pairs = text.split(',').map(|tag| match tag.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(invalid("option \"tags\" is not of the form name=value,name=value")),
    });
    pairs.collect()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_everything() {
        let options = S3Options::from_url(
            "s3://claims/team?region=eu-west-1&endpoint=http://localhost:9000&path_style=true&name=mine\
             &storage_class=STANDARD_IA&kms_key_id=alias/claims&tags=team=pay%20roll,env=&\
             expected_bucket_owner=123456789012&renew_after=7days&timeout=1s&connect_timeout=3s",
        )
        .expect("valid");
        assert_eq!((options.bucket.as_str(), options.prefix.as_str()), ("claims", "team/"));
        assert_eq!(options.region.as_deref(), Some("eu-west-1"));
        assert_eq!(options.endpoint.as_deref(), Some("http://localhost:9000"));
        assert!(options.path_style);
        assert_eq!(options.name, "mine");
        assert_eq!(options.storage_class, Some(StorageClass::StandardIa));
        assert_eq!(options.sse, Some(ServerSideEncryption::AwsKms));
        assert_eq!(options.tagging().as_deref(), Some("team=pay%20roll&env="));
        assert_eq!(options.expected_bucket_owner.as_deref(), Some("123456789012"));
        assert_eq!(options.renew_after, Duration::from_secs(7 * 86_400));
        assert_eq!((options.timeout.as_secs(), options.connect_timeout.as_secs()), (1, 3));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (query, text) in [
            ("regoin=x", "did you mean \"region\"?"),
            ("path-style=true", "did you mean \"path_style\"?"),
            ("renew_after=soon", "option \"renew_after\" is not a duration"),
            ("sse=rot13", "sse is none of"),
            ("sse=AES256&kms_key_id=k", "kms_key_id goes with sse=aws:kms"),
            ("storage_class=DEEP_ARCHIVE", "cannot be read at once"),
            ("tags=team", "name=value"),
            ("endpoint=localhost:9000", "not an http:// or https:// URL"),
            ("endpoint=http://id:hunter2@localhost", "endpoint holds credentials"),
        ] {
            let error = S3Options::from_url(&format!("s3://claims?{query}")).expect_err(query);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(text), "{query}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        let multi_region = S3Options::from_url("s3://arn:aws:s3::123456789012:accesspoint/mfzwi.mrap/a");
        assert_eq!(multi_region.is_ok(), cfg!(feature = "sigv4a"));
    }

    #[test]
    fn a_bucket_is_nothing_else() {
        for bucket in ["", "a/b", "..", "a b", "a:b", "arn:", "a?b"] {
            assert!(S3Options::new(bucket).checked().is_err(), "{bucket}");
        }
        assert!(S3Options::new("Old_Bucket.v1").checked().is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        let options = S3Options::new("claims").with_credentials("AKIDEXAMPLE", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
