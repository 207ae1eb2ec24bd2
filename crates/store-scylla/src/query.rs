//! Operators' questions: a SELECT, its answer as text.

use crate::config::ScyllaConfig;
use crate::error::{pager_error, row_error};
use crate::session::connect;
use futures_util::stream::StreamExt;
use pipeline::StoreError;
use scylla::frame::response::result::{ColumnType, NativeType};
use scylla::statement::unprepared::Statement;
use scylla::value::{CqlValue, Row};

/// An answer as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// Which columns hold numbers.
    pub numbers: Vec<bool>,
    /// The rows; a missing value is none.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there are more rows than were asked for.
    pub more: bool,
}

/// Asks the nodes, read-only; at most `max_rows` rows come back. Tables need no keyspace before their names.
///
/// # Errors
/// Where it is no SELECT, or the nodes cannot answer it.
pub async fn query_text(config: &ScyllaConfig, cql: &str, max_rows: usize) -> Result<Answer, StoreError> {
    let first_word = cql.split_whitespace().next().unwrap_or_default();
    if !first_word.eq_ignore_ascii_case("select") {
        return Err(StoreError::Refused(format!("{first_word:?}: only a SELECT may be asked here")));
    }
    let session = connect(config).await?;
    session.use_keyspace(&config.keyspace, false).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut statement = Statement::new(cql);
    statement.set_is_idempotent(true);
    let pager = session.query_iter(statement, ()).await.map_err(|error| pager_error(&error))?;
    let mut rows = pager.rows_stream::<Row>().map_err(|error| StoreError::Refused(error.to_string()))?;
    let columns = rows.column_specs().iter().map(|column| column.name().to_owned()).collect();
    let numbers = rows.column_specs().iter().map(|column| is_number(column.typ())).collect();
    let mut answer = Answer { columns, numbers, ..Answer::default() };
    while let Some(row) = rows.next().await {
        if answer.rows.len() == max_rows {
            answer.more = true;
            break;
        }
        let row = row.map_err(|error| row_error(&error))?;
        answer.rows.push(row.columns.into_iter().map(|value| value.map(text)).collect());
    }
    Ok(answer)
}

fn is_number(of: &ColumnType<'_>) -> bool {
    use NativeType::{BigInt, Counter, Double, Float, Int, SmallInt, TinyInt};
    matches!(of, ColumnType::Native(BigInt | Counter | Double | Float | Int | SmallInt | TinyInt))
}

fn text(value: CqlValue) -> String {
    match value {
        CqlValue::Text(text) | CqlValue::Ascii(text) => text,
        other => other.to_string(),
    }
}
