//! Where a projection stands in a partition, compared with the log as it is: also where no worker
//! runs to say so.

use pipeline::{GroupPosition, LogIdentity, LogRange, ParkCause, ParkNote, Parked, check_range, compare_logs};

/// Why the partition is not read on, or will not be once a worker claims it; none where nothing
/// stands in the way. What a worker has noted comes first: it has tried. Without `log` it is not
/// asked which log that is.
pub fn trouble(
    projection: &'static str,
    held: &GroupPosition,
    log: Option<&Result<LogIdentity, String>>,
    range: LogRange,
) -> Option<ParkNote> {
    if let Some(note) = &held.parked {
        return Some(note.clone());
    }
    let has_read = held.position.next_offset > held.position.first_offset || held.position.epoch > 0;
    let found = match log {
        Some(Err(text)) => Err(ParkCause::Setting(text.clone())),
        Some(Ok(log)) if held.log != LogIdentity::default() => {
            compare_logs(&held.log, log).and_then(|()| check_range(&held.position, range))
        }
        Some(Ok(_)) | None => check_range(&held.position, range),
    };
    let cause = found.err().filter(|cause| has_read || matches!(cause, ParkCause::Setting(_)))?;
    let (tp, offset) = (held.position.tp, held.position.next_offset);
    // Nobody was there to see when it began.
    Some(Parked { projection, tp, offset, cause, since_us: 0 }.note())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Topic, TopicPartition};
    use pipeline::{Counts, Position};

    fn log(cluster_id: &str, partitions: u32) -> LogIdentity {
        LogIdentity { cluster_id: cluster_id.to_owned(), topic_id: String::new(), partitions }
    }

    fn held() -> GroupPosition {
        let tp = TopicPartition::new(Topic::AgentState, 3);
        let counts = Counts { applied: 5, ..Counts::default() };
        let position = Position { next_offset: 15, counts, ..Position::start(tp, 10) };
        GroupPosition { position, log: log("a", 4), parked: None }
    }

    /// I2: trouble that no worker has noted yet is found by the same comparison that a claim makes.
    #[test]
    fn what_a_claim_would_find_is_told_without_a_worker() {
        let range = LogRange { start: 10, end: 20 };
        let cause = |held: &GroupPosition, log: Result<LogIdentity, String>, range| {
            trouble("views", held, Some(&log), range).map(|note| (note.cause, note.text))
        };
        assert_eq!(cause(&held(), Ok(log("a", 4)), range), None);
        for (found, range, label, text) in [
            (Ok(log("b", 4)), range, "another_log", "\"b\""),
            (Ok(log("a", 5)), range, "partition_count", "has 5 partitions"),
            (
                Ok(log("a", 4)),
                LogRange { start: 16, end: 20 },
                "out_of_range",
                "projection skip views agent.state/3 --to 16",
            ),
            (Ok(log("a", 4)), LogRange { start: 0, end: 14 }, "out_of_range", "ends at offset 14"),
            (Err("CreateTime".to_owned()), range, "setting", "CreateTime"),
        ] {
            let (cause, said) = cause(&held(), found, range).unwrap();
            assert!(cause == label && said.contains(text), "{cause}: {said}");
        }
        let noted = ParkNote { cause: "unreadable".to_owned(), offset: 15, text: "damaged".to_owned(), since_us: 1 };
        let parked = GroupPosition { parked: Some(noted.clone()), ..held() };
        assert_eq!(trouble("views", &parked, Some(&Ok(log("b", 4))), range), Some(noted));
    }

    #[test]
    fn a_partition_that_was_never_read_has_no_trouble_with_its_beginning() {
        let fresh = GroupPosition { position: Position::start(held().position.tp, 0), ..held() };
        assert_eq!(trouble("views", &fresh, Some(&Ok(log("a", 4))), LogRange { start: 7, end: 9 }), None);
    }
}
