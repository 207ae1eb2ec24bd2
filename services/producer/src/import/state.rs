//! What is known of earlier imports of the same content: which rows are behind which `[[event]]`,
//! and which rows were rejected.
//!
//! Two files: `HASH.json`, replaced after each acknowledged batch, and `HASH.rejects.jsonl`, to
//! which rejects are appended *before* the batch that passes them is published. Only what was
//! published and acknowledged is passed over, so a rejected row, a row before `--from-row` and a
//! row of a batch that failed are tried by the next import. Whatever is published twice, after a
//! crash or without these files, has the ids and numbers that it had before.

use super::error::ImportError;
use super::lanes::{Lane, SavedOutput, lanes};
use super::mapping::Mapping;
use super::ranges::RowRanges;
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
    /// The row as it stands in the file, cut at 16 KiB; empty where it was the log that refused it.
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
    /// How the rows were told apart: read in another way, they have other numbers.
    pub reading: String,
    /// Each `[[event]]` that was ever imported of this content.
    pub outputs: Vec<SavedOutput>,
    /// Events published by all imports of this content.
    pub events: u64,
    /// Whether the end was reached.
    pub complete: bool,
}

/// The state of an import on disk, or in memory only.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) saved: Saved,
    /// By row, from 1.
    rejects: BTreeMap<u64, Reject>,
    /// The place of each `[[event]]` of the mapping among the saved outputs.
    places: Vec<usize>,
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
                self.rejects.insert(reject.row, reject);
            }
        }
        if text.ends_with('\n') { Ok(()) } else { self.rewrite_rejects(path) }
    }

    fn rewrite_rejects(&self, path: &Path) -> Result<(), ImportError> {
        let mut lines = Vec::new();
        self.rejects.values().for_each(|reject| push_line(&mut lines, reject));
        replace(path, &lines)
    }

    /// What each `[[event]]` of the mapping continues.
    pub(super) fn lanes(&self, mapping: &Mapping, reading: &str) -> Vec<Lane> {
        let fields: Vec<&str> = self.rejects.values().filter_map(|reject| reject.field.as_deref()).collect();
        let mut lanes = lanes(mapping, &self.saved.outputs, &fields);
        if self.saved.reading != reading {
            lanes.iter_mut().for_each(|lane| lane.output.done = RowRanges::default());
        }
        lanes
    }

    /// Begins an import: gives the name of each `[[event]]`, under which its rows are known from
    /// now on.
    pub(super) fn begin(&mut self, mapping: &Mapping, reading: &str) -> Vec<String> {
        let lanes = self.lanes(mapping, reading);
        if self.saved.reading != reading {
            self.saved.outputs.iter_mut().for_each(|output| output.done = RowRanges::default());
            reading.clone_into(&mut self.saved.reading);
        }
        self.saved.mapping.clone_from(&mapping.hash);
        self.places.clear();
        let mut names = Vec::with_capacity(lanes.len());
        for Lane { place, output, .. } in lanes {
            names.push(output.lane.clone());
            self.places.push(place.unwrap_or(self.saved.outputs.len()));
            if place.is_none() {
                self.saved.outputs.push(output);
            }
        }
        names
    }

    /// Whether what the row gives of this `[[event]]` is published, or known to be nothing.
    pub(super) fn is_done(&self, output: usize, row: u64) -> bool {
        let held = self.places.get(output).and_then(|place| self.saved.outputs.get(*place));
        held.is_some_and(|held| held.done.contains(row))
    }

    /// Notes what is published: all that these rows give.
    pub(super) fn finish_rows(&mut self, rows: &RowRanges) {
        for place in &self.places {
            if let Some(output) = self.saved.outputs.get_mut(*place) {
                output.done.extend(rows);
            }
        }
    }

    /// How often the row was rejected.
    pub(super) fn attempts(&self, row: u64) -> u32 {
        self.rejects.get(&row).map_or(0, |reject| reject.attempts)
    }

    pub(super) fn reject(&mut self, reject: Reject) {
        self.unsaved.push(reject.row);
        self.rejects.insert(reject.row, reject);
    }

    pub(super) fn mend(&mut self, row: u64) {
        self.rejects.remove(&row);
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
        let mut text = serde_json::to_vec(&self.saved)
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
