//! One append, inside the writer's transaction: what was asked before, what is
//! expected, the entry, and the user that it folds into.

use portcullis_core::ids::{Revision, UserId, UserKey};
use portcullis_core::ledger::{Draft, Entry, Event};
use portcullis_core::user::User;
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::Number;
use super::fault::Fault;
use super::people::{Met, Row};
use super::vault::{Farewell, Vault};
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
    vault: &Vault,
    draft: Draft,
    expect: Expect,
    idempotency: Option<&IdempotencyKey>,
) -> Result<Appended, Refused> {
    let text = encode(&draft)?;
    // Before `expect`: the first attempt has moved the revision that a retry expects.
    if let Some(key) = idempotency
        && let Some(first) = appended_before(tx, vault, key)?
    {
        return Ok(Appended {
            entry: first,
            repeated: true,
        });
    }
    let key = draft.tenant.as_ref().zip(draft.user.as_ref());
    let key = key.map(|(tenant, user)| UserKey::new(tenant, user));
    let met = match &key {
        Some(key) => Some(people::meet(tx, vault, key)?),
        None if draft.event.changes_user() => return Err(AppendError::Nameless.into()),
        None => None,
    };
    let actual = met.as_ref().map(|met| met.user.revision);
    let actual = actual.unwrap_or_default();
    if let Expect::At(revision) = expect
        && revision != actual
    {
        return Err(AppendError::Conflict { actual }.into());
    }
    let pen = Pen {
        tx,
        vault,
        idempotency,
    };
    let entry = match met {
        Some(met) => pen.add(draft, &text, met)?.0,
        None => pen.add_nameless(draft, &text)?,
    };
    Ok(Appended {
        entry,
        repeated: false,
    })
}

/// What writing an entry takes.
pub(super) struct Pen<'a> {
    pub(super) tx: &'a Connection,
    pub(super) vault: &'a Vault,
    pub(super) idempotency: Option<&'a IdempotencyKey>,
}

impl Pen<'_> {
    /// Writes an entry about a user behind all others, and the user as it is from
    /// then on. `text` is [`encode`]'s. What is refused is so before anything is
    /// written: many are changed in one job, and no savepoint stands between them.
    pub(super) fn add(
        &self,
        mut draft: Draft,
        text: &str,
        met: Met,
    ) -> Result<(Entry, User), Refused> {
        // A deleted user is named by what is left of it.
        draft.user = UserId::parse(met.key.user()).ok();
        let seq = next(self.tx)?;
        let entry = Entry { seq, draft };
        let after = portcullis_core::ledger::apply(&met.user, &entry);
        people::check(self.tx, self.vault, &met, &after)?;
        let entry = self.write(entry, text, met, &after)?;
        Ok((entry, after))
    }

    /// The entry as it is read from then on.
    fn write(&self, mut entry: Entry, text: &str, met: Met, after: &User) -> Result<Entry, Fault> {
        let (tx, vault, seq) = (self.tx, self.vault, entry.seq);
        let api_keys = met.user.profile.api_keys.len() as u64;
        let met = people::write(tx, vault, met, after)?;
        let row = met.row.as_ref();
        let row = row.ok_or_else(|| Fault::garbled("a user", "it has no row"))?;
        self.insert(&entry, text, Some(row))?;
        if entry.draft.event == Event::Deleted {
            let (pseudonym, names) = people::forget(tx, vault, &met.key, row.number)?;
            entry.draft.user = UserId::parse(pseudonym.user()).ok();
            tokens::forget_user(tx, &names, entry.draft.at)?;
            vault.leave_farewell(seq, Farewell { names, api_keys });
            vault.demand_scrub();
        }
        if let Event::SessionRevoked { session } = &entry.draft.event {
            sessions::end_of_all(tx, met.key.tenant(), &session.0)?;
        }
        let called = entry.draft.tenant.as_ref().zip(entry.draft.user.as_ref());
        let called = called.map(|(tenant, user)| UserKey::new(tenant, user));
        let called = called.filter(|_| entry.draft.event.changes_user());
        let fresh = called.map(|called| (called, after.clone()));
        vault.newest.add(entry.clone(), fresh);
        Ok(entry)
    }

    fn add_nameless(&self, draft: Draft, text: &str) -> Result<Entry, Refused> {
        let seq = next(self.tx)?;
        let entry = Entry { seq, draft };
        self.insert(&entry, text, None)?;
        self.vault.newest.add(entry.clone(), None);
        Ok(entry)
    }

    fn insert(&self, entry: &Entry, text: &str, about: Option<&Row>) -> Result<(), Fault> {
        let draft = &entry.draft;
        let retry = self.idempotency.map(|key| self.vault.retry(key));
        let written = Written::of(draft, text, about)?;
        let sql = "INSERT INTO events (seq, at, tenant, user, actor, action, body, sealed,
                                       idempotency, request_hash, batch)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.tx.prepare_cached(sql)?.execute(params![
            Number(entry.seq.0),
            Number(draft.at.0),
            draft.tenant.as_ref().map(|tenant| tenant.as_str()),
            about.map(|row| Number(row.number)),
            draft.actor,
            draft.event.action(),
            written.body,
            written.sealed,
            retry.as_ref().map(|retry| retry.key),
            retry.as_ref().map(|retry| retry.request),
            draft.batch.as_ref().map(|batch| batch.as_str()),
        ])?;
        Ok(())
    }
}

