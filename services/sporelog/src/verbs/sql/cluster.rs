//! Questions to a cluster's stores: views and series in Postgres, records in Cassandra or ScyllaDB.

use super::tables::sentence;
use super::{Args, limit, note_cut, statements};
use crate::backend::Cluster;
use crate::render::{Answer, Format, Value, bytes_text};
use anyhow::{Context as _, Result, anyhow};
use pipeline::StoreError;
use runtime::config::Config;
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use store_postgres::sql::{Column, ColumnKind, Part, query_text};

/// Rows of records that are shown unless told otherwise: an answer of the nodes is held in memory.
const RECORD_ROWS: usize = 100_000;

/// Answers what is asked.
pub async fn run(args: &Args, cluster: Cluster, config: &Config, out: &mut impl Write) -> Result<()> {
    if args.tables {
        return list(cluster, config, args.format, out).await;
    }
    let text = statements(args)?;
    if args.records {
        return records(&cluster.with_scylla(config)?, &text, args, out).await;
    }
    let cluster = cluster.with_postgres(config)?;
    let mut printer = Printer::new(args.format, limit(args), out);
    query_text(cluster.postgres_config()?, &text, args.tenant.as_deref(), &mut |part| printer.take(part)).await?;
    printer.failed.map_or(Ok(()), Err)
}

/// A writer that one answer after the other writes into.
#[derive(Clone)]
struct Shared<'w>(Rc<RefCell<&'w mut dyn Write>>);

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

/// Prints answers as they come.
struct Printer<'w> {
    format: Format,
    limit: usize,
    out: Shared<'w>,
    answer: Option<Answer<Shared<'w>>>,
    kinds: Vec<ColumnKind>,
    shown: usize,
    failed: Option<anyhow::Error>,
}

impl<'w> Printer<'w> {
    fn new(format: Format, limit: usize, out: &'w mut dyn Write) -> Self {
        let out = Shared(Rc::new(RefCell::new(out)));
        Self { format, limit, out, answer: None, kinds: Vec::new(), shown: 0, failed: None }
    }

    /// Prints a part; false where the rest of the answer is not wanted.
    fn take(&mut self, part: Part) -> bool {
        // Where printing fails, as into a pipe that was closed, nothing that follows is wanted either.
        let wanted = if self.failed.is_some() { Ok(false) } else { self.print(part) };
        wanted.unwrap_or_else(|error| {
            self.failed = Some(error);
            false
        })
    }

    fn print(&mut self, part: Part) -> Result<bool> {
        match part {
            Part::Columns(columns) => {
                let (names, kinds) = columns.into_iter().map(|Column { name, kind }| (name, kind)).unzip();
                self.answer = Some(Answer::new(self.format, names, self.out.clone())?);
                (self.kinds, self.shown) = (kinds, 0);
            }
            Part::Row(_) if self.shown == self.limit => {
                self.answer.take().map_or(Ok(()), Answer::finish)?;
                note_cut(self.limit);
                return Ok(false);
            }
            Part::Row(cells) => {
                let values: Vec<Value> = self.kinds.iter().zip(cells).map(|(kind, cell)| value(*kind, cell)).collect();
                self.answer.as_mut().map_or(Ok(()), |answer| answer.row(&values))?;
                self.shown += 1;
            }
            Part::Done => self.answer.take().map_or(Ok(()), Answer::finish)?,
        }
        Ok(true)
    }
}

/// A cell as the other stores' answers show it.
fn value(kind: ColumnKind, text: Option<String>) -> Value {
    let Some(text) = text else { return Value::Null };
    match kind {
        ColumnKind::Number => number(text),
        ColumnKind::Bytes => Value::Text(bytes(&text).map_or(text, |bytes| bytes_text(&bytes))),
        ColumnKind::Text => Value::Text(text),
    }
}

fn number(text: String) -> Value {
    if let Ok(value) = text.parse() {
        return Value::Int(value);
    }
    text.parse().map_or(Value::Text(text), Value::Real)
}

/// The bytes behind `\x` and hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

async fn records(cluster: &Cluster, text: &str, args: &Args, out: &mut impl Write) -> Result<()> {
    let limit = match args.limit {
        None => limit(args).min(RECORD_ROWS),
        Some(_) => limit(args),
    };
    let found = ask_records(cluster, text, limit).await?;
    let mut answer = Answer::new(args.format, found.columns, out)?;
    for row in found.rows {
        let cell = |(is_number, cell): (&bool, Option<String>)| match cell {
            None => Value::Null,
            Some(text) if *is_number => number(text),
            Some(text) => Value::Text(text),
        };
        answer.row(&found.numbers.iter().zip(row).map(cell).collect::<Vec<_>>())?;
    }
    answer.finish()?;
    if found.more {
        note_cut(limit);
    }
    Ok(())
}

