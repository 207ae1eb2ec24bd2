//! The data folder: whether it can be written, and how much room is left.

use super::finding::Finding;
use std::path::Path;

const AREA: &str = "disk";

/// Below this much room the next batches may not fit.
const PROBLEM_BYTES: u64 = 256 << 20;
/// Below this much, or this part of the disk, somebody should know.
const WARNING_BYTES: u64 = 2 << 30;
const WARNING_PERCENT: u64 = 5;

/// Looks at the folder; one that is not there yet is made by the first start.
pub fn look(dir: &Path, found: &mut Vec<Finding>) {
    let subject = dir.display().to_string();
    match std::fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return found.push(Finding::problem(AREA, subject, "is no folder: name another one with data.dir")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return found.push(Finding::warning(AREA, subject, "is not there yet: `sporelog up` makes it"));
        }
        Err(error) => return found.push(Finding::problem(AREA, subject, unusable(&error))),
    }
    // Rights say little under a read-only mount: only writing tells.
    if let Err(error) = tempfile::Builder::new().prefix("doctor-").tempfile_in(dir) {
        found.push(Finding::problem(AREA, subject.clone(), unusable(&error)));
    }
    match rustix::fs::statvfs(dir) {
        Ok(disk) => found.push(judge(subject, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)),
        Err(error) => found.push(Finding::warning(AREA, subject, format!("the room left is not known: {error}"))),
    }
}

fn unusable(error: &std::io::Error) -> String {
    format!("cannot be used: {error}. It must be readable and writable by the user that runs sporelog")
}

fn judge(subject: String, free: u64, total: u64) -> Finding {
    let text = format!("{} MB of {} MB are free", free >> 20, total >> 20);
    if free < PROBLEM_BYTES {
        let todo = "make room: log and store wait for it, and lose nothing";
        return Finding::problem(AREA, subject, format!("{text}: {todo}"));
    }
    if free < WARNING_BYTES || free < total / 100 * WARNING_PERCENT {
        return Finding::warning(AREA, subject, format!("{text}: make room, or move the folder to a larger disk"));
    }
    Finding::ok(AREA, subject, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::finding::Level;

    #[test]
    fn little_room_is_a_warning_and_none_a_problem() {
        let level = |free, total| judge("d".to_owned(), free, total).level;
        assert_eq!(level(100 << 30, 200 << 30), Level::Ok);
        assert_eq!(level(1 << 30, 4 << 30), Level::Warning);
        assert_eq!(level(30 << 30, 1_000 << 30), Level::Warning, "3 % of a large disk");
        assert_eq!(level(100 << 20, 4 << 30), Level::Problem);
    }
}
