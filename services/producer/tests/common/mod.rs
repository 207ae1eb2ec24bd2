//! What the tests of the importer share: files, a publisher that keeps what it got, a clock that
//! stands.

#![allow(dead_code, reason = "each test uses its part")]

use domain::TopicPartition;
use pipeline::{Clock, LogError, OutRecord, Placed, Publisher, Unpublished};
use producer::import::{Import, ImportError, Options, Report};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// 2026-01-01T00:00:00Z.
pub const NOW_US: i64 = 1_767_225_600_000_000;

/// A clock that stands.
pub struct Standing;

impl Clock for Standing {
    fn now_us(&self) -> i64 {
        NOW_US
    }
    fn monotonic_us(&self) -> i64 {
        0
    }
    async fn sleep(&self, _wait: Duration) {}
}

/// Keeps what it got; is away after that many batches.
#[derive(Default)]
pub struct Kept {
    pub records: Vec<OutRecord>,
    pub batches: usize,
    pub fail_after: Option<usize>,
    /// How many records of the batch that fails are taken all the same.
    pub taken: usize,
    /// The largest value that it takes, bytes.
    pub max_bytes: Option<usize>,
}

impl Publisher for Kept {
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        let is_too_large = |record: &OutRecord| self.max_bytes.is_some_and(|max| record.value.len() > max);
        if let Some(at) = records.iter().position(is_too_large) {
            // A real log has taken what came before.
            self.records.extend(records.into_iter().take(at));
            let error = LogError::Refused("too large".into());
            return Err(Unpublished { error, refused: Some(at), placed: Vec::new() });
        }
        let fails = self.fail_after == Some(self.batches);
        let taken = if fails { self.taken.min(records.len()) } else { records.len() };
        let place = |at: usize| {
            let tp = TopicPartition { topic: records[at].topic, partition: 0 };
            Placed { tp, offset: (self.records.len() + at) as i64 }
        };
        let placed: Vec<_> = (0..taken).map(place).collect();
        self.records.extend(records.into_iter().take(taken));
        if fails {
            let error = LogError::Unavailable("scripted".into());
            let placed = placed.into_iter().map(Some).collect();
            return Err(Unpublished { error, refused: None, placed });
        }
        self.batches += 1;
        Ok(placed)
    }
}

impl Kept {
    pub fn json(&self) -> Vec<Value> {
        let schemas = schemas();
        self.records.iter().map(|record| codec::to_json(&schemas, &record.value).unwrap()).collect()
    }

    /// The values of one field, in order.
    pub fn field(&self, path: &str) -> Vec<Value> {
        self.json().iter().map(|event| event.pointer(path).cloned().unwrap_or(Value::Null)).collect()
    }
}

/// A folder with a mapping and an input.
pub struct Case {
    pub folder: tempfile::TempDir,
    pub options: Options,
}

impl Case {
    pub fn new(mapping: &str, name: &str, content: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("map.toml"), mapping).unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let mut options = Options::new(folder.path().join(name), folder.path().join("map.toml"));
        options.state_dir = Some(folder.path().join("imports"));
        Self { folder, options }
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn import(&self, publisher: &mut Kept) -> Result<Report, ImportError> {
        import(&self.options, publisher)
    }

    /// Imports all, and gives the records.
    pub fn run(&self) -> Kept {
        let mut kept = Kept::default();
        self.import(&mut kept).unwrap();
        kept
    }

    /// The message of an import that fails.
    pub fn refused(&self) -> String {
        self.import(&mut Kept::default()).unwrap_err().to_string()
    }
}

/// The schemas of this build, parsed once: that takes longer than a small import.
pub fn schemas() -> Arc<codec::Schemas> {
    static SCHEMAS: OnceLock<Arc<codec::Schemas>> = OnceLock::new();
    SCHEMAS.get_or_init(|| Arc::new(codec::Schemas::embedded().unwrap())).clone()
}

pub fn import(options: &Options, publisher: &mut Kept) -> Result<Report, ImportError> {
    let import = Import::prepare(options.clone())?.with_schemas(schemas());
    block_on(import.run(publisher, &Standing, &CancellationToken::new(), &mut |_| ()))
}

pub fn dry_run(options: &Options, first: usize) -> (Report, Vec<Value>) {
    let mut shown = Vec::new();
    let import = Import::prepare(options.clone()).unwrap();
    let report = block_on(import.dry_run(&Standing, first, &mut |event| shown.push(event))).unwrap();
    (report, shown)
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The events that the sets of one partition let through: of each producer the 1,024 largest
/// numbers, and a floor. One partition is the hardest case: of several, each holds fewer numbers.
pub fn admitted(records: &[OutRecord]) -> Vec<Value> {
    let schemas = schemas();
    let mut sets = HashMap::<_, (BTreeSet<i64>, Option<i64>)>::new();
    let mut through = Vec::new();
    for record in records {
        let event = codec::to_json(&schemas, &record.value).unwrap();
        let producer = event["meta"]["producer_id"].as_str().unwrap().to_owned();
        let number = event["meta"]["producer_seq"].as_i64().unwrap();
        let (set, floor) = sets.entry((record.topic, producer)).or_default();
        if Some(number) > *floor && set.insert(number) {
            through.push(event);
            if set.len() > 1_024 {
                *floor = set.pop_first();
            }
        }
    }
    through
}

/// The events in an order of their own, to compare what was published however it was.
pub fn sorted(mut events: Vec<Value>) -> Vec<Value> {
    events.sort_by_key(|event| event["meta"]["event_id"].as_str().unwrap().to_owned());
    events
}
