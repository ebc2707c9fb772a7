//! Stores by URL.

use std::sync::Arc;

use blob_store::{BlobStore, Error, ErrorKind, MemoryStore, Operation, Result};

/// Opens the store that `url` names.
///
/// | URL | feature | options |
/// |---|---|---|
/// | `redis://`, `rediss://`, `redis+unix://` | `redis` | `redis::RedisOptions::from_url` |
/// | `s3://bucket/prefix` | `s3` | `s3::S3Store::from_url` |
/// | `file:///path` | `fs` | `fs::FsOptions::from_url` |
/// | `memory://` | | none: an empty store that ends with the process |
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use temporal_claim_check::{ClaimCheckCodec, open_store};
///
/// let codec = ClaimCheckCodec::builder().store(open_store("memory://").await?).build()?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// `InvalidConfig` for a scheme nobody knows, for one whose feature is off (it is named), and for an option that is
/// unknown (the nearest valid one is named); else what opening the store fails with. The URL is never repeated,
/// because it may hold a password.
pub async fn open_store(url: &str) -> Result<Arc<dyn BlobStore>> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "redis" | "rediss" | "redis+unix" | "unix" => redis(url).await,
        "s3" => s3(url).await,
        "file" => file(url).await,
        "memory" if url == "memory://" => Ok(Arc::new(MemoryStore::new())),
        "memory" => Err(invalid("memory:// takes no path and no options")),
        "" => {
            Err(invalid("a store is named by a URL such as redis://localhost:6379 or file:///var/lib/claims"))
        }
        _ => Err(invalid(
            "this kind of store URL is unknown; there are redis, rediss, redis+unix, s3, file and memory",
        )),
    }
}

/// `open` where the feature is on, an error that names it where it is off.
macro_rules! open {
    ($feature:literal, $name:ident, $url:ident => $open:expr) => {
        #[cfg(feature = $feature)]
        async fn $name($url: &str) -> Result<Arc<dyn BlobStore>> {
            Ok(Arc::new($open))
        }

        #[cfg(not(feature = $feature))]
        async fn $name(_: &str) -> Result<Arc<dyn BlobStore>> {
            Err(invalid(concat!(
                "this store URL needs the feature \"",
                $feature,
                "\", which is off in this build"
            )))
        }
    };
}

open!("redis", redis, url => blob_store_redis::RedisStore::connect(url).await?);
open!("s3", s3, url => blob_store_s3::S3Store::from_url(url).await?);
open!("fs", file, url => blob_store_fs::FsOptions::from_url(url)?.open().await?);

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidConfig, message).during(Operation::Connect)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str) -> String {
        let error = open_store(url).await.expect_err(url);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
        text
    }

    #[tokio::test]
    async fn what_cannot_be_opened_says_why_without_secrets() {
        assert!(refused("nonsense").await.contains("named by a URL"));
        assert!(refused("gopher://u:hunter2@host").await.contains("is unknown"));
        assert!(refused("memory://?x=hunter2").await.contains("takes no path"));
        for (url, feature, known) in [
            ("redis://u:hunter2@host?prefx=a", cfg!(feature = "redis"), "did you mean \"prefix\"?"),
            ("s3://bucket?regoin=hunter2", cfg!(feature = "s3"), "\"region\""),
            ("file:///tmp?durabel=hunter2", cfg!(feature = "fs"), "did you mean \"durable\"?"),
        ] {
            let text = refused(url).await;
            assert!(text.contains(if feature { known } else { "needs the feature" }), "{text}");
        }
    }

    #[tokio::test]
    async fn memory_needs_no_feature() {
        assert_eq!(open_store("memory://").await.expect("opened").name(), "memory");
    }
}
