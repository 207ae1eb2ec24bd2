//! `lag`: how far each projection is behind the log, partition by partition, from what is
//! committed.

use crate::backend::{Cluster, Folder, Identities, Look, Ranges, positions};
use crate::render::{Answer, Format, Value, time_text};
use crate::standing::trouble;
use anyhow::{Context as _, Result};
use domain::projection::PROJECTIONS;
use domain::{Projection, TopicPartition};
use pipeline::{GroupPosition, LogIdentity, ParkNote, Position};
use runtime::config::Config;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  sporelog lag                          a line for each partition that is behind or parked
  sporelog lag --all --format csv       every partition
  sporelog lag --wait 60                wait until everything that is in the log now is applied

Positions are read from the stores (for ingest from its group in the log), not from the workers: the figures hold
whether or not a worker runs. What is behind counts the records of an open transaction, which nobody may read yet.
A partition is parked where trouble of its own stops it, with cause and offset; where no worker runs, it is shown as parked
if the next one would park it. What to do is said below the table (with --format table).

Exit status: 0 where no partition is behind and none parked, else 1.";

/// How often `--wait` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What `lag` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Show the partitions that are not behind, too.
    #[arg(long)]
    all: bool,
    /// Wait at most so many seconds until everything that the log holds at the start is applied.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One partition of a projection.
struct Line {
    projection: &'static str,
    tp: TopicPartition,
    position: Position,
    end: i64,
    parked: Option<ParkNote>,
}

impl Line {
    fn is_done(&self) -> bool {
        self.behind() == 0 && self.parked.is_none()
    }

    fn behind(&self) -> i64 {
        self.end - self.position.next_offset
    }
}

/// Where the log ended when the waiting began. Partitions go by name: what appears meanwhile moves
/// none of the others.
type Ends = BTreeMap<(&'static str, TopicPartition), i64>;

/// Prints how far each partition is behind.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    match Cluster::configured(&config)? {
        Some(cluster) => answer(args, &cluster.with_stores(&config)?).await,
        None => answer(args, &Folder::new(config.data.dir.clone())?).await,
    }
}

