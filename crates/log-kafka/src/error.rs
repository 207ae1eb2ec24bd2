//! What Kafka says, sorted by what must be done about it.

use pipeline::LogError;
use pipeline::ports::TroubleKind;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::fmt::Display;

/// Sorts an error: what happened, while doing what, and what to do.
pub(crate) fn sort(error: &KafkaError, doing: impl Display) -> LogError {
    match code_of(error) {
        Some(code) => sort_code(code, doing),
        // Only the making of a client ends here, and errors that have lost their code on the way.
        None if matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_)) => {
            LogError::Fatal(format!("{doing}: {error}: correct the section kafka of the configuration"))
        }
        None => LogError::Unavailable(format!("{doing}: {error}")),
    }
}

/// Sorts an error code.
pub(crate) fn sort_code(code: Code, doing: impl Display) -> LogError {
    let text = match advice(code) {
        Some(advice) => format!("{doing}: {code}: {advice}"),
        None => format!("{doing}: {code}"),
    };
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize | Code::InvalidRecord => {
            LogError::Refused(text)
        }
        Code::FencedInstanceId => LogError::Fatal(text),
        _ => LogError::Unavailable(text),
    }
}

/// The words of an error, without its sort.
pub(crate) fn words(error: LogError) -> String {
    match error {
        LogError::Unavailable(text) | LogError::Refused(text) | LogError::Setting(text) | LogError::Fatal(text) => text,
        LogError::NotOwner(_) => error.to_string(),
    }
}

/// What an error that names a partition says about it; none where it concerns more than the partition, or passes.
pub(crate) fn trouble_of(code: Code) -> Option<TroubleKind> {
    match code {
        Code::BadMessage
        | Code::BadCompression
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::NotImplemented
        | Code::UnsupportedCompressionType
        | Code::UnsupportedForMessageFormat
        | Code::CriticalSystemResource
        | Code::Partial
        | Code::Underflow => Some(TroubleKind::Unreadable),
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => Some(TroubleKind::OutOfRange),
        _ => None,
    }
}

/// The code within an error.
pub(crate) fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    }
}

/// What an operator can do about it.
fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "create the topic with `sporelog topics apply`"
        }
        Code::TopicAuthorizationFailed => "grant this user Describe and Read, or Write, on the topic",
        Code::GroupAuthorizationFailed => "grant this user Read on the consumer group",
        Code::ClusterAuthorizationFailed => {
            "grant this user the operation on the cluster, such as Create, DescribeConfigs or AlterConfigs"
        }
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            "check the mechanism, user and password in kafka.properties"
        }
        Code::SSL => "check security.protocol and the ssl settings in kafka.properties",
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
            "check that the brokers of kafka.bootstrap are up and can be reached from here, and that kafka.properties has \
             their protocol, mechanism, user and password: a broker hangs up on a stranger"
        }
        Code::OperationTimedOut | Code::MessageTimedOut | Code::RequestTimedOut => {
            "the brokers did not answer in time: check that they are up and not overloaded"
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "fewer replicas are in sync than min.insync.replicas wants: bring the missing brokers back"
        }
        Code::InconsistentGroupProtocol => {
            "the group has members of another kind: stop those, or use another kafka.topic_prefix"
        }
        Code::FencedInstanceId => {
            "another process has the same kafka.group_instance_id: give each process its own, and start this one again"
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            "it is larger than the topic's max.message.bytes allows: `sporelog topics check` compares it"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_helps() {
        let missing = sort(&KafkaError::MessageConsumption(Code::UnknownTopicOrPartition), "reading");
        assert!(matches!(&missing, LogError::Unavailable(text) if text.contains("sporelog topics apply")), "{missing}");
        let large = sort(&KafkaError::MessageProduction(Code::MessageSizeTooLarge), "publishing");
        assert!(matches!(large, LogError::Refused(_)), "{large}");
        let down = sort(&KafkaError::AdminOp(Code::AllBrokersDown), "asking");
        assert!(matches!(down, LogError::Unavailable(_)), "{down}");
    }

    /// I7: what one partition suffers is no outage and ends no worker.
    #[test]
    fn partition_trouble_is_told_from_outages() {
        for code in [Code::BadMessage, Code::BadCompression, Code::MessageSizeTooLarge, Code::NotImplemented] {
            assert_eq!(trouble_of(code), Some(TroubleKind::Unreadable), "{code}");
        }
        for code in [Code::AutoOffsetReset, Code::OffsetOutOfRange, Code::LogTruncation] {
            assert_eq!(trouble_of(code), Some(TroubleKind::OutOfRange), "{code}");
            let told = sort(&KafkaError::MessageConsumption(code), "reading");
            assert!(matches!(told, LogError::Unavailable(_)), "{told}");
        }
        for code in [Code::AllBrokersDown, Code::UnknownTopicOrPartition, Code::TopicAuthorizationFailed] {
            assert_eq!(trouble_of(code), None, "{code}");
        }
    }
}
