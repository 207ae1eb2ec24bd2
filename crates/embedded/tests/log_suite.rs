//! The suite of every log, on the embedded one: directly, and with appends over the socket.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use domain::Topic;
use domain::topics::TopicSpec;
use embedded::appender::Appender;
use embedded::folder::DataFolder;
use embedded::log::{EmbeddedSource, Log, LogOptions, PageLimit};
use embedded::socket::AppendServer;
use pipeline::SystemClock;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use testkit::log_suite::{self, LogRig};

const TOPIC: Topic = Topic::AgentState;
const PARTITIONS: u32 = 5;

fn topics() -> Vec<TopicSpec> {
    vec![TopicSpec {
        topic: TOPIC,
        partitions: PARTITIONS,
        replication: 1,
        configs: BTreeMap::new(),
        events: Vec::new(),
    }]
}

fn options() -> LogOptions {
    // Small pages, so that the checks cross many.
    LogOptions { page: PageLimit { bytes: 32_000, records: 7 }, ..LogOptions::default() }
}

fn open(temp: &TempDir) -> Log {
    let folder = Arc::new(DataFolder::open(temp.path()).unwrap());
    Log::open_held(folder, &topics(), options(), SystemClock::new()).unwrap()
}

struct Direct {
    log: Log,
    _temp: TempDir,
}

impl LogRig for Direct {
    type Source = EmbeddedSource;
    type Publisher = Log;

    fn topic(&self) -> Topic {
        TOPIC
    }

    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    async fn publisher(&self) -> Log {
        self.log.clone()
    }

    async fn join(&self, group: &str) -> EmbeddedSource {
        self.log.join(group, &[TOPIC], "member").unwrap()
    }
}

struct OverSocket {
    log: Log,
    temp: TempDir,
}

impl LogRig for OverSocket {
    type Source = EmbeddedSource;
    type Publisher = Appender;

    fn topic(&self) -> Topic {
        TOPIC
    }

    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    async fn publisher(&self) -> Appender {
        let appender = Appender::connect(self.temp.path(), &topics(), options()).await.unwrap();
        assert!(!appender.is_local().await);
        appender
    }

    async fn join(&self, group: &str) -> EmbeddedSource {
        self.log.join(group, &[TOPIC], "member").unwrap()
    }
}

macro_rules! suite {
    ($($check:ident)*) => {
        mod direct {
            $(#[tokio::test]
            async fn $check() {
                let temp = tempfile::tempdir().unwrap();
                super::log_suite::$check(&super::Direct { log: super::open(&temp), _temp: temp }).await;
            })*
        }

        mod over_socket {
            $(#[tokio::test]
            async fn $check() {
                let temp = tempfile::tempdir().unwrap();
                let log = super::open(&temp);
                tokio::spawn(super::AppendServer::bind(temp.path()).unwrap().serve(log.clone()));
                super::log_suite::$check(&super::OverSocket { log, temp }).await;
            })*
        }
    };
}

suite! {
    order_and_offsets bytes_come_back seek_and_pages wake_up cancelled_waits hand_over commit_is_fenced
    offset_of_a_time many_publishers groups_are_apart
}
