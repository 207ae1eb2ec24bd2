//! Connecting.

use crate::config::ScyllaConfig;
use crate::error::connect_error;
use crate::tls;
use pipeline::StoreError;
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Connects with these settings.
///
/// The driver runs its connections as tasks of the runtime that this is called on: a session ends with that runtime.
pub(crate) async fn connect(config: &ScyllaConfig) -> Result<Session, StoreError> {
    let session = open(config, PoolSize::PerShard(NonZeroUsize::MIN)).await?;
    let sharded = session.get_cluster_state().get_nodes_info().iter().any(|node| node.sharder().is_some());
    let wanted = NonZeroUsize::new(config.connections_per_node as usize).unwrap_or(NonZeroUsize::MIN);
    if sharded || wanted == NonZeroUsize::MIN {
        return Ok(session);
    }
    // Cassandra counts as one shard and would get a single connection, which one thread of the node serves.
    open(config, PoolSize::PerHost(wanted)).await
}

async fn open(config: &ScyllaConfig, pool: PoolSize) -> Result<Session, StoreError> {
    config.check().map_err(|error| StoreError::Fatal(error.to_string()))?;
    let patience = Duration::from_millis(config.connect_timeout_ms);
    let profile = ExecutionProfile::builder()
        .consistency(config.consistency.into())
        .request_timeout(Some(Duration::from_millis(config.request_timeout_ms)))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.nodes)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(patience)
        .pool_size(pool)
        // Routing needs how this keyspace is replicated, and no more of the schema.
        .keyspaces_to_fetch([&config.keyspace])
        .fetch_full_schema_metadata(false);
    if let Some(user) = &config.user {
        builder = builder.user(user, config.password.clone().unwrap_or_default());
    }
    if let Some(tls) = &config.tls {
        builder = builder.tls_context(Some(tls::client_config(tls)?));
    }
    if let Some(datacenter) = &config.local_dc {
        builder = builder.prefer_datacenter(datacenter.clone());
    }
    // The driver bounds how long a connection takes to open, but waits a minute for one that opens and stays silent.
    match tokio::time::timeout(patience, builder.build()).await {
        Ok(built) => built.map_err(|error| connect_error(&config.nodes, &error)),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer from {} within {} ms",
            config.nodes.join(", "),
            config.connect_timeout_ms
        ))),
    }
}
