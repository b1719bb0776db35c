//! One append, inside the writer's transaction: what was asked before, what is
//! expected, the entry, and the user that it folds into.

use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::ledger::{Draft, Entry, Event};
use portcullis_core::user::User;
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
        None => User::default(),
    };
    if let Expect::At(revision) = expect
        && revision != before.revision
    {
        return Err(AppendError::Conflict {
            actual: before.revision,
        }
        .into());
    }
    let (entry, _) = add(tx, draft, &body, &before, idempotency)?;
    Ok(Appended {
        entry,
        repeated: false,
    })
}

/// Writes the entry behind all others, and the user as it is from then on.
pub(super) fn add(
    tx: &Connection,
    draft: Draft,
    body: &str,
    before: &User,
    idempotency: Option<&IdempotencyKey>,
) -> Result<(Entry, User), Refused> {
    let entry = Entry {
        seq: insert(tx, &draft, body, idempotency)?,
        draft,
    };
    let after = portcullis_core::ledger::apply(before, &entry);
    let draft = &entry.draft;
    if let Some((tenant, user)) = draft.tenant.as_ref().zip(draft.user.as_ref())
        && draft.event.changes_user()
    {
        let key = UserKey::new(tenant, user);
        people::write(tx, &key, before, &after)?;
        if draft.event == Event::Deleted {
            tokens::forget_user(tx, std::slice::from_ref(&key), draft.at)?;
        }
        if let Event::SessionRevoked { session } = &draft.event {
            sessions::end_of_all(tx, tenant.as_str(), &session.0)?;
        }
    }
    Ok((entry, after))
}

pub(super) fn encode(draft: &Draft) -> Result<String, Refused> {
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

pub(super) fn appended_before(
    tx: &Connection,
    key: &IdempotencyKey,
) -> Result<Option<Entry>, Refused> {
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
                   (seq, at, tenant, user, actor, action, body, idempotency, request_hash, batch)
               VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM events), ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
            draft.batch.as_ref().map(|batch| batch.as_str()),
        ],
        |row| row.get(0),
    )?;
    Ok(Revision(seq.0))
}
