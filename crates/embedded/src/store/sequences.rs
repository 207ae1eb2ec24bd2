//! Producers with sequence numbers: a head each, and the blocks of their numbers (design 7).

use super::error::Sorted;
use domain::{Projection, TopicPartition};
use pipeline::StoreError;
use pipeline::dedup::{SequenceChange, SequenceHead, StoredSequence};
use pipeline::ports::Silent;
use pipeline::position::GENERATION;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};

const HEAD: &str = "SELECT floor, largest, minted_us, last_append_us FROM producer WHERE projection = ? AND version = ?
 AND topic = ? AND generation = ? AND partition = ? AND tenant = ? AND producer_id = ?";

const BLOCKS: &str = "SELECT block, numbers FROM producer_block WHERE projection = ? AND version = ? AND topic = ?
 AND generation = ? AND partition = ? AND tenant = ? AND producer_id = ? ORDER BY block";

const REPLACE_HEAD: &str = "INSERT OR REPLACE INTO producer (projection, version, topic, generation, partition, tenant,
 producer_id, floor, largest, minted_us, last_append_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const REPLACE_BLOCK: &str = "INSERT OR REPLACE INTO producer_block (projection, version, topic, generation, partition,
 tenant, producer_id, block, numbers) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

const DELETE_BLOCKS: &str = "DELETE FROM producer_block WHERE projection = ? AND version = ? AND topic = ?
 AND generation = ? AND partition = ? AND tenant = ? AND producer_id = ? AND block < ?";

/// The producers of a partition that are silent since a time.
macro_rules! silent {
    () => {
        "projection = :projection AND version = :version AND topic = :topic AND generation = :generation
 AND partition = :partition AND last_append_us < :before_us"
    };
}

const DELETE_SILENT_BLOCKS: &str = concat!(
    "DELETE FROM producer_block WHERE projection = :projection AND version = :version AND topic = :topic
 AND generation = :generation AND partition = :partition
 AND (tenant, producer_id) IN (SELECT tenant, producer_id FROM producer WHERE ",
    silent!(),
    ")"
);

const SHRINK_SILENT: &str = concat!("UPDATE producer SET floor = largest WHERE floor IS NOT largest AND ", silent!());

const DELETE_SILENT: &str = concat!("DELETE FROM producer WHERE ", silent!());

/// The sequences of these producers, in the order asked, as of one moment.
pub(super) fn load(
    connection: &Connection,
    projection: &Projection,
    tp: TopicPartition,
    producers: &[(&str, &str)],
) -> Result<Vec<Option<StoredSequence>>, StoreError> {
    // One moment: a head and the blocks of another commit would not fit together.
    let snapshot = connection.unchecked_transaction().sorted()?;
    let mut heads = snapshot.prepare_cached(HEAD).sorted()?;
    let mut blocks = snapshot.prepare_cached(BLOCKS).sorted()?;
    let topic = tp.topic.name();
    let mut found = Vec::with_capacity(producers.len());
    for (tenant, producer_id) in producers {
        let of = params![projection.name, projection.version, topic, GENERATION, tp.partition, tenant, producer_id];
        let head = heads.query_row(of, |row| {
            let floor: Option<i64> = row.get(0)?;
            let floor = floor.unwrap_or(i64::MIN);
            Ok(SequenceHead { floor, largest: row.get(1)?, minted_us: row.get(2)?, last_append_us: row.get(3)? })
        });
        let Some(head) = head.optional().sorted()? else {
            found.push(None);
            continue;
        };
        let of = params![projection.name, projection.version, topic, GENERATION, tp.partition, tenant, producer_id];
        let rows = blocks.query_map(of, |row| Ok((row.get(0)?, u128::from_be_bytes(row.get(1)?)))).sorted()?;
        let blocks = rows.collect::<rusqlite::Result<Vec<_>>>().sorted()?;
        found.push(Some(StoredSequence { head, blocks }));
    }
    Ok(found)
}

/// Writes what a batch changed: the head and the blocks it touched; blocks that were let go are
/// deleted.
pub(super) fn change(
    connection: &Connection,
    projection: &Projection,
    changes: &[SequenceChange],
) -> Result<(), StoreError> {
    let mut head = connection.prepare_cached(REPLACE_HEAD).sorted()?;
    let mut replace = connection.prepare_cached(REPLACE_BLOCK).sorted()?;
    let mut delete = connection.prepare_cached(DELETE_BLOCKS).sorted()?;
    for change in changes {
        let SequenceChange { tp, tenant, producer_id, head: to, blocks, first_block } = change;
        let (name, version, topic, partition) = (projection.name, projection.version, tp.topic.name(), tp.partition);
        let floor = (to.floor != i64::MIN).then_some(to.floor);
        let SequenceHead { largest, minted_us, last_append_us, .. } = to;
        let row = params![
            name,
            version,
            topic,
            GENERATION,
            partition,
            tenant,
            producer_id,
            floor,
            largest,
            minted_us,
            last_append_us,
        ];
        head.execute(row).sorted()?;
        for (block, numbers) in blocks {
            let numbers = numbers.to_be_bytes();
            let row = params![name, version, topic, GENERATION, partition, tenant, producer_id, block, numbers];
            replace.execute(row).sorted()?;
        }
        let row = params![name, version, topic, GENERATION, partition, tenant, producer_id, first_block];
        delete.execute(row).sorted()?;
    }
    Ok(())
}

/// Forgets what is left of silent producers.
pub(super) fn forget(
    connection: &Connection,
    projection: &Projection,
    tp: TopicPartition,
    silent: Silent,
) -> Result<(), StoreError> {
    let run = |sql: &str, before_us: i64| {
        let of = named_params! {
            ":projection": projection.name,
            ":version": projection.version,
            ":topic": tp.topic.name(),
            ":generation": GENERATION,
            ":partition": tp.partition,
            ":before_us": before_us,
        };
        connection.prepare_cached(sql).sorted()?.execute(of).sorted()
    };
    run(DELETE_SILENT_BLOCKS, silent.sets_before_us)?;
    run(SHRINK_SILENT, silent.sets_before_us)?;
    if let Some(before_us) = silent.floors_before_us {
        // A topic may keep its records for less than a set is kept: the blocks go with the
        // producer.
        run(DELETE_SILENT_BLOCKS, before_us)?;
        run(DELETE_SILENT, before_us)?;
    }
    Ok(())
}
