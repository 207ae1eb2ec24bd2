//! The folder of a running engine: data, configuration and log. It goes when the engine is dropped.
//!
//! A process that is killed cannot remove its folders. So each is locked as long as it is in use, and whoever makes a
//! new one removes those that nobody holds any more.

use anyhow::{Context as _, Result};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const PREFIX: &str = "sporelog-engine-";
const LOCK: &str = "lock";

/// A folder, ours until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes an empty one.
    pub(crate) fn create() -> Result<Self> {
        let all = std::env::temp_dir();
        sweep(&all);
        let create = || -> std::io::Result<Self> {
            // Others may pass through: Postgres runs as another user where we are root.
            let permissions = Permissions::from_mode(0o755);
            let fresh = tempfile::Builder::new().prefix("new-").permissions(permissions).tempdir_in(&all)?;
            let lock = File::create(fresh.path().join(LOCK))?;
            lock.lock()?;
            // It gets the name that is swept only now that it is locked.
            let name = fresh.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = all.join(format!("{PREFIX}{name}"));
            fs::rename(fresh.keep(), &path)?;
            Ok(Self { path, _lock: lock })
        };
        create().with_context(|| format!("cannot create a folder for an engine in {}", all.display()))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays because of an error is swept by the next one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders whose owner is gone.
fn sweep(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let abandoned = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
