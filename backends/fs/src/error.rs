use std::io;

use blob_store::{Error, ErrorKind};

/// What a failure of the file system means for the caller.
pub(crate) fn from_io(error: &io::Error) -> Error {
    let (kind, text) = match error.kind() {
        io::ErrorKind::NotFound => return missing(),
        io::ErrorKind::StorageFull => (ErrorKind::StorageFull, "the disk is full"),
        io::ErrorKind::QuotaExceeded => (ErrorKind::StorageFull, "the quota is used up"),
        io::ErrorKind::FileTooLarge => (ErrorKind::TooLarge, "the file system takes no file of that size"),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::PermissionDenied, "the file system is read-only"),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "access was denied, or a symbolic link leads out of the store's directory: check owner and mode",
        ),
        io::ErrorKind::StaleNetworkFileHandle => (ErrorKind::Unavailable, "the network file system is gone"),
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            (ErrorKind::Corrupt, "something else stands where the blob should be")
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            (ErrorKind::Corrupt, "a symbolic link stands where the blob should be")
        }
        _ => return Error::new(ErrorKind::Other, format!("the file system failed: {error}")),
    };
    Error::new(kind, text)
}

pub(crate) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "no such blob: it was deleted, or is in another directory")
}
