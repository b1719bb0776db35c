//! A few connections that only read, so that a query never waits for the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::fault::Fault;
use super::schema;
use crate::control::ledger::ReadError;

/// Connections kept open between queries; more are opened when more are needed.
const KEPT: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Closes what is idle, so that the writer is the last to close: only then is
    /// the write-ahead log folded into the file, which is whole by itself.
    pub(super) fn release(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Blocks on the disk.
    pub(super) fn look<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, ReadError> {
        let told = |fault: Fault| fault.for_reader(&self.path);
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match kept {
            Some(connection) => connection,
            None => schema::open_reader(&self.path).map_err(told)?,
        };
        // A connection that failed is not kept: the next query starts afresh.
        let answer = question(&connection).map_err(told)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
        Ok(answer)
    }
}

/// [`Readers::look`] for those who must not block.
pub(super) async fn in_background<T: Send + 'static>(
    readers: Arc<Readers>,
    question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
) -> Result<T, ReadError> {
    match tokio::task::spawn_blocking(move || readers.look(question)).await {
        Ok(answer) => answer,
        Err(_stopped) => Err(ReadError::Closed),
    }
}
