//! The declarations' sentences as comments on tables, columns and views: what `\d+` and every SQL tool shows.

use crate::migrate::PROJECTIONS;
use crate::schema::physical_name;
use domain::table::{Merge, Slot};
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
                comment(&mut sql, "COLUMN", &format!("{name}.{}", slot.name()), &slot.doc());
            }
            comment(&mut sql, "VIEW", table.name, table.doc);
            for column in table.key {
                comment(&mut sql, "COLUMN", &format!("{}.{}", table.name, column.name), column.doc);
            }
            for slot in table.slots().filter(|slot| shown(*slot)) {
                comment(&mut sql, "COLUMN", &format!("{}.{}", table.name, slot.name()), &view_doc(slot));
            }
        }
    }
    sql
}

/// Whether the SQL views show a stored column.
fn shown(slot: Slot) -> bool {
    !slot.stamp && !matches!(slot.column.merge, Merge::State(_))
}

/// Views show fixed-point numbers in units.
fn view_doc(slot: Slot) -> String {
    slot.doc().replace(" Unit: millionths.", "").replace("Unit: millionths of ", "Unit: ")
}

fn comment(sql: &mut String, kind: &str, name: &str, text: &str) {
    let _ = writeln!(sql, "COMMENT ON {kind} {name} IS '{}';", text.replace('\'', "''"));
}
