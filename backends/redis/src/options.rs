use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use blob_store::{Error, ErrorKind, Operation, Result, UrlOptions};
use percent_encoding::percent_decode_str;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo,
    TlsCertificates,
};
use url::Url;

use crate::RedisStore;
use crate::error::from_redis;

/// Where Redis is and how blobs are kept there.
///
/// ```
/// use std::time::Duration;
/// use blob_store_redis::RedisOptions;
///
/// # fn main() -> Result<(), blob_store::Error> {
/// let options = RedisOptions::from_url("rediss://claims:secret@redis.example:6380/2?prefix=team-a:")?
///     .with_ttl(Duration::from_secs(30 * 86_400));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisOptions {
    address: ConnectionAddr,
    tls: Option<TlsFiles>,
    redis: RedisConnectionInfo,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) ttl: Option<Duration>,
    timeout: Duration,
    connect_timeout: Duration,
}

/// PEM files for a TLS connection; what is not given comes from the machine.
#[derive(Clone, Debug, Default)]
struct TlsFiles {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl RedisOptions {
    /// Reads a URL.
    ///
    /// - `redis://[user:password@]host[:port][/database]`: TCP, port 6379 and database 0 by default
    /// - `rediss://…`: the same over TLS
    /// - `redis+unix:///path/to/socket` or `unix://…`: a unix socket
    ///
    /// | option | meaning | default |
    /// |---|---|---|
    /// | `name` | the store's name in references | `redis` |
    /// | `prefix` | put in front of every key | none |
    /// | `ttl` | how long a blob lives after it was put or renewed | for ever |
    /// | `timeout` | how long one command may take | `5s` |
    /// | `connect_timeout` | how long connecting may take | `2s` |
    /// | `db`, `user`, `password` | for a unix socket, whose URL has no place for them | |
    /// | `ca_file`, `cert_file`, `key_file` | PEM files for TLS | the machine's CAs, no client certificate |
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for another scheme, a malformed URL or an unknown option. The URL is not repeated in it.
    pub fn from_url(url: &str) -> Result<Self> {
        let url =
            Url::parse(url).map_err(|error| invalid(format!("the store URL cannot be read: {error}")))?;
        let mut query = UrlOptions::of(&url)?;
        let tls = TlsFiles {
            ca: query.text("ca_file")?.map(PathBuf::from),
            certificate: query.text("cert_file")?.map(PathBuf::from),
            key: query.text("key_file")?.map(PathBuf::from),
        };
        let host = || match url.host_str() {
            Some(host) if !host.is_empty() => decoded(host.trim_matches(['[', ']'])),
            _ => Err(invalid("the store URL has no host")),
        };
        let port = url.port().unwrap_or(6379);
        let (address, path_database) = match url.scheme() {
            "redis" => (ConnectionAddr::Tcp(host()?, port), url.path().trim_matches('/').to_owned()),
            "rediss" => {
                let (host, insecure, tls_params) = (host()?, false, None);
                let address = ConnectionAddr::TcpTls { host, port, insecure, tls_params };
                (address, url.path().trim_matches('/').to_owned())
            }
            "redis+unix" | "unix" => (ConnectionAddr::Unix(decoded(url.path())?.into()), String::new()),
            scheme => return Err(invalid(format!("{scheme}:// is not a Redis URL"))),
        };
        let credentials = |part: &str| if part.is_empty() { Ok(None) } else { decoded(part).map(Some) };
        let user = query.text("user")?.or(credentials(url.username())?);
        let password = query.text("password")?.or(credentials(url.password().unwrap_or_default())?);
        let database = query.text("db")?.unwrap_or(path_database);
        let database = match database.as_str() {
            "" => 0,
            number => number.parse().map_err(|_| invalid("the database of the store URL is not a number"))?,
        };
        let mut redis = RedisConnectionInfo::default().set_db(database);
        if let Some(user) = user {
            redis = redis.set_username(user);
        }
        if let Some(password) = password {
            redis = redis.set_password(password);
        }
        let options = Self {
            address,
            tls: (url.scheme() == "rediss").then_some(tls),
            redis,
            name: query.text("name")?.unwrap_or_else(|| "redis".to_owned()),
            prefix: query.text("prefix")?.unwrap_or_default(),
            ttl: query.duration("ttl")?,
            timeout: query.duration("timeout")?.unwrap_or(Duration::from_secs(5)),
            connect_timeout: query.duration("connect_timeout")?.unwrap_or(Duration::from_secs(2)),
        };
        query.finish()?;
        Ok(options)
    }

