//! The client of a schema registry over the Confluent API: Confluent, Redpanda, Apicurio, Karapace.
//!
//! It gives ids to the schemas that we write ([`register_all`]) and gives the schemas of ids that we meet
//! ([`pipeline::Resolve`]). Subjects follow TopicRecordNameStrategy: `<topic>-<record full name>`.
//!
//! | the registry says | what it means |
//! |---|---|
//! | 200 | the schema, remembered |
//! | 404 with error code 40403 | there is no such id: remembered for a short time |
//! | 200, with references | the schema and what it refers to, fetched and put together |
//! | anything else, or nothing | no answer: the worker waits (I7); the message says what to do |

mod config;
mod error;
mod references;
mod request;
mod service;

pub use config::RegistryConfig;
pub use error::RegistryError;
pub use service::{Registry, register_all, subject};
