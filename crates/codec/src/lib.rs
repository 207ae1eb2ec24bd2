//! Avro bytes to and from [`domain::event`], and the only reader of `schemas/`.
//!
//! A record's value is a frame (Confluent's, or Avro's single-object encoding where no registry exists) around an Avro
//! datum. It is decoded with the schema its writer used, borrowed from the record's bytes: [`Schemas::decode`].
//! Workers and the simulator encode with [`Encoder`]; people and HTTP clients meet events as JSON ([`from_json`],
//! [`to_json`]). [`compat`] holds every schema to FULL_TRANSITIVE compatibility with its frozen versions.
//!
//! What is absent: a registry client. Whoever has one fills [`Schemas::learn`]; a schema that refers to others is put
//! together with [`inline_references`] first.

pub mod compat;
mod embedded;
mod encode;
mod error;
mod foreign;
pub mod frame;
mod ids;
mod json;
mod positional;
mod references;
mod resolve;
mod schemas;
mod shape;

pub use embedded::{Embedded, embedded};
pub use encode::Encoder;
pub use error::{DecodeError, EncodeError, JsonError, SchemaError};
pub use json::{from_json, from_json_value, to_json};
pub use references::inline_references;
pub use schemas::{DEFAULT_MAX_LEN, Schemas};
