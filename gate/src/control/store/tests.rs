//! Tests of the embedded store: what every ledger promises, and its own promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod disk;
mod files;
mod fold;
mod queries;

use std::sync::Arc;

use portcullis_core::ids::{Revision, UserId};
use portcullis_core::time::Timestamp;
use tempfile::TempDir;

use super::{SessionRow, SqliteStore};
use crate::control::ledger::Ledger;
use crate::control::ledger::conformance::{Home, ledger_promises, tenant};

struct Folder(TempDir);

impl Folder {
    fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(self.0.path()).unwrap()
    }
}

impl Home for Folder {
    fn open(&self) -> Arc<dyn Ledger> {
        Arc::new(self.store())
    }
}

/// A session with a hash made of `mark`.
fn session(mark: u8, user: &str, learnt_at_revision: u64) -> SessionRow {
    SessionRow {
        tenant: tenant("acme"),
        hash: [mark; 32],
        user: UserId::parse(user).unwrap(),
        learnt_at_revision: Revision(learnt_at_revision),
        learnt_at: Timestamp(1_000),
        expires_at: Some(Timestamp(2_000)),
        path: None,
        domain: None,
    }
}

ledger_promises!(Folder::fresh());
