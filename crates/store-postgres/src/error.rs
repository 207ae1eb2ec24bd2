//! Postgres' errors, sorted by what the worker must do about them (I7).
//!
//! A refusal makes a dead letter in the end, so it must speak of a row's data and of nothing that
//! an operator can mend.
//!
//! | Postgres says | the worker |
//! |---|---|
//! | a value is out of range or malformed (codes of class 22 in [`DATA`]) | folds the batch again in halves |
//! | a text holds NUL (22021 and 22P05 that name it) | the same: no server takes it |
//! | a constraint that is named, on a table of rows (23505, 23514, 23503, 23P01) | the same |
//! | a row, a key or a document is too large or too deep (54000, 54001) | the same |
//! | anything else, and every lost connection | backs off, tries again, and says what an operator can do |
//!
//! | looks like data and is not | why |
//! |---|---|
//! | 22021, 22P05 otherwise | the encoding of the server or the client cannot hold a character |
//! | 22P03, 42804 | the table is not as this version expects |
//! | 22023 | a parameter or setting is wrong |
//! | 23514 without a constraint's name | a partition is being attached, or the default partition is missing |
//! | 23502 | a column was made NOT NULL: no declared value column is |
//! | class 23 on our own tables or the server's catalogue | two who create the same at once; a check of somebody else's |
//!
//! Nothing is fatal: what is missing (a table, a grant, disk) may be there at the next attempt.

use deadpool_postgres::{PoolError, TimeoutType};
use pipeline::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

/// Codes of class 22 that speak of a value.
const DATA: [&str; 13] = [
    "22000", // data exception
    "22001", // too long
    "22003", // out of range: a sum, for example
    "22007", // no time
    "22008", // time out of range
    "22012", // division by zero
    "22015", // interval out of range
    "22026", // bit strings of different lengths
    "22030", // a key of JSON twice
    "22032", // no JSON
    "2203F", // a scalar is wanted
    "22P01", // floating-point exception
    "22P02", // malformed: JSON, for example
];

/// What decides about an error, apart from the driver's type, so that a test can name every case.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    code: &'a str,
    message: &'a str,
    detail: &'a str,
    table: Option<&'a str>,
    constraint: Option<&'a str>,
}

impl<'a> From<&'a DbError> for Said<'a> {
    fn from(error: &'a DbError) -> Self {
        Said {
            code: error.code().code(),
            message: error.message(),
            detail: error.detail().unwrap_or_default(),
            table: error.table(),
            constraint: error.constraint(),
        }
    }
}

impl Said<'_> {
    /// Whether it speaks of a row's data.
    fn is_of_data(&self) -> bool {
        match self.code {
            // No translation of the server's messages touches these.
            "22021" => self.message.ends_with("0x00"),
            "22P05" => self.message.contains("\\u0000") || self.detail.contains("\\u0000"),
            "54000" | "54001" => true,
            code if code.starts_with("22") => DATA.contains(&code),
            "23503" | "23505" | "23514" | "23P01" => self.constraint.is_some() && self.table.is_some_and(holds_rows),
            _ => false,
        }
    }
}

/// Whether a table holds a projection's rows, as such tables, their partitions and their chunks are
/// named.
fn holds_rows(table: &str) -> bool {
    let is_projection = |name: &str| {
        // `views_v1_contact`: a projection, its version, a table.
        let versioned = name.match_indices("_v").any(|(at, _)| {
            let rest = &name[at + 2..];
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            at > 0 && digits > 0 && rest[digits..].starts_with('_')
        });
        versioned && !name.starts_with("pg_")
    };
    is_projection(table) || table.starts_with("_hyper_")
}

/// Sorts an error.
pub(crate) fn store_error(error: &Error) -> StoreError {
    match error.as_db_error() {
        None => StoreError::Unavailable(with_cause(error)),
        Some(said) if Said::from(said).is_of_data() => StoreError::Refused(told(said)),
        Some(said) => match what_to_do(said.code().code()) {
            "" => StoreError::Unavailable(told(said)),
            advice => StoreError::Unavailable(format!("{advice} ({})", told(said))),
        },
    }
}

