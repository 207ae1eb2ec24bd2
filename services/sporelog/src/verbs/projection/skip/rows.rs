//! Moving a position that lies beside its rows (I2): by a claim, so that a worker that runs is
//! fenced (I3).

use super::plan::Plan;
use anyhow::{Context as _, Result, bail};
use domain::delta::Deltas;
use pipeline::{Advance, Claim, Claimed, Flush, Position, RowStore, StoreError, nothing_before_commit};

/// How often a worker that tries the partition at the same moment may get in between.
const TRIES: usize = 20;

/// Claims the partition and moves the position. A worker that tries the parked partition meanwhile
/// claims it, too: whoever claims last wins, so it is tried again.
pub async fn advance(store: &mut impl RowStore, plan: &Plan) -> Result<()> {
    store.check(plan.projection).await?;
    for _ in 0..TRIES {
        match try_advance(store, plan).await? {
            Ok(()) => return Ok(()),
            Err(StoreError::Fenced(_)) => {}
            Err(StoreError::Unknown(_)) if has_moved(store, plan).await? => return Ok(()),
            Err(error) => return Err(error).context("the position was not moved"),
        }
    }
    bail!("a worker claims {} again and again: stop the workers of {} first", plan.tp(), plan.projection.name)
}

async fn try_advance(store: &mut impl RowStore, plan: &Plan) -> Result<Result<(), StoreError>> {
    let projection = plan.projection;
    let claim = Claim { tp: plan.tp(), log: plan.log.clone() };
    let claimed = store.claim(projection, &[claim]).await?.into_iter().next().context("nothing was claimed")?;
    let (from, position) = base(plan, &claimed)?;
    let to = plan.advance(Position { epoch: claimed.epoch, ..position });
    let rows = Deltas::new(projection.tables);
    let flush = Flush {
        projection,
        advances: &[Advance { from, to }],
        sequences: &[],
        dead: &[],
        rows: &rows,
        before_commit: &nothing_before_commit,
    };
    Ok(store.commit(&flush).await)
}

/// Whether a commit whose reply was lost has happened.
async fn has_moved(store: &mut impl RowStore, plan: &Plan) -> Result<bool> {
    let positions = store.positions(plan.projection, &[plan.tp()]).await?;
    Ok(positions.first().is_some_and(|position| position.next_offset >= plan.to))
}

/// The position to go on from, if it is still the one that was planned with.
fn base(plan: &Plan, claimed: &Claimed) -> Result<(Option<i64>, Position)> {
    let (name, tp) = (plan.projection.name, plan.tp());
    match claimed.position {
        None if !plan.has_position => Ok((None, plan.position)),
        Some(position) if plan.has_position && position.next_offset == plan.from() && is_log(plan, claimed) => {
            Ok((Some(position.next_offset), position))
        }
        found => {
            let found = found.map_or("no position".to_owned(), |position| format!("offset {}", position.next_offset));
            bail!("{name} has moved at {tp} since the plan was made, to {found}: nothing was skipped, look again")
        }
    }
}

fn is_log(plan: &Plan, claimed: &Claimed) -> bool {
    pipeline::compare_logs(&claimed.log, &plan.log).is_ok()
}
