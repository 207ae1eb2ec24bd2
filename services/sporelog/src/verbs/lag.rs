//! `lag`: how far each projection is behind the log, partition by partition, from what is committed.

use crate::backend::{Cluster, Folder, Look};
use crate::render::{Answer, Format, Value, time_text};
use anyhow::{Context as _, Result};
use domain::projection::PROJECTIONS;
use domain::{Projection, TopicPartition};
use pipeline::Position;
use runtime::config::Config;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  sporelog lag                          a line for each partition that is behind
  sporelog lag --all --format csv       every partition
  sporelog lag --wait 60                wait until everything that is in the log now is applied

Positions are read from the stores (for ingest from its group in the log), not from the workers: the figures hold
whether or not a worker runs.

Exit status: 0 where no partition is behind, 1 where one is.";

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
}

impl Line {
    fn behind(&self) -> i64 {
        self.end - self.position.next_offset
    }
}

/// Where the log ended when the waiting began. Partitions go by name: what appears meanwhile moves none of the others.
type Ends = BTreeMap<(&'static str, TopicPartition), i64>;

/// Prints how far each partition is behind.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    match Cluster::configured(&config)? {
        Some(cluster) => answer(args, &cluster.with_stores(&config)?).await,
        None => answer(args, &Folder::new(config.data.dir.clone())?).await,
    }
}

async fn answer<L: Look>(args: Args, look: &L) -> Result<ExitCode> {
    let mut lines = lines(look, None).await?;
    if let Some(seconds) = args.wait {
        let ends = ends(&lines);
        let waited = async {
            while lines.iter().any(|line| line.behind() > 0) {
                tokio::time::sleep(LOOK_AGAIN).await;
                lines = self::lines(look, Some(&ends)).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        // What is behind by then is shown and told by the exit status.
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(seconds), waited).await {
            ended?;
        }
    }
    print(&lines, &args, &mut std::io::stdout())?;
    let behind: i64 = lines.iter().map(Line::behind).sum();
    Ok(if behind == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ends(lines: &[Line]) -> Ends {
    lines.iter().map(|line| ((line.projection, line.tp), line.end)).collect()
}

/// Every partition of every projection, in a fixed order; `ends` holds still what counts as the log's end, and what
/// it does not name was not in the log then.
async fn lines<L: Look>(look: &L, ends: Option<&Ends>) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for projection in PROJECTIONS {
        let tps = look.partitions(projection.topics).await?;
        let positions = positions(look, projection, &tps).await?;
        let ranges = look.ranges(&tps).await?;
        for tp in tps {
            let range = ranges.get(&tp).with_context(|| format!("{tp} is gone from the log"))?;
            let held = positions.iter().find(|position| position.tp == tp).copied();
            let position = held.unwrap_or(Position::start(tp, range.start));
            let end = match ends {
                None => range.end,
                Some(ends) => ends.get(&(projection.name, tp)).map_or(range.start, |end| (*end).min(range.end)),
            };
            let end = end.max(position.next_offset);
            lines.push(Line { projection: projection.name, tp, position, end });
        }
    }
    Ok(lines)
}

async fn positions<L: Look>(look: &L, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<Position>> {
    if projection.name != ingest::PROJECTION.name {
        return Ok(look.rows(projection).await?.1);
    }
    let position = |offset: &pipeline::GroupOffset| {
        Position::from_metadata(offset.tp, offset.next_offset, &offset.metadata)
            .unwrap_or(Position::start(offset.tp, offset.next_offset))
    };
    Ok(look.committed(projection, tps).await?.iter().map(position).collect())
}

fn print(lines: &[Line], args: &Args, out: &mut impl Write) -> Result<()> {
    let names = ["projection", "partition", "position", "log_end", "behind", "last_append"].map(str::to_owned).to_vec();
    let mut answer = Answer::new(args.format, names, out)?;
    for line in lines.iter().filter(|line| args.all || line.behind() > 0) {
        answer.row(&[
            Value::Text(line.projection.to_owned()),
            Value::Text(line.tp.to_string()),
            Value::Int(line.position.next_offset),
            Value::Int(line.end),
            Value::Int(line.behind()),
            time_text(line.position.last_append_us).map_or(Value::Null, Value::Text),
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
    use pipeline::OutRecord;

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
        let held = ends(&lines(&folder, None).await.unwrap());
        drop(log);
        let log = open(dir.path(), &[Topic::SporeCreated, Topic::SacredMessages]);
        append(&log, Topic::SporeCreated, 5).await;
        append(&log, Topic::SacredMessages, 1).await;
        let behind = |lines: Vec<Line>, topic| -> Vec<i64> {
            lines.iter().filter(|line| line.tp.topic == topic).map(Line::behind).collect()
        };
        let n = PROJECTIONS.len();
        for (topic, then, now) in [(Topic::SacredMessages, 3, 4), (Topic::SporeCreated, 0, 5)] {
            assert_eq!(behind(lines(&folder, Some(&held)).await.unwrap(), topic), vec![then; n], "{topic}");
            assert_eq!(behind(lines(&folder, None).await.unwrap(), topic), vec![now; n], "{topic}");
        }
        drop((log, store));
    }
}
