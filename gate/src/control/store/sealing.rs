//! From version 5 of the store to version 6: users get numbers and keys, and what
//! their entries say of them is sealed.

use std::collections::HashMap;

use portcullis_core::ids::UserKey;
use portcullis_core::ledger::Draft;
use portcullis_core::user::User;
use rusqlite::{Connection, params};

use super::append::{Refused, Written, encode};
use super::columns::Number;
use super::fault::Fault;
use super::people::{self, Row};
use super::vault::Vault;

pub(super) fn take_over(tx: &Connection) -> Result<(), Fault> {
    let vault = Vault::open(tx)?;
    let mut rows = users(tx)?;
    let mut all = tx.prepare(
        "SELECT seq, at, tenant, user, actor, action, body, idempotency, request_hash, batch
         FROM events_5 ORDER BY seq",
    )?;
    let mut old = all.query([])?;
    while let Some(row) = old.next()? {
        let body: String = row.get(6)?;
        let seq: Number = row.get(0)?;
        let draft: Draft = serde_json::from_str(&body)
            .map_err(|error| Fault::garbled(format!("entry {} of the ledger", seq.0), error))?;
        let about = draft.tenant.as_ref().zip(draft.user.as_ref());
        let about = about.map(|(tenant, user)| UserKey::new(tenant, user));
        let about = match &about {
            Some(key) => Some(number(tx, &mut rows, key)?),
            None => None,
        };
        let text = encode(&draft).map_err(|refused| match refused {
            Refused::Fault(fault) => fault,
            Refused::Append(error) => Fault::garbled("an entry of the ledger", error),
        })?;
        let written = Written::of(&draft, &text, about)?;
        let retry: Option<String> = row.get(7)?;
        let retry = match retry {
            Some(text) => Some(vault.retry_as_kept(&text, &row.get::<_, [u8; 32]>(8)?)),
            None => None,
        };
        let sql = "INSERT INTO events (seq, at, tenant, user, actor, action, body, sealed,
                                       idempotency, request_hash, batch)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        tx.prepare_cached(sql)?.execute(params![
            seq,
            row.get::<_, Number>(1)?,
            row.get::<_, Option<String>>(2)?,
            about.map(|row| Number(row.number)),
            row.get::<_, String>(4)?,
            row.get::<_, String>(5)?,
            written.body,
            written.sealed,
            retry.as_ref().map(|retry| retry.key),
            retry.as_ref().map(|retry| retry.request),
            row.get::<_, Option<String>>(9)?,
        ])?;
    }
    Ok(())
}

/// Every user's row, by key.
fn users(tx: &Connection) -> Result<HashMap<String, Row>, Fault> {
    let mut rows = HashMap::new();
    let mut all = tx.prepare("SELECT key, body FROM users_5 ORDER BY key")?;
    let mut old = all.query([])?;
    while let Some(row) = old.next()? {
        let (key, body): (String, String) = (row.get(0)?, row.get(1)?);
        let user = people::user(&key, &body)?;
        let row = insert(tx, &key, &user)?;
        rows.insert(key, row);
    }
    Ok(rows)
}

/// The row of whom an entry is about, who may be nothing but spoken of.
fn number<'a>(
    tx: &Connection,
    rows: &'a mut HashMap<String, Row>,
    key: &UserKey,
) -> Result<&'a Row, Fault> {
    if !rows.contains_key(key.as_str()) {
        let row = insert(tx, key.as_str(), &User::default())?;
        rows.insert(key.as_str().to_owned(), row);
    }
    rows.get(key.as_str())
        .ok_or_else(|| Fault::garbled(format!("user {:?}", key.as_str()), "it has no row"))
}

fn insert(tx: &Connection, key: &str, user: &User) -> Result<Row, Fault> {
    let body = serde_json::to_string(user)
        .map_err(|error| Fault::garbled(format!("user {key:?}"), error))?;
    let sql = "INSERT INTO users (key, revision, deleted, body) VALUES (?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute(params![
        key,
        Number(user.revision.0),
        user.deleted_at.is_some(),
        body
    ])?;
    Row::with_seal(tx)
}
