//! Records that a projection holds for dead and that today's rules would apply: a store that
//! refused them, or a schema that was missing on that day, is no function of the log. They are
//! listed, and stay dead: `verify` asks what the rows were made from.

use domain::{Projection, TopicPartition};
use pipeline::folder::Folder;
use pipeline::{
    DeadKind, DeadReason, GroupOffset, KnownDead, LogError, LogIdentity, LogRange, Page, Polled, Record, SchemaBook,
    Source, WorkerOptions,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How many are listed.
const LISTED: usize = 20;

/// The records found, and each one's reason as it is stored.
pub type Judged = BTreeMap<(TopicPartition, i64), String>;

/// A source whose dead records are judged by today's rules as they pass.
pub struct Judging<S> {
    inner: S,
    folder: Folder,
    book: SchemaBook,
    known: Arc<KnownDead>,
    found: Rc<RefCell<Judged>>,
}

impl<S: Source> Judging<S> {
    /// Judges what comes from `inner`; what is found lies in the second part.
    pub fn new(
        inner: S,
        projection: &'static Projection,
        book: SchemaBook,
        options: &WorkerOptions,
    ) -> (Self, Rc<RefCell<Judged>>) {
        let found = Rc::<RefCell<Judged>>::default();
        let folder = Folder::new(projection, book.clone(), None, options);
        let known = options.known_dead.clone().unwrap_or_default();
        (Self { inner, folder, book, known, found: found.clone() }, found)
    }

    async fn judge(&mut self, page: &Page) {
        let Some(dead) = self.known.get(&page.tp()) else { return };
        for record in page.records() {
            let Some(reason) = dead.get(&record.offset) else { continue };
            if is_of_the_record(reason) && self.would_apply(&record).await {
                self.found.borrow_mut().insert((record.tp, record.offset), reason.clone());
            }
        }
    }

    async fn would_apply(&self, record: &Record<'_>) -> bool {
        let schemas = self.book.schemas();
        if let Err(codec::DecodeError::UnknownSchema { id }) = schemas.decode(record.value) {
            // Known by now, maybe. Without an answer nothing is said.
            let _ = self.book.resolve(id).await;
        }
        let event = schemas.decode(record.value);
        event.is_ok_and(|event| self.folder.fault(&event, record).is_none())
    }
}

/// A number that was used again is a matter of the records before it, which the fold judges itself.
fn is_of_the_record(reason: &str) -> bool {
    DeadReason::parse(reason).kind != DeadKind::Reused
}

/// Lists what was found.
pub fn tell(projection: &Projection, judged: &Judged, out: &mut impl Write) -> anyhow::Result<()> {
    if judged.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{}: {} records are dead that today's rules would apply, which makes no difference here:",
        projection.name,
        judged.len()
    )?;
    for ((tp, offset), reason) in judged.iter().take(LISTED) {
        writeln!(out, "  {tp}/{offset}: {}", reason.escape_debug())?;
    }
    if judged.len() > LISTED {
        writeln!(
            out,
            "  and {} more: `sporelog deadletter list --projection {}`",
            judged.len() - LISTED,
            projection.name
        )?;
    }
    Ok(())
}

impl<S: Source> Source for Judging<S> {
    async fn next(&mut self, wait: Duration) -> Result<Polled, LogError> {
        let polled = self.inner.next(wait).await?;
        if let Polled::Page(page) = &polled {
            self.judge(page).await;
        }
        Ok(polled)
    }

    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        let log = self.inner.identity(tp).await?;
        self.folder.set_partitions(tp.topic, log.partitions);
        Ok(log)
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.inner.range(tp).await
    }

    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        self.inner.offset_at(tp, append_time_us).await
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        self.inner.seek(tp, offset).await
    }

    fn halt(&mut self, tp: TopicPartition) {
        self.inner.halt(tp);
    }

    async fn assignment(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        self.inner.assignment().await
    }

    async fn release(&mut self, tps: &[TopicPartition]) -> Result<(), LogError> {
        self.inner.release(tps).await
    }

    async fn committed(&mut self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        self.inner.committed(tps).await
    }

    async fn commit(&mut self, offsets: &[GroupOffset]) -> Result<(), LogError> {
        self.inner.commit(offsets).await
    }
}
