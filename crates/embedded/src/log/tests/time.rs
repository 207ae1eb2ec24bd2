//! S10: the log does not follow a clock that jumps.

use super::*;

const START_US: i64 = 1_767_225_600_000_000; // 2026-01-01
const YEAR_2036_US: i64 = 2_082_758_400_000_000;
const HOUR_US: i64 = 3_600_000_000;

/// A wall clock that the test sets; no time passes.
#[derive(Clone)]
struct Wall(Arc<AtomicI64>);

impl Clock for Wall {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic_us(&self) -> i64 {
        0
    }

    fn sleep(&self, wait: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(wait)
    }
}

fn open_at(dir: &Path, wall: &Wall) -> Log {
    Log::open_with(dir, &spec(1), LogOptions::default(), wall.clone()).unwrap()
}

fn times(log: &Log) -> Vec<i64> {
    let page = log.reader().unwrap().page(TopicPartition::new(TOPIC, 0), 0, log.options().page).unwrap();
    page.records().map(|record| record.append_time_us).collect()
}

#[tokio::test]
async fn append_under_a_clock_that_jumped_is_an_outage_until_the_clock_is_back() {
    let temp = tempfile::tempdir().unwrap();
    let wall = Wall(Arc::new(AtomicI64::new(START_US)));
    let mut log = open_at(temp.path(), &wall);
    log.append(one("a")).await.unwrap();
    wall.0.store(YEAR_2036_US, Ordering::Relaxed);
    let refused = log.publish(one("b")).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused.error, LogError::Unavailable(_)), "{text}");
    assert!(text.contains("2036-01-01T00:00:00Z") && text.contains("2026-01-01T00:00:00Z"), "{text}");
    assert!(log.bind("group", Uuid::from_u128(1)).await.is_ok(), "groups need no time");
    wall.0.store(START_US + 5, Ordering::Relaxed);
    log.append(one("c")).await.unwrap();
    assert_eq!(times(&log), [START_US, START_US + 5], "the wrong time rules nothing");
}

#[tokio::test]
async fn machine_that_was_off_for_a_month_appends_and_one_whose_log_is_ahead_does_not() {
    let temp = tempfile::tempdir().unwrap();
    let wall = Wall(Arc::new(AtomicI64::new(START_US)));
    open_at(temp.path(), &wall).append(one("a")).await.unwrap();
    let month_later = START_US + 30 * 24 * HOUR_US;
    wall.0.store(month_later, Ordering::Relaxed);
    open_at(temp.path(), &wall).append(one("b")).await.unwrap();
    wall.0.store(START_US, Ordering::Relaxed);
    let log = open_at(temp.path(), &wall);
    let text = log.append(one("c")).await.unwrap_err().to_string();
    assert!(text.contains("2026-01-31T00:00:00Z") && text.contains("2026-01-01T00:00:00Z"), "{text}");
    assert_eq!(times(&log), [START_US, month_later], "it can be read all the same");
}
