//! The declarations' sentences as comments on tables, columns and views: what `\d+` and every SQL tool shows.

use crate::migrate::PROJECTIONS;
use crate::schema::{physical_name, slot_doc};
use std::fmt::Write;

/// The statements that comment every declared table, and the SQL view of its name where there is one.
pub(crate) fn all() -> String {
    let mut sql = String::new();
    for projection in PROJECTIONS {
        for table in projection.tables {
            let name = physical_name(projection, table);
            comment(&mut sql, "TABLE", &name, table.doc);
            for column in table.stored_key() {
                comment(&mut sql, "COLUMN", &format!("{name}.{}", column.name), column.doc);
            }
            for slot in table.slots() {
                comment(&mut sql, "COLUMN", &format!("{name}.{}", slot.name()), &slot_doc(slot));
            }
        }
    }
    sql
}

fn comment(sql: &mut String, kind: &str, name: &str, text: &str) {
    let _ = writeln!(sql, "COMMENT ON {kind} {name} IS '{}';", text.replace('\'', "''"));
}
