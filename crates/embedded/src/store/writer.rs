//! The one writing connection, lent to one transaction at a time, first come first served.
//!
//! A commit keeps its transaction open while derived events are published. So the lock is
//! asynchronous: the workers' other work goes on while they wait, and a wait that is dropped takes
//! the transaction with it.

use super::error::Sorted;
use pipeline::StoreError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use tokio::sync::{Mutex, MutexGuard};

/// The writing connection.
#[derive(Debug)]
pub(super) struct Writer(Mutex<Connection>);

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Mutex::new(connection))
    }

    /// Waits for the connection. A panic inside a transaction rolls it back while the stack
    /// unwinds, so what is lent next is a good connection.
    pub(super) async fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().await
    }

    /// Waits for the connection on this thread, for callers that are no future. Not for a thread
    /// whose own tasks may be inside a commit: it would wait for itself.
    pub(super) fn lock_now(&self) -> MutexGuard<'_, Connection> {
        self.0.try_lock().unwrap_or_else(|_| wait_for(self.0.lock()))
    }

    /// Runs `work` in one transaction that holds SQLite's write lock from its start; rolls back
    /// where it fails.
    pub(super) async fn transact<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        transaction(&mut *self.lock().await, work)
    }
}

/// Runs `work` in one transaction that holds the write lock from its start; rolls back where it
/// fails.
pub(super) fn transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = begin(connection)?;
    let done = work(&transaction)?;
    transaction.commit().sorted()?;
    Ok(done)
}

/// Begins a transaction that holds the write lock; dropped without a commit, it is rolled back.
pub(super) fn begin(connection: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).sorted()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread. It needs no runtime, and may run on a thread that has one.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    // Unconstrained: a task that has used up its turn would be told "not yet" for ever, since
    // nothing here ends the turn.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
