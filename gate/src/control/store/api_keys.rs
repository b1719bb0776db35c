//! API keys that were given to users, by the hash of each.

use portcullis_core::ids::{ApiKeyHash, TenantId, UserKey};
use rusqlite::{Connection, OptionalExtension, params};

use super::append::Refused;
use super::columns::Number;
use super::fault::Fault;
use super::{SqliteStore, people};
use crate::control::ledger::{AppendError, ReadError};

impl SqliteStore {
    /// Hands every API key to `take`, with whose it is, or was. Blocks on the disk.
    pub fn load_api_keys(
        &self,
        mut take: impl FnMut(TenantId, ApiKeyHash, UserKey),
    ) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let sql = "SELECT a.hash, u.key FROM api_keys a JOIN users u ON u.number = a.user";
            let mut all = reader.prepare(sql)?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                let key: String = row.get(1)?;
                let user = people::whole_key(&key)?;
                let tenant = TenantId::parse(user.tenant())
                    .map_err(|error| Fault::garbled(format!("user {key:?}"), error))?;
                take(tenant, ApiKeyHash(row.get(0)?), user);
            }
            Ok(())
        })
    }
}

/// Refuses keys that are another user's, before anything is written: they are reported
/// and never taken over. `number`: the user's own; `None`: it has no row yet.
pub(super) fn check(
    tx: &Connection,
    tenant: &str,
    number: Option<u64>,
    keys: &[ApiKeyHash],
) -> Result<(), Refused> {
    let sql = "SELECT u.number, u.key FROM api_keys a JOIN users u ON u.number = a.user
               WHERE a.tenant = ? AND a.hash = ? AND a.former = 0";
    let mut owner = tx.prepare_cached(sql)?;
    for hash in keys {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Number>(0)?.0, row.get(1)?));
        let owner: Option<(u64, String)> =
            owner.query_row(params![tenant, hash.0], row).optional()?;
        if let Some((_, owner)) = owner.filter(|(owner, _)| Some(*owner) != number) {
            let user = people::whole_key(&owner)?;
            return Err(AppendError::ApiKeyTaken { user }.into());
        }
    }
    Ok(())
}

/// Makes the keys that [`check`] let pass the user's. Those that were the user's
/// before stay so in name, until they are another's.
pub(super) fn write(
    tx: &Connection,
    key: &UserKey,
    number: u64,
    keys: &[ApiKeyHash],
) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE api_keys SET former = 1 WHERE user = ?")?
        .execute([Number(number)])?;
    let sql = "INSERT INTO api_keys (tenant, hash, user, former) VALUES (?, ?, ?, 0)
               ON CONFLICT (tenant, hash) DO UPDATE SET user = excluded.user, former = 0
               WHERE former = 1 OR user = excluded.user";
    let mut give = tx.prepare_cached(sql)?;
    for hash in keys {
        if give.execute(params![key.tenant(), hash.0, Number(number)])? == 0 {
            return Err(Fault::garbled("an API key", "it is two users'"));
        }
    }
    Ok(())
}
