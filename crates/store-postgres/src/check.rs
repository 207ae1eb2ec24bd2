//! What is looked at before work begins: settings of the server that change what is stored, and
//! whether the database is as this version expects. Whatever is wrong is an outage with its remedy
//! (I7): an operator mends it, and work begins.
//!
//! | setting | why it matters | what is done |
//! |---|---|---|
//! | `server_encoding` | another one cannot hold every character of an event | refused: UTF8 |
//! | `pg_is_in_recovery()`, `default_transaction_read_only` | nothing can be written | refused |
//! | `session_replication_role` | constraints and triggers are passed over | refused unless `origin` |
//! | settings of the session (time-outs, search path) | a pooler that pools by transaction loses them | refused |
//! | row-level security | a login that no policy names sees no row, and would fold as if there were none | refused |
//! | `fsync`, `full_page_writes` | a power cut may leave rows without their position | a warning |
//! | `synchronous_commit` | an acknowledged commit may be undone: see below | set to `on` by each session where it is `off` |
//! | `client_encoding`, `row_security`, `default_transaction_isolation`, ... | | set by each session |
//!
//! With `synchronous_commit = off` a power cut takes back the last commits whole, rows and
//! positions together: the log is folded again from there, and what was derived meanwhile is
//! dropped by its numbers. But tokens and caches were told of rows that are gone until then. So it
//! is switched on where it is off. A fail-over to a standby that lacks commits does the same, which
//! no setting of a session prevents: let a standby acknowledge (`synchronous_standby_names`).
//!
//! The time zone does not matter (times are numbers), nor does the database's collation (every text
//! column has its own).

use crate::config::PostgresConfig;
use crate::database::Session;
use crate::error::Sorted as _;
use crate::migrate;
use crate::schema::physical_name;
use domain::Projection;
use pipeline::StoreError;
use pipeline::ports::DedupSettings;
use tokio_postgres::{Client, Row};

/// The tables that no projection declares.
pub(crate) const OWN_TABLES: [&str; 5] = ["position", "projection", "producer", "producer_block", "dead_record"];

/// Settings as the server tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    server_encoding: String,
    is_standby: bool,
    is_read_only: bool,
    replication_role: String,
    fsync: bool,
    full_page_writes: bool,
    idle_timeout_ms: i64,
}

