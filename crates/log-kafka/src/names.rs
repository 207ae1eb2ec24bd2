//! The names of topics and groups on a cluster that several pipelines may share: ours stand behind a prefix.

use domain::Topic;

/// The prefix before every name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The name of a topic on the cluster.
    pub(crate) fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The id of a group on the cluster.
    pub(crate) fn group(&self, group: &str) -> String {
        format!("{}{group}", self.prefix)
    }

    /// The topic of ours that has this name on the cluster.
    pub(crate) fn parse(&self, name: &str) -> Option<Topic> {
        Topic::from_name(name.strip_prefix(&self.prefix)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_those_of_others_do_not() {
        let names = Names::new("blue.");
        for topic in Topic::ALL {
            assert_eq!(names.parse(&names.topic(*topic)), Some(*topic));
            assert_eq!(names.parse(topic.name()), None);
        }
        assert_eq!(names.group("views"), "blue.views");
    }
}
