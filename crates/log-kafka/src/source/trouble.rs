//! What stands in the way, and for how long: said at once, and again while it lasts, so that a worker that waits does
//! not look healthy. Pure: time and the state of the world are passed in.

use crate::error::{code_of, sort};
use pipeline::LogError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// How often it is said again: more often than an idle worker looks around, which takes silence for the end of it.
const REPEAT_US: i64 = 4_000_000;
/// How often brokers that are gone are asked for.
const PROBE_US: i64 = 1_000_000;

/// What lasts until it is seen to be over.
#[derive(Debug)]
struct Trouble {
    text: String,
    said_us: i64,
    probed_us: i64,
    /// Over when a broker answers; otherwise when something is assigned.
    down: bool,
}

/// At most one trouble: the last.
#[derive(Debug, Default)]
pub(super) struct Troubles(Option<Trouble>);

impl Troubles {
    /// Takes an error of the client in; gives what the worker must be told, if anything.
    pub(super) fn failed(&mut self, error: &KafkaError, reason: &str, now_us: i64) -> Option<LogError> {
        let code = code_of(error);
        let sorted = sort(error, format_args!("reading from Kafka: {reason}"));
        match (&sorted, code) {
            // One broker of many, and what the client retries by itself.
            (_, Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut | Code::PollExceeded)) => {
                tracing::debug!(%error, reason, "retried by the client");
                return None;
            }
            (LogError::Unavailable(text), _) => {
                let down = code == Some(Code::AllBrokersDown);
                self.0 = Some(Trouble { text: text.clone(), said_us: now_us, probed_us: now_us, down });
            }
            _ => {}
        }
        Some(sorted)
    }

    /// Whether no broker answers, as far as is known.
    pub(super) fn is_down(&self) -> bool {
        self.0.as_ref().is_some_and(|trouble| trouble.down)
    }

    /// What must be said again; `assigned` and `answers` tell whether the trouble is over.
    pub(super) fn again(
        &mut self,
        now_us: i64,
        assigned: impl FnOnce() -> bool,
        answers: impl FnOnce() -> bool,
    ) -> Option<LogError> {
        let trouble = self.0.as_mut()?;
        let over = match trouble.down {
            false => assigned(),
            true if now_us - trouble.probed_us < PROBE_US => false,
            true => {
                trouble.probed_us = now_us;
                answers()
            }
        };
        if over {
            self.0 = None;
            return None;
        }
        if now_us - trouble.said_us < REPEAT_US {
            return None;
        }
        trouble.said_us = now_us;
        Some(LogError::Unavailable(trouble.text.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: Code) -> (Troubles, Option<LogError>) {
        let mut troubles = Troubles::default();
        let said = troubles.failed(&KafkaError::MessageConsumption(code), "so it is", 0);
        (troubles, said)
    }

    #[test]
    fn a_missing_topic_is_said_again_until_something_is_assigned() {
        let (mut troubles, said) = failed(Code::UnknownTopicOrPartition);
        assert!(matches!(said, Some(LogError::Unavailable(text)) if text.contains("so it is")));
        assert!(troubles.again(REPEAT_US - 1, || false, || true).is_none());
        assert!(troubles.again(REPEAT_US, || false, || true).is_some());
        assert!(troubles.again(2 * REPEAT_US, || true, || true).is_none());
        assert!(troubles.again(3 * REPEAT_US, || false, || false).is_none(), "it is over");
    }

    #[test]
    fn an_outage_is_over_when_a_broker_answers() {
        let (mut troubles, _) = failed(Code::AllBrokersDown);
        assert!(troubles.again(PROBE_US - 1, || true, || panic!("asked too early")).is_none());
        assert!(troubles.again(REPEAT_US, || true, || false).is_some());
        assert!(troubles.again(2 * REPEAT_US, || true, || true).is_none());
        assert!(troubles.again(3 * REPEAT_US, || true, || false).is_none(), "it is over");
    }

    #[test]
    fn one_broker_of_many_is_not_an_outage() {
        let (troubles, said) = failed(Code::BrokerTransportFailure);
        assert!(said.is_none() && !troubles.is_down());
        assert!(failed(Code::AllBrokersDown).0.is_down());
    }
}
