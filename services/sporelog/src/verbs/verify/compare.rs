//! Comparing one table with its fold, wholly or as far as the log reaches.

use super::explain::explain;
use super::judged::Judged;
use super::limits::{Limit, Plan, is_by_event};
use super::replay::{Reached, replay};
use super::scratch::{Scratch, copy};
use crate::backend::{Look, Ranges};
use anyhow::Result;
use domain::Projection;
use domain::digest::Digest;
use domain::table::Table;
use embedded::store::{Difference, Snapshot, diff, missing};
use pipeline::scan::digest;
use pipeline::{Position, Scan, WorkerOptions};
use std::io::Write;

/// What comparing came to, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything is equal.
    Equal,
    /// Nothing differs, and not everything could be compared.
    Partly,
    /// Something differs.
    Differs,
}

/// What the log folds to.
#[derive(Debug)]
pub struct Folds {
    projection: &'static Projection,
    /// What could be folded, with what the folding has shown.
    pub plan: Plan,
    /// The positions reached, of whole partitions.
    pub reached: Vec<Position>,
    /// Dead records that today's rules would apply.
    pub judged: Judged,
    /// The rows of whole partitions.
    whole: Snapshot,
    /// The rows of what is left of the others: of tables with a row for each event they are true,
    /// each by itself.
    rest: Option<Snapshot>,
}

impl Folds {
    /// Folds what the plan says. A partition that turns out to be unreadable is left out, and the
    /// rest folded anew: its rows would be those of a beginning.
    pub async fn make<L: Look>(
        look: &L,
        projection: &'static Projection,
        mut plan: Plan,
        scratch: &Scratch,
        options: &WorkerOptions,
    ) -> Result<Self> {
        let (whole, reached) = loop {
            let store = scratch.fresh()?;
            let reached = replay(look, plan.whole.clone(), projection, store.clone(), options).await?;
            if !leave_out(&mut plan, &reached) {
                break (store.reader()?, reached);
            }
        };
        let mut rest = None;
        if projection.tables.iter().any(|table| is_by_event(table) && Plan::any(&plan.cut, table.topics)) {
            let store = scratch.fresh()?;
            // What is read up to trouble is true of such tables, too.
            let cut = replay(look, plan.cut.clone(), projection, store.clone(), options).await?;
            for parked in cut.parked {
                plan.limits.insert(parked.tp, Limit::Parked(parked.to_string()));
            }
            rest = Some(store.reader()?);
        }
        let Reached { positions, judged, .. } = reached;
        Ok(Self { projection, plan, reached: positions, judged, whole, rest })
    }

    /// Compares one table, and prints what came of it.
    pub async fn compare<L: Look>(
        &self,
        look: &L,
        stored: &mut impl Scan,
        table: &'static Table,
        (scratch, options): (&Scratch, &WorkerOptions),
        out: &mut impl Write,
    ) -> Result<Verdict> {
        let held = digest(stored, self.projection, table).await?;
        let is_whole = self.plan.is_whole(table.topics);
        if is_whole && held == self.whole.digest(self.projection, table)? {
            print(out, self.projection, table, ("equal", held))?;
            return Ok(Verdict::Equal);
        }
        let any = Plan::any(&self.plan.whole, table.topics);
        let rest = self.rest.as_ref().filter(|_| is_by_event(table) && Plan::any(&self.plan.cut, table.topics));
        if !is_whole && !any && rest.is_none() {
            print(out, self.projection, table, ("not compared", held))?;
            return Ok(Verdict::Partly);
        }
        let takes = |tp| !self.plan.limits.contains_key(&tp);
        let copy = copy(stored, self.projection, table, &scratch.fresh()?, takes).await?;
        let (found, ranges) = self.find(&copy, table, (is_whole, any), rest)?;
        // A whole table whose digests differ is different, whether or not a row is found.
        let differs = is_whole || found.is_some();
        let (word, verdict) = if differs { ("DIFFERENT", Verdict::Differs) } else { ("partly", Verdict::Partly) };
        print(out, self.projection, table, (word, held))?;
        if let Some(found) = found {
            tell_why(look, ranges, (self.projection, table, &copy), &found, options, out).await?;
        }
        Ok(verdict)
    }

    /// The first row that differs, and the ranges whose events explain it.
    fn find(
        &self,
        copy: &Snapshot,
        table: &'static Table,
        (is_whole, any): (bool, bool),
        rest: Option<&Snapshot>,
    ) -> Result<(Option<Difference>, Ranges)> {
        let (copy, whole) = ((copy, self.projection), (&self.whole, self.projection));
        let mut found = None;
        if is_whole || (any && table.partial) {
            // Of a table with parts those of whole partitions were copied, and nothing else.
            found = diff(copy, whole, table)?;
        } else if any {
            // One partition writes a row (I3): a row of a whole one must be there just so. Those of
            // the others are unknown.
            found = missing(whole, copy, table)?.map(Difference::swapped);
        }
        if let (None, Some(rest)) = (&found, rest) {
            found = missing((rest, self.projection), copy, table)?.map(Difference::swapped);
            return Ok((found, self.plan.cut.clone()));
        }
        Ok((found, self.plan.whole.clone()))
    }
}

/// Takes what could not be read out of the plan; whether there was any.
fn leave_out(plan: &mut Plan, reached: &Reached) -> bool {
    for parked in &reached.parked {
        plan.limit(parked.tp, Limit::Parked(parked.to_string()), None);
    }
    !reached.parked.is_empty()
}

/// Prints a table's line.
pub fn print(out: &mut impl Write, projection: &Projection, table: &Table, (word, held): (&str, Digest)) -> Result<()> {
    Ok(writeln!(out, "{:<10} {:<28} {word:<10} {held}", projection.name, table.name)?)
}

/// Says what differs, and which event explains it.
pub async fn tell_why<L: Look>(
    look: &L,
    ranges: Ranges,
    (projection, table, copy): (&'static Projection, &'static Table, &Snapshot),
    found: &Difference,
    options: &WorkerOptions,
    out: &mut impl Write,
) -> Result<()> {
    writeln!(out, "  stored against folded again: {found}")?;
    let row = (projection, table, found.row.as_slice());
    let held = held_row(copy, row)?;
    writeln!(out, "  {}", explain(look, ranges, row, held.as_deref(), options).await?)?;
    Ok(())
}

/// What is stored under this key.
fn held_row(
    copy: &Snapshot,
    (projection, table, key): (&Projection, &'static Table, &[u8]),
) -> Result<Option<Vec<domain::cell::Cell>>> {
    let mut found = None;
    copy.rows(projection, table, |row| {
        if row.key == key {
            found = Some(row.cells);
        }
        Ok(())
    })?;
    Ok(found)
}
