//! Appends from where the log is not: who opens it, what happens when the holder goes, and requests in flight.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use domain::topics::TopicSpec;
use domain::{Topic, TopicPartition};
use embedded::appender::Appender;
use embedded::folder::DataFolder;
use embedded::log::{Log, LogOptions, Placed};
use embedded::socket::AppendServer;
use pipeline::{LogError, Publisher as _, SystemClock};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testkit::log_suite::record;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

const TOPIC: Topic = Topic::AgentState;
const DEADLINE: Duration = Duration::from_secs(30);

fn topics() -> Vec<TopicSpec> {
    vec![TopicSpec { topic: TOPIC, partitions: 1, replication: 1, configs: BTreeMap::new(), events: Vec::new() }]
}

async fn appender(dir: &Path) -> Appender {
    Appender::connect(dir, &topics(), LogOptions::default()).await.unwrap()
}

fn hold(dir: &Path) -> Log {
    let folder = Arc::new(DataFolder::open(dir).unwrap());
    Log::open_held(folder, &topics(), LogOptions::default(), SystemClock::new()).unwrap()
}

#[tokio::test]
async fn the_first_opens_the_log_the_second_goes_through_it_and_takes_over() {
    let temp = tempfile::tempdir().unwrap();
    let first = appender(temp.path()).await;
    let second = appender(temp.path()).await;
    assert!(first.is_local().await && !second.is_local().await);
    assert_eq!(first.append(vec![record(TOPIC, "k", "1")]).await.unwrap()[0].offset, 0);
    assert_eq!(second.append(vec![record(TOPIC, "k", "2")]).await.unwrap()[0].offset, 1);
    drop(first);
    let taken = async {
        // What was in flight when the holder went may fail once; the next append decides anew.
        loop {
            if let Ok(placed) = second.append(vec![record(TOPIC, "k", "3")]).await {
                return placed[0].offset;
            }
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, taken).await.unwrap(), 2);
    assert!(second.is_local().await);
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_no_way_to_the_log() {
    let temp = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(temp.path()).unwrap();
    // A process that ends has let go of neither; the system goes on taking connections for it.
    let socket = std::os::unix::net::UnixListener::bind(temp.path().join("sporelog.sock")).unwrap();
    let dir = temp.path().to_owned();
    let connecting = tokio::spawn(async move { appender(&dir).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!connecting.is_finished(), "connected to nobody");
    drop((socket, folder));
    let appender = connecting.await.unwrap();
    assert!(appender.is_local().await);
    appender.append(vec![record(TOPIC, "k", "v")]).await.unwrap();
}

#[tokio::test]
async fn many_requests_in_flight_are_appended_in_their_order() {
    let temp = tempfile::tempdir().unwrap();
    let log = hold(temp.path());
    tokio::spawn(AppendServer::bind(temp.path()).unwrap().serve(log.clone()));
    let appender = appender(temp.path()).await;
    let mut flights = Vec::new();
    for n in 0..300_u32 {
        flights.push(appender.submit(vec![record(TOPIC, "k", n.to_be_bytes())]).await.unwrap());
    }
    for (n, flight) in flights.into_iter().enumerate() {
        assert_eq!(flight.placed().await.unwrap(), [Placed { tp: TopicPartition::new(TOPIC, 0), offset: n as i64 }]);
    }
    let large: Vec<_> = (0..40).map(|_| record(TOPIC, "k", vec![1; 400_000])).collect();
    let offsets: Vec<i64> = appender.append(large).await.unwrap().into_iter().map(|placed| placed.offset).collect();
    assert!(offsets.into_iter().eq(300..340), "a request that is cut into frames keeps its order");
}

#[tokio::test]
async fn a_refusal_comes_back_as_such_and_the_connection_lives() {
    let temp = tempfile::tempdir().unwrap();
    let log = hold(temp.path());
    tokio::spawn(AppendServer::bind(temp.path()).unwrap().serve(log.clone()));
    let appender = appender(temp.path()).await;
    let refused = appender.append(vec![record(TOPIC, "k", vec![0; 9 << 20])]).await;
    assert!(matches!(refused, Err(LogError::Refused(_))), "{refused:?}");
    let unknown = appender.append(vec![record(Topic::PolicyAudit, "k", "v")]).await;
    assert!(matches!(unknown, Err(LogError::Fatal(_))), "{unknown:?}");
    appender.append(vec![record(TOPIC, "k", "v")]).await.unwrap();
}

/// A failed publish leaves of each partition a beginning, here nothing, also where it was cut into frames.
#[tokio::test]
async fn request_of_many_frames_is_appended_whole_or_not_at_all() {
    let temp = tempfile::tempdir().unwrap();
    let log = hold(temp.path());
    tokio::spawn(AppendServer::bind(temp.path()).unwrap().serve(log.clone()));
    let mut appender = appender(temp.path()).await;
    let mut records: Vec<_> = (0..20).map(|_| record(TOPIC, "k", vec![1; 1 << 20])).collect();
    records[17] = record(TOPIC, "k", vec![1; 9 << 20]);
    let flight = appender.submit(records.clone()).await.unwrap();
    let behind = appender.submit(vec![record(TOPIC, "k", "behind")]).await.unwrap();
    assert!(matches!(flight.placed().await, Err(LogError::Refused(_))));
    assert_eq!(behind.placed().await.unwrap()[0].offset, 0, "nothing of the refused request is in the log");
    let refused = appender.publish(records.clone()).await.unwrap_err();
    assert_eq!((refused.refused, refused.placed.len()), (Some(17), 0), "the record is named across frames");
    records.remove(17);
    let placed = appender.publish(records).await.unwrap();
    assert!(placed.iter().map(|placed| placed.offset).eq(1..20));
    let at_once: Vec<_> = (0..80).map(|_| record(TOPIC, "k", vec![1; 1 << 20])).collect();
    let refused = appender.publish(at_once).await.unwrap_err();
    assert!(
        matches!((&refused.error, refused.refused), (LogError::Refused(text), None) if text.contains("smaller parts"))
    );
}

/// What the log takes, the socket takes.
#[tokio::test]
async fn record_of_the_largest_size_goes_over_the_socket() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Arc::new(DataFolder::open(temp.path()).unwrap());
    let options = LogOptions { max_record_bytes: 64 << 20, ..LogOptions::default() };
    let log = Log::open_held(folder, &topics(), options, SystemClock::new()).unwrap();
    tokio::spawn(AppendServer::bind(temp.path()).unwrap().serve(log.clone()));
    let appender = appender(temp.path()).await;
    appender.append(vec![record(TOPIC, "k", vec![1; (64 << 20) - 1])]).await.unwrap();
    assert_eq!(log.end(TopicPartition::new(TOPIC, 0)).unwrap(), 1);
}

#[tokio::test]
async fn noise_on_the_socket_harms_nobody_else() {
    let temp = tempfile::tempdir().unwrap();
    let log = hold(temp.path());
    tokio::spawn(AppendServer::bind(temp.path()).unwrap().serve(log.clone()));
    let socket = temp.path().join("sporelog.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for noise in [&[0xff; 64][..], &[0, 0, 0, 20, 1], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(noise).await.unwrap();
    }
    appender(temp.path()).await.append(vec![record(TOPIC, "k", "v")]).await.unwrap();
    assert_eq!(log.end(TopicPartition::new(TOPIC, 0)).unwrap(), 1);
}
