//! The data folder: one process at a time, readable by its owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

const LOCK: &str = "LOCK";

/// Why a data folder cannot be taken.
#[derive(Debug, Error)]
pub enum FolderError {
    /// A live process has it.
    #[error("the data folder {} is in use by {}: stop that process, or choose another data folder", .dir.display(), holder(.pid.as_ref()))]
    Held {
        /// The folder.
        dir: PathBuf,
        /// The process that holds it, where it could be read.
        pid: Option<u32>,
    },
    /// It cannot be made, opened or written.
    #[error("the data folder {} cannot be used: {source}; check that it exists on a local disk and that you may write to it", .dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

fn holder(pid: Option<&u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A data folder held by this process, until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct DataFolder {
    dir: PathBuf,
    lock: File,
}

impl DataFolder {
    /// Takes the folder, making it (mode 0700) where it is missing. The lock is the operating system's, so that
    /// nothing is left to clean up after a crash.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, FolderError> {
        let dir = dir.as_ref();
        let failed = |source| FolderError::Io { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let mut lock = private_file(&dir.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::Held { dir: dir.to_owned(), pid: holder_of(dir) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        lock.set_len(0).map_err(failed)?;
        write!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // The lock goes with the file in any case; an empty file only spares the next reader a stale number.
        let _ = self.lock.set_len(0);
    }
}

/// The process that wrote itself down as the holder.
fn holder_of(dir: &Path) -> Option<u32> {
    fs::read_to_string(dir.join(LOCK)).ok()?.trim().parse().ok()
}

/// Opens a file for reading and writing, making it with mode 0600 where it is missing.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_one_may_hold_it_and_the_other_is_told_who() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("data");
        let held = DataFolder::open(&dir).unwrap();
        let refused = DataFolder::open(&dir).unwrap_err().to_string();
        assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
        assert!(refused.contains("choose another data folder"), "{refused}");
        drop(held);
        DataFolder::open(&dir).unwrap();
    }

    #[test]
    fn nobody_else_may_read_it() {
        let temp = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(temp.path().join("data")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.path().join(LOCK)), 0o600);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = DataFolder::open(file.join("data")).unwrap_err().to_string();
        assert!(error.contains("file/data") && error.contains("you may write to it"), "{error}");
    }
}
