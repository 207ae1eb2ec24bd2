//! The suite of every log, on the real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

macro_rules! suite {
    ($($check:ident)*) => {
        $(#[tokio::test]
        async fn $check() {
            let rig = support::Rig::new().await;
            testkit::log_suite::$check(&rig).await;
            rig.end().await;
        })*
    };
}

suite! {
    order_and_offsets bytes_come_back seek_and_pages wake_up cancelled_waits hand_over commit_is_fenced
    offset_of_a_time many_publishers groups_are_apart identity_tells_logs_apart markers_are_passed
    halted_partition_is_read_after_a_seek publish_says_where failed_publish_leaves_a_beginning
}
