//! Which log a topic is (I2), and those of its settings that change what is stored.

use crate::ask::Ask;
use crate::error::{sort, sort_code, words};
use crate::ffi::{self, Described};
use domain::Topic;
use pipeline::LogError;
use pipeline::position::LogIdentity;
use rdkafka::consumer::{Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::BTreeMap;
use std::sync::Once;

/// The setting by which brokers stamp records themselves, and its only value that works: windows and validity go by the
/// append time (design 7).
const TIMESTAMP_TYPE: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

/// A user may be allowed to read a topic and not to see its settings.
static UNSEEN: Once = Once::new();

/// What was found of several topics at one moment.
#[derive(Debug)]
pub(crate) struct Identities(BTreeMap<Topic, Found>);

#[derive(Debug)]
enum Found {
    Log(LogIdentity),
    Setting(String),
    Unavailable(String),
}

impl Identities {
    /// The log of a topic.
    pub(crate) fn of(&self, topic: Topic) -> Result<LogIdentity, LogError> {
        match self.0.get(&topic) {
            Some(Found::Log(identity)) => Ok(identity.clone()),
            Some(Found::Setting(problem)) => Err(LogError::Setting(problem.clone())),
            Some(Found::Unavailable(problem)) => Err(LogError::Unavailable(problem.clone())),
            None => Err(LogError::Unavailable(format!("the brokers do not describe {topic}"))),
        }
    }
}

impl<C: ConsumerContext + 'static> Ask<C> {
    /// Which logs these topics are: a question about all of them, not about each.
    pub(crate) fn identities(&self, topics: &[Topic]) -> Result<Identities, LogError> {
        let names: Vec<String> = topics.iter().map(|topic| self.names.topic(*topic)).collect();
        let cluster_id = self.consumer.client().fetch_cluster_id(self.timeout);
        let cluster_id =
            cluster_id.ok_or_else(|| LogError::Unavailable("the cluster does not tell its id".to_owned()))?;
        let mut described = self.describe(&names)?;
        let mut settings = self.settings(&names)?;
        let mut found = BTreeMap::new();
        for (topic, name) in topics.iter().zip(&names) {
            let described = described.remove(name).unwrap_or(Err(Code::UnknownTopicOrPartition));
            let problem = settings.remove(name).and_then(|settings| timestamp_problem(*topic, name, &settings));
            let log = match (described, problem) {
                (Err(code), _) => Found::Unavailable(words(sort_code(code, format_args!("describing {name}")))),
                (Ok(_), Some(problem)) => Found::Setting(problem),
                (Ok(Described { topic_id, partitions }), None) => {
                    Found::Log(LogIdentity { cluster_id: cluster_id.clone(), topic_id, partitions })
                }
            };
            found.insert(*topic, log);
        }
        Ok(Identities(found))
    }

    fn describe(&self, names: &[String]) -> Result<BTreeMap<String, Result<Described, Code>>, LogError> {
        const DOING: &str = "describing topics";
        let asked = self.patiently(|| {
            let answer = ffi::describe_topics(self.consumer.client(), names, self.timeout);
            answer.map_err(|(code, _)| KafkaError::AdminOp(code))
        });
        match asked {
            Ok(found) => Ok(found.into_iter().map(|(name, topic)| (name, topic.map_err(|(code, _)| code))).collect()),
            Err(KafkaError::AdminOp(Code::UnsupportedFeature | Code::UnsupportedVersion)) => self.count(names),
            Err(error) => Err(sort(&error, DOING)),
        }
    }

    /// The partition counts alone, of brokers that give topics no ids.
    fn count(&self, names: &[String]) -> Result<BTreeMap<String, Result<Described, Code>>, LogError> {
        let mut found = BTreeMap::new();
        for name in names {
            let metadata = self.consumer.fetch_metadata(Some(name), self.timeout);
            let metadata = metadata.map_err(|error| sort(&error, format_args!("describing {name}")))?;
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { continue };
            let partitions = topic.partitions().len() as u32;
            let described = match topic.error() {
                Some(code) => Err(code.into()),
                None => Ok(Described { topic_id: String::new(), partitions }),
            };
            found.insert(name.clone(), described);
        }
        Ok(found)
    }

    /// The settings of those topics that this user may see.
    fn settings(&self, names: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>, LogError> {
        let (mut seen, mut unseen) = (BTreeMap::new(), None);
        let asked = self.patiently(|| {
            let answer = ffi::topic_settings(self.consumer.client(), names, self.timeout);
            answer.map_err(|(code, _)| KafkaError::AdminOp(code))
        });
        match asked {
            Ok(found) => {
                for (name, settings) in found {
                    match settings {
                        Ok(settings) => drop(seen.insert(name, settings)),
                        Err((code, _)) => unseen = Some(code),
                    }
                }
            }
            Err(KafkaError::AdminOp(code)) if is_hidden(code) => unseen = Some(code),
            Err(error) => return Err(sort(&error, "describing the settings of topics")),
        }
        if let Some(code) = unseen {
            UNSEEN.call_once(|| {
                tracing::warn!(
                    %code,
                    "the settings of topics cannot be seen, and so not checked: grant this user DescribeConfigs on them"
                );
            });
        }
        Ok(seen)
    }
}

/// Whether it is not for this user to see, or brokers of this kind have no such question.
fn is_hidden(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::UnsupportedFeature
            | Code::UnsupportedVersion
            | Code::InvalidRequest
    )
}

fn timestamp_problem(topic: Topic, name: &str, settings: &BTreeMap<String, String>) -> Option<String> {
    let (setting, wanted) = TIMESTAMP_TYPE;
    let found = settings.get(setting).filter(|found| *found != wanted)?;
    Some(format!(
        "{setting} of {name} is {found}: a producer's clock would rule the window of duplicates and what is valid. Set it \
         to {wanted} with `sporelog topics apply`, which changes {topic} in place; records appended before keep the \
         producer's times"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_time_is_a_setting_with_a_remedy() {
        let settings = |value: &str| [(TIMESTAMP_TYPE.0.to_owned(), value.to_owned())].into();
        let problem = timestamp_problem(Topic::AgentState, "blue.agent.state", &settings("CreateTime")).unwrap();
        assert!(problem.contains("blue.agent.state") && problem.contains("`sporelog topics apply`"), "{problem}");
        assert_eq!(timestamp_problem(Topic::AgentState, "agent.state", &settings("LogAppendTime")), None);
        assert_eq!(timestamp_problem(Topic::AgentState, "agent.state", &BTreeMap::new()), None, "it cannot be seen");
    }
}
