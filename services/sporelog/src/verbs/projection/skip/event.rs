//! The event that an order to skip is.

use super::Order;
use super::plan::Plan;
use anyhow::{Context as _, Result};
use codec::{Encoder, Schemas};
use domain::event::{Event, Meta, PolicyDecided};
use domain::validity;
use pipeline::{Headers, OutRecord};
use std::sync::Arc;
use uuid::Uuid;

/// The tenant of what operators do.
const TENANT: &str = "_operator";
const PRODUCER: &str = "sporelog/projection-skip";

/// The record that tells the log of the order.
pub fn record(schemas: &Arc<Schemas>, plan: &Plan, order: &Order, now_us: i64) -> Result<OutRecord> {
    let (subject, tp) = (format!("projection:{}", plan.projection.name), plan.tp());
    let decision = serde_json::json!({
        "topic": tp.topic.name(),
        "partition": tp.partition,
        "from": plan.from(),
        "to": plan.to,
        "lost": plan.lost(),
        "cluster_id": plan.log.cluster_id,
        "topic_id": plan.log.topic_id,
        "reason": order.reason,
    })
    .to_string();
    let meta = Meta {
        event_id: Uuid::now_v7(),
        occurred_at: now_us,
        tenant_id: TENANT,
        producer_id: PRODUCER,
        // Each order is its own; nothing counts them.
        producer_seq: None,
        love_resonance: 0,
        base_version: None,
        trace_id: None,
        causation_id: None,
    };
    let event = Event::PolicyDecided(PolicyDecided {
        meta,
        subject_id: &subject,
        actor_id: &order.actor,
        policy_type: "skip",
        action: "skip",
        rule_id: "projection-skip",
        decision: &decision,
    });
    let (mut key, mut value) = (Vec::new(), Vec::new());
    event.key(&mut key);
    validity::check(&event, &key, now_us)
        .map_err(|violation| anyhow::anyhow!("the order is no valid event: {violation}"))?;
    Encoder::new(schemas.clone()).encode(&event, &mut value).context("the order cannot be encoded")?;
    Ok(OutRecord { topic: event.kind().topic(), key, value, headers: Headers::default() })
}
