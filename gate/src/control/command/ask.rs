//! What is asked: who, for what, on which terms.

use portcullis_core::ids::{BatchId, HoldName, ReasonKey, Revision, TenantId, UserKey};
use portcullis_core::ledger::Role;
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Access, Hold, Kind, Source};

use crate::control::ledger::IdempotencyKey;
use crate::control::store::TokenRow;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What the ledger names as the actor: the token's name or id.
    pub actor: String,
    pub role: Role,
    /// `None`: all tenants.
    pub tenant: Option<TenantId>,
    pub source: Source,
    /// The id of the token that it came with.
    pub token: Option<String>,
    /// The user whom that token belongs to, by id.
    pub user: Option<UserKey>,
}

impl Caller {
    /// The gate itself: time that passed, and what it does on its own account.
    pub fn gate() -> Self {
        Self::operator("gate", Source::Gate)
    }

    /// Somebody who holds the store in their hands.
    pub fn command_line() -> Self {
        Self::operator("command line", Source::Command)
    }

    fn operator(actor: &str, source: Source) -> Self {
        Self {
            actor: actor.to_owned(),
            role: Role::GlobalAdmin,
            tenant: None,
            source,
            token: None,
            user: None,
        }
    }

    /// Whoever holds the token, which is `user`'s.
    pub(in crate::control) fn by_token(row: &TokenRow, user: Option<UserKey>) -> Self {
        let nameless = row.name.is_empty();
        Self {
            actor: if nameless { &row.id } else { &row.name }.clone(),
            role: row.role,
            tenant: row.tenant.clone(),
            source: Source::Api,
            token: Some(row.id.clone()),
            user,
        }
    }
}

/// What goes with every ask.
#[derive(Clone, Debug, Default)]
pub struct Note {
    pub approver: Option<String>,
    pub ticket: Option<String>,
    pub comment: Option<String>,
    /// The bulk call that the ask is part of.
    pub batch: Option<BatchId>,
}

/// How the ask is to be taken.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The user must still be at this revision (`If-Match`).
    pub at_revision: Option<Revision>,
    pub idempotency: Option<IdempotencyKey>,
    /// Say what would happen and change nothing.
    pub dry_run: bool,
}

/// A suspension, as asked for.
#[derive(Clone, Debug)]
pub struct Suspend {
    pub hold: HoldName,
    pub kind: Kind,
    pub access: Access,
    pub reason: Option<ReasonKey>,
    pub reason_text: Option<String>,
    /// `None`: now.
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub revoke_sessions: bool,
    pub disable_api_keys: bool,
}

impl Default for Suspend {
    /// Who asks for nothing special lets nobody in by oversight.
    fn default() -> Self {
        Self {
            hold: HoldName::admin(),
            kind: Kind::Permanent,
            access: Access::None,
            reason: None,
            reason_text: None,
            starts_at: None,
            ends_at: None,
            revoke_sessions: true,
            disable_api_keys: true,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Restore {
    /// `None`: every hold that the caller may lift.
    pub hold: Option<HoldName>,
    /// All or nothing: for callers who are told "active" and nothing else.
    pub whole: bool,
    pub restore_api_keys: bool,
}

/// The hold that `ask` places.
pub(super) fn hold(by: &Caller, ask: &Suspend, note: &Note, now: Timestamp) -> Hold {
    Hold {
        name: ask.hold.clone(),
        kind: ask.kind,
        access: ask.access,
        reason: ask.reason.clone(),
        reason_text: ask.reason_text.clone(),
        source: by.source,
        actor: by.actor.clone(),
        approver: note.approver.clone(),
        ticket: note.ticket.clone(),
        comment: note.comment.clone(),
        placed_at: now,
        starts_at: ask.starts_at.unwrap_or(now),
        ends_at: ask.ends_at,
        disables_api_keys: ask.disable_api_keys,
        revokes_sessions: ask.revoke_sessions,
        begun: false,
    }
}
