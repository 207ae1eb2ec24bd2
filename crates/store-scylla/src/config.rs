//! Where the nodes are, and what may be in flight to them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// The settings of a store. Every one has the default that [`ScyllaConfig::new`] states.
#[derive(Clone, PartialEq, Eq)]
pub struct ScyllaConfig {
    /// Nodes to begin with, `host:port`; the others are learned from them.
    pub nodes: Vec<String>,
    /// The keyspace (default `sporelog`).
    pub keyspace: String,
    /// How many copies of a row are kept, and where (default: one).
    pub replication: Replication,
    /// The user, where the nodes want one (default: none).
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// Encryption, where the nodes want it (default: none).
    pub tls: Option<Tls>,
    /// The datacenter whose nodes are asked first (default: none is preferred).
    pub local_dc: Option<String>,
    /// How many copies must answer (default: a quorum of the local datacenter).
    pub consistency: Consistency,
    /// The most requests in flight, over all clones of a store (default 256).
    pub max_in_flight_statements: u32,
    /// The most memory of requests in flight, over all clones of a store (default 32 MiB).
    pub max_in_flight_bytes: u32,
    /// How long one request may take, its retries included (default 10,000).
    pub request_timeout_ms: u64,
    /// How long connecting to the nodes may take (default 10,000).
    pub connect_timeout_ms: u64,
    /// Connections to each node that has no shards, which is Cassandra (default 4); ScyllaDB gets one per shard.
    pub connections_per_node: u32,
    /// The most rows of one partition in one request (default 64).
    pub batch_max_rows: usize,
    /// Rows of one partition go into one request up to this size (default 65,536).
    pub batch_max_bytes: usize,
    /// The most rows of several partitions in one request, all at home on the same node (default 8: the nodes warn of
    /// more than 10 partitions); 1 keeps partitions apart.
    pub spread_max_rows: usize,
    /// Rows of several partitions go into one request up to this size (default 4,096: the nodes warn of 5,120).
    pub spread_max_bytes: usize,
}

impl ScyllaConfig {
    /// The defaults, for these nodes.
    pub fn new(nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            keyspace: "sporelog".to_owned(),
            replication: Replication::Simple(1),
            user: None,
            password: None,
            tls: None,
            local_dc: None,
            consistency: Consistency::LocalQuorum,
            max_in_flight_statements: 256,
            max_in_flight_bytes: 32 << 20,
            request_timeout_ms: 10_000,
            connect_timeout_ms: 10_000,
            connections_per_node: 4,
            batch_max_rows: 64,
            batch_max_bytes: 64 << 10,
            spread_max_rows: 8,
            spread_max_bytes: 4 << 10,
        }
    }

    /// Whether the settings can be used. Everything that connects asks this first.
    ///
    /// # Errors
    /// The first setting that cannot be used, and what it must be.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.nodes.is_empty() {
            return Err(ConfigError::NoNodes);
        }
        let named = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !self.keyspace.starts_with(|c: char| c.is_ascii_lowercase())
            || self.keyspace.len() > 48
            || !named(&self.keyspace)
        {
            return Err(ConfigError::Keyspace(self.keyspace.clone()));
        }
        match (self.max_in_flight_statements, self.connections_per_node, self.batch_max_rows) {
            (0, _, _) => Err(ConfigError::Zero("max_in_flight_statements")),
            (_, 0, _) => Err(ConfigError::Zero("connections_per_node")),
            (_, _, 0) => Err(ConfigError::Zero("batch_max_rows")),
            _ if self.max_in_flight_bytes == 0 => Err(ConfigError::Zero("max_in_flight_bytes")),
            _ => Ok(()),
        }
    }
}

/// Without the password.
impl fmt::Debug for ScyllaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScyllaConfig")
            .field("nodes", &self.nodes)
            .field("keyspace", &self.keyspace)
            .field("replication", &self.replication)
            .field("user", &self.user)
            .field("consistency", &self.consistency)
            .finish_non_exhaustive()
    }
}

/// Encrypted connections. The nodes' certificates must name the addresses by which they are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificates of the authorities that are trusted, PEM.
    pub ca_file: PathBuf,
    /// This client's certificate chain and its key, PEM, where the nodes want one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How many copies of a row are kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// So many copies on whichever nodes (`SimpleStrategy`): for one machine or one rack.
    Simple(u32),
    /// So many copies in each named datacenter (`NetworkTopologyStrategy`): for production.
    Network(Vec<(String, u32)>),
}

