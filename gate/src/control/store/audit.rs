//! Reading entries: in order for those who follow the ledger, filtered for those
//! who ask what happened.

use portcullis_core::ids::{BatchId, Revision, TenantId, UserId, UserKey};
use portcullis_core::ledger::{Draft, Entry};
use portcullis_core::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::columns::Number;
use super::fault::Fault;
use super::vault::{Seal, Vault};
use super::{SqliteStore, people};
use crate::control::ledger::ReadError;

/// What to look for; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub tenant: Option<TenantId>,
    pub user: Option<UserKey>,
    pub actor: Option<String>,
    /// As [`portcullis_core::ledger::Event::action`] names it.
    pub action: Option<String>,
    /// The bulk call that the entries are part of.
    pub batch: Option<BatchId>,
    /// The ticket that the entries belong to, to the letter.
    pub ticket: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Only entries before this one: newest first, the next page of a list.
    pub before: Option<Revision>,
    /// Only entries after this one, and the oldest first.
    pub after: Option<Revision>,
    pub limit: usize,
}

/// A page of entries; more where `next` is given, as `before` (or as `after`
/// where that was asked for).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    pub entries: Vec<Entry>,
    pub next: Option<Revision>,
}

impl SqliteStore {
    /// The entries that `query` describes, newest first, or oldest first where
    /// `after` is given. Blocks on the disk.
    pub fn audit(&self, query: &AuditQuery) -> Result<AuditPage, ReadError> {
        self.readers.look(|reader| page(reader, query))
    }
}

/// What an entry is read from; [`entry`] reads it.
const COLUMNS: &str = "e.seq, e.body, e.sealed, u.number, u.key, s.seal";
const FROM: &str = "events e LEFT JOIN users u ON u.number = e.user
                    LEFT JOIN seals s ON s.number = e.user";

/// An entry from its row: all of it, or what remains where its user is deleted.
pub(super) fn entry(row: &rusqlite::Row<'_>) -> Result<Entry, Fault> {
    let seq = Revision(row.get::<_, Number>(0)?.0);
    let garbled = |cause: String| Fault::garbled(format!("entry {seq} of the ledger"), cause);
    let (sealed, seal): (Option<Vec<u8>>, Option<Seal>) = (row.get(2)?, row.get(5)?);
    let seal = seal.filter(|seal| !seal.is_forgotten());
    let draft: Result<Draft, _> = match (sealed, seal) {
        (Some(sealed), Some(seal)) => {
            let number: Number = row.get(3)?;
            let text = seal.open(number.0, &sealed);
            let text = text.ok_or_else(|| garbled("it does not open by its user's key".into()))?;
            serde_json::from_slice(&text)
        }
        (Some(_) | None, _) => {
            let body = row.get_ref(1)?.as_str();
            serde_json::from_str(body.map_err(|error| garbled(error.to_string()))?)
        }
    };
    let mut draft = draft.map_err(|error| garbled(error.to_string()))?;
    let key: Option<String> = row.get(4)?;
    let key = key.as_deref().map(people::whole_key).transpose()?;
    draft.user = key.and_then(|key| UserId::parse(key.user()).ok());
    Ok(Entry { seq, draft })
}

pub(super) fn entry_at(reader: &Connection, seq: Revision) -> Result<Option<Entry>, Fault> {
    let before = Revision(seq.0.saturating_sub(1));
    let found = entries_after(reader, before, 1)?;
    Ok(found.into_iter().find(|entry| entry.seq == seq))
}

pub(super) fn entries_after(
    reader: &Connection,
    after: Revision,
    limit: usize,
) -> Result<Vec<Entry>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE e.seq > ? ORDER BY e.seq LIMIT ?");
    let mut some = reader.prepare_cached(&sql)?;
    read(some.query(params![Number(after.0), Number(limit as u64)])?)
}

fn read(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// The entries about a user that tell what was done, the oldest first.
pub(super) fn changes_of(reader: &Connection, user: &UserKey) -> Result<Vec<Entry>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM}
         WHERE e.user = (SELECT number FROM users WHERE key = ?) AND e.action <> 'refused'
         ORDER BY e.seq"
    );
    let mut all = reader.prepare_cached(&sql)?;
    read(all.query([user.as_str()])?)
}

pub(super) fn last_change(
    reader: &Connection,
    vault: &Vault,
    user: &UserKey,
) -> Result<Option<Entry>, Fault> {
    let met = people::meet(reader, vault, user)?;
    match met.user.revision {
        Revision(0) => Ok(None),
        revision => entry_at(reader, revision),
    }
}

fn page(reader: &Connection, query: &AuditQuery) -> Result<AuditPage, Fault> {
    let mut conditions = vec!["TRUE"];
    let mut values: Vec<Value> = Vec::new();
    let mut require = |condition: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |number: u64| Number(number).value();
    let tenant = query.tenant.as_ref();
    require("e.tenant = ?", tenant.map(|tenant| text(tenant.as_str())));
    require(
        "e.user = (SELECT number FROM users WHERE key = ?)",
        query.user.as_ref().map(|user| text(user.as_str())),
    );
    require("e.actor = ?", query.actor.as_deref().map(text));
    require("e.action = ?", query.action.as_deref().map(text));
    let batch = query.batch.as_ref();
    require("e.batch = ?", batch.map(|batch| text(batch.as_str())));
    require("e.ticket = ?", query.ticket.as_deref().map(text));
    require("e.at >= ?", query.since.map(|at| number(at.0)));
    require("e.at < ?", query.until.map(|at| number(at.0)));
    require("e.seq < ?", query.before.map(|seq| number(seq.0)));
    require("e.seq > ?", query.after.map(|seq| number(seq.0)));
    // One more than asked for: whether there is a next page.
    values.push(Number((query.limit as u64).saturating_add(1)).value());
    let order = if query.after.is_some() { "ASC" } else { "DESC" };
    let conditions = conditions.join(" AND ");
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE {conditions} ORDER BY e.seq {order} LIMIT ?");
    let mut some = reader.prepare_cached(&sql)?;
    let mut entries = read(some.query(params_from_iter(values))?)?;
    let more = entries.len() > query.limit;
    entries.truncate(query.limit);
    let next = entries.last().map(|entry| entry.seq).filter(|_| more);
    Ok(AuditPage { entries, next })
}
