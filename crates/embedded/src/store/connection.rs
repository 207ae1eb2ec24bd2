//! Opening connections: the one that writes, and those that read.

use super::config::StoreConfig;
use domain::merge::or_bits;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Result};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// How long a statement waits for another process before it is reported as unavailable.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Statements kept prepared per connection: more than all tables of all projections need.
const STATEMENTS: usize = 256;
/// What the write-ahead log is cut down to after it was written back, in bytes.
const WAL_KEEP_BYTES: u32 = 64 << 20;

/// Opens the connection that writes; creates the file, readable by its owner alone, where there is none.
pub(super) fn open_writer(config: &StoreConfig) -> Result<Connection> {
    create_private(&config.path);
    let connection = Connection::open(&config.path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if config.durable { "FULL" } else { "OFF" })?;
    connection.pragma_update(None, "wal_autocheckpoint", config.checkpoint_pages)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEEP_BYTES)?;
    connection.pragma_update(None, "cache_size", -i64::from(config.writer_cache_kib))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    prepare(&connection)?;
    Ok(connection)
}

/// Opens a connection that reads.
pub(super) fn open_reader(config: &StoreConfig) -> Result<Connection> {
    let connection = open_read_only(&config.path)?;
    connection.pragma_update(None, "cache_size", -i64::from(config.reader_cache_kib))?;
    Ok(connection)
}

/// Opens a read-only connection to a store, also beside the process that writes it. It knows the SQL functions
/// `uuid_text(blob)`, `uuid_blob(text)` and `or_bits(blob, blob)`.
pub fn open_read_only(path: &Path) -> Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    prepare(&connection)?;
    Ok(connection)
}

/// SQLite gives its side files the mode of the file itself. A failure shows when the file is opened.
fn create_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let _ = options.open(path);
}

fn prepare(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("or_bits", 2, flags, or_function)?;
    connection.create_scalar_function("uuid_text", 1, flags, |context| {
        Ok(blob(context, 0)?.and_then(|bytes| Uuid::from_slice(bytes).ok()).map(|uuid| uuid.to_string()))
    })?;
    connection.create_scalar_function("uuid_blob", 1, flags, |context| {
        let text: Option<String> = context.get(0)?;
        Ok(text.and_then(|text| Uuid::parse_str(&text).ok()).map(|uuid| uuid.as_bytes().to_vec()))
    })
}

/// `or_bits(a, b)`: the bits of both maps; of one where the other is null.
fn or_function(context: &Context<'_>) -> Result<ToSqlOutput<'static>> {
    let value = match (blob(context, 0)?, blob(context, 1)?) {
        (None, None) => Value::Null,
        (Some(bits), None) | (None, Some(bits)) => Value::Blob(bits.to_vec()),
        (Some(bits), Some(more)) => {
            let mut both = bits.to_vec();
            or_bits(&mut both, more);
            Value::Blob(both)
        }
    };
    Ok(ToSqlOutput::Owned(value))
}

fn blob<'a>(context: &'a Context<'_>, ix: usize) -> Result<Option<&'a [u8]>> {
    match context.get_raw(ix) {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => Ok(Some(bytes)),
        other => Err(rusqlite::Error::InvalidFunctionParameterType(ix, other.data_type())),
    }
}
