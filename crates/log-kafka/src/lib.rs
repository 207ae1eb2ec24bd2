//! The log on Kafka or Redpanda: the one crate that names a Kafka client.
//!
//! - [`KafkaConfig`] holds what may be set, and refuses what would break a guarantee.
//! - [`KafkaSource`] is a member of a consumer group, see its module for the design.
//! - [`KafkaPublisher`] appends, idempotently and with acks=all.
//! - [`KafkaView`] and [`KafkaReplay`] read without being a member of any group.
//! - [`KafkaAdmin`] compares and changes topics.

mod admin;
mod ask;
mod config;
mod error;
mod ffi;
mod gather;
mod headers;
mod identity;
mod names;
mod offsets;
mod publisher;
mod reading;
mod replay;
mod settings;
mod source;
mod view;

pub use admin::KafkaAdmin;
pub use config::{ConfigError, KafkaConfig};
pub use publisher::KafkaPublisher;
pub use replay::KafkaReplay;
pub use source::KafkaSource;
pub use view::KafkaView;
