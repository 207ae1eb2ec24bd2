//! Settings of the nodes that change what is stored, looked at before work begins: by migrations
//! and by workers. Whatever is wrong is an outage with its remedy (I7).
//!
//! | setting | why it matters | what is done |
//! |---|---|---|
//! | the keyspace's `durable_writes` | without it an acknowledged write is in no commit log | refused: `true` |
//! | the keyspace's replication | fewer copies than configured, or none where writes wait for them | refused |
//! | a table's `default_time_to_live` | rows would vanish by themselves | refused: 0 |
//! | the partitioner | rows are found by their Murmur3 token | refused: another one |
//! | one copy, or one copy that answers | a node that is lost takes acknowledged writes with it | a warning |
//!
//! Not visible from here: `commitlog_sync: periodic`, the default of Cassandra, acknowledges a
//! write up to ten seconds before it is on disk. A power cut of all copies of a row at once loses
//! it, and the group's offset has passed it: spread the copies over racks, or use `commitlog_sync:
//! group`. The nodes' clocks do not matter: write times come from events.

use crate::config::{Consistency, Replication, ScyllaConfig};
use crate::migrate::rows;
use pipeline::StoreError;
use scylla::client::session::Session;
use std::collections::BTreeMap;

/// What the nodes say of a keyspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Keyspace {
    durable_writes: bool,
    /// The class, and options by name: of `NetworkTopologyStrategy` the copies of each datacenter.
    replication: BTreeMap<String, String>,
}

/// Looks at the keyspace, and at the tables whose names begin with `prefix`.
pub(crate) async fn check(session: &Session, config: &ScyllaConfig, prefix: &str) -> Result<(), StoreError> {
    let local = "SELECT partitioner, data_center FROM system.local";
    let node: Vec<(String, Option<String>)> = rows(session, local, ()).await?;
    let Some((partitioner, datacenter)) = node.into_iter().next() else {
        return refused("the nodes do not tell their partitioner: system.local is empty".to_owned());
    };
    judge_partitioner(&partitioner)?;
    let select = "SELECT durable_writes, replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let found: Vec<(bool, BTreeMap<String, String>)> = rows(session, select, (&config.keyspace,)).await?;
    let Some((durable_writes, replication)) = found.into_iter().next() else {
        return refused(format!("there is no keyspace {}: run `sporelog migrate up`", config.keyspace));
    };
    let datacenter = config.local_dc.as_deref().or(datacenter.as_deref()).unwrap_or_default();
    Keyspace { durable_writes, replication }.judge(config, datacenter)?;
    let select = "SELECT table_name, default_time_to_live FROM system_schema.tables WHERE keyspace_name = ?";
    let tables: Vec<(String, Option<i32>)> = rows(session, select, (&config.keyspace,)).await?;
    let mut ours = tables.iter().filter(|(name, _)| name.starts_with(prefix));
    ours.try_for_each(|(name, ttl_s)| judge_table(&config.keyspace, name, ttl_s.unwrap_or_default()))
}

fn refused(text: String) -> Result<(), StoreError> {
    Err(StoreError::Unavailable(text))
}

fn judge_partitioner(partitioner: &str) -> Result<(), StoreError> {
    if partitioner.ends_with("Murmur3Partitioner") {
        return Ok(());
    }
    refused(format!(
        "the nodes place rows by {partitioner}: use a cluster with the default, Murmur3Partitioner (a partitioner cannot be \
         changed in place)"
    ))
}

fn judge_table(keyspace: &str, name: &str, ttl_s: i32) -> Result<(), StoreError> {
    if ttl_s == 0 {
        return Ok(());
    }
    refused(format!(
        "rows of {keyspace}.{name} vanish after {ttl_s} s: ALTER TABLE {keyspace}.{name} WITH default_time_to_live = 0. What \
         has vanished comes back when the log is read again"
    ))
}

impl Keyspace {
    fn judge(&self, config: &ScyllaConfig, datacenter: &str) -> Result<(), StoreError> {
        let keyspace = &config.keyspace;
        if !self.durable_writes {
            return refused(format!(
                "the keyspace {keyspace} keeps writes out of the commit log, and a node that stops loses them: ALTER KEYSPACE \
                 {keyspace} WITH durable_writes = true"
            ));
        }
        let Some(copies) = self.copies() else {
            tracing::warn!(keyspace, replication = ?self.replication, "the number of copies of a row is not known");
            return Ok(());
        };
        let alter = "ALTER KEYSPACE ... WITH replication = ..., then repair the nodes";
        let is_local = matches!(config.consistency, Consistency::LocalOne | Consistency::LocalQuorum);
        if is_local && copies.in_datacenter(datacenter) == 0 {
            return refused(format!(
                "the keyspace {keyspace} keeps no copy in the datacenter {datacenter:?}, whose copies are to answer: {alter}, \
                 or correct scylla.local_dc or scylla.consistency"
            ));
        }
        if let Some((place, wanted, kept)) = copies.fewer_than(&config.replication) {
            return refused(format!(
                "the keyspace {keyspace} keeps {kept} copies of a row{place}, and scylla.replication wants {wanted}: {alter}, \
                 or correct scylla.replication"
            ));
        }
        if copies.sum() == 1 || matches!(config.consistency, Consistency::One | Consistency::LocalOne) {
            tracing::warn!(
                keyspace,
                copies = copies.sum(),
                "one copy of a row answers for it: a node that is lost takes acknowledged writes with it"
            );
        }
        Ok(())
    }