async fn ask_records(cluster: &Cluster, cql: &str, limit: usize) -> Result<store_scylla::Answer> {
    let answer = store_scylla::query_text(cluster.scylla_config()?, cql, limit).await;
    answer.map_err(|error| match error {
        // Said of a statement, not of a batch.
        StoreError::Refused(text) | StoreError::Unavailable(text) => anyhow!("the records do not answer: {text}"),
        error => error.into(),
    })
}

/// Lists what there is to ask, in each store that is configured.
async fn list(cluster: Cluster, config: &Config, format: Format, out: &mut impl Write) -> Result<()> {
    let names = ["name", "kind", "store", "holds"].map(str::to_owned).to_vec();
    let (postgres, scylla) = (config.postgres.url.is_some(), config.scylla.nodes.is_some());
    let mut found = Vec::new();
    if postgres || !scylla {
        let cluster = cluster.clone().with_postgres(config)?;
        for table in store_postgres::sql::tables(cluster.postgres_config()?).await.context("postgres")? {
            let holds = if table.holds.is_empty() { sentence(&table.name, "") } else { table.holds };
            found.push([table.name, table.kind, "postgres".to_owned(), holds]);
        }
    }
    if scylla {
        let cluster = cluster.with_scylla(config)?;
        let keyspace = &cluster.scylla_config()?.keyspace;
        let cql = format!("SELECT table_name, comment FROM system_schema.tables WHERE keyspace_name = '{keyspace}'");
        for row in ask_records(&cluster, &cql, RECORD_ROWS).await.context("scylla")?.rows {
            let [name, comment] = [0, 1].map(|ix| row.get(ix).cloned().flatten().unwrap_or_default());
            let holds = if comment.is_empty() { sentence(&name, "") } else { comment };
            found.push([name, "table".to_owned(), "scylla (--records)".to_owned(), holds]);
        }
    }
    let mut answer = Answer::new(format, names, out)?;
    found.into_iter().try_for_each(|row| answer.row(&row.map(Value::Text)))?;
    answer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Part {
        let column = |(name, kind): (&str, ColumnKind)| Column { name: name.to_owned(), kind };
        let kinds = [("id", ColumnKind::Bytes), ("n", ColumnKind::Number), ("t", ColumnKind::Text)];
        Part::Columns(kinds.map(column).to_vec())
    }

    fn row(cells: [Option<&str>; 3]) -> Part {
        Part::Row(cells.map(|cell| cell.map(str::to_owned)).to_vec())
    }

    fn printed(format: Format, limit: usize, parts: Vec<Part>) -> (String, Vec<bool>) {
        let mut out = Vec::new();
        let mut printer = Printer::new(format, limit, &mut out);
        let wanted = parts.into_iter().map(|part| printer.take(part)).collect();
        assert!(printer.failed.is_none());
        drop(printer);
        (String::from_utf8(out).unwrap(), wanted)
    }

    #[test]
    fn numbers_bytes_and_null_are_as_in_the_embedded_store() {
        let id = "\\x0190a0a0a0a070a0b0b0c0c0c0c0c0c0";
        let rows = [[Some(id), Some("7"), Some("7")], [Some("\\xff01"), Some("0.5"), None], [None, Some("NaN"), None]];
        let parts = [vec![columns()], rows.map(row).to_vec(), vec![Part::Done]].concat();
        let (text, _) = printed(Format::Json, 10, parts);
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(rows[0]["id"], "0190a0a0-a0a0-70a0-b0b0-c0c0c0c0c0c0");
        assert_eq!((&rows[0]["n"], &rows[0]["t"]), (&7.into(), &"7".into()));
        assert_eq!((&rows[1]["id"], &rows[1]["n"], rows[1]["t"].is_null()), (&"ff01".into(), &0.5.into(), true));
        assert!(rows[2]["n"].is_null());
    }

    #[test]
    fn an_answer_is_cut_and_the_next_one_is_whole() {
        let rows = || vec![row([None, Some("1"), None]), row([None, Some("2"), None])];
        let (text, wanted) =
            printed(Format::Csv, 1, [vec![columns()], rows(), vec![columns(), rows().remove(0), Part::Done]].concat());
        assert_eq!(text, "id,n,t\n,1,\nid,n,t\n,1,\n");
        assert_eq!(wanted, [true, true, false, true, true, true]);
    }
}
