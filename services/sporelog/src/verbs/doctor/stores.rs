//! The stores and the schema registry: whether they answer, are migrated, and keep what is written
//! to them.

use super::finding::Finding;
use crate::backend::{Cluster, Folder, Look as _};
use domain::Projection;
use pipeline::{RecordStore as _, RowStore as _};
use runtime::config::Config;

/// A schema id to ask the registry for: whether it has it or not, it answers.
const ANY_SCHEMA: u32 = 1;

/// The projections that lie in Postgres.
fn in_rows() -> [&'static Projection; 2] {
    [projector::PROJECTION, aggregator::PROJECTION]
}

/// Looks at the database; gives the cluster with it where it can be read.
pub async fn postgres(cluster: &Cluster, config: &Config, found: &mut Vec<Finding>) -> Option<Cluster> {
    let with = match cluster.clone().with_postgres(config) {
        Ok(with) => with,
        Err(error) => {
            found.push(Finding::problem("store", "postgres", format!("{error:#}")));
            return None;
        }
    };
    let mut is_well = true;
    for projection in in_rows() {
        let subject = format!("postgres, {}", projection.name);
        let checked = match crate::backend::Backend::rows(&with) {
            Ok(mut store) => store.check(projection).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        is_well &= checked.is_ok();
        found.push(match checked {
            Ok(()) => Finding::ok("store", subject, "can be written, settings and tables are as they must be"),
            Err(text) => Finding::problem("store", subject, text),
        });
    }
    is_well.then_some(with)
}

/// Looks at the nodes of the records.
pub async fn scylla(cluster: &Cluster, config: &Config, found: &mut Vec<Finding>) {
    let (subject, projection) = (format!("scylla, {}", ingest::PROJECTION.name), ingest::PROJECTION);
    let checked = match cluster.clone().with_scylla(config) {
        Ok(with) => match crate::backend::Backend::records(&with) {
            Ok(mut store) => store.check(projection).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(format!("{error:#}")),
    };
    found.push(match checked {
        Ok(()) => Finding::ok("store", subject, "can be written, keyspace and tables are as they must be"),
        Err(text) => Finding::problem("store", subject, text),
    });
}

/// Looks at the embedded store; whether it can be read.
pub async fn embedded(folder: &Folder, found: &mut Vec<Finding>) -> bool {
    let subject = folder.dir().join(embedded::store::STORE_FILE);
    let is_there = subject.is_file();
    let subject = subject.display().to_string();
    if !is_there {
        found.push(Finding::warning("store", subject, "there is no store yet: `sporelog up` makes it"));
        return false;
    }
    let opened = folder.rows().await;
    let is_well = opened.is_ok();
    found.push(match opened {
        Ok(_) => Finding::ok("store", subject, "can be read"),
        Err(error) => Finding::problem("store", subject, format!("{error:#}")),
    });
    is_well
}

/// Looks at the schema registry.
pub async fn registry(cluster: &Cluster, found: &mut Vec<Finding>) {
    let Some(registry) = cluster.registry() else {
        let text = "none: events are framed by the fingerprint of their schema";
        return found.push(Finding::ok("registry", "registry.url", text));
    };
    found.push(match registry.schema(ANY_SCHEMA).await {
        Ok(_) => Finding::ok("registry", "registry.url", "answers"),
        Err(error) => Finding::problem("registry", "registry.url", error.to_string()),
    });
}
