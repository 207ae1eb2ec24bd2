//! Positions: claimed, moved, read, and noted as parked.

use super::error::Sorted;
use domain::{Projection, TopicPartition};
use pipeline::StoreError;
use pipeline::group::GroupPosition;
use pipeline::ports::DedupSettings;
use pipeline::position::{Advance, Claim, Claimed, Counts, GENERATION, LastRecord, LogIdentity, ParkNote, Position};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

/// What [`read_position`] and its siblings read, by name.
macro_rules! columns {
    () => {
        "epoch, first_offset, next_offset, watermark_us, max_append_us, last_offset, last_append_us,
 last_leader_epoch, window_from, applied, duplicate, behind, ignored, unknown, dead, holes, lost, cluster_id, topic_id,
 partition_count, parked_cause, parked_offset, parked_text, parked_since_us, topic, partition"
    };
}

/// A claim stores its log with the first claim, and as long as there is no position that another
/// one belongs to (I2).
const CLAIM: &str = concat!(
    "INSERT INTO position (projection, version, topic, generation, partition, epoch, cluster_id, topic_id, partition_count)
 VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)
 ON CONFLICT DO UPDATE SET epoch = epoch + 1,
 cluster_id = iif(next_offset IS NULL, excluded.cluster_id, cluster_id),
 topic_id = iif(next_offset IS NULL, excluded.topic_id, topic_id),
 partition_count = iif(next_offset IS NULL, excluded.partition_count, partition_count),
 parked_cause = NULL, parked_offset = NULL, parked_text = NULL, parked_since_us = NULL
 RETURNING ",
    columns!()
);

const POSITION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM position WHERE projection = ? AND version = ? AND topic = ? AND generation = ? AND partition = ?"
);

/// Reads all positions of a projection, and the partitions that are parked without one.
pub(super) const POSITIONS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM position WHERE projection = ? AND version = ? AND generation = ?
 AND (first_offset IS NOT NULL OR parked_cause IS NOT NULL) ORDER BY topic, partition"
);

/// Moves a position, if it is where the worker left it and still the worker's (I3). `IS` also finds
/// the row of a partition that was claimed but never read.
const ADVANCE: &str = "UPDATE position SET first_offset = :first_offset, next_offset = :next_offset,
 watermark_us = :watermark_us, max_append_us = :max_append_us, last_offset = :last_offset,
 last_append_us = :last_append_us, last_leader_epoch = :last_leader_epoch, window_from = :window_from,
 applied = :applied, duplicate = :duplicate, behind = :behind, ignored = :ignored, unknown = :unknown, dead = :dead,
 holes = :holes, lost = :lost
 WHERE projection = :projection AND version = :version AND topic = :topic AND generation = :generation
 AND partition = :partition AND epoch = :epoch AND next_offset IS :from";

/// The row is made where the partition was never claimed: a partition may be parked before.
const NOTE_PARKED: &str = "INSERT INTO position (projection, version, topic, generation, partition, epoch,
 parked_cause, parked_offset, parked_text, parked_since_us) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?)
 ON CONFLICT DO UPDATE SET parked_cause = excluded.parked_cause, parked_offset = excluded.parked_offset,
 parked_text = excluded.parked_text, parked_since_us = excluded.parked_since_us";

const SETTINGS: &str = "SELECT dedup_window_ms, dedup_max_records FROM projection WHERE name = ? AND version = ?";

const STORE_SETTINGS: &str = "INSERT INTO projection (name, version, dedup_window_ms, dedup_max_records)
 VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";

/// Raises each partition's epoch.
pub(super) fn claim(
    connection: &Connection,
    projection: &Projection,
    claims: &[Claim],
) -> Result<Vec<Claimed>, StoreError> {
    let mut statement = connection.prepare_cached(CLAIM).sorted()?;
    let mut claimed = Vec::with_capacity(claims.len());
    for Claim { tp, log } in claims {
        let topic = tp.topic.name();
        let of = params![
            projection.name,
            projection.version,
            topic,
            GENERATION,
            tp.partition,
            log.cluster_id,
            log.topic_id,
            log.partitions,
        ];
        let read = |row: &Row<'_>| {
            let position = read_position(row, *tp)?;
            Ok(Claimed { tp: *tp, epoch: row.get("epoch")?, position, log: read_log(row)? })
        };
        claimed.push(statement.query_row(of, read).sorted()?);
    }
    Ok(claimed)
}

/// The positions of these partitions, of those that have one.
pub(super) fn positions(
    connection: &Connection,
    projection: &Projection,
    tps: &[TopicPartition],
) -> Result<Vec<Position>, StoreError> {
    let mut statement = connection.prepare_cached(POSITION).sorted()?;
    let mut found = Vec::with_capacity(tps.len());
    for tp in tps {
        let of = params![projection.name, projection.version, tp.topic.name(), GENERATION, tp.partition];
        let position = statement.query_row(of, |row| read_position(row, *tp)).optional().sorted()?;
        found.extend(position.flatten());
    }
    Ok(found)
}

