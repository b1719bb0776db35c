//! One append, inside the writer's transaction: what was asked before, what is
//! expected, the entry, and the user that it folds into.

use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::ledger::{Draft, Entry, Event};
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::Number;
use super::fault::Fault;
use super::{audit, people, sessions, tokens};
use crate::control::ledger::{AppendError, Appended, Expect, IdempotencyKey};

/// Longest entry as JSON, in bytes. Far above what the admin API lets in; it
/// keeps one entry from weighing on everyone who reads the ledger.
pub(super) const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// Why a job came to nothing: it was refused, or the store failed.
#[derive(Debug)]
pub(super) enum Refused {
    Append(AppendError),
    Fault(Fault),
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(error.into())
    }
}

pub(super) fn append(
    tx: &Connection,
    draft: Draft,
    expect: Expect,
    idempotency: Option<&IdempotencyKey>,
) -> Result<Appended, Refused> {
    let body = encode(&draft)?;
    // Before `expect`: the first attempt has moved the revision that a retry expects.
    if let Some(key) = idempotency
        && let Some(first) = appended_before(tx, key)?
    {
        return Ok(Appended {
            entry: first,
            repeated: true,
        });
    }
    let key = draft.tenant.as_ref().zip(draft.user.as_ref());
    let key = key.map(|(tenant, user)| UserKey::new(tenant, user));
    let before = match &key {
        Some(key) => people::find(tx, key)?.unwrap_or_default(),
        None if draft.event.changes_user() => return Err(AppendError::Nameless.into()),
        None => portcullis_core::user::User::default(),
    };
    if let Expect::At(revision) = expect
        && revision != before.revision
    {
        return Err(AppendError::Conflict {
            actual: before.revision,
        }
        .into());
    }
    let entry = Entry {
        seq: insert(tx, &draft, &body, idempotency)?,
        draft,
    };
    if let Some(key) = key
        && entry.draft.event.changes_user()
    {
        let after = portcullis_core::ledger::apply(&before, &entry);
        people::write(tx, &key, &before, &after)?;
        if entry.draft.event == Event::Deleted {
            tokens::forget_user(tx, std::slice::from_ref(&key), entry.draft.at)?;
        }
        if let Event::SessionRevoked { session } = &entry.draft.event {
            sessions::end_of_all(tx, key.tenant(), &session.0)?;
        }
    }
    Ok(Appended {
        entry,
        repeated: false,
    })
}

fn encode(draft: &Draft) -> Result<String, Refused> {
    let body =
        serde_json::to_string(draft).map_err(|error| Fault::garbled("the new entry", error))?;
    if body.len() > ENTRY_BYTES_MAX {
        return Err(AppendError::TooLarge {
            bytes: body.len(),
            limit: ENTRY_BYTES_MAX,
        }
        .into());
    }
    Ok(body)
}

fn appended_before(tx: &Connection, key: &IdempotencyKey) -> Result<Option<Entry>, Refused> {
    let sql = "SELECT seq, body, request_hash = ?2 FROM events WHERE idempotency = ?1";
    let found = tx
        .prepare_cached(sql)?
        .query_row(params![key.as_str(), key.request_hash()], |row| {
            Ok((
                row.get::<_, Number>(0)?.0,
                row.get::<_, String>(1)?,
                row.get::<_, bool>(2)?,
            ))
        })
        .optional()?;
    match found {
        None => Ok(None),
        Some((_, _, false)) => Err(AppendError::KeyReused.into()),
        Some((seq, body, true)) => Ok(Some(audit::entry(Revision(seq), &body)?)),
    }
}

fn insert(
    tx: &Connection,
    draft: &Draft,
    body: &str,
    idempotency: Option<&IdempotencyKey>,
) -> Result<Revision, Refused> {
    let sql = "INSERT INTO events
                   (seq, at, tenant, user, actor, action, body, idempotency, request_hash)
               VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM events), ?, ?, ?, ?, ?, ?, ?, ?)
               RETURNING seq";
    let seq: Number = tx.prepare_cached(sql)?.query_row(
        params![
            Number(draft.at.0),
            draft.tenant.as_ref().map(|tenant| tenant.as_str()),
            draft.user.as_ref().map(|user| user.as_str()),
            draft.actor,
            draft.event.action(),
            body,
            idempotency.map(IdempotencyKey::as_str),
            idempotency.map(IdempotencyKey::request_hash),
        ],
        |row| row.get(0),
    )?;
    Ok(Revision(seq.0))
}
