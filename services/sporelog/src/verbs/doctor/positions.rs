//! Where each projection stands: in range, of this log, parked or not, its account, its rules and
//! its clock.

use super::finding::Finding;
use crate::backend::{Held as _, Look, positions};
use crate::standing::trouble;
use anyhow::Result;
use domain::Projection;
use pipeline::{Counts, DedupSettings, GroupPosition, ParkNote};
use runtime::config::Config;

/// How far a log's time may be ahead of this machine's: what validity allows an event to be ahead
/// of the log.
const AHEAD_US: i64 = 300_000_000;

/// Parked partitions that get a line each; the rest is counted.
const SHOWN: usize = 20;

/// Looks at one projection.
pub async fn look<L: Look>(
    look: &L,
    projection: &'static Projection,
    config: &Config,
    now_us: i64,
    found: &mut Vec<Finding>,
) {
    let area = projection.name;
    if let Err(error) = try_look(look, projection, config, now_us, found).await {
        found.push(Finding::problem(area, "positions", format!("{error:#}")));
    }
}

async fn try_look<L: Look>(
    look: &L,
    projection: &'static Projection,
    config: &Config,
    now_us: i64,
    found: &mut Vec<Finding>,
) -> Result<()> {
    let tps = look.partitions(projection.topics).await?;
    let (ranges, logs) = (look.ranges(&tps).await?, look.identities(&tps).await?);
    let held = positions(look, projection, &tps).await?;
    let mut notes = Vec::new();
    for tp in &tps {
        let unread = GroupPosition {
            position: pipeline::Position::start(*tp, 0),
            log: pipeline::LogIdentity::default(),
            parked: None,
        };
        let held = held.iter().find(|held| held.position.tp == *tp).unwrap_or(&unread);
        let (Some(range), Some(log)) = (ranges.get(tp), logs.get(tp)) else { continue };
        notes.extend(trouble(projection.name, held, Some(log), *range));
    }
    let gone = held.iter().filter(|held| !tps.contains(&held.position.tp)).count();
    if gone > 0 {
        let text =
            format!("{gone} positions are of partitions that the log does not have: it is another log, or was cut");
        found.push(Finding::problem(projection.name, "positions", text));
    }
    tell_parked(projection, tps.len(), &notes, found);
    tell_account(projection, &held, config, found);
    tell_clock(projection, &held, now_us, found);
    if projection.name != ingest::PROJECTION.name {
        let stored = look.rows().await?.settings(projection).await?;
        found.push(judge_dedup(projection, stored, config));
    }
    Ok(())
}

pub(super) fn tell_parked(projection: &Projection, partitions: usize, notes: &[ParkNote], found: &mut Vec<Finding>) {
    let area = projection.name;
    if notes.is_empty() {
        let text = format!("{partitions} partitions, each in range of this log, none parked");
        return found.push(Finding::ok(area, "positions", text));
    }
    // A cause of a whole topic is said once, in its first partition's words.
    for note in notes.iter().take(SHOWN) {
        found.push(Finding::problem(area, format!("parked, {}", note.cause), note.text.clone()));
    }
    if notes.len() > SHOWN {
        let text = format!("{} more partitions are parked: `sporelog lag` lists them", notes.len() - SHOWN);
        found.push(Finding::problem(area, "parked", text));
    }
}

pub(super) fn tell_account(projection: &Projection, held: &[GroupPosition], config: &Config, found: &mut Vec<Finding>) {
    let area = projection.name;
    let mut counts = Counts::default();
    for held in held {
        counts.add(&held.position.counts);
        if held.position.gap() != 0 {
            let text = format!(
                "{} offsets were passed and not accounted for: run `sporelog verify`, keep log and store, and report it",
                held.position.gap()
            );
            found.push(Finding::problem(area, format!("account of {}", held.position.tp), text));
        }
        if let Some(from) = held.position.window_from {
            let text = format!("repeats are told from offset {from} on only: the log was cut, or skipped, before it");
            found.push(Finding::warning(area, format!("window of {}", held.position.tp), text));
        }
    }
    let Counts { behind, unknown, dead, lost, .. } = counts;
    let total = counts.total();
    if dead > 0 {
        let text = format!("{dead} of {total} records could not be applied: `sporelog deadletter list`");
        // The share at which a worker pauses, over all that it ever read.
        let flood = i64::try_from(config.worker.dead_letter_flood_limit).unwrap_or(i64::MAX);
        let is_flood = total >= 10_000 && dead.saturating_mul(10_000) / total >= flood;
        found.push(if is_flood { Finding::problem(area, "dead", text) } else { Finding::warning(area, "dead", text) });
    }
    for (subject, count, text) in [
        (
            "behind",
            behind,
            "events were dropped as repeats below their producer's floor: such a producer needs a new id",
        ),
        ("unknown", unknown, "events are of kinds that the workers did not know: update sporelog"),
        ("lost", lost, "offsets were passed over by `projection skip`"),
    ] {
        if count > 0 {
            found.push(Finding::warning(area, subject, format!("{count} {text}")));
        }
    }
}

pub(super) fn tell_clock(projection: &Projection, held: &[GroupPosition], now_us: i64, found: &mut Vec<Finding>) {
    let newest = held.iter().map(|held| (held.position.max_append_us, held.position.tp)).max();
    let Some((append_us, tp)) = newest.filter(|(append_us, _)| append_us.saturating_sub(now_us) > AHEAD_US) else {
        return;
    };
    let time = |us| crate::render::time_text(us).unwrap_or_default();
    let text = format!(
        "the last record of {tp} was appended at {}, and it is {} here: set the clock of this machine, or of the brokers. \
         Windows of repeats last until the clock has caught up",
        time(append_us),
        time(now_us)
    );
    found.push(Finding::problem(projection.name, "clock", text));
}

pub(super) fn judge_dedup(projection: &Projection, stored: Option<DedupSettings>, config: &Config) -> Finding {
    let (area, dedup) = (projection.name, &config.dedup);
    let Some(DedupSettings { window_ms, max_records }) = stored else {
        return Finding::ok(area, "dedup", "no rules are stored yet: those of the configuration will be");
    };
    let is_same =
        u64::try_from(window_ms) == Ok(dedup.window_ms) && u64::try_from(max_records) == Ok(dedup.max_records);
    if is_same {
        return Finding::ok(area, "dedup", format!("window {window_ms} ms, {max_records} records, as configured"));
    }
    let text = format!(
        "rows were made with dedup.window_ms = {window_ms} and dedup.max_records = {max_records}, and the configuration says \
         {} and {}: workers stop. Set them back, or fold the log into new data",
        dedup.window_ms, dedup.max_records
    );
    Finding::problem(area, "dedup", text)
}
