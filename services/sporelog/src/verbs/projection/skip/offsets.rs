//! Moving ingest's position: the offset of its group, with its account in the metadata (I4). Nobody
//! may be a member meanwhile, since a member would commit its own.

use super::plan::Plan;
use crate::backend::Cluster;
use anyhow::{Context as _, Result, bail};
use embedded::log::Log;
use pipeline::{GroupOffset, GroupPosition, Polled, Source as _};
use std::time::Duration;

/// How long a lone member waits for its partitions.
const JOIN: Duration = Duration::from_secs(10);

fn offset(plan: &Plan) -> GroupOffset {
    GroupPosition { position: plan.advance(plan.position), log: plan.log.clone(), parked: None }.to_offset()
}

/// Commits for the group on Kafka, as no member of it: the broker refuses that while it has any.
pub async fn set_on_cluster(cluster: &Cluster, plan: &Plan) -> Result<()> {
    cluster.set_committed(plan.projection, vec![offset(plan)]).await.with_context(|| {
        format!(
            "the offset of group {} was not moved: stop every ingest first, since the brokers take it only while the \
             group has no members (one that was killed counts until kafka.session_timeout_ms has passed)",
            plan.projection.name
        )
    })
}

/// Commits for the group on the embedded log, which this process holds: it is the only member.
pub async fn set_embedded(log: &Log, plan: &Plan) -> Result<()> {
    let mut member = log.join(plan.projection.name, plan.projection.topics, "projection-skip")?;
    let assigned = async {
        loop {
            if let Polled::Assigned(tps) = member.next(Duration::from_millis(100)).await?
                && tps.contains(&plan.tp())
            {
                return Ok::<_, anyhow::Error>(());
            }
        }
    };
    if tokio::time::timeout(JOIN, assigned).await.map_err(anyhow::Error::from).and_then(|joined| joined).is_err() {
        bail!("{} was not assigned: another process holds the log", plan.tp());
    }
    member.commit(&[offset(plan)]).await.context("the offset was not moved")?;
    Ok(())
}