impl Replication {
    /// The replication map of `CREATE KEYSPACE`.
    pub(crate) fn cql(&self) -> String {
        match self {
            Replication::Simple(copies) => format!("{{'class': 'SimpleStrategy', 'replication_factor': {copies}}}"),
            Replication::Network(datacenters) => {
                let each: String = datacenters
                    .iter()
                    .map(|(name, copies)| format!(", '{}': {copies}", name.replace('\'', "''")))
                    .collect();
                format!("{{'class': 'NetworkTopologyStrategy'{each}}}")
            }
        }
    }
}

/// A number (`SimpleStrategy`), or a number for each datacenter: `dc1:3,dc2:3` (`NetworkTopologyStrategy`).
impl FromStr for Replication {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let copies = |number: &str| number.trim().parse().ok().filter(|copies| *copies > 0);
        if let Some(copies) = copies(text) {
            return Ok(Replication::Simple(copies));
        }
        let datacenter = |part: &str| {
            let (name, number) = part.rsplit_once(':')?;
            Some((name.trim().to_owned(), copies(number)?)).filter(|(name, _)| !name.is_empty())
        };
        let datacenters: Option<Vec<_>> = text.split(',').map(datacenter).collect();
        datacenters.map(Replication::Network).ok_or_else(|| ConfigError::Replication(text.to_owned()))
    }
}

/// How many copies must answer before a request is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// One copy.
    One,
    /// One copy of the local datacenter.
    LocalOne,
    /// More than half of all copies.
    Quorum,
    /// More than half of the copies of the local datacenter.
    LocalQuorum,
    /// All copies.
    All,
}

impl From<Consistency> for scylla::statement::Consistency {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::One => Self::One,
            Consistency::LocalOne => Self::LocalOne,
            Consistency::Quorum => Self::Quorum,
            Consistency::LocalQuorum => Self::LocalQuorum,
            Consistency::All => Self::All,
        }
    }
}

/// `one`, `local_one`, `quorum`, `local_quorum` or `all`.
impl FromStr for Consistency {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.to_ascii_lowercase().as_str() {
            "one" => Ok(Consistency::One),
            "local_one" => Ok(Consistency::LocalOne),
            "quorum" => Ok(Consistency::Quorum),
            "local_quorum" => Ok(Consistency::LocalQuorum),
            "all" => Ok(Consistency::All),
            _ => Err(ConfigError::Consistency(text.to_owned())),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no node to begin with.
    #[error("no node is named: give at least one as host:port")]
    NoNodes,
    /// The keyspace's name is none.
    #[error("{0:?} cannot name a keyspace: use up to 48 of a-z, 0-9 and _, beginning with a letter")]
    Keyspace(String),
    /// The replication cannot be read.
    #[error("{0:?} is no replication: write the number of copies, or one for each datacenter as in dc1:3,dc2:3")]
    Replication(String),
    /// There is no such consistency.
    #[error("{0:?} is no consistency: use one, local_one, quorum, local_quorum or all")]
    Consistency(String),
    /// A limit of nothing.
    #[error("{0} is 0: nothing could ever be sent")]
    Zero(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_is_read_and_written() {
        let read = |text: &str| text.parse::<Replication>();
        assert_eq!(read("3").unwrap().cql(), "{'class': 'SimpleStrategy', 'replication_factor': 3}");
        let two = read("dc1:3, eu'west:2").unwrap();
        assert_eq!(two, Replication::Network(vec![("dc1".into(), 3), ("eu'west".into(), 2)]));
        assert_eq!(two.cql(), "{'class': 'NetworkTopologyStrategy', 'dc1': 3, 'eu''west': 2}");
        for text in ["", "0", "dc1", "dc1:", ":3", "dc1:0", "dc1:3,"] {
            assert_eq!(read(text), Err(ConfigError::Replication(text.into())), "{text:?}");
        }
    }

    #[test]
    fn consistency_is_read() {
        assert_eq!("LOCAL_QUORUM".parse(), Ok(Consistency::LocalQuorum));
        assert_eq!("serial".parse::<Consistency>(), Err(ConfigError::Consistency("serial".into())));
    }

    #[test]
    fn what_cannot_work_is_refused_before_connecting() {
        let good = ScyllaConfig::new(["127.0.0.1:9042"]);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(ScyllaConfig::new([""; 0]).check(), Err(ConfigError::NoNodes));
        for keyspace in ["", "Upper", "1st", "a;b", &"x".repeat(49)] {
            let config = ScyllaConfig { keyspace: keyspace.into(), ..good.clone() };
            assert_eq!(config.check(), Err(ConfigError::Keyspace(keyspace.into())));
        }
        let none = ScyllaConfig { max_in_flight_bytes: 0, ..good };
        assert_eq!(none.check(), Err(ConfigError::Zero("max_in_flight_bytes")));
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = ScyllaConfig { password: Some("hush".into()), ..ScyllaConfig::new(["a:1"]) };
        assert!(!format!("{config:?}").contains("hush"));
    }
}
