//! What came of an ask.

use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::plan::PlanError;
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Hold, User};

use crate::control::apply::Effect;
use crate::control::ledger::{AppendError, ReadError};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Done {
    pub key: UserKey,
    pub user: User,
    /// Nothing was to be done: things were as asked already.
    pub unchanged: bool,
    pub dry_run: bool,
    pub receipt: Receipt,
    /// The hold in whose place another was put, as it was.
    pub replaced: Option<Hold>,
}

/// What a change brought about, true when it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    pub revision: Revision,
    pub sessions_revoked: u64,
    pub connections_cut: u64,
    pub api_keys_disabled: u64,
    pub notifications_queued: u64,
    pub gates_total: u64,
    pub gates_in_force: u64,
    /// `None`: not in force anywhere yet (a hold that starts later, a dry run).
    pub in_force_at: Option<Timestamp>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("the user is at revision {actual} by now")]
    Stale { actual: Revision },
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a caller may not suspend or delete itself")]
    Oneself,
    #[error("the user is the last administrator; nobody would be left to administer")]
    LastAdministrator,
    #[error("the change is durable, but this gate could not follow the ledger to it")]
    NotInForce,
}

impl Receipt {
    pub(in crate::control) fn of(effect: &Effect) -> Self {
        Self {
            revision: effect.seq,
            sessions_revoked: effect.sessions_revoked,
            connections_cut: effect.connections_cut,
            api_keys_disabled: effect.api_keys_disabled,
            notifications_queued: 0,
            gates_total: 1,
            gates_in_force: 1,
            // Of an entry from before this start nobody knows when.
            in_force_at: Some(effect.in_force_at).filter(|at| at.0 > 0),
        }
    }
}
