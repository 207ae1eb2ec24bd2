//! What a batch publishes, between the statements of its transaction and COMMIT (design 2).
//!
//! So a cause that the store refuses has derived nothing, and a crash before COMMIT repeats what the sequences drop. Once
//! published, a commit that has to be tried again does not publish again.

use crate::error::Unpublished;
use crate::folder::Outgoing;
use crate::ports::{Abort, Publisher};
use std::cell::Cell;

/// The records of one batch that are to be published, and what became of them.
pub(super) struct Outbox<'w, P> {
    /// Taken out while it publishes.
    publisher: Cell<Option<&'w mut P>>,
    outgoing: &'w [Outgoing],
    is_published: Cell<bool>,
    unpublished: Cell<Option<Unpublished>>,
}

impl<'w, P: Publisher> Outbox<'w, P> {
    pub(super) fn new(publisher: &'w mut P, outgoing: &'w [Outgoing], is_published: bool) -> Self {
        let (publisher, is_published) = (Cell::new(Some(publisher)), Cell::new(is_published));
        Self { publisher, outgoing, is_published, unpublished: Cell::new(None) }
    }

    /// Publishes, unless it was done before.
    pub(super) async fn publish(&self) -> Result<(), Abort> {
        if self.is_published.get() {
            return Ok(());
        }
        let Some(publisher) = self.publisher.take() else { return Err(Abort) };
        let records = self.outgoing.iter().map(|outgoing| outgoing.record.clone()).collect();
        let published = publisher.publish(records).await;
        self.publisher.set(Some(publisher));
        match published {
            Ok(_) => {
                self.is_published.set(true);
                Ok(())
            }
            Err(unpublished) => {
                self.unpublished.set(Some(unpublished));
                Err(Abort)
            }
        }
    }

    /// Whether everything is published, and why not.
    pub(super) fn end(self) -> (bool, Option<Unpublished>) {
        (self.is_published.get(), self.unpublished.take())
    }
}
