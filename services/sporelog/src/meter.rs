//! How far a long job has come, on stderr: a bar on a terminal, a line now and then elsewhere.

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use pipeline::{Clock as _, SystemClock};
use std::io::IsTerminal as _;
use std::time::Duration;

/// How often a line is printed where there is no terminal.
const LINE_US: i64 = 5_000_000;

/// See the module.
pub struct Meter {
    clock: SystemClock,
    began_us: i64,
    line_us: i64,
    bar: Option<ProgressBar>,
}

impl Meter {
    /// A meter that starts now.
    pub fn new(clock: SystemClock) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0).with_style(style()));
        let began_us = clock.monotonic_us();
        Self { clock, began_us, line_us: began_us, bar }
    }

    /// So many bytes of a file are read, and so many events published.
    pub fn bytes(&mut self, done: u64, total: u64, events: u64) {
        let seconds = self.seconds();
        let left = remaining(seconds, done, total);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(format!("{} events, {}, {left} left", HumanCount(events), rate(events, seconds)));
        } else if self.line_is_due() {
            let percent = done as f64 * 100.0 / total.max(1) as f64;
            eprintln!("{percent:.0} %, {events} events, {}, {left} left", rate(events, seconds));
        }
    }

    /// So many events are published, without a known end.
    pub fn events(&mut self, events: u64) {
        let seconds = self.seconds();
        if let Some(bar) = &self.bar {
            bar.set_style(ProgressStyle::default_spinner());
            bar.set_message(format!("{} events, {}", HumanCount(events), rate(events, seconds)));
            bar.tick();
        } else if self.line_is_due() {
            eprintln!("{events} events, {}", rate(events, seconds));
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn seconds(&self) -> f64 {
        (self.clock.monotonic_us() - self.began_us) as f64 / 1e6
    }

    fn line_is_due(&mut self) -> bool {
        let now = self.clock.monotonic_us();
        let due = now - self.line_us >= LINE_US;
        if due {
            self.line_us = now;
        }
        due
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn rate(events: u64, seconds: f64) -> String {
    format!("{:.0}/s", events as f64 / seconds.max(0.001))
}

fn remaining(seconds: f64, done: u64, total: u64) -> String {
    if done == 0 {
        return "?".to_owned();
    }
    let left = seconds * total.saturating_sub(done) as f64 / done as f64;
    HumanDuration(Duration::from_secs_f64(left.max(0.0))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_from_what_is_done() {
        assert_eq!(remaining(10.0, 0, 100), "?");
        assert_eq!(remaining(10.0, 25, 100), "30 seconds");
        assert_eq!(remaining(10.0, 100, 100), "0 seconds");
        assert_eq!(rate(500, 2.0), "250/s");
    }
}
