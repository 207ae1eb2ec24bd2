//! The pipeline: ports, admission, the one worker loop and the ack ledger. It names no adapter.

pub mod error;
pub mod ports;
pub mod position;
pub mod record;

pub use error::{LogError, StoreError};
pub use ports::{Clock, GroupOffset, LogRange, Polled, Publisher, RecordStore, RowStore, Source};
pub use position::{Advance, Claimed, Counts, Flush, Mark, Position};
pub use record::{Headers, OutRecord, Page, Record};
