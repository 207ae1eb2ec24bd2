//! What was found of one thing.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Work goes on, and somebody should know.
    Warning,
    /// Something stands still, or is about to.
    Problem,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        }
    }
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it belongs to: log, topics, views, ...
    pub area: &'static str,
    /// What was looked at.
    pub subject: String,
    /// How bad it is.
    pub level: Level,
    /// What is so, and what to do.
    pub text: String,
}

impl Finding {
    /// As it should be.
    pub fn ok(area: &'static str, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { area, subject: subject.into(), level: Level::Ok, text: text.into() }
    }

    /// Something to know.
    pub fn warning(area: &'static str, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::ok(area, subject, text) }
    }

    /// Something to mend.
    pub fn problem(area: &'static str, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Problem, ..Self::ok(area, subject, text) }
    }

    /// The finding for programs.
    pub fn json(&self) -> serde_json::Value {
        let Self { area, subject, level, text } = self;
        serde_json::json!({ "area": area, "subject": subject, "level": level.name(), "text": text })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What brokers and databases say goes to a terminal.
        let text: String = self.text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        write!(f, "{:<8} {:<9} {}: {text}", self.level.name(), self.area, self.subject)
    }
}
