//! The store against the conformance suite, on a real server.

#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod common;

use common::Scratch;
use store_postgres::migrate::{self, PROJECTIONS};
use testkit::store_suite::{self, merges, tables::SUITE};

fn with_suite() -> Scratch {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(migrate::create_tables(&scratch.config, &SUITE)).unwrap();
    scratch
}

#[test]
fn passes_the_suite_of_row_stores() {
    let scratch = with_suite();
    scratch.runtime.block_on(store_suite::row_store(&mut scratch.store()));
}

#[test]
fn merges_as_memory_does() {
    let scratch = with_suite();
    merges::merge_as_memory_does(&scratch.runtime, &SUITE, scratch.store(), 128);
}

#[test]
fn merges_the_declared_tables_as_memory_does() {
    for projection in PROJECTIONS {
        let scratch = with_suite();
        merges::merge_as_memory_does(&scratch.runtime, projection, scratch.store(), 32);
    }
}
