//! Logs, to standard error, so that standard output holds nothing but answers.

use crate::config::{LogFormat, TelemetrySection};
use std::io::IsTerminal as _;
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Why logging cannot start.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The level is no level and no list of directives.
    #[error(
        "telemetry.log_level {level:?} is not understood: use error, warn, info, debug or trace, or directives such as info,embedded=debug ({reason})"
    )]
    Level {
        /// What was configured.
        level: String,
        /// What the parser says.
        reason: String,
    },
    /// Another subscriber is there already.
    #[error("logging was started twice in this process")]
    Started,
}

/// The level as directives. A plain level above `debug` leaves out what the clients of Kafka and Cassandra log of every
/// attempt to reach an engine: the workers' own sentences would drown in it.
fn directives(level: &str) -> String {
    let clients = match level.trim().to_ascii_lowercase().as_str() {
        "info" | "warn" => ",rdkafka=off,scylla=warn,scylla::cluster::metadata=off",
        "error" => ",rdkafka=off,scylla::cluster::metadata=off",
        _ => "",
    };
    format!("{level}{clients}")
}

/// Starts logging for the whole process.
///
/// # Errors
/// Where the level is malformed, or logging was started before.
pub fn init(section: &TelemetrySection) -> Result<(), TelemetryError> {
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    subscriber(section, ansi, std::io::stderr)?.try_init().map_err(|_| TelemetryError::Started)
}

fn subscriber<W>(section: &TelemetrySection, ansi: bool, writer: W) -> Result<tracing::Dispatch, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(directives(&section.log_level))
        .map_err(|error| TelemetryError::Level { level: section.log_level.clone(), reason: error.to_string() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(true);
    Ok(match section.log_format {
        LogFormat::Human => builder.with_ansi(ansi).finish().into(),
        LogFormat::Json => builder.json().flatten_event(true).finish().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log_format: LogFormat) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let section = TelemetrySection { log_format, log_level: "info".to_owned() };
        let dispatch = subscriber(&section, false, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(partition = 3, "committed");
            tracing::debug!("hidden");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_human_line_has_target_and_fields() {
        let line = logged(LogFormat::Human);
        assert!(line.contains("runtime::telemetry") && line.contains("partition=3") && line.contains("INFO"), "{line}");
        assert!(!line.contains("hidden"));
    }

    #[test]
    fn a_json_line_is_one_object() {
        let line = logged(LogFormat::Json);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["message"], "committed");
        assert_eq!(object["partition"], 3);
    }

    #[test]
    fn clients_that_log_every_attempt_are_silent_unless_asked() {
        assert_eq!(directives("info"), "info,rdkafka=off,scylla=warn,scylla::cluster::metadata=off");
        assert_eq!(directives("debug"), "debug");
        assert_eq!(directives("info,scylla=warn"), "info,scylla=warn");
    }

    #[test]
    fn a_wrong_level_is_refused_with_the_choices() {
        let section = TelemetrySection { log_level: "a=b=c".to_owned(), ..TelemetrySection::default() };
        let error = subscriber(&section, false, std::io::sink).err().unwrap().to_string();
        assert!(error.contains("use error, warn, info"), "{error}");
    }
}
