use blob_store::{Error, ErrorKind};
use redis::{ErrorKind as RedisKind, RedisError, ServerErrorKind};

/// What a failure of the client or a word of the server means for the caller.
///
/// Texts are ours: those of the server can repeat what was sent to it.
pub(crate) fn from_redis(error: &RedisError) -> Error {
    use ErrorKind::{InvalidConfig, Other, PermissionDenied, StorageFull, Timeout, Unavailable};
    let code = error.code().unwrap_or_default();
    let (kind, text) = match (error.kind(), code) {
        _ if error.is_timeout() => (Timeout, "no answer in time"),
        (RedisKind::AuthenticationFailed, _) | (_, "WRONGPASS" | "NOAUTH") => {
            (PermissionDenied, "the server wants a user and password, and those given are missing or wrong")
        }
        (RedisKind::Server(ServerErrorKind::NoPerm), _) => {
            (PermissionDenied, "the user may not run this command on this key: check its ACL")
        }
        (_, "OOM") => (
            StorageFull,
            "the server reached maxmemory and may not evict: raise maxmemory, set a TTL, or delete what is no \
             longer referenced",
        ),
        (_, "MISCONF") => (
            Unavailable,
            "the server takes no writes because it cannot save to disk: check its disk and its log",
        ),
        (RedisKind::Server(ServerErrorKind::ReadOnly), _) => (
            Unavailable,
            "the server is a read-only replica: a failover is under way, or the URL names a replica",
        ),
        (RedisKind::Server(ServerErrorKind::BusyLoading), _) => {
            (Unavailable, "the server is loading its data")
        }
        (RedisKind::Server(ServerErrorKind::MasterDown), _) => {
            (Unavailable, "the replica has lost its master")
        }
        (RedisKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain), _) => {
            (Unavailable, "the cluster is down or moving this key")
        }
        (RedisKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
            (InvalidConfig, "the server is part of a cluster: its URL has to say so")
        }
        (_, "BUSY") => (Unavailable, "the server is busy with a script"),
        (_, "WRONGTYPE") => (ErrorKind::Corrupt, "the key holds something that is not a string"),
        (RedisKind::InvalidClientConfig, _) => {
            (InvalidConfig, "the connection cannot be set up as configured")
        }
        _ if error.is_connection_refusal() => {
            (Unavailable, "the connection was refused: is the server running?")
        }
        (RedisKind::Io, _) => (Unavailable, "the connection failed"),
        _ if error.is_connection_dropped() || error.is_unrecoverable_error() => {
            (Unavailable, "the connection was lost")
        }
        _ => (Other, "the server refused the command"),
    };
    let detail = match (kind, code) {
        (Other, "") => format!(" ({})", error.category()),
        (Other, code) => format!(" ({code})"),
        _ => String::new(),
    };
    Error::new(kind, format!("{text}{detail}"))
}
