//! Where the server is, and how long it may take.

use std::time::Duration;

/// The settings of a database. Every one has the default that [`PostgresConfig::new`] states.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where it answers: `postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=/ca.pem`.
    ///
    /// | `sslmode` | encrypted | the server's certificate |
    /// |---|---|---|
    /// | `disable` | no | |
    /// | `prefer` (default) | where the server can | not checked |
    /// | `require` | yes | checked where `sslrootcert` is given |
    /// | `verify-full` | yes | checked against `sslrootcert`, or the system's authorities |
    ///
    /// A pooler in between must pool by session: statements are prepared.
    pub url: String,
    /// The schema that holds the tables (default `public`).
    pub schema: String,
    /// The most connections that one process opens (default 8).
    pub pool_max: u32,
    /// How long one statement may run (default 30,000). Must be below the session timeout (I3).
    pub statement_timeout_ms: u64,
    /// How long a transaction may stand idle (default 20,000). Must be below the session timeout (I3).
    pub idle_in_transaction_timeout_ms: u64,
    /// How long a statement may wait for a lock (default 10,000); it ends with the statement at the latest.
    pub lock_timeout_ms: u64,
    /// How long connecting may take (default 5,000).
    pub connect_timeout_ms: u64,
    /// How long to wait for a connection of the pool (default 5,000).
    pub acquire_timeout_ms: u64,
    /// The name that the server shows for the connections (default `sporelog`).
    pub application_name: String,
}

impl PostgresConfig {
    /// The defaults, for a server at this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema: "public".to_owned(),
            pool_max: 8,
            statement_timeout_ms: 30_000,
            idle_in_transaction_timeout_ms: 20_000,
            lock_timeout_ms: 10_000,
            connect_timeout_ms: 5_000,
            acquire_timeout_ms: 5_000,
            application_name: "sporelog".to_owned(),
        }
    }

    /// How long a reply may take before the connection counts as lost: longer than the server lets a statement run.
    pub(crate) fn reply_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms.saturating_add(5_000))
    }

    /// What every connection is told first: whatever the server, the database or the user has set, all sessions are
    /// alike (`check.rs` says why).
    pub(crate) fn session_sql(&self) -> String {
        let Self { statement_timeout_ms, idle_in_transaction_timeout_ms, lock_timeout_ms, .. } = self;
        format!(
            "DO $$ BEGIN
                IF current_setting('server_version_num')::int < {OLDEST}0000 THEN
                    RAISE EXCEPTION 'sporelog needs PostgreSQL {OLDEST} or newer, and this is %: upgrade the server',
                        current_setting('server_version') USING ERRCODE = 'feature_not_supported';
                END IF;
                -- An acknowledged commit survives a power cut.
                IF current_setting('synchronous_commit') = 'off' THEN SET synchronous_commit = on; END IF;
                -- Since PostgreSQL 17: it would end migrations and readers.
                IF current_setting('transaction_timeout', true) IS NOT NULL THEN SET transaction_timeout = 0; END IF;
                -- An upsert unpacks what it meets in a compressed chunk, however much that is.
                IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
                    AND current_setting('{DECOMPRESSED}', true) IS NOT NULL
                THEN PERFORM set_config('{DECOMPRESSED}', '0', false); END IF;
            END $$;
            SET client_encoding = 'UTF8';
            SET standard_conforming_strings = on;
            SET row_security = on;
            SET default_transaction_isolation = 'read committed';
            SET statement_timeout = {statement_timeout_ms};
            SET idle_in_transaction_session_timeout = {idle_in_transaction_timeout_ms};
            SET lock_timeout = {lock_timeout_ms};
            SET search_path = {}, public;
            SET plan_cache_mode = force_generic_plan;
            SET jit = off",
            quoted(&self.schema)
        )
    }
}

/// TimescaleDB's limit of rows that one statement may unpack, 100,000 by default: a worker that met it would wait for ever.
const DECOMPRESSED: &str = "timescaledb.max_tuples_decompressed_per_dml_transaction";

/// The oldest major version that is served.
const OLDEST: u32 = 15;

/// An identifier as SQL text.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

// The URL may hold a password.
impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresConfig").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_not_shown() {
        let config = PostgresConfig::new("postgres://u:secret@h/d");
        assert!(!format!("{config:?}").contains("secret"));
    }

    /// S9: the edition with compression cannot be fetched by tests, so its setting is held as text.
    #[test]
    fn sessions_lift_the_limit_of_unpacked_rows_where_timescaledb_has_one() {
        let sql = PostgresConfig::new("postgres://h/d").session_sql();
        let name = "timescaledb.max_tuples_decompressed_per_dml_transaction";
        assert!(sql.contains(&format!("current_setting('{name}', true) IS NOT NULL")), "{sql}");
        assert!(sql.contains(&format!("set_config('{name}', '0', false)")), "{sql}");
    }
}
