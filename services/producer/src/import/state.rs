//! What is known of earlier imports of the same content: how far they came, and which rows were rejected.
//!
//! Two files: `HASH.json`, replaced after each acknowledged batch, and `HASH.rejects.jsonl`, to which rejects are
//! appended *before* the batch that passes them is published. A rejected row is tried again by the next import,
//! under the producer of its attempt: the high-water mark of the first has passed it. So a row counts once, whatever
//! crashes in between. Without these files nothing doubles either, but rows rejected then stay out.

use super::error::ImportError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A row that gave no events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The row's number, from 1.
    pub row: u64,
    /// The line of the file where it begins, from 1.
    pub line: u64,
    /// The column, where it is known.
    pub column: Option<String>,
    /// The field of the event, where it is known.
    pub field: Option<String>,
    /// The reason.
    pub reason: String,
    /// The row as it stands in the file, cut at 16 KiB.
    pub raw: String,
    /// How often it was rejected.
    pub attempts: u32,
}

/// How far an import of this content came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The input, as it was named.
    pub file: String,
    /// BLAKE3 of the mapping's text.
    pub mapping: String,
    /// Rows behind us: published and acknowledged, or rejected.
    pub rows_done: u64,
    /// Events published by all imports of this content.
    pub events: u64,
    /// Whether the end was reached.
    pub complete: bool,
    /// Rows (from 1) that passed after having been rejected, with the attempt under which they went.
    pub mended: BTreeMap<u64, u32>,
}

/// The state of an import on disk, or in memory only.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) saved: Saved,
    rejects: BTreeMap<u64, Reject>,
    unsaved: Vec<u64>,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    saved: PathBuf,
    rejects: PathBuf,
}

impl State {
    /// The state of an import under that directory.
    pub(super) fn load(directory: &Path, import_id: &str) -> Result<Self, ImportError> {
        fs::create_dir_all(directory).map_err(ImportError::io("cannot create", directory))?;
        let files = Files {
            saved: directory.join(format!("{import_id}.json")),
            rejects: directory.join(format!("{import_id}.rejects.jsonl")),
        };
        let mut state = Self::default();
        if files.saved.exists() {
            let text = fs::read_to_string(&files.saved).map_err(ImportError::io("cannot read", &files.saved))?;
            state.saved = serde_json::from_str(&text)
                .map_err(|error| ImportError::State { path: files.saved.clone(), reason: error.to_string() })?;
        }
        if files.rejects.exists() {
            state.load_rejects(&files.rejects)?;
        }
        state.files = Some(files);
        Ok(state)
    }

    fn load_rejects(&mut self, path: &Path) -> Result<(), ImportError> {
        let text = fs::read_to_string(path).map_err(ImportError::io("cannot read", path))?;
        for line in text.lines() {
            // The last line may be torn by a crash: its row was not passed yet.
            if let Ok(reject) = serde_json::from_str::<Reject>(line) {
                self.rejects.insert(reject.row.saturating_sub(1), reject);
            }
        }
        if text.ends_with('\n') { Ok(()) } else { self.rewrite_rejects(path) }
    }

    fn rewrite_rejects(&self, path: &Path) -> Result<(), ImportError> {
        let mut lines = Vec::new();
        self.rejects.values().for_each(|reject| push_line(&mut lines, reject));
        replace(path, &lines)
    }

    /// Under which attempt a row goes, and whether an earlier import rejected it.
    pub(super) fn attempt(&self, row: u64) -> (u32, bool) {
        match (self.rejects.get(&row), self.saved.mended.get(&(row + 1))) {
            (Some(reject), _) => (reject.attempts, true),
            (None, Some(attempt)) => (*attempt, false),
            (None, None) => (0, false),
        }
    }

    pub(super) fn reject(&mut self, reject: Reject) {
        let row = reject.row - 1;
        self.rejects.insert(row, reject);
        self.unsaved.push(row);
    }

    pub(super) fn mend(&mut self, row: u64) {
        if let Some(reject) = self.rejects.remove(&row) {
            self.saved.mended.insert(row + 1, reject.attempts);
        }
    }

    pub(super) fn rejects(&self) -> impl Iterator<Item = &Reject> {
        self.rejects.values()
    }

    pub(super) fn rejects_path(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| files.rejects.as_path())
    }

    /// Makes new rejects durable.
    pub(super) fn keep_rejects(&mut self) -> Result<(), ImportError> {
        let rows = std::mem::take(&mut self.unsaved);
        let Some(files) = self.files.as_ref().filter(|_| !rows.is_empty()) else { return Ok(()) };
        let path = &files.rejects;
        let failed = || ImportError::io("cannot write", path);
        let mut lines = Vec::new();
        for reject in rows.iter().filter_map(|row| self.rejects.get(row)) {
            push_line(&mut lines, reject);
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed())?;
        file.write_all(&lines).map_err(failed())?;
        file.sync_data().map_err(failed())
    }

    /// Replaces the saved state.
    pub(super) fn save(&self) -> Result<(), ImportError> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut text = serde_json::to_vec_pretty(&self.saved)
            .map_err(|error| ImportError::State { path: files.saved.clone(), reason: error.to_string() })?;
        text.push(b'\n');
        replace(&files.saved, &text)
    }

    /// Leaves only the rows that are still rejected in the rejects' file.
    pub(super) fn finish(&self) -> Result<(), ImportError> {
        self.save()?;
        let Some(files) = &self.files else { return Ok(()) };
        if !self.rejects.is_empty() {
            return self.rewrite_rejects(&files.rejects);
        }
        match fs::remove_file(&files.rejects) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ImportError::io("cannot remove", &files.rejects)(error))
            }
            _ => Ok(()),
        }
    }
}

fn push_line(lines: &mut Vec<u8>, reject: &Reject) {
    // Strings and numbers: writing them to memory cannot fail.
    if let Ok(line) = serde_json::to_vec(reject) {
        lines.extend_from_slice(&line);
        lines.push(b'\n');
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
    let next = path.with_extension("next");
    let write = || {
        let mut file = File::create(&next)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&next, path)
    };
    write().map_err(ImportError::io("cannot write", path))
}
