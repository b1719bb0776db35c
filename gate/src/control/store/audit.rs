//! Reading entries: in order for those who follow the ledger, filtered for those
//! who ask what happened.

use portcullis_core::ids::{BatchId, Revision, TenantId, UserId, UserKey};
use portcullis_core::ledger::Entry;
use portcullis_core::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::SqliteStore;
use super::columns::Number;
use super::fault::Fault;
use crate::control::ledger::ReadError;

/// What to look for; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub tenant: Option<TenantId>,
    pub user: Option<UserId>,
    pub actor: Option<String>,
    /// As [`portcullis_core::ledger::Event::action`] names it.
    pub action: Option<String>,
    /// The bulk call that the entries are part of.
    pub batch: Option<BatchId>,
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

/// An entry from its row.
pub(super) fn entry(seq: Revision, body: &str) -> Result<Entry, Fault> {
    let draft = serde_json::from_str(body)
        .map_err(|error| Fault::garbled(format!("entry {seq} of the ledger"), error))?;
    Ok(Entry { seq, draft })
}

pub(super) fn entries_after(
    reader: &Connection,
    after: Revision,
    limit: usize,
) -> Result<Vec<Entry>, Fault> {
    let sql = "SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?";
    let mut some = reader.prepare_cached(sql)?;
    let mut rows = some.query(params![Number(after.0), Number(limit as u64)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(
            Revision(row.get::<_, Number>(0)?.0),
            row.get_ref(1)?
                .as_str()
                .map_err(|error| Fault::garbled("the ledger", error))?,
        )?);
    }
    Ok(entries)
}

pub(super) fn last_change(reader: &Connection, user: &UserKey) -> Result<Option<Entry>, Fault> {
    let sql = "SELECT e.seq, e.body FROM users u JOIN events e ON e.seq = u.revision
               WHERE u.key = ?";
    let row = reader
        .prepare_cached(sql)?
        .query_row([user.as_str()], |row| {
            Ok((row.get::<_, Number>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    row.map(|(seq, body)| entry(Revision(seq.0), &body))
        .transpose()
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
    require(
        "tenant = ?",
        query.tenant.as_ref().map(|tenant| text(tenant.as_str())),
    );
    require(
        "user = ?",
        query.user.as_ref().map(|user| text(user.as_str())),
    );
    require("actor = ?", query.actor.as_deref().map(text));
    require("action = ?", query.action.as_deref().map(text));
    require(
        "batch = ?",
        query.batch.as_ref().map(|batch| text(batch.as_str())),
    );
    require("at >= ?", query.since.map(|at| Number(at.0).value()));
    require("at < ?", query.until.map(|at| Number(at.0).value()));
    require("seq < ?", query.before.map(|seq| Number(seq.0).value()));
    require("seq > ?", query.after.map(|seq| Number(seq.0).value()));
    // One more than asked for: whether there is a next page.
    values.push(Number((query.limit as u64).saturating_add(1)).value());
    let order = if query.after.is_some() { "ASC" } else { "DESC" };
    let conditions = conditions.join(" AND ");
    let sql =
        format!("SELECT seq, body FROM events WHERE {conditions} ORDER BY seq {order} LIMIT ?");
    let mut some = reader.prepare_cached(&sql)?;
    let mut rows = some.query(params_from_iter(values))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        entries.push(entry(Revision(row.get::<_, Number>(0)?.0), &body)?);
    }
    let more = entries.len() > query.limit;
    entries.truncate(query.limit);
    let next = entries.last().map(|entry| entry.seq).filter(|_| more);
    Ok(AuditPage { entries, next })
}
