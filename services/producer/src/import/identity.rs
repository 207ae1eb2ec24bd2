//! Who publishes an imported event, under which number, and under which id.
//!
//! All three are functions of the file's content, the tenant, the text of the `[[event]]` and the
//! row. So a repeat publishes what the log holds already, whatever part of the file was imported
//! before and in whichever order, and the workers drop it.

use uuid::Uuid;

/// The namespace of every derived event id. It belongs into `domain`, beside the other rules of
/// identity.
const DERIVED_NAMESPACE: Uuid = Uuid::from_u128(0x5b1d_6a0e_2f5c_5c0b_9a57_73c0_6f1e_4d10);

/// Rows that share a producer. The workers know the 1,024 largest numbers of a producer exactly
/// (design 7), so with no more rows than that, rows may come in any order, however late. A block
/// begins at a multiple, where the workers' own blocks of numbers begin.
const BLOCK_ROWS: u64 = 1_024;

/// The id of an event that is derived from something else: the same for the same source (design 6).
/// `tenant` and `kind` hold no `|`.
pub(super) fn derived_id(tenant: &str, kind: &str, name: &str) -> Uuid {
    Uuid::new_v5(&DERIVED_NAMESPACE, format!("{tenant}|{kind}|{name}").as_bytes())
}

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
        let name = b"grove|import|c0ffee/AgentHeartbeat.0a/1.0/1024";
        assert_eq!(source(1_024).event_id(), Uuid::new_v5(&DERIVED_NAMESPACE, name));
        assert_eq!(DERIVED_NAMESPACE.to_string(), "5b1d6a0e-2f5c-5c0b-9a57-73c06f1e4d10");
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
