//! Where the store lies, and what it may take.

use std::path::PathBuf;

/// The name of the store in the data folder.
pub const STORE_FILE: &str = "store.db";

/// The settings of a store. Every one has the default that [`StoreConfig::new`] states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The file.
    pub path: PathBuf,
    /// The page cache of the writing connection, in KiB (default 65,536).
    pub writer_cache_kib: u32,
    /// The page cache of each reading connection, in KiB (default 8,192).
    pub reader_cache_kib: u32,
    /// The size at which the write-ahead log is written back into the file, in pages of 4 KiB (default 8,192).
    pub checkpoint_pages: u32,
    /// Whether a commit waits until the disk holds it (default true). False only for a store that is thrown away,
    /// such as the one that `verify` fills.
    pub durable: bool,
}

impl StoreConfig {
    /// The defaults, for a store in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { path, writer_cache_kib: 65_536, reader_cache_kib: 8_192, checkpoint_pages: 8_192, durable: true }
    }

    /// The settings of a store that is thrown away: commits do not wait for the disk.
    pub fn scratch(path: impl Into<PathBuf>) -> Self {
        Self { durable: false, ..Self::new(path) }
    }
}