const ASK: &str = "SELECT current_setting('server_encoding'), pg_is_in_recovery(),
    current_setting('transaction_read_only')::bool, current_setting('session_replication_role'),
    current_setting('fsync')::bool, current_setting('full_page_writes')::bool,
    (SELECT setting::bigint FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout')";

/// The rights of who asks on tables of a schema: whether each is there, may be read and written,
/// and hides rows. Tables of the same name in `public`, which is in the search path for extensions,
/// belong to somebody else.
const TABLES: &str = "SELECT name, oid IS NOT NULL, coalesce(has_table_privilege(oid, 'SELECT')
        AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE'), false),
    coalesce(row_security_active(oid) AND NOT pg_has_role(current_user, to_regrole('sporelog_worker'), 'USAGE'), false)
    FROM (SELECT name, to_regclass(format('%I.%I', $1::text, name))::oid AS oid
        FROM unnest($2::text[]) AS name) AS t";

/// Looks at everything that a worker of this projection needs.
pub(crate) async fn check(
    session: &Session,
    config: &PostgresConfig,
    projection: &Projection,
) -> Result<(), StoreError> {
    let client = session.client()?;
    let settings = session.replied(ask(client)).await?;
    settings.judge()?;
    settings.judge_session(config)?;
    migrate::check(client, &config.schema).await?;
    let mut names: Vec<String> = OWN_TABLES.map(str::to_owned).to_vec();
    names.extend(projection.tables.iter().map(|table| physical_name(projection, table)));
    let statement = session.prepared(TABLES).await?;
    for row in session.replied(client.query(&statement, &[&config.schema, &names])).await? {
        judge_table(row.get(0), row.get(1), row.get(2), row.get(3))?;
    }
    Ok(())
}

/// Looks at what a migrator needs: the settings of the server, not those of the session, which it
/// changes itself.
pub(crate) async fn check_server(client: &Client) -> Result<(), StoreError> {
    ask(client).await.sorted()?.judge()
}

async fn ask(client: &Client) -> Result<Settings, tokio_postgres::Error> {
    let row = client.query_one(ASK, &[]).await?;
    Ok(Settings {
        server_encoding: row.try_get(0)?,
        is_standby: row.try_get(1)?,
        is_read_only: row.try_get(2)?,
        replication_role: row.try_get(3)?,
        fsync: row.try_get(4)?,
        full_page_writes: row.try_get(5)?,
        idle_timeout_ms: row.try_get(6)?,
    })
}

fn refused(text: String) -> Result<(), StoreError> {
    Err(StoreError::Unavailable(text))
}

impl Settings {
    /// Whether the server can be written and keeps what is written.
    fn judge(&self) -> Result<(), StoreError> {
        if self.server_encoding != "UTF8" {
            return refused(format!(
                "the database's encoding is {}, which cannot hold every character of an event: the database must be UTF8. \
                 Create one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name it in postgres.url",
                self.server_encoding
            ));
        }
        if self.is_standby {
            return refused(
                "the server is a standby and only reads: name the primary in postgres.url, or promote this one"
                    .to_owned(),
            );
        }
        if self.is_read_only {
            return refused(
                "transactions only read: switch default_transaction_read_only off, for the server, this database and this \
                 user (ALTER SYSTEM, ALTER DATABASE, ALTER ROLE)"
                    .to_owned(),
            );
        }
        if self.replication_role != "origin" {
            return refused(format!(
                "session_replication_role is {}, which passes over constraints and triggers: ALTER ROLE ... RESET \
                 session_replication_role, and likewise for the database",
                self.replication_role
            ));
        }
        if !(self.fsync && self.full_page_writes) {
            tracing::warn!(
                fsync = self.fsync,
                full_page_writes = self.full_page_writes,
                "a power cut may damage this database: switch both on, or be ready to fold the log again"
            );
        }
        Ok(())
    }

    /// Whether the session is the one that we made.
    fn judge_session(&self, config: &PostgresConfig) -> Result<(), StoreError> {
        let wanted_ms = i64::try_from(config.idle_in_transaction_timeout_ms).unwrap_or(i64::MAX);
        if self.idle_timeout_ms == wanted_ms {
            return Ok(());
        }
        refused(format!(
            "the session has lost its settings (idle_in_transaction_session_timeout is {} ms and should be {wanted_ms}): a \
             pooler in front of the server must pool by session, not by transaction or statement",
            self.idle_timeout_ms
        ))
    }
}

fn judge_table(name: &str, is_there: bool, is_granted: bool, hides_rows: bool) -> Result<(), StoreError> {
    if !is_there {
        return refused(format!("the database has no table {name}: run `sporelog migrate up`"));
    }
    if !is_granted || hides_rows {
        return refused(format!(
            "this user may not read and write all rows of {name}: GRANT sporelog_worker TO it (with INHERIT)"
        ));
    }
    Ok(())
}

/// The rules that a row of the table of projections holds.
pub(crate) fn read_settings(row: &Row) -> Result<DedupSettings, StoreError> {
    let read = || -> Result<DedupSettings, tokio_postgres::Error> {
        Ok(DedupSettings { window_ms: row.try_get(0)?, max_records: row.try_get(1)? })
    };
    read().map_err(|error| StoreError::Fatal(format!("the settings of a projection cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Settings {
        Settings {
            server_encoding: "UTF8".to_owned(),
            is_standby: false,
            is_read_only: false,
            replication_role: "origin".to_owned(),
            fsync: true,
            full_page_writes: true,
            idle_timeout_ms: 20_000,
        }
    }

    fn said(judged: Result<(), StoreError>) -> String {
        match judged {
            Err(StoreError::Unavailable(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    /// I7: a setting that is wrong is an outage that names the setting and what to do.
    #[test]
    fn wrong_settings_are_outages_with_a_remedy() {
        assert!(good().judge().is_ok());
        assert!(Settings { fsync: false, ..good() }.judge().is_ok(), "a warning only");
        let cases = [
            (Settings { server_encoding: "LATIN1".into(), ..good() }, "LATIN1", "ENCODING 'UTF8'"),
            (Settings { server_encoding: "SQL_ASCII".into(), ..good() }, "SQL_ASCII", "must be UTF8"),
            (Settings { is_standby: true, is_read_only: true, ..good() }, "standby", "name the primary"),
            (Settings { is_read_only: true, ..good() }, "only read", "default_transaction_read_only off"),
            (Settings { replication_role: "replica".into(), ..good() }, "replica", "RESET session_replication_role"),
        ];
        for (settings, what, remedy) in cases {
            let text = said(settings.judge());
            assert!(text.contains(what) && text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn a_session_that_lost_its_settings_names_the_pooler() {
        let config = PostgresConfig::new("postgres://h/d");
        assert!(good().judge_session(&config).is_ok());
        let lost = Settings { idle_timeout_ms: 0, ..good() };
        assert!(said(lost.judge_session(&config)).contains("pool by session"));
    }

    #[test]
    fn a_table_that_is_missing_or_hidden_says_what_to_do() {
        assert!(judge_table("t", true, true, false).is_ok());
        assert!(said(judge_table("t", false, false, false)).contains("sporelog migrate up"));
        for (is_granted, hides_rows) in [(false, false), (true, true)] {
            assert!(said(judge_table("t", true, is_granted, hides_rows)).contains("GRANT sporelog_worker"));
        }
    }
}