/// Moves all positions, or says which of them are another worker's by now.
pub(super) fn advance(
    connection: &Connection,
    projection: &Projection,
    advances: &[Advance],
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(ADVANCE).sorted()?;
    let mut order: Vec<&Advance> = advances.iter().collect();
    order.sort_unstable_by_key(|advance| advance.to.tp);
    let mut lost = Vec::new();
    for Advance { from, to } in order {
        let Counts { applied, duplicate, behind, ignored, unknown, dead, holes, lost: skipped } = to.counts;
        let moved = statement
            .execute(named_params! {
                ":first_offset": to.first_offset,
                ":next_offset": to.next_offset,
                ":watermark_us": known(to.watermark_us),
                ":max_append_us": known(to.max_append_us),
                ":last_offset": to.last.map(|last| last.offset),
                ":last_append_us": to.last.map(|last| last.append_us),
                ":last_leader_epoch": to.last.map(|last| last.leader_epoch),
                ":window_from": to.window_from,
                ":applied": applied,
                ":duplicate": duplicate,
                ":behind": behind,
                ":ignored": ignored,
                ":unknown": unknown,
                ":dead": dead,
                ":holes": holes,
                ":lost": skipped,
                ":projection": projection.name,
                ":version": projection.version,
                ":topic": to.tp.topic.name(),
                ":generation": GENERATION,
                ":partition": to.tp.partition,
                ":epoch": to.epoch,
                ":from": from,
            })
            .sorted()?;
        if moved != 1 {
            lost.push(to.tp);
        }
    }
    if lost.is_empty() { Ok(()) } else { Err(StoreError::Fenced(lost)) }
}

/// Notes that a partition is parked.
pub(super) fn note_parked(
    connection: &Connection,
    projection: &Projection,
    tp: TopicPartition,
    note: &ParkNote,
) -> Result<(), StoreError> {
    let ParkNote { cause, offset, text, since_us } = note;
    let topic = tp.topic.name();
    let values =
        params![projection.name, projection.version, topic, GENERATION, tp.partition, cause, offset, text, since_us];
    connection.prepare_cached(NOTE_PARKED).sorted()?.execute(values).sorted()?;
    Ok(())
}

/// The settings stored with the projection's version.
pub(super) fn settings(connection: &Connection, projection: &Projection) -> Result<Option<DedupSettings>, StoreError> {
    let of = params![projection.name, projection.version];
    let read = |row: &Row<'_>| Ok(DedupSettings { window_ms: row.get(0)?, max_records: row.get(1)? });
    connection.prepare_cached(SETTINGS).sorted()?.query_row(of, read).optional().sorted()
}

/// Stores these settings where there are none.
pub(super) fn store_settings(
    connection: &Connection,
    projection: &Projection,
    wanted: DedupSettings,
) -> Result<(), StoreError> {
    let values = params![projection.name, projection.version, wanted.window_ms, wanted.max_records];
    connection.execute(STORE_SETTINGS, values).sorted()?;
    Ok(())
}

/// A position from the columns of [`POSITION`]; none before the first commit.
fn read_position(row: &Row<'_>, tp: TopicPartition) -> rusqlite::Result<Option<Position>> {
    let (Some(first_offset), Some(next_offset)) = (row.get("first_offset")?, row.get("next_offset")?) else {
        return Ok(None);
    };
    let time = |name| row.get::<_, Option<i64>>(name).map(|time| time.unwrap_or(i64::MIN));
    let counts = Counts {
        applied: row.get("applied")?,
        duplicate: row.get("duplicate")?,
        behind: row.get("behind")?,
        ignored: row.get("ignored")?,
        unknown: row.get("unknown")?,
        dead: row.get("dead")?,
        holes: row.get("holes")?,
        lost: row.get("lost")?,
    };
    let last = match (row.get("last_offset")?, row.get("last_append_us")?) {
        (Some(offset), Some(append_us)) => {
            let leader_epoch: Option<i32> = row.get("last_leader_epoch")?;
            Some(LastRecord { offset, append_us, leader_epoch: leader_epoch.unwrap_or(-1) })
        }
        _ => None,
    };
    Ok(Some(Position {
        tp,
        first_offset,
        next_offset,
        epoch: row.get("epoch")?,
        watermark_us: time("watermark_us")?,
        max_append_us: time("max_append_us")?,
        last,
        window_from: row.get("window_from")?,
        counts,
    }))
}

fn read_log(row: &Row<'_>) -> rusqlite::Result<LogIdentity> {
    Ok(LogIdentity {
        cluster_id: row.get::<_, Option<String>>("cluster_id")?.unwrap_or_default(),
        topic_id: row.get::<_, Option<String>>("topic_id")?.unwrap_or_default(),
        partitions: row.get::<_, Option<u32>>("partition_count")?.unwrap_or(0),
    })
}

fn read_note(row: &Row<'_>) -> rusqlite::Result<Option<ParkNote>> {
    let Some(cause) = row.get("parked_cause")? else { return Ok(None) };
    let text: Option<String> = row.get("parked_text")?;
    let offset: Option<i64> = row.get("parked_offset")?;
    let since_us: Option<i64> = row.get("parked_since_us")?;
    Ok(Some(ParkNote {
        cause,
        offset: offset.unwrap_or(0),
        text: text.unwrap_or_default(),
        since_us: since_us.unwrap_or(0),
    }))
}

/// What is held of a partition. One that is parked without a position stands where its note says.
pub(super) fn read_held(row: &Row<'_>, tp: TopicPartition) -> rusqlite::Result<GroupPosition> {
    let parked = read_note(row)?;
    let position = match read_position(row, tp)? {
        Some(position) => position,
        None => {
            let start = Position::start(tp, parked.as_ref().map_or(0, |note| note.offset));
            Position { epoch: row.get("epoch")?, ..start }
        }
    };
    Ok(GroupPosition { position, log: read_log(row)?, parked })
}

/// A time that is stored as null where there is none yet.
fn known(us: i64) -> Option<i64> {
    (us != i64::MIN).then_some(us)
}
