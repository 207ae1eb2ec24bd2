//! The declared tables, by projection.

pub mod records;
pub mod series;
pub mod views;

use crate::table::{KeyColumn, KeyType};

pub(crate) const TENANT: KeyColumn = KeyColumn { name: "tenant", ty: KeyType::Text, doc: "The tenant." };
pub(crate) const AGENT: KeyColumn = KeyColumn { name: "agent_id", ty: KeyType::Text, doc: "The agent." };
pub(crate) const SPORE: KeyColumn = KeyColumn { name: "spore_id", ty: KeyType::Uuid, doc: "The spore." };
pub(crate) const REGION: KeyColumn =
    KeyColumn { name: "region_id", ty: KeyType::Text, doc: "The region, or '' where the event names none." };
pub(crate) const WINDOW: KeyColumn =
    KeyColumn { name: "window_start", ty: KeyType::TimeUs, doc: "The start of the window in event time." };

pub(crate) const fn text_key(name: &'static str, doc: &'static str) -> KeyColumn {
    KeyColumn { name, ty: KeyType::Text, doc }
}

pub(crate) const fn int_key(name: &'static str, doc: &'static str) -> KeyColumn {
    KeyColumn { name, ty: KeyType::Int, doc }
}

pub(crate) const fn time_key(name: &'static str, doc: &'static str) -> KeyColumn {
    KeyColumn { name, ty: KeyType::TimeUs, doc }
}

pub(crate) const fn uuid_key(name: &'static str, doc: &'static str) -> KeyColumn {
    KeyColumn { name, ty: KeyType::Uuid, doc }
}
