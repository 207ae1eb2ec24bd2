//! The sequences of producers, and dead records, as parameters and back from rows.

use crate::bookkeeping::{DROP_BLOCKS, PUT_BLOCKS, PUT_DEAD, PUT_HEADS};
use crate::database::Session;
use crate::position::read_partition;
use domain::Projection;
use pipeline::StoreError;
use pipeline::dedup::{SequenceChange, SequenceHead, StoredSequence};
use pipeline::position::DeadRow;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// The statements that a flush may need beside its position's, each prepared only where there is
/// something for it.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    heads: Option<Statement>,
    blocks: Option<Statement>,
    gone: Option<Statement>,
    dead: Option<Statement>,
}

/// Numbers were let go of this producer: only then a block of it may be left over.
fn has_let_go(change: &SequenceChange) -> bool {
    change.head.floor != i64::MIN
}

impl Prepared {
    pub(crate) async fn new(
        session: &Session,
        sequences: &[SequenceChange],
        dead: &[DeadRow],
    ) -> Result<Self, StoreError> {
        let mut prepared = Self::default();
        if !sequences.is_empty() {
            prepared.heads = Some(session.prepared(&PUT_HEADS).await?);
        }
        if sequences.iter().any(|change| !change.blocks.is_empty()) {
            prepared.blocks = Some(session.prepared(&PUT_BLOCKS).await?);
        }
        if sequences.iter().any(has_let_go) {
            prepared.gone = Some(session.prepared(&DROP_BLOCKS).await?);
        }
        if !dead.is_empty() {
            prepared.dead = Some(session.prepared(&PUT_DEAD).await?);
        }
        Ok(prepared)
    }
}

/// The columns by which every row of a producer is found.
struct Keys<'a> {
    topics: Vec<&'a str>,
    partitions: Vec<i64>,
    tenants: Vec<&'a str>,
    producers: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(changes: impl Iterator<Item = &'a SequenceChange>) -> Self {
        let mut keys = Self { topics: vec![], partitions: vec![], tenants: vec![], producers: vec![] };
        for change in changes {
            keys.topics.push(change.tp.topic.name());
            keys.partitions.push(change.tp.partition.into());
            keys.tenants.push(&change.tenant);
            keys.producers.push(&change.producer_id);
        }
        keys
    }

    fn parameters<'k>(&'k self, name: &'k &'static str, version: &'k i64) -> Vec<&'k (dyn ToSql + Sync)> {
        vec![name, version, &self.topics, &self.partitions, &self.tenants, &self.producers]
    }
}

/// Replaces what a flush changed of sequences. `behind` statements were sent before.
pub(crate) async fn put(
    session: &Session,
    prepared: &Prepared,
    projection: &Projection,
    sequences: &[SequenceChange],
) -> Result<(), StoreError> {
    let (heads, blocks, gone) = futures_util::future::join3(
        put_heads(session, prepared.heads.as_ref(), projection, sequences),
        put_blocks(session, prepared.blocks.as_ref(), projection, sequences),
        drop_blocks(session, prepared.gone.as_ref(), projection, sequences),
    )
    .await;
    heads.and(blocks).and(gone)
}

async fn put_heads(
    session: &Session,
    statement: Option<&Statement>,
    projection: &Projection,
    sequences: &[SequenceChange],
) -> Result<(), StoreError> {
    let Some(statement) = statement else { return Ok(()) };
    let keys = Keys::of(sequences.iter());
    let heads = || sequences.iter().map(|change| &change.head);
    let floors: Vec<Option<i64>> = heads().map(|head| (head.floor != i64::MIN).then_some(head.floor)).collect();
    let largest: Vec<i64> = heads().map(|head| head.largest).collect();
    let minted_us: Vec<i64> = heads().map(|head| head.minted_us).collect();
    let last_append_us: Vec<i64> = heads().map(|head| head.last_append_us).collect();
    let version = i64::from(projection.version);
    let mut parameters = keys.parameters(&projection.name, &version);
    parameters.extend([&floors as &(dyn ToSql + Sync), &largest, &minted_us, &last_append_us]);
    session.replied_behind(2, session.client()?.execute(statement, &parameters)).await.map(drop)
}

async fn put_blocks(
    session: &Session,
    statement: Option<&Statement>,
    projection: &Projection,
    sequences: &[SequenceChange],
) -> Result<(), StoreError> {
    let Some(statement) = statement else { return Ok(()) };
    let keys = Keys::of(sequences.iter().flat_map(|change| change.blocks.iter().map(move |_| change)));
    let (numbers, bits): (Vec<i64>, Vec<[u8; 16]>) = sequences
        .iter()
        .flat_map(|change| &change.blocks)
        .map(|(block, numbers)| (*block, numbers.to_be_bytes()))
        .unzip();
    let bits: Vec<&[u8]> = bits.iter().map(<[u8; 16]>::as_slice).collect();
    let version = i64::from(projection.version);
    let mut parameters = keys.parameters(&projection.name, &version);
    parameters.extend([&numbers as &(dyn ToSql + Sync), &bits]);
    session.replied_behind(3, session.client()?.execute(statement, &parameters)).await.map(drop)
}