/// Sorts an error of COMMIT. A refusal means that nothing was committed; a session that ended, or
/// no reply at all, says nothing about it.
pub(crate) fn commit_error(error: &Error) -> StoreError {
    match error.as_db_error() {
        Some(said) if matches!(said.parsed_severity(), Some(Severity::Error)) => store_error(error),
        Some(said) => StoreError::Unknown(told(said)),
        None => StoreError::Unknown(with_cause(error)),
    }
}

/// Sorts an error of the pool of connections to `place`.
pub(crate) fn pool_error(error: &PoolError, place: &str) -> StoreError {
    const ADVICE: &str = "check that the server of postgres.url is up and can be reached from here";
    match error {
        PoolError::Backend(error) if error.as_db_error().is_none() => {
            StoreError::Unavailable(format!("no connection to postgres at {place}: {}: {ADVICE}", with_cause(error)))
        }
        PoolError::Timeout(TimeoutType::Create) => {
            StoreError::Unavailable(format!("no answer from postgres at {place} in time: {ADVICE}"))
        }
        PoolError::Backend(error) => store_error(error),
        PoolError::Timeout(_) => {
            StoreError::Unavailable("no connection of the pool became free in time: raise postgres.pool_max".to_owned())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// No reply within the time that the server allows itself.
pub(crate) fn no_reply() -> String {
    "no reply within the statement timeout and five seconds".to_owned()
}

fn what_to_do(code: &str) -> &'static str {
    match code {
        "22021" | "22P05" => {
            "an encoding cannot hold a character: the database must be UTF8 (CREATE DATABASE ... ENCODING 'UTF8')"
        }
        "22P03" | "42804" | "42703" | "42P10" => {
            "a table is not as this version expects: run `sporelog migrate up`, and take back what was changed by hand"
        }
        "22023" | "42602" => "a setting of the server or of this user is wrong: correct it",
        "23514" => "a partition is being attached or is missing, which is tried again",
        "23502" => "a column that rows leave empty was made NOT NULL: ALTER TABLE ... ALTER ... DROP NOT NULL",
        "3F000" | "42P01" | "42883" | "42704" => {
            "the database lacks what this version expects: run `sporelog migrate up`"
        }
        "3D000" => "the database does not exist: create it, or correct postgres.url",
        "28000" | "28P01" => "the server does not let this user in: correct postgres.url or pg_hba.conf",
        "42501" => "this user may not do that: GRANT sporelog_worker TO it",
        "26000" | "42P05" | "08P01" => {
            "a prepared statement was lost: a pooler in front of the server must pool by session"
        }
        "0A000" => "the server cannot do that, or a table was changed meanwhile, which is tried again",
        "P0001" | "44000" => "a trigger or a view of somebody else's refuses what is written: take it away",
        _ => what_to_do_later(code),
    }
}

/// What passes by itself, or when the server's operator has mended it.
fn what_to_do_later(code: &str) -> &'static str {
    match code {
        "40P01" => "two transactions waited for each other, and this one was ended",
        "40001" => "another transaction was first",
        "55P03" => "another transaction holds the lock",
        "55006" | "55000" => "something is in use or not ready for that: tried again",
        "57014" => "the statement took longer than postgres.statement_timeout_ms, or somebody cancelled it",
        "25P03" => "the transaction stood idle longer than postgres.idle_in_transaction_timeout_ms",
        "25P04" => "the transaction took longer than the server's transaction_timeout: raise it",
        "25006" => "the server only reads: it is a standby, switching over, or default_transaction_read_only is on",
        "53000" | "53200" => "the server lacks memory: lower its work_mem or its connections, or give it more",
        "53100" => "the server's disk is full: free some space",
        "53300" => "the server has no connection left: raise its max_connections or lower postgres.pool_max",
        "53400" => "a limit of the server's configuration is met: raise the setting that it names",
        "54011" | "54023" => "a table or statement has too many columns for the server: run `sporelog migrate up`",
        "57P03" => "the server is starting up or recovering",
        "57P01" | "57P02" => "the server is shutting down",
        "57P04" => "the database was dropped: create it, and run `sporelog migrate up`",
        "58000" | "58030" | "58P01" => "the server cannot read or write its files: look at its log and its disk",
        "XX001" | "XX002" => "the server's files are damaged: look at its log; REINDEX, or restore a backup",
        _ => "",
    }
}

/// What the server said, without values of the row (they may be personal).
fn told(error: &DbError) -> String {
    let mut text = format!("{}, SQLSTATE {}", error.message(), error.code().code());
    for (name, value) in [
        ("table", error.table()),
        ("column", error.column()),
        ("constraint", error.constraint()),
        ("hint", error.hint()),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {value}"));
        }
    }
    text
}