/// An entry as it lies in its row: what stays for ever, and beside it all of it,
/// for as long as its user's key is kept.
pub(super) struct Written {
    pub(super) body: String,
    pub(super) sealed: Option<Vec<u8>>,
}

impl Written {
    /// `text` is [`encode`]'s of `draft`.
    pub(super) fn of(draft: &Draft, text: &str, about: Option<&Row>) -> Result<Self, Fault> {
        let kept = about.and_then(|row| Some((row.number, row.seal.as_ref()?)));
        match (kept, draft.what_remains()) {
            (Some((number, seal)), Some(remains)) => Ok(Self {
                body: json(&remains)?,
                sealed: Some(seal.shut(number, text)?),
            }),
            // Of a deleted user, or not personal.
            (None, _) | (_, None) => Ok(Self {
                body: text.to_owned(),
                sealed: None,
            }),
        }
    }
}

/// The entry as JSON, without the user, whom the row names beside it.
pub(super) fn encode(draft: &Draft) -> Result<String, Refused> {
    let body = json(draft)?;
    if body.len() > ENTRY_BYTES_MAX {
        return Err(AppendError::TooLarge {
            bytes: body.len(),
            limit: ENTRY_BYTES_MAX,
        }
        .into());
    }
    Ok(body)
}

fn json(draft: &Draft) -> Result<String, Fault> {
    let nameless = Draft {
        user: None,
        ..draft.clone()
    };
    serde_json::to_string(&nameless).map_err(|error| Fault::garbled("the new entry", error))
}

pub(super) fn appended_before(
    tx: &Connection,
    vault: &Vault,
    key: &IdempotencyKey,
) -> Result<Option<Entry>, Refused> {
    let retry = vault.retry(key);
    let sql = "SELECT seq, request_hash = ?2 FROM events WHERE idempotency = ?1";
    let found = tx
        .prepare_cached(sql)?
        .query_row(params![retry.key, retry.request], |row| {
            Ok((row.get::<_, Number>(0)?.0, row.get::<_, bool>(1)?))
        })
        .optional()?;
    match found {
        None => Ok(None),
        Some((_, false)) => Err(AppendError::KeyReused.into()),
        Some((seq, true)) => Ok(audit::entry_at(tx, Revision(seq))?),
    }
}

fn next(tx: &Connection) -> Result<Revision, Refused> {
    let head: Number = tx
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))?;
    Ok(Revision(head.0 + 1))
}
