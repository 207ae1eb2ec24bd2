//! The schema registry: Apicurio, by its Confluent API, in memory.

use crate::command::java;
use crate::fetch::{Package, fetch};
use crate::folder::Folder;
use crate::node::Node;
use crate::options::{Merged, RegistryOptions};
use crate::port::Port;
use crate::probe;
use crate::process::Launch;
use anyhow::Result;
use std::net::SocketAddr;
use std::ops::Deref;

const API: &str = "/apis/ccompat/v7";

/// A running registry. It keeps schemas in memory: a restart empties it. Stopped when dropped.
#[derive(Debug)]
pub struct Registry {
    node: Node,
    port: Port,
    _folder: Folder,
}

impl Registry {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// Where it cannot be fetched or does not serve.
    pub fn start(options: &RegistryOptions) -> Result<Self> {
        let jars = fetch(Package::Registry)?;
        let (folder, port) = (Folder::create()?, Port::take()?);
        let ours = [
            ("quarkus.http.host", "127.0.0.1".to_owned()),
            ("quarkus.http.port", port.number().to_string()),
            ("java.io.tmpdir", folder.path().display().to_string()),
        ];
        let settings = Merged::new(ours, &options.settings);
        let launch = Launch::new(java()?, folder.path())
            .args([format!("-Xmx{}m", options.heap_mb), "-XX:-UsePerfData".to_owned()])
            .args(settings.each(|name, value| format!("-D{name}={value}")))
            .args(["-jar".into(), jars.join("apicurio-registry-app-2.6.13.Final-runner.jar").into_os_string()]);
        let address = port.address();
        let ready = move || probe::http(address, &format!("{API}/subjects"));
        let node = Node::started(Package::Registry.title(), launch, ready)?;
        Ok(Self { node, port, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The URL under which `/subjects` lies.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{API}", self.address())
    }
}

impl Deref for Registry {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}
