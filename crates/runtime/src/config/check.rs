//! Checks that one value's type cannot make: ranges, and values that depend on each other.

use super::options::options;
use super::{Config, ConfigError};

/// Refuses numbers outside the ranges that the sections declare, and pairs that contradict each other.
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
    // I3: a statement that outlives the session would run on under a claim that another worker holds by then.
    let (postgres, session_ms) = (&config.postgres, config.kafka.session_timeout_ms);
    for (key, timeout_ms) in [
        ("postgres.statement_timeout_ms", postgres.statement_timeout_ms),
        ("postgres.idle_in_transaction_timeout_ms", postgres.idle_in_transaction_timeout_ms),
    ] {
        if config.kafka.bootstrap.is_some() && timeout_ms >= session_ms {
            return refuse(key, format!("{timeout_ms} is not below kafka.session_timeout_ms ({session_ms})"));
        }
    }
    Ok(())
}
