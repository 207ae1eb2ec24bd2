//! Why the registry gave no answer, and what to do about it.

use codec::SchemaError;
use thiserror::Error;

/// The registry gave no answer, or not the one that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// The configured address is none.
    #[error(
        "the schema registry's address `{url}` cannot be used ({detail}); set `registry.url` to the address under which `/subjects` lies, such as http://host:8081"
    )]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Nothing came back in time.
    #[error(
        "the schema registry does not answer at {url} ({detail}); check that it runs and that `registry.url` is its address"
    )]
    Unreachable {
        /// What was asked.
        url: String,
        /// What happened instead.
        detail: String,
    },
    /// It answered with a fault of its own.
    #[error("the schema registry answered {url} with status {status} ({detail}); look at its log")]
    Failed {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// It does not let us.
    #[error(
        "the schema registry denies {url} (status {status}: {detail}); set `registry.user` and `registry.password` to a user who may read and register schemas"
    )]
    Denied {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// Something answers there, but it does not speak the Confluent API.
    #[error(
        "what answers at {url} is no schema registry ({detail}); set `registry.url` to the address under which `/subjects` lies (of Apicurio: http://host:8080/apis/ccompat/v7)"
    )]
    NoRegistry {
        /// What was asked.
        url: String,
        /// What it said.
        detail: String,
    },
    /// It refuses a schema.
    #[error(
        "the schema registry refuses the schema of {subject} at {url} ({detail}); compare it with the versions registered there: an incompatible one was registered by somebody else, or this build is older than them"
    )]
    Refused {
        /// The subject.
        subject: String,
        /// What was asked.
        url: String,
        /// What it said.
        detail: String,
    },
    /// A schema refers to one that it does not have.
    #[error(
        "the schema registry has no version {version} of subject {subject}, to which a schema in use refers; restore it \
         there: records cannot be read without it"
    )]
    Reference {
        /// The subject.
        subject: String,
        /// The version.
        version: u64,
    },
    /// It gave an id that cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}
