//! The files, on threads that may block.

use std::fmt;
use std::fs::{File, FileTimes, TryLockError};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blob_store::{BlobInfo, BlobKey, Bytes, Error, ErrorKind, PutOutcome, Result, Segments};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::OFlags;
use uuid::Uuid;

use crate::error::{from_io, missing};
use crate::layout::{self, TEMPORARY};

/// How much is read at a time.
const CHUNK: u64 = 1024 * 1024;

/// A temporary file that nobody has locked and nobody has written to for so long is abandoned.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// Where locks do not work, only time tells.
const SURELY_ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory that no path and no symbolic link leads out of.
pub(crate) struct Directory {
    root: Dir,
    path: PathBuf,
    durable: bool,
}

impl Directory {
    pub(crate) fn open(path: &Path, durable: bool) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| from_io(&error))?;
        let root = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| from_io(&error))?;
        let directory = Self { root, path: path.to_owned(), durable };
        directory.ensure(Path::new(TEMPORARY)).map_err(|error| from_io(&error))?;
        directory.collect().map_err(|error| from_io(&error))?;
        Ok(directory)
    }

    /// Whether the directory is still there and lets us in.
    pub(crate) fn check(&self) -> Result<()> {
        self.root.metadata(TEMPORARY).map(drop).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(ErrorKind::Unavailable, "the store's directory is gone"),
            _ => from_io(&error),
        })
    }

    /// A blob is written under a temporary name and then moved to its own. Two writers of one blob both succeed:
    /// the second move replaces the file by an equal one, whole at every moment.
    pub(crate) fn put(&self, path: &Path, blob: &Segments) -> Result<PutOutcome> {
        // One of another length is damaged, by a power failure perhaps, and replaced.
        if self.renew(path)? == Some(blob.len() as u64) {
            return Ok(PutOutcome::AlreadyPresent);
        }
        self.create(path, blob).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::new(ErrorKind::Unavailable, "a directory went away while it was used")
            }
            _ => from_io(&error),
        })?;
        Ok(PutOutcome::Created)
    }

    fn create(&self, path: &Path, blob: &Segments) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        self.ensure(parent)?;
        let temporary = Temporary::create(&self.root)?;
        write_all(&temporary.file, blob)?;
        if self.durable {
            temporary.file.sync_all()?;
        }
        temporary.rename(path)?;
        self.sync(parent)
    }

    /// Sets the modification time to now, if the blob is there. Answers its length.
    pub(crate) fn renew(&self, path: &Path) -> Result<Option<u64>> {
        let file = match self.open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata().map(|metadata| metadata.len());
        let now = FileTimes::new().set_modified(SystemTime::now());
        file.set_times(now).and(length).map(Some).map_err(|error| from_io(&error))
    }

    pub(crate) fn read(&self, path: &Path) -> Result<Reading> {
        let file = self.open_file(path)?;
        let size = file.metadata().map_err(|error| from_io(&error))?.len();
        Ok(Reading { file, size, read: 0 })
    }

    pub(crate) fn info(&self, path: &Path) -> Result<BlobInfo> {
        let metadata = self.open_file(path)?.metadata().map_err(|error| from_io(&error))?;
        Ok(info(metadata.len(), metadata.modified().ok()))
    }

    pub(crate) fn delete(&self, path: &Path) -> Result<()> {
        match self.root.remove_file(path) {
            Ok(()) => self.sync(path.parent().unwrap_or(Path::new(""))).map_err(|error| from_io(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
            Err(error) => Err(from_io(&error)),
        }
    }

    /// Shows every blob whose key starts with `prefix`, until it is told to stop.
    pub(crate) fn list(&self, prefix: &str, show: &mut dyn FnMut(BlobKey, BlobInfo) -> bool) -> Result<()> {
        let mut left = vec![PathBuf::new()];
        while let Some(path) = left.pop() {
            let shown = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            let entries = match self.root.read_dir(shown) {
                Ok(entries) => entries,
                // It went away since it was found.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(from_io(&error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| from_io(&error))?;
                let path = path.join(entry.file_name());
                let kind = entry.file_type().map_err(|error| from_io(&error))?;
                if kind.is_dir() {
                    if layout::may_hold(&path, prefix) {
                        left.push(path);
                    }
                } else if let Some(key) =
                    layout::key(&path).filter(|key| kind.is_file() && key.starts_with(prefix))
                {
                    let (Ok(key), Ok(metadata)) = (BlobKey::new(key), entry.metadata()) else { continue };
                    let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
                    if !show(key, info(metadata.size(), modified)) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn open_file(&self, path: &Path) -> Result<File> {
        let mut options = OpenOptions::new();
        // Without blocking: somebody may have put a pipe where a blob should be.
        options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed());
        let file = self.root.open_with(path, &options).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => missing(),
            _ => from_io(&error),
        })?;
        let file = file.into_std();
        if file.metadata().map_err(|error| from_io(&error))?.is_file() {
            return Ok(file);
        }
        Err(from_io(&io::ErrorKind::IsADirectory.into()))
    }

    /// Creates a directory and those above it.
    fn ensure(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || self.root.is_dir(path) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        self.ensure(parent)?;
        match self.root.create_dir_with(path, DirBuilder::new().mode(0o700)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.sync(parent),
        }
    }

    /// Makes the names in a directory durable.
    fn sync(&self, path: &Path) -> io::Result<()> {
        if !self.durable {
            return Ok(());
        }
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        self.root.open(path)?.sync_all()
    }

    /// Removes the temporary files of writers that are gone.
    fn collect(&self) -> io::Result<()> {
        for entry in self.root.read_dir(TEMPORARY)? {
            let entry = entry?;
            let Ok(file) = entry.open() else { continue };
            let file = file.into_std();
            let Ok(age) = file.metadata()?.modified()?.elapsed() else { continue };
            let abandoned = match file.try_lock() {
                Ok(()) => age > ABANDONED_AFTER,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(_)) => age > SURELY_ABANDONED_AFTER,
            };
            if abandoned {
                // Another process may be at it too.
                let _ = entry.remove_file();
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("path", &self.path)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// A blob being read.
pub(crate) struct Reading {
    file: File,
    size: u64,
    read: u64,
}

impl Reading {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn is_done(&self) -> bool {
        self.read == self.size
    }

    /// The next chunk, if there is one.
    pub(crate) fn next(mut self) -> Result<(Option<Bytes>, Self)> {
        let want = (self.size - self.read).min(CHUNK);
        if want == 0 {
            return Ok((None, self));
        }
        let mut chunk = Vec::with_capacity(usize::try_from(want).unwrap_or(0));
        (&self.file).take(want).read_to_end(&mut chunk).map_err(|error| from_io(&error))?;
        self.read += chunk.len() as u64;
        if (chunk.len() as u64) < want {
            return Err(Error::new(ErrorKind::Corrupt, "the blob was cut short while it was read"));
        }
        Ok((Some(chunk.into()), self))
    }
}

/// A file without a name of its own yet. While its writer lives it is locked; dropped, it is removed.
struct Temporary<'a> {
    root: &'a Dir,
    path: Option<PathBuf>,
    file: File,
}

impl<'a> Temporary<'a> {
    fn create(root: &'a Dir) -> io::Result<Self> {
        let path = Path::new(TEMPORARY).join(Uuid::new_v4().simple().to_string());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = root.open_with(&path, &options)?.into_std();
        // Where locks do not work, the file's age protects it.
        let _ = file.try_lock();
        Ok(Self { root, path: Some(path), file })
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        if let Some(path) = self.path.as_deref() {
            self.root.rename(path, self.root, to)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = self.root.remove_file(path);
        }
    }
}

/// Writes the parts without joining them.
fn write_all(mut file: &File, blob: &Segments) -> io::Result<()> {
    let parts: Vec<_> = blob.parts().iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = parts;
    let mut rest = rest.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn info(size: u64, modified: Option<SystemTime>) -> BlobInfo {
    let info = BlobInfo::new(size);
    match modified {
        Some(at) => info.with_modified(at),
        None => info,
    }
}
