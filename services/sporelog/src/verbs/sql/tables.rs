//! `sporelog sql --tables`: what there is to ask, each with its sentence.

use crate::render::{Answer, Format, Value};
use anyhow::Result;
use domain::projection::PROJECTIONS;
use rusqlite::Connection;
use std::io::Write;

/// Tables and views that no declaration describes.
const OTHERS: &[(&str, &str)] = &[
    ("freshness", "How far each projection is, by topic and partition: its position, watermark and account."),
    ("group_offset", "The offsets that consumer groups have committed to the log."),
    ("meta", "The format and the id of the log."),
    ("migration", "The migrations that were applied to the store."),
    ("position", "How far each projection is: the row that every commit moves."),
    ("dead_record", "The records that each projection could not apply, with the reason."),
    (
        "producer",
        "The sequence sets of producers, by which repeats are known: floor, largest number, last append time.",
    ),
    ("producer_block", "The numbers of each producer's sequence set, in blocks of 128."),
    ("projection", "The projections' versions, with the rules by which each tells repeats."),
    ("record", "The records of the log, in the encoded form."),
    ("tie", "Who is tied to whom, both directions of contact in one row, with affection and trust clamped."),
    ("topic", "The topics of the log and how many partitions each has."),
];

/// Prints every table and view, views first: they are the contract.
pub fn list(connection: &Connection, format: Format, out: &mut impl Write) -> Result<()> {
    let names = ["name", "kind", "holds"].map(str::to_owned).to_vec();
    let mut answer = Answer::new(format, names, out)?;
    for schema in ["main", "log"] {
        if connection.query_row("SELECT count(*) FROM pragma_database_list WHERE name = ?1", [schema], |row| {
            row.get::<_, i64>(0)
        })? == 0
        {
            continue;
        }
        let sql = format!(
            "SELECT name, type, sql FROM {schema}.sqlite_master WHERE type IN ('table', 'view') \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC, name"
        );
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (name, kind, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let holds = sentence(&name, &sql);
            let shown = if schema == "main" { name } else { format!("{schema}.{name}") };
            answer.row(&[Value::Text(shown), Value::Text(kind), Value::Text(holds)])?;
        }
    }
    answer.finish()
}

/// The declaration's sentence, under the plain and the physical name; else a known one; else the first comment.
pub(super) fn sentence(name: &str, sql: &str) -> String {
    let declared = PROJECTIONS.iter().flat_map(|projection| {
        let prefix = format!("{}_v{}_", projection.name, projection.version);
        projection.tables.iter().map(move |table| (prefix.clone(), *table))
    });
    for (prefix, table) in declared {
        if name == table.name || name.strip_prefix(&prefix) == Some(table.name) {
            return table.doc.to_owned();
        }
    }
    let known = OTHERS.iter().find(|(held, _)| *held == name).map(|(_, sentence)| (*sentence).to_owned());
    known.unwrap_or_else(|| comment(sql).to_owned())
}

fn comment(sql: &str) -> &str {
    let after = sql.split_once("--").map_or("", |(_, after)| after);
    after.lines().next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_sentence_of_their_declaration() {
        let table = PROJECTIONS[0].tables[0];
        assert_eq!(sentence(table.name, ""), table.doc);
        let physical = format!("{}_v{}_{}", PROJECTIONS[0].name, PROJECTIONS[0].version, table.name);
        assert_eq!(sentence(&physical, ""), table.doc);
        assert!(sentence("tie", "").starts_with("Who is tied"));
        assert_eq!(sentence("other", "CREATE VIEW other AS -- What it holds.\nSELECT 1"), "What it holds.");
    }
}
