//! Who publishes an imported event, under which number, and under which id.
//!
//! All three are functions of the file's content, the tenant, the text of the `[[event]]` and the
//! row. So a repeat publishes what the log holds already, whatever part of the file was imported
//! before and in whichever order, and the workers drop it.

use domain::event::derived_id;
use uuid::Uuid;

/// Rows that share a producer. The workers know the 1,024 largest numbers of a producer exactly
/// (design 7), so with no more rows than that, rows may come in any order, however late. A block
/// begins at a multiple, where the workers' own blocks of numbers begin.
const BLOCK_ROWS: u64 = 1_024;

/// One of the events that a row may give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The tenant.
    pub(super) tenant: &'a str,
    /// Names content and tenant.
    pub(super) import_id: &'a str,
    /// Names the `[[event]]`.
    pub(super) lane: &'a str,
    /// Which expression of its `first_of`.
    pub(super) expr: usize,
    /// How many events of the same lane and expression the row has given before: two `[[event]]`
    /// may differ in nothing but their conditions, and a row may meet both.
    pub(super) ordinal: usize,
    /// The row, from 1: the sequence number.
    pub(super) row: u64,
}

impl Source<'_> {
    /// The event's id.
    pub(super) fn event_id(&self) -> Uuid {
        let Self { tenant, import_id, lane, expr, ordinal, row } = self;
        derived_id(tenant, "import", &format!("{import_id}/{lane}/{expr}.{ordinal}/{row}"))
    }

    /// The producer: `import/CONTENT/EVENT.HASH/EXPRESSION.ORDINAL/BLOCK`.
    pub(super) fn producer_id(&self) -> String {
        let Self { import_id, lane, expr, ordinal, row, .. } = self;
        format!("import/{import_id}/{lane}/{expr}.{ordinal}/{}", row / BLOCK_ROWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(row: u64) -> Source<'static> {
        Source { tenant: "grove", import_id: "c0ffee", lane: "AgentHeartbeat.0a", expr: 1, ordinal: 0, row }
    }

    /// The ids are in logs: they may never change.
    #[test]
    fn identity_of_an_imported_event_is_stable() {
        assert_eq!(source(1_024).producer_id(), "import/c0ffee/AgentHeartbeat.0a/1.0/1");
        let named = derived_id("grove", "import", "c0ffee/AgentHeartbeat.0a/1.0/1024");
        assert_eq!(source(1_024).event_id(), named);
        let namespace = Uuid::from_u128(0x2f1d_5a37_8c04_5e6b_9d21_7b64_c5e8_0a93);
        assert_eq!(named, Uuid::new_v5(&namespace, b"grove|import|c0ffee/AgentHeartbeat.0a/1.0/1024"));
    }

    #[test]
    fn producer_of_a_block_numbers_at_most_1024_rows() {
        let block = |row| source(row).producer_id();
        assert_eq!(block(1), block(1_023));
        assert_ne!(block(1_023), block(1_024));
        assert_eq!(block(1_024), block(2_047));
        assert_ne!(block(2_047), block(2_048));
    }
}
