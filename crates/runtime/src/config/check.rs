//! Checks that one value's type cannot make: ranges, and values that depend on each other.

use super::options::options;
use super::{Config, ConfigError};

/// Refuses numbers outside the ranges that the sections declare, and pairs that contradict each
/// other.
pub(super) fn check(config: &Config, origin: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    let refuse =
        |key: &str, reason: String| Err(ConfigError::Invalid { key: key.to_owned(), origin: origin(key), reason });
    let tree = serde_json::to_value(config).unwrap_or_default();
    for option in options() {
        let value = tree.pointer(&format!("/{}", option.key.replace('.', "/"))).and_then(serde_json::Value::as_f64);
        let Some(value) = value else { continue };
        if option.min.is_some_and(|min| value < min) || option.max.is_some_and(|max| value > max) {
            return refuse(&option.key, format!("{value} is out of range: it must be {}", option.values));
        }
    }
    let worker = &config.worker;
    if worker.backoff_initial_ms > worker.backoff_max_ms {
        let reason =
            format!("{} is above worker.backoff_max_ms ({})", worker.backoff_initial_ms, worker.backoff_max_ms);
        return refuse("worker.backoff_initial_ms", reason);
    }
    if worker.park_retry_ms > worker.park_retry_max_ms {
        let reason =
            format!("{} is above worker.park_retry_max_ms ({})", worker.park_retry_ms, worker.park_retry_max_ms);
        return refuse("worker.park_retry_ms", reason);
    }
    check_timeouts(config).or_else(|(key, reason)| refuse(key, reason))
}

/// Compares the timeouts of a cluster's log and store with each other: they bound one another
/// across sections.
fn check_timeouts(config: &Config) -> Result<(), (&'static str, String)> {
    if config.kafka.bootstrap.is_none() {
        return Ok(());
    }
    // I3: a statement that outlives the session would run on under a claim that another worker
    // holds by then.
    let (postgres, session_ms) = (&config.postgres, config.kafka.session_timeout_ms);
    let idle_ms = postgres.idle_in_transaction_timeout_ms;
    for (key, timeout_ms) in [
        ("postgres.statement_timeout_ms", postgres.statement_timeout_ms),
        ("postgres.idle_in_transaction_timeout_ms", idle_ms),
    ] {
        if timeout_ms >= session_ms {
            return Err((key, format!("{timeout_ms} is not below kafka.session_timeout_ms ({session_ms})")));
        }
    }
    // Derived events and dead letters are published between the last statement and COMMIT: a
    // transaction that the server ends meanwhile would be repeated for ever while the log is slow.
    let delivery_ms = config.kafka.delivery_timeout_ms;
    if delivery_ms >= idle_ms {
        let reason = format!(
            "{delivery_ms} is not below postgres.idle_in_transaction_timeout_ms ({idle_ms}): events are published inside a \
             transaction, so the log must answer or give up before the server ends it"
        );
        return Err(("kafka.delivery_timeout_ms", reason));
    }
    Ok(())
}
