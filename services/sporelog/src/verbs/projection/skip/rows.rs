//! Moving a position that lies beside its rows (I2): by a claim, so that a worker that runs is fenced (I3).

use super::plan::Plan;
use anyhow::{Context as _, Result, bail};
use domain::delta::Deltas;
use pipeline::{Advance, Claim, Claimed, Flush, Position, RowStore, nothing_before_commit};

/// Claims the partition and moves the position.
pub async fn advance(store: &mut impl RowStore, plan: &Plan) -> Result<()> {
    let projection = plan.projection;
    store.check(projection).await?;
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
    store.commit(&flush).await.context("the position was not moved")?;
    Ok(())
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
