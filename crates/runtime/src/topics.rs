//! Reading `topics.yaml`. What it means is the domain's affair: [`domain::topics`].

use domain::Topic;
use domain::topics::{Desired, TopicSpec, TopicsError, TopicsFile};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The file that the binary carries, for where none is named.
const BUILT_IN: &str = include_str!("../../../topics.yaml");

/// Why the topics cannot be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}; name the topics file with log.topics_file, or leave that out for the built-in one", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not the YAML that is wanted.
    #[error("{file}: {reason}")]
    Yaml {
        /// The file.
        file: String,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// What it says cannot be.
    #[error(transparent)]
    Topics(#[from] TopicsError),
}

/// The topics of a file, or of the built-in one, under a profile; the profile "" is the file as it
/// stands.
///
/// # Errors
/// Where the file cannot be read, is not as wanted, or has no such profile.
pub fn load(file: Option<&Path>, profile: &str) -> Result<Vec<TopicSpec>, LoadError> {
    Ok(desired(file, profile)?.topics)
}

/// As [`load`], with the cluster that the profile is meant for, where it names one.
///
/// # Errors
/// As [`load`].
pub fn desired(file: Option<&Path>, profile: &str) -> Result<Desired, LoadError> {
    let (name, text) = match file {
        None => ("the built-in topics.yaml".to_owned(), BUILT_IN.to_owned()),
        Some(path) => {
            let failed = |source| LoadError::File { path: path.to_owned(), source };
            (path.display().to_string(), std::fs::read_to_string(path).map_err(failed)?)
        }
    };
    let yaml = |error: serde_saphyr::Error| LoadError::Yaml { file: name, reason: error.to_string() };
    let topics: TopicsFile = serde_saphyr::from_str(&text).map_err(yaml)?;
    Ok(topics.desired((!profile.is_empty()).then_some(profile))?)
}

/// How long each topic keeps its records, in us; `i64::MAX` where it keeps them for ever, keeps the
/// last of each key, or is not among them: nothing that may still lie in the log is forgotten.
#[must_use]
pub fn retention_us(topics: &[TopicSpec]) -> [i64; Topic::ALL.len()] {
    let mut retention_us = [i64::MAX; Topic::ALL.len()];
    for spec in topics {
        let config = |name: &str| spec.configs.get(name).map(String::as_str);
        let compacts = config("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
        let ms = config("retention.ms").and_then(|ms| ms.parse::<i64>().ok()).filter(|ms| *ms >= 0);
        if let Some(ms) = ms.filter(|_| !compacts) {
            retention_us[spec.topic as usize] = ms.saturating_mul(1_000);
        }
    }
    retention_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_has_the_local_profile() {
        let partitions = |profile: &str| {
            let topics = load(None, profile).unwrap();
            topics.iter().find(|spec| spec.topic == Topic::AgentPresence).unwrap().partitions
        };
        assert_eq!((partitions(""), partitions("local")), (100, 10));
        let error = load(None, "moon").unwrap_err().to_string();
        assert!(error.contains("`moon`") && error.contains("local"), "{error}");
    }

    #[test]
    fn a_wrong_file_is_named_with_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "replication: 3\ntopcs: {}\n").unwrap();
        let error = load(Some(file.path()), "local").unwrap_err().to_string();
        assert!(error.contains("topcs") && error.contains(&file.path().display().to_string()), "{error}");
    }

    /// I8: a producer's floor is kept as long as its records may come again, and no longer.
    #[test]
    fn retention_is_that_of_the_file_and_endless_where_records_stay() {
        let mut topics = load(None, "local").unwrap();
        let us = |topics: &[TopicSpec], topic: Topic| retention_us(topics)[topic as usize];
        assert_eq!(us(&topics, Topic::AgentPresence), 7 * 86_400_000_000);
        assert_eq!(us(&topics, Topic::SporeCreated), i64::MAX);
        assert_eq!(us(&topics, Topic::FieldCoherence), i64::MAX, "compacted");
        topics.retain(|spec| spec.topic != Topic::AgentPresence);
        assert_eq!(us(&topics, Topic::AgentPresence), i64::MAX);
    }
}
