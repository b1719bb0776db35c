//! What went wrong in SQLite, in words that say what mends it.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::control::ledger::ReadError;

/// Why a look into the store failed: SQLite, or a row that makes no sense.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("{place} holds what no gate has written ({cause})")]
    Garbled { place: String, cause: String },
}

impl Fault {
    pub(super) fn garbled(place: impl Into<String>, cause: impl ToString) -> Self {
        Self::Garbled {
            place: place.into(),
            cause: cause.to_string(),
        }
    }

    pub(super) fn describe(&self, path: &Path) -> String {
        match self {
            Self::Sql(error) => describe(error, path),
            Self::Garbled { .. } => {
                format!(
                    "the store {}: {self}; restore it from a copy",
                    path.display()
                )
            }
        }
    }

    pub(super) fn for_reader(&self, path: &Path) -> ReadError {
        ReadError::Unavailable(self.describe(path))
    }
}

/// One line: the file, what happened, and the mend.
pub(super) fn describe(error: &rusqlite::Error, path: &Path) -> String {
    let mend = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; free some space, no restart is needed",
        Some(ErrorCode::SystemIoFailure) => {
            "the disk refused the operation; look at its space, quota and health"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "the file cannot be opened or written; give the gate's user access to it"
        }
        Some(ErrorCode::DatabaseCorrupt) => "the file is damaged; restore it from a copy",
        Some(ErrorCode::NotADatabase) => {
            "the file is no store of the gate; move it away, or restore it from a copy"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the file; close it"
        }
        _ => "this is unexpected; keep the file and report it",
    };
    format!("the store {}: {mend} ({error})", path.display())
}
