use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use blob_store::{Error, ErrorKind};
use redis::{ErrorKind as RedisKind, RedisError};

/// What a failure of the client or a word of the server means for the caller.
///
/// Texts are ours: those of the server can repeat what was sent to it.
pub(crate) fn from_redis(error: &RedisError) -> Error {
    if let Some(code) = server_code(error) {
        return from_server(&code);
    }
    if let Some(tls) = tls_error(error) {
        let text = format!("TLS failed: {tls}; check ca_file, cert_file and key_file");
        return Error::new(ErrorKind::InvalidConfig, text);
    }
    let unavailable = |text| Error::new(ErrorKind::Unavailable, text);
    match error.kind() {
        _ if error.is_timeout() => Error::new(ErrorKind::Timeout, "no answer in time"),
        RedisKind::AuthenticationFailed => from_server("WRONGPASS"),
        RedisKind::InvalidClientConfig => {
            Error::new(ErrorKind::InvalidConfig, "the connection cannot be set up as configured")
        }
        _ if error.is_connection_refusal() => {
            unavailable("the connection was refused: is the server running?")
        }
        RedisKind::Io => unavailable("the connection failed"),
        _ if error.is_connection_dropped() || error.is_unrecoverable_error() => {
            unavailable("the connection was lost")
        }
        _ => Error::new(ErrorKind::Other, format!("unexpected answer ({})", error.category())),
    }
}

/// What rustls says, which never holds a secret.
fn tls_error(error: &RedisError) -> Option<String> {
    let shared = error.source()?.downcast_ref::<Arc<dyn StdError + Send + Sync>>()?;
    shared.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>().map(ToString::to_string)
}

/// The first word of the server's error, also out of a pipeline or transaction.
fn server_code(error: &RedisError) -> Option<String> {
    let errors = error.clone().into_server_errors()?;
    errors.first().map(|(_, error)| error.code().to_owned())
}

fn from_server(code: &str) -> Error {
    use ErrorKind::{Corrupt, InvalidConfig, Other, PermissionDenied, StorageFull, Unavailable};
    let (kind, text) = match code {
        "NOAUTH" | "WRONGPASS" => {
            (PermissionDenied, "the server wants a user and password, and those given are missing or wrong")
        }
        "NOPERM" => (PermissionDenied, "the user may not run this command on this key: check its ACL"),
        "OOM" => (
            StorageFull,
            "the server reached maxmemory and may not evict: raise maxmemory, set a TTL, or delete what is no \
             longer referenced",
        ),
        "MISCONF" => (
            Unavailable,
            "the server takes no writes because it cannot save to disk: check its disk and its log",
        ),
        "READONLY" => (
            Unavailable,
            "the server is a read-only replica: a failover is under way, or the URL names a replica",
        ),
        "LOADING" => (Unavailable, "the server is loading its data"),
        "MASTERDOWN" => (Unavailable, "the replica has lost its master"),
        "CLUSTERDOWN" | "TRYAGAIN" => (Unavailable, "the cluster is down or is moving this key"),
        "MOVED" | "ASK" => {
            (InvalidConfig, "the server is part of a cluster, which this store does not speak to")
        }
        "BUSY" => (Unavailable, "the server is busy with a script"),
        "WRONGTYPE" => (Corrupt, "the key holds something that is not a string"),
        _ => return Error::new(Other, format!("the server refused the command ({code})")),
    };
    Error::new(kind, text)
}
