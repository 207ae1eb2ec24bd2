//! Analysts' statements: read-only, with answers as text.
//!
//! Each statement runs in a READ ONLY transaction of its own, and the server is asked first whether it is one statement:
//! so none can end the transaction and write behind it.

mod split;

use crate::config::PostgresConfig;
use crate::database::{Database, Session};
use crate::error::store_error;
use futures_util::{TryStreamExt as _, pin_mut};
use pipeline::StoreError;
use thiserror::Error;
use tokio_postgres::types::Type;
use tokio_postgres::{SimpleQueryMessage, Statement};

/// What an answer is made of, in this order, once per statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The columns.
    Columns(Vec<Column>),
    /// A row; null is none.
    Row(Vec<Option<String>>),
    /// The answer is complete, or the statement gives none.
    Done,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its text stands for.
    pub kind: ColumnKind,
}

/// What the text of a column stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A number.
    Number,
    /// Bytes, `\x` and their hexadecimal digits.
    Bytes,
    /// Anything else.
    Text,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SqlError {
    /// The server refuses the statement.
    #[error("{message}{}", .at.as_ref().map_or(String::new(), |at| format!(" (at: {at})")))]
    Statement {
        /// What the server says, with its hint.
        message: String,
        /// The text from the place on that it complains of.
        at: Option<String>,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to ask.
    #[error("there is no statement in the input")]
    Empty,
}

/// A table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// `view` or `table`.
    pub kind: String,
    /// What it holds.
    pub holds: String,
}

/// Runs statements, separated by `;`, and visits their answers; where the visitor says no, the rest of that answer is
/// left out. Where a tenant is named, only its rows are seen: the statements run as the role `sporelog_reader`, of which the user must be a member.
///
/// # Errors
/// What the server says of a statement, or why it cannot be asked.
pub async fn query_text(
    config: &PostgresConfig,
    sql: &str,
    tenant: Option<&str>,
    visit: &mut dyn FnMut(Part) -> bool,
) -> Result<(), SqlError> {
    let statements = split::statements(sql);
    if statements.is_empty() {
        return Err(SqlError::Empty);
    }
    let database = Database::new(PostgresConfig { pool_max: 1, ..config.clone() })?;
    let mut session = database.session().await?;
    for statement in statements {
        if !ask(&session, statement, tenant, visit).await? {
            // The rest of an answer that nobody wants ends with its connection.
            drop(session);
            session = database.session().await?;
        }
    }
    Ok(())
}

/// Runs one statement; false where the visitor has seen enough, and the connection is not fit for another one.
async fn ask(
    session: &Session,
    statement: &str,
    tenant: Option<&str>,
    visit: &mut dyn FnMut(Part) -> bool,
) -> Result<bool, SqlError> {
    let client = session.client()?;
    let told = |error: tokio_postgres::Error| told(&error, statement);
    client.batch_execute("BEGIN READ ONLY").await.map_err(told)?;
    if let Some(tenant) = tenant {
        let tenant = tenant.replace('\'', "''");
        let see = format!("SET LOCAL ROLE sporelog_reader; SELECT set_config('sporelog.tenant', '{tenant}', true)");
        client.batch_execute(&see).await.map_err(|error| as_reader(&error))?;
    }
    let prepared = client.prepare(statement).await.map_err(told)?;
    let messages = client.simple_query_raw(statement).await.map_err(told)?;
    pin_mut!(messages);
    while let Some(message) = messages.try_next().await.map_err(told)? {
        if part(&message, &prepared).is_some_and(|part| !visit(part)) {
            return Ok(false);
        }
    }
    client.batch_execute("ROLLBACK").await.map_err(told)?;
    Ok(true)
}

fn part(message: &SimpleQueryMessage, prepared: &Statement) -> Option<Part> {
    match message {
        SimpleQueryMessage::RowDescription(_) => {
            let column =
                |column: &tokio_postgres::Column| Column { name: column.name().to_owned(), kind: kind(column.type_()) };
            Some(Part::Columns(prepared.columns().iter().map(column).collect()))
        }
        SimpleQueryMessage::Row(row) => {
            Some(Part::Row((0..row.len()).map(|ix| row.get(ix).map(str::to_owned)).collect()))
        }
        SimpleQueryMessage::CommandComplete(_) => Some(Part::Done),
        _ => None,
    }
}

fn kind(of: &Type) -> ColumnKind {
    match *of {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC | Type::OID => {
            ColumnKind::Number
        }
        Type::BYTEA => ColumnKind::Bytes,
        _ => ColumnKind::Text,
    }
}

/// Tables and views, views first: they are the contract. Partitions are left out.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn tables(config: &PostgresConfig) -> Result<Vec<TableInfo>, SqlError> {
    const TABLES: &str = "SELECT relname, CASE relkind WHEN 'v' THEN 'view' ELSE 'table' END,
            coalesce(obj_description(oid, 'pg_class'), '')
        FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v') AND NOT relispartition
        ORDER BY relkind = 'v' DESC, relname";
    let database = Database::new(PostgresConfig { pool_max: 1, ..config.clone() })?;
    let session = database.session().await?;
    let schema = crate::config::quoted(&config.schema);
    let rows = session.client()?.query(TABLES, &[&schema]).await.map_err(|error| told(&error, TABLES))?;
    session.give_back();
    Ok(rows.iter().map(|row| TableInfo { name: row.get(0), kind: row.get(1), holds: row.get(2) }).collect())
}

/// What the server says of taking the reader's role on.
fn as_reader(error: &tokio_postgres::Error) -> SqlError {
    match error.as_db_error() {
        Some(said) => SqlError::Statement {
            message: format!(
                "the rows of one tenant are seen as the role sporelog_reader, and that cannot be taken on: {}: run \
                 `sporelog migrate up`, then GRANT sporelog_reader TO the user of postgres.url",
                said.message()
            ),
            at: None,
        },
        None => SqlError::Store(store_error(error)),
    }
}

fn told(error: &tokio_postgres::Error, statement: &str) -> SqlError {
    use tokio_postgres::error::ErrorPosition::Original;
    let Some(said) = error.as_db_error() else { return SqlError::Store(store_error(error)) };
    let mut message = said.message().to_owned();
    if let Some(hint) = said.hint() {
        message.push_str(&format!("; {hint}"));
    }
    if said.code().code() == "25006" {
        message.push_str("; sql only reads: stores are written from the log alone, so publish an event instead");
    }
    let at = match said.position() {
        Some(Original(position)) => {
            let rest: String = statement.chars().skip((*position).saturating_sub(1) as usize).take(40).collect();
            Some(rest).filter(|rest| !rest.is_empty())
        }
        _ => None,
    };
    SqlError::Statement { message, at }
}
