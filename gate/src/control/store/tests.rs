//! Tests of the embedded store: what every ledger promises, and its own promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crash;
mod disk;
mod files;
mod fold;
mod forget;
mod migrate;
mod queries;

use std::sync::Arc;

use portcullis_core::ids::Revision;
use portcullis_core::time::Timestamp;
use tempfile::TempDir;

use super::{SessionWrite, SqliteStore};
use crate::control::ledger::conformance::{Home, key, ledger_promises};
use crate::control::ledger::{AppendError, Ledger};
use crate::live::sessions::{Learnt, Place};

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
fn session(mark: u8, user: &str, learnt_at_revision: u64) -> Learnt {
    Learnt {
        hash: [mark; 32],
        user: key(user),
        learnt_at: Revision(learnt_at_revision),
        first_seen: Timestamp(1_000),
        last_seen: Timestamp(1_500),
        place: Place {
            name: "sid".into(),
            path: Some("/app".into()),
            domain: None,
        },
        address: Some([192, 0, 2, 7].into()),
        agent: Some("Tests/1".into()),
        ended: None,
    }
}

async fn learn(store: &SqliteStore, session: Learnt) -> Result<(), AppendError> {
    store
        .write_sessions(vec![SessionWrite::Learnt(session)])
        .await
}

ledger_promises!(Folder::fresh());