    /// The copies of a row; none where the strategy is a strange one.
    fn copies(&self) -> Option<Copies> {
        let class = self.replication.get("class").map_or("", |class| class.rsplit('.').next().unwrap_or_default());
        // `3/1` is a transient copy among three: the first number counts.
        let number = |text: &String| text.split('/').next().and_then(|text| text.trim().parse::<u32>().ok());
        match class {
            "SimpleStrategy" => self.replication.get("replication_factor").and_then(number).map(Copies::Anywhere),
            "NetworkTopologyStrategy" => {
                let each = self.replication.iter().filter(|(name, _)| *name != "class");
                let each: Option<BTreeMap<_, _>> =
                    each.map(|(name, text)| Some((name.clone(), number(text)?))).collect();
                each.map(Copies::PerDatacenter)
            }
            _ => None,
        }
    }
}

/// How many copies of a row there are.
enum Copies {
    Anywhere(u32),
    PerDatacenter(BTreeMap<String, u32>),
}

impl Copies {
    fn sum(&self) -> u32 {
        match self {
            Copies::Anywhere(copies) => *copies,
            Copies::PerDatacenter(each) => each.values().sum(),
        }
    }

    fn in_datacenter(&self, name: &str) -> u32 {
        match self {
            Copies::Anywhere(copies) => *copies,
            Copies::PerDatacenter(each) => each.get(name).copied().unwrap_or(0),
        }
    }

    /// Where there are fewer than wanted: the place as a clause, what is wanted, what is kept.
    fn fewer_than(&self, wanted: &Replication) -> Option<(String, u32, u32)> {
        match wanted {
            Replication::Simple(wanted) => {
                let kept = self.sum();
                (kept < *wanted).then(|| (String::new(), *wanted, kept))
            }
            Replication::Network(each) => each.iter().find_map(|(name, wanted)| {
                let kept = self.in_datacenter(name);
                (kept < *wanted).then(|| (format!(" in {name}"), *wanted, kept))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyspace(durable_writes: bool, replication: &[(&str, &str)]) -> Keyspace {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Keyspace { durable_writes, replication: replication.iter().map(owned).collect() }
    }

    const SIMPLE: &str = "org.apache.cassandra.locator.SimpleStrategy";
    const NETWORK: &str = "org.apache.cassandra.locator.NetworkTopologyStrategy";

    fn judged(keyspace: &Keyspace, replication: &str) -> Result<(), String> {
        let replication = replication.parse().unwrap();
        let config = ScyllaConfig { replication, ..ScyllaConfig::new(["a:1"]) };
        match keyspace.judge(&config, "dc1") {
            Ok(()) => Ok(()),
            Err(StoreError::Unavailable(text)) => Err(text),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// I7: a keyspace that would lose rows is an outage that names the statement that mends it.
    #[test]
    fn keyspaces_that_lose_writes_are_outages_with_a_remedy() {
        let three = [("class", NETWORK), ("dc1", "3"), ("dc2", "2")];
        assert_eq!(judged(&keyspace(true, &three), "dc1:3"), Ok(()));
        assert_eq!(judged(&keyspace(true, &three), "5"), Ok(()), "five copies in all");
        assert_eq!(judged(&keyspace(true, &[("class", SIMPLE), ("replication_factor", "1")]), "1"), Ok(()));
        assert_eq!(judged(&keyspace(true, &[("class", "EverywhereStrategy")]), "3"), Ok(()), "not known");
        let cases: [(Keyspace, &str, &str); 5] = [
            (keyspace(false, &three), "dc1:3", "durable_writes = true"),
            (keyspace(true, &[("class", SIMPLE), ("replication_factor", "1")]), "3", "keeps 1 copies of a row, and"),
            (keyspace(true, &three), "dc1:3,dc2:3", "keeps 2 copies of a row in dc2"),
            (keyspace(true, &[("class", NETWORK), ("dc2", "3")]), "3", "no copy in the datacenter \"dc1\""),
            (keyspace(true, &[("class", NETWORK), ("dc1", "3/1")]), "dc1:4", "keeps 3 copies"),
        ];
        for (keyspace, replication, said) in cases {
            let text = judged(&keyspace, replication).unwrap_err();
            assert!(text.contains(said) && (text.contains("ALTER KEYSPACE")), "{text}");
        }
    }

    #[test]
    fn tables_with_a_time_to_live_and_other_partitioners_are_outages() {
        assert!(judge_table("k", "t", 0).is_ok());
        assert!(judge_table("k", "t", 60).unwrap_err().to_string().contains("default_time_to_live = 0"));
        assert!(judge_partitioner("org.apache.cassandra.dht.Murmur3Partitioner").is_ok());
        assert!(judge_partitioner("org.apache.cassandra.dht.RandomPartitioner").is_err());
    }
}