fn with_cause(error: &Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Results of the driver, with their errors sorted.
pub(crate) trait Sorted<T> {
    /// Sorts the error, if there is one.
    fn sorted(self) -> Result<T, StoreError>;
}

impl<T> Sorted<T> for Result<T, Error> {
    fn sorted(self) -> Result<T, StoreError> {
        self.map_err(|error| store_error(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: &str) -> Said<'_> {
        Said { code, ..Said::default() }
    }

    fn constraint<'a>(code: &'a str, table: &'a str) -> Said<'a> {
        Said { code, table: Some(table), constraint: Some("c"), ..Said::default() }
    }

    /// I7: only what speaks of a row's data, whatever an operator does, is refused.
    #[test]
    fn codes_of_data_are_refused() {
        for refused in DATA.into_iter().chain(["54000", "54001"]) {
            assert!(code(refused).is_of_data(), "{refused}");
        }
        let tables = [
            "views_v1_contact",
            "series_v12_x",
            "views_v1_agent_history_y2004m05",
            "suite_v1_numbers",
            "_hyper_1_2_chunk",
        ];
        for table in tables {
            for refused in ["23503", "23505", "23514", "23P01"] {
                assert!(constraint(refused, table).is_of_data(), "{refused} {table}");
            }
        }
        let nul = Said { message: "invalid byte sequence for encoding \"UTF8\": 0x00", ..code("22021") };
        let escaped = Said { detail: "\\u0000 cannot be converted to text.", ..code("22P05") };
        assert!(nul.is_of_data() && escaped.is_of_data());
    }

    /// I7: the kind S2 is of: a code that looks like data and that waiting or an operator mends.
    #[test]
    fn what_an_operator_can_mend_is_an_outage_with_a_remedy() {
        let codes = [
            "0A000", "22021", "22023", "22P03", "22P05", "23502", "23514", "25006", "25P03", "25P04", "26000", "28000",
            "28P01", "3D000", "3F000", "40001", "40P01", "42501", "42703", "42704", "42804", "42883", "42P01", "42P05",
            "42P10", "44000", "53000", "53100", "53200", "53300", "53400", "54011", "54023", "55000", "55006", "55P03",
            "57014", "57P01", "57P02", "57P03", "57P04", "58000", "58030", "58P01", "08P01", "P0001", "XX001", "XX002",
        ];
        for outage in codes {
            assert!(!code(outage).is_of_data(), "{outage}");
            assert_ne!(what_to_do(outage), "", "{outage} has no remedy");
        }
        for outage in ["08006", "2200H", "2202E", "22P04", "23000", "23001", "23505", "38000", "XX000", "99999"] {
            assert!(!code(outage).is_of_data(), "{outage}");
        }
        let latin = Said {
            message: "character with byte sequence 0xe2 0x82 0xac in encoding \"UTF8\" has no equivalent \
             in encoding \"LATIN1\"",
            ..code("22P05")
        };
        let unknown = Said { message: "invalid byte sequence for encoding \"UTF8\": 0xff", ..code("22021") };
        assert!(!latin.is_of_data() && !unknown.is_of_data());
        let unnamed = Said { table: Some("views_v1_agent_history"), ..code("23514") };
        assert!(!unnamed.is_of_data(), "a partition is being attached");
        for table in ["position", "producer", "dead_record", "pg_class", "_v1_x", "audit_of_views"] {
            assert!(!constraint("23505", table).is_of_data(), "{table}");
        }
    }
}