    /// Reads the environment: `REDIS_URL` if it is set, else `REDIS_HOST` and `REDIS_PORT`, as Temporal's recipe
    /// does. Without any of them: port 6379 of this machine.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, as [`from_url`](Self::from_url).
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(url) = variable("REDIS_URL") {
            return Self::from_url(&url);
        }
        let host = variable("REDIS_HOST").unwrap_or_else(|| "localhost".to_owned());
        let port = variable("REDIS_PORT").unwrap_or_else(|| "6379".to_owned());
        let port: u16 = port.parse().map_err(|_| invalid("REDIS_PORT is not a port number"))?;
        let mut options = Self::from_url("redis://localhost")?;
        options.address = ConnectionAddr::Tcp(host, port);
        Ok(options)
    }

    /// Sets the name in references; see [`BlobStore::name`](blob_store::BlobStore::name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets what is put in front of every key, such as `team-a:`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a blob lives after it was put or renewed.
    ///
    /// It must outlive every workflow that refers to it: longer than the longest run plus the namespace's
    /// retention.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// A store that connects when it is first used, and again whenever the connection is lost.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if a TLS file cannot be read.
    pub fn build(self) -> Result<RedisStore> {
        let error = |error: Error| error.in_store(&self.name).during(Operation::Connect);
        let manager = self.manager().map_err(error)?;
        Ok(RedisStore::from_manager(manager, self))
    }

    /// Host and port, or socket, for messages.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    fn manager(&self) -> Result<ConnectionManager> {
        let info = self.address.clone().into_connection_info().map_err(|error| from_redis(&error))?;
        let info: ConnectionInfo = info
            .set_redis_settings(self.redis.clone())
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = match &self.tls {
            None => Client::open(info),
            Some(files) => {
                use_a_tls_provider();
                Client::build_with_tls(info, files.read()?)
            }
        };
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            // Whoever uses the store decides how often to try; here one quick second attempt is enough.
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50));
        client
            .and_then(|client| ConnectionManager::new_lazy_with_config(client, config))
            .map_err(|error| from_redis(&error))
    }
}

impl TlsFiles {
    fn read(&self) -> Result<TlsCertificates> {
        let file = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|error| invalid(format!("the TLS file {} cannot be read: {error}", path.display())))
        };
        let client_tls = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                Some(ClientTlsConfig { client_cert: file(certificate)?, client_key: file(key)? })
            }
            (None, None) => None,
            _ => return Err(invalid("cert_file and key_file go together")),
        };
        Ok(TlsCertificates { client_tls, root_cert: self.ca.as_ref().map(file).transpose()? })
    }
}

/// rustls panics at the first connection if the process has several providers and chose none.
fn use_a_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else was quicker: then there is one.
        let _ = Arc::new(rustls::crypto::ring::default_provider()).as_ref().clone().install_default();
    }
}

fn decoded(part: &str) -> Result<String> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(Into::into).map_err(|_| invalid("the store URL is not valid UTF-8 where it is percent-encoded"))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

/// Without user and password.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("address", &self.address())
            .field("database", &self.redis.db())
            .field("tls", &self.tls)
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .field("ttl", &self.ttl)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_everything() {
        let options = RedisOptions::from_url(
            "rediss://us%40er:p%3Ass@[::1]:7000/3?prefix=a:&ttl=7days&name=claims&timeout=1s&connect_timeout=3s",
        )
        .expect("valid");
        assert_eq!(options.address.to_string(), "::1:7000");
        assert_eq!((options.redis.username(), options.redis.password()), (Some("us@er"), Some("p:ss")));
        assert_eq!(options.redis.db(), 3);
        assert_eq!((options.prefix.as_str(), options.name.as_str()), ("a:", "claims"));
        assert_eq!(options.ttl, Some(Duration::from_secs(7 * 86_400)));
        let socket = RedisOptions::from_url("redis+unix:///run/redis.sock?db=2&password=x").expect("valid");
        assert_eq!(socket.address.to_string(), "/run/redis.sock");
        assert_eq!((socket.redis.db(), socket.redis.password()), (2, Some("x")));
    }

    #[test]
    fn what_is_wrong_is_said_without_secrets() {
        for (url, text) in [
            ("nonsense", "cannot be read"),
            ("http://u:hunter2@host", "http:// is not a Redis URL"),
            ("redis://u:hunter2@host/zero", "database of the store URL is not a number"),
            ("redis://u:hunter2@host?pasword=hunter2", "did you mean \"password\"?"),
            ("redis://u:hunter2@host?ttl=soon", "option \"ttl\" is not a duration"),
            ("rediss://host?cert_file=/tmp/x", "cert_file and key_file go together"),
            ("rediss://host?ca_file=/does/not/exist", "/does/not/exist cannot be read"),
        ] {
            let error = RedisOptions::from_url(url).and_then(RedisOptions::build).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(text), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        let options = RedisOptions::from_url("redis://me:hunter2@host").expect("valid");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