async fn drop_blocks(
    session: &Session,
    statement: Option<&Statement>,
    projection: &Projection,
    sequences: &[SequenceChange],
) -> Result<(), StoreError> {
    let Some(statement) = statement else { return Ok(()) };
    let left = || sequences.iter().filter(|change| has_let_go(change));
    let keys = Keys::of(left());
    let first_blocks: Vec<i64> = left().map(|change| change.first_block).collect();
    let version = i64::from(projection.version);
    let mut parameters = keys.parameters(&projection.name, &version);
    parameters.push(&first_blocks);
    session.replied_behind(4, session.client()?.execute(statement, &parameters)).await.map(drop)
}

/// Remembers the records that are dead.
pub(crate) async fn put_dead(
    session: &Session,
    prepared: &Prepared,
    projection: &Projection,
    dead: &[DeadRow],
) -> Result<(), StoreError> {
    let Some(statement) = &prepared.dead else { return Ok(()) };
    let topics: Vec<&str> = dead.iter().map(|row| row.tp.topic.name()).collect();
    let partitions: Vec<i64> = dead.iter().map(|row| row.tp.partition.into()).collect();
    let offsets: Vec<i64> = dead.iter().map(|row| row.offset).collect();
    let append_us: Vec<i64> = dead.iter().map(|row| row.append_us).collect();
    let reasons: Vec<String> = dead.iter().map(|row| without_nul(&row.reason)).collect();
    let value_hashes: Vec<i64> = dead.iter().map(|row| row.value_hash).collect();
    let id_hashes: Vec<Option<i64>> = dead.iter().map(|row| row.id_hash).collect();
    let version = i64::from(projection.version);
    let parameters: [&(dyn ToSql + Sync); 9] =
        [&projection.name, &version, &topics, &partitions, &offsets, &append_us, &reasons, &value_hashes, &id_hashes];
    session.replied_behind(5, session.client()?.execute(statement, &parameters)).await.map(drop)
}

/// A text that Postgres takes. A reason may quote the very bytes for which a record is dead, and a
/// store that refused the row of a dead record could never pass it.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A sequence from the columns of [`crate::bookkeeping::SEQUENCES`], with its place among those
/// asked for.
pub(crate) fn read_sequence(row: &Row) -> Result<(usize, StoredSequence), StoreError> {
    let unread = |text: String| StoreError::Fatal(format!("the sequence of a producer cannot be read: {text}"));
    let fault = |error: Error| unread(error.to_string());
    let floor: Option<i64> = row.try_get(1).map_err(fault)?;
    let head = SequenceHead {
        floor: floor.unwrap_or(i64::MIN),
        largest: row.try_get(2).map_err(fault)?,
        minted_us: row.try_get(3).map_err(fault)?,
        last_append_us: row.try_get(4).map_err(fault)?,
    };
    let place: i64 = row.try_get(0).map_err(fault)?;
    let blocks: Option<Vec<i64>> = row.try_get(5).map_err(fault)?;
    let numbers: Option<Vec<&[u8]>> = row.try_get(6).map_err(fault)?;
    let (blocks, numbers) = (blocks.unwrap_or_default(), numbers.unwrap_or_default());
    let whole = |(block, numbers): (i64, &[u8])| {
        let bits: [u8; 16] = numbers
            .try_into()
            .map_err(|_| unread(format!("block {block} has {} bytes and should have 16", numbers.len())))?;
        Ok((block, u128::from_be_bytes(bits)))
    };
    let blocks = blocks.into_iter().zip(numbers).map(whole).collect::<Result<_, StoreError>>()?;
    Ok((place.saturating_sub(1) as usize, StoredSequence { head, blocks }))
}

/// A dead record from the columns of [`crate::bookkeeping::ALL_DEAD`].
pub(crate) fn read_dead(row: &Row) -> Result<DeadRow, StoreError> {
    let tp = read_partition(row, 0)?;
    let read = || -> Result<DeadRow, Error> {
        Ok(DeadRow {
            tp,
            offset: row.try_get(2)?,
            append_us: row.try_get(3)?,
            reason: row.try_get(4)?,
            value_hash: row.try_get(5)?,
            id_hash: row.try_get(6)?,
        })
    };
    read().map_err(|error| StoreError::Fatal(format!("a dead record of {tp} cannot be read: {error}")))
}
