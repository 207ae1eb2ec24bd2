//! `sporelog deadletter list|show`: the records that could not be applied, and why.

pub mod letters;
mod show;

use crate::backend::{Cluster, Folder, Look};
use crate::render::{Answer, Format, Value, time_text};
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use domain::projection::PROJECTIONS;
use domain::{Topic, TopicPartition};
use letters::{BEGINNING, Keep, Letter, Wanted, collect};
use pipeline::Trouble;
use runtime::config::Config;
use std::io::Write;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog deadletter list
  sporelog deadletter list --topic agent.state --projection views --format json
  sporelog deadletter show agent.state/3/1207

A dead letter is known by topic, partition, offset and projection: one that was written again after a crash is
shown once. Nothing is lost: the record lies in its topic as before. Sizes are those of the record: a letter that would
have been too large holds its beginning, and says so.

Exit status: 0 where all letters were read, 1 where a partition of their topic cannot be read on: it is named, and what
could be read is shown.";

/// What `deadletter` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the newest dead letters, oldest first.
    #[command(after_help = AFTER_HELP)]
    List {
        /// Only records of this topic.
        #[arg(long, value_name = "NAME", value_parser = topic)]
        topic: Option<Topic>,
        /// Only those that this projection could not apply.
        #[arg(long, value_name = "NAME", value_parser = projections())]
        projection: Option<String>,
        /// At most this many, the newest.
        #[arg(long, value_name = "ROWS", default_value_t = 100)]
        limit: usize,
        /// The form of the list.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show a dead letter: reasons, key, and its bytes as hexadecimal and text.
    #[command(after_help = AFTER_HELP)]
    Show {
        /// The record, as `list` names it.
        #[arg(value_name = "TOPIC/PARTITION/OFFSET", value_parser = coordinates)]
        record: (TopicPartition, i64),
        /// Show at most this many bytes.
        #[arg(long, value_name = "BYTES", default_value_t = 4_096)]
        bytes: usize,
    },
}

fn projections() -> PossibleValuesParser {
    PossibleValuesParser::new(PROJECTIONS.iter().map(|projection| projection.name))
}

/// Lists or shows.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    match Cluster::configured(&config)? {
        Some(cluster) => answer(args.verb, &cluster).await,
        None => answer(args.verb, &Folder::new(config.data.dir.clone())?).await,
    }
}

async fn answer<L: Look>(verb: Verb, look: &L) -> Result<ExitCode> {
    let mut out = std::io::stdout();
    match verb {
        Verb::List { topic, projection, limit, format } => {
            let wanted = Wanted { topic, projection, record: None };
            let keep = Keep { letters: limit, value_bytes: BEGINNING };
            let (letters, troubles) = collect(look, &wanted, keep).await?;
            list(&letters, format, &mut out)?;
            Ok(tell(&troubles))
        }
        Verb::Show { record, bytes } => {
            let wanted = Wanted { record: Some(record), ..Wanted::default() };
            // A record has a letter for each projection at most.
            let keep = Keep { letters: PROJECTIONS.len(), value_bytes: bytes };
            let (letters, troubles) = collect(look, &wanted, keep).await?;
            let status = tell(&troubles);
            if letters.is_empty() {
                let whole = if troubles.is_empty() { "" } else { " among those that could be read" };
                anyhow::bail!(
                    "{}/{} is no dead letter{whole}: `sporelog deadletter list` names those there are",
                    record.0,
                    record.1
                );
            }
            show::show(&letters, &mut out)?;
            Ok(status)
        }
    }
}

/// Says where the letters' topic cannot be read on.
fn tell(troubles: &[Trouble]) -> ExitCode {
    for Trouble { tp, offset, text, .. } in troubles {
        eprintln!("{tp} cannot be read from offset {offset} on, its letters from there on are missing here: {text}");
    }
    if troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list(letters: &[Letter], format: Format, out: &mut impl Write) -> Result<()> {
    let names = ["record", "projection", "appended", "bytes", "starts_with", "reason"].map(str::to_owned).to_vec();
    let mut answer = Answer::new(format, names, out)?;
    for letter in letters {
        answer.row(&[
            Value::Text(letter.coordinates()),
            Value::Text(letter.head.projection.clone()),
            time_text(letter.head.append_us).map_or(Value::Null, Value::Text),
            Value::Int(i64::try_from(letter.sizes()[1]).unwrap_or(i64::MAX)),
            Value::Text(letter.beginning()),
            Value::Text(letter.head.reason.clone()),
        ])?;
    }
    answer.finish()
}

pub fn topic(text: &str) -> Result<Topic, String> {
    let names = || Topic::ALL.iter().map(|topic| topic.name()).collect::<Vec<_>>().join(", ");
    Topic::from_name(text).ok_or_else(|| format!("{text:?} is no topic: choose one of {}", names()))
}

fn coordinates(text: &str) -> Result<(TopicPartition, i64), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let [name, partition, offset] = parts[..] else {
        return Err("write TOPIC/PARTITION/OFFSET, such as agent.state/3/1207".to_owned());
    };
    let partition = partition.parse().map_err(|_| format!("{partition:?} is no partition number"))?;
    let offset = offset.parse().map_err(|_| format!("{offset:?} is no offset"))?;
    Ok((TopicPartition::new(topic(name)?, partition), offset))
}

#[cfg(test)]
mod tests;
