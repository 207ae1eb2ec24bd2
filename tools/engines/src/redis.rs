//! Redis: a cache, which a restart empties.

use crate::fetch::{Package, debian};
use crate::folder::Folder;
use crate::node::Node;
use crate::options::{Merged, RedisOptions};
use crate::port::Port;
use crate::probe;
use crate::process::Launch;
use anyhow::Result;
use std::net::SocketAddr;
use std::ops::Deref;

/// A running Redis. Nothing is kept over a restart. Stopped when dropped.
#[derive(Debug)]
pub struct Redis {
    node: Node,
    port: Port,
    _folder: Folder,
}

impl Redis {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// Where it cannot be fetched or does not serve.
    pub fn start(options: &RedisOptions) -> Result<Self> {
        let (program, libraries) = debian(Package::Redis, "redis-server")?;
        let (folder, port) = (Folder::create()?, Port::take()?);
        let ours = [
            ("bind", "127.0.0.1".to_owned()),
            ("port", port.number().to_string()),
            ("dir", folder.path().display().to_string()),
            ("save", "\"\"".to_owned()),
        ];
        let config = folder.write("redis.conf", &Merged::new(ours, &options.settings).lines(" "))?;
        let mut launch = Launch::new(program, folder.path()).args([config]);
        launch.env.extend(libraries.map(|libraries| ("LD_LIBRARY_PATH", libraries)));
        let address = port.address();
        let node = Node::started("Redis".to_owned(), launch, move || probe::redis(address))?;
        Ok(Self { node, port, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its `redis://` URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }
}

impl Deref for Redis {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}