async fn answer<L: Look>(args: Args, look: &L) -> Result<ExitCode> {
    let mut lines = lines(look, None, true).await?;
    if let Some(seconds) = args.wait {
        let ends = ends(&lines);
        let waited = async {
            while !lines.iter().all(Line::is_done) {
                tokio::time::sleep(LOOK_AGAIN).await;
                // Which log it is does not change meanwhile, and takes several questions to ask.
                lines = self::lines(look, Some(&ends), false).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        // What is behind by then is shown and told by the exit status.
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(seconds), waited).await {
            ended?;
        }
        lines = self::lines(look, Some(&ends), true).await?;
    }
    print(&lines, &args, &mut std::io::stdout())?;
    if args.format == Format::Table {
        tell_parked(&lines);
    }
    Ok(if lines.iter().all(Line::is_done) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ends(lines: &[Line]) -> Ends {
    lines.iter().map(|line| ((line.projection, line.tp), line.end)).collect()
}

/// Every partition of every projection, in a fixed order; `ends` holds still what counts as the
/// log's end, and what it does not name was not in the log then. Where `asks_logs` is false, it is
/// not asked which log each partition is.
async fn lines<L: Look>(look: &L, ends: Option<&Ends>, asks_logs: bool) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for projection in PROJECTIONS {
        let tps = look.partitions(projection.topics).await?;
        let held = positions(look, projection, &tps).await?;
        let ranges = look.ranges(&tps).await?;
        let logs = if asks_logs { look.identities(&tps).await? } else { Identities::new() };
        for tp in tps {
            let held = held.iter().find(|held| held.position.tp == tp);
            lines.push(line(projection, tp, held, (&ranges, &logs), ends)?);
        }
    }
    Ok(lines)
}

fn line(
    projection: &'static Projection,
    tp: TopicPartition,
    held: Option<&GroupPosition>,
    (ranges, logs): (&Ranges, &Identities),
    ends: Option<&Ends>,
) -> Result<Line> {
    let gone = || format!("{tp} is gone from the log");
    let range = *ranges.get(&tp).with_context(gone)?;
    let unread = || {
        let (position, log) = (Position::start(tp, range.start), LogIdentity::default());
        GroupPosition { position, log, parked: None }
    };
    let held = held.cloned().unwrap_or_else(unread);
    let end = match ends {
        None => range.end,
        Some(ends) => ends.get(&(projection.name, tp)).map_or(range.start, |end| (*end).min(range.end)),
    };
    let (parked, position) = (trouble(projection.name, &held, logs.get(&tp), range), held.position);
    Ok(Line { projection: projection.name, tp, position, end: end.max(position.next_offset), parked })
}

/// Says what to do about each parked partition; a sentence that is true of many is said once.
fn tell_parked(lines: &[Line]) {
    let mut told: Vec<&str> = Vec::new();
    for note in lines.iter().filter_map(|line| line.parked.as_ref()) {
        if !told.contains(&note.text.as_str()) {
            told.push(&note.text);
            eprintln!("{}", note.text);
        }
    }
    if !told.is_empty() {
        eprintln!(
            "docs/operations.md, A partition that is parked, says more of each cause; `sporelog doctor` looks at the rest"
        );
    }
}

fn print(lines: &[Line], args: &Args, out: &mut impl Write) -> Result<()> {
    let names = ["projection", "partition", "position", "log_end", "behind", "last_append", "parked"]
        .map(str::to_owned)
        .to_vec();
    let mut answer = Answer::new(args.format, names, out)?;
    for line in lines.iter().filter(|line| args.all || !line.is_done()) {
        answer.row(&[
            Value::Text(line.projection.to_owned()),
            Value::Text(line.tp.to_string()),
            Value::Int(line.position.next_offset),
            Value::Int(line.end),
            Value::Int(line.behind()),
            line.position.last.and_then(|last| time_text(last.append_us)).map_or(Value::Null, Value::Text),
            line.parked.as_ref().map_or(Value::Null, |note| Value::Text(format!("{} at {}", note.cause, note.offset))),
        ])?;
    }
    answer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;
    use domain::topics::TopicSpec;
    use embedded::log::Log;
    use embedded::store::{STORE_FILE, Store};
    use pipeline::{Claim, OutRecord, RowStore as _};

    fn open(dir: &std::path::Path, topics: &[Topic]) -> Log {
        let spec = |topic: &Topic| {
            let (configs, events) = Default::default();
            TopicSpec { topic: *topic, partitions: 1, replication: 1, configs, events }
        };
        Log::open(dir, &topics.iter().map(spec).collect::<Vec<_>>()).unwrap()
    }

    async fn append(log: &Log, topic: Topic, records: usize) {
        let record = OutRecord { topic, key: b"k".to_vec(), value: b"v".to_vec(), headers: Default::default() };
        log.append(vec![record; records]).await.unwrap();
    }

    /// What is waited for is what the log held at the start, also where a topic is made meanwhile.
    #[tokio::test]
    async fn ends_are_held_by_partition() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join(STORE_FILE)).unwrap();
        let log = open(dir.path(), &[Topic::SacredMessages]);
        append(&log, Topic::SacredMessages, 3).await;
        let folder = Folder::new(dir.path().to_owned()).unwrap();
        let held = ends(&lines(&folder, None, true).await.unwrap());
        drop(log);
        let log = open(dir.path(), &[Topic::SporeCreated, Topic::SacredMessages]);
        append(&log, Topic::SporeCreated, 5).await;
        append(&log, Topic::SacredMessages, 1).await;
        let behind = |lines: Vec<Line>, topic| -> Vec<i64> {
            lines.iter().filter(|line| line.tp.topic == topic).map(Line::behind).collect()
        };
        let n = PROJECTIONS.len();
        for (topic, then, now) in [(Topic::SacredMessages, 3, 4), (Topic::SporeCreated, 0, 5)] {
            assert_eq!(behind(lines(&folder, Some(&held), true).await.unwrap(), topic), vec![then; n], "{topic}");
            assert_eq!(behind(lines(&folder, None, true).await.unwrap(), topic), vec![now; n], "{topic}");
        }
        drop((log, store));
    }

    /// I7: a parked partition is shown without --all, and is not done although nothing of it may be
    /// behind.
    #[tokio::test]
    async fn a_parked_partition_is_shown_and_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path().join(STORE_FILE)).unwrap();
        let log = open(dir.path(), &[Topic::SacredMessages]);
        let tp = TopicPartition::new(Topic::SacredMessages, 0);
        let note = ParkNote { cause: "unreadable".into(), offset: 0, text: "damaged: do this".into(), since_us: 1 };
        store.note_parked(projector::PROJECTION, tp, &note).await.unwrap();
        let folder = Folder::new(dir.path().to_owned()).unwrap();
        let lines = lines(&folder, None, true).await.unwrap();
        let args = Args { all: false, wait: None, format: Format::Csv };
        let mut out = Vec::new();
        print(&lines, &args, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().count() == 2 && text.contains("views,sacred.messages/0,0,0,0,,unreadable at 0"), "{text}");
        assert!(!lines.iter().all(Line::is_done));
        drop((log, store));
    }

    /// I2: a log that was replaced under a store is told before any worker runs.
    #[tokio::test]
    async fn a_log_that_was_replaced_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path().join(STORE_FILE)).unwrap();
        let tp = TopicPartition::new(Topic::SacredMessages, 0);
        let log = LogIdentity { cluster_id: "gone".into(), topic_id: String::new(), partitions: 1 };
        store.claim(projector::PROJECTION, &[Claim { tp, log }]).await.unwrap();
        let counts = pipeline::Counts { applied: 1, ..Default::default() };
        let to = Position { next_offset: 1, epoch: 1, counts, ..Position::start(tp, 0) };
        let advances = [pipeline::Advance { from: None, to }];
        let rows = domain::delta::Deltas::new(projector::PROJECTION.tables);
        let before_commit = &pipeline::nothing_before_commit;
        let (projection, sequences, dead) = (projector::PROJECTION, &[][..], &[][..]);
        let flush = pipeline::Flush { projection, advances: &advances, sequences, dead, rows: &rows, before_commit };
        store.commit(&flush).await.unwrap();
        let log = open(dir.path(), &[Topic::SacredMessages]);
        append(&log, Topic::SacredMessages, 3).await;
        let folder = Folder::new(dir.path().to_owned()).unwrap();
        let lines = lines(&folder, None, true).await.unwrap();
        let views = lines.iter().find(|line| line.projection == "views" && line.tp == tp).unwrap();
        assert_eq!(views.parked.as_ref().map(|note| note.cause.as_str()), Some("another_log"));
        drop((log, store));
    }
}
