//! Opening the stores for reading.

use crate::render::time_text;
use anyhow::{Context as _, Result, bail};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use std::path::Path;
use uuid::Uuid;

/// The store of a data folder, read-only, with the log attached as the schema `log` where there is one.
pub fn open(dir: &Path) -> Result<Connection> {
    let (store, log) = (dir.join(embedded::store::STORE_FILE), dir.join("log.db"));
    if !store.is_file() {
        bail!(
            "there is no store in the data folder {} yet: start `sporelog up` first, or name another folder with --data-dir",
            dir.display()
        );
    }
    let connection =
        embedded::store::open_read_only(&store).with_context(|| format!("cannot read {}", store.display()))?;
    functions(&connection)?;
    if log.is_file() {
        // The flags of the connection hold for what it attaches: read-only too.
        let attached = connection.execute("ATTACH DATABASE ?1 AS log", [log.to_string_lossy()]);
        if let Err(error) = attached {
            tracing::warn!(%error, file = %log.display(), "the log could not be attached; the stores can be read all the same");
        }
    }
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// What the views' own functions (`uuid_text`, `or_bits`) leave to be wished for.
fn functions(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("uuid", 1, flags, |context| {
        let Some(text) = context.get::<Option<String>>(0)? else {
            return Ok(None);
        };
        let parsed = Uuid::parse_str(&text);
        let uuid =
            parsed.map_err(|error| rusqlite::Error::UserFunctionError(format!("uuid({text:?}): {error}").into()))?;
        Ok(Some(uuid.as_bytes().to_vec()))
    })?;
    connection.create_scalar_function("time_text", 1, flags, |context| {
        Ok(context.get::<Option<i64>>(0)?.and_then(time_text))
    })?;
    Ok(())
}
