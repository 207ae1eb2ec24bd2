//! Cassandra: one node, which stands in for ScyllaDB.

use crate::command::java;
use crate::fetch::{Package, fetch};
use crate::folder::Folder;
use crate::node::Node;
use crate::options::{CassandraOptions, Merged};
use crate::port::Port;
use crate::probe;
use crate::process::Launch;
use anyhow::Result;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;

/// What Cassandra uses of Java's own packages, and newer versions of Java close off.
const EXPORTS: [&str; 9] = [
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
];
const OPENS: [&str; 14] = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
];

/// Warnings only: without a configuration it logs everything.
const LOGBACK: &str = r#"<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %logger - %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"#;

/// A running Cassandra. Stopped when dropped.
#[derive(Debug)]
pub struct Cassandra {
    node: Node,
    port: Port,
    _others: [Port; 2],
    _folder: Folder,
}

impl Cassandra {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// Where it cannot be fetched or does not serve.
    pub fn start(options: &CassandraOptions) -> Result<Self> {
        let jars = fetch(Package::Cassandra)?;
        let folder = Folder::create()?;
        let (port, storage, jmx) = (Port::take()?, Port::take()?, Port::take()?);
        folder.write("logback.xml", LOGBACK)?;
        folder.write("cassandra.yaml", &yaml(folder.path(), &port, &storage, options))?;
        let launch = Launch::new(java()?, folder.path()).args(arguments(&jars, folder.path(), &jmx, options));
        let address = port.address();
        let node = Node::started(Package::Cassandra.title(), launch, move || probe::cassandra(address))?;
        Ok(Self { node, port, _others: [storage, jmx], _folder: folder })
    }

    /// Where its native protocol listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}

impl Deref for Cassandra {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

fn yaml(folder: &Path, port: &Port, storage: &Port, options: &CassandraOptions) -> String {
    let text = |text: &str| text.to_owned();
    let seeds = format!(
        "[{{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{{seeds: \"{}\"}}]}}]",
        storage.address()
    );
    let (sync, period) = if options.durable {
        ("group", ("commitlog_sync_group_window", text("5ms")))
    } else {
        ("periodic", ("commitlog_sync_period", text("10s")))
    };
    let place = |name: &str| folder.join(name).display().to_string();
    let ours = [
        ("cluster_name", text("sporelog")),
        ("num_tokens", text("1")),
        ("partitioner", text("org.apache.cassandra.dht.Murmur3Partitioner")),
        ("endpoint_snitch", text("SimpleSnitch")),
        ("seed_provider", seeds),
        ("listen_address", text("127.0.0.1")),
        ("storage_port", storage.number().to_string()),
        ("rpc_address", text("127.0.0.1")),
        ("native_transport_port", port.number().to_string()),
        ("commitlog_sync", text(sync)),
        period,
        ("commitlog_segment_size", text("16MiB")),
        ("data_file_directories", format!("[\"{}\"]", place("data"))),
        ("commitlog_directory", place("commitlog")),
        ("hints_directory", place("hints")),
        ("saved_caches_directory", place("saved_caches")),
        ("cdc_raw_directory", place("cdc_raw")),
        // Dropping what a test has made would copy it first.
        ("auto_snapshot", text("false")),
    ];
    Merged::new(ours, &options.settings).lines(": ")
}

fn arguments(jars: &Path, folder: &Path, jmx: &Port, options: &CassandraOptions) -> Vec<OsString> {
    let place = folder.display();
    let mut args = vec![
        format!("-Xmx{}m", options.heap_mb),
        "-Xss512k".to_owned(),
        "-XX:-UsePerfData".to_owned(),
        "-Djava.net.preferIPv4Stack=true".to_owned(),
        "-Djdk.attach.allowAttachSelf=true".to_owned(),
        "-Dio.netty.tryReflectionSetAccessible=true".to_owned(),
        format!("-Djava.io.tmpdir={place}"),
        format!("-Djna.tmpdir={place}"),
        format!("-Dlogback.configurationFile=file://{place}/logback.xml"),
        format!("-Dcassandra.config=file://{place}/cassandra.yaml"),
        format!("-Dcassandra.storagedir={place}"),
        format!("-Dcassandra.jmx.local.port={}", jmx.number()),
        "-Dcassandra-foreground=yes".to_owned(),
        // One node has nobody to wait for.
        "-Dcassandra.ring_delay_ms=1".to_owned(),
        "-Dcassandra.skip_wait_for_gossip_to_settle=0".to_owned(),
    ];
    for (flag, packages) in [("--add-exports", EXPORTS.as_slice()), ("--add-opens", OPENS.as_slice())] {
        args.extend(packages.iter().flat_map(|package| [flag.to_owned(), format!("{package}=ALL-UNNAMED")]));
    }
    args.extend(["-cp".to_owned(), format!("{}/*", jars.display())]);
    args.push("org.apache.cassandra.service.CassandraDaemon".to_owned());
    args.into_iter().map(OsString::from).collect()
}
