//! API keys that were given to users, by the hash of each.

use portcullis_core::ids::{ApiKeyHash, TenantId, UserKey};
use rusqlite::{Connection, params};

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

/// Makes these the user's keys. One that is another's is reported and not taken over;
/// those that were the user's before stay so in name, until they are another's.
pub(super) fn write(
    tx: &Connection,
    key: &UserKey,
    number: u64,
    keys: &[ApiKeyHash],
) -> Result<(), Refused> {
    tx.prepare_cached("UPDATE api_keys SET former = 1 WHERE user = ?")?
        .execute([Number(number)])?;
    let sql = "INSERT INTO api_keys (tenant, hash, user, former) VALUES (?, ?, ?, 0)
               ON CONFLICT (tenant, hash) DO UPDATE SET user = excluded.user, former = 0
               WHERE former = 1";
    let mut give = tx.prepare_cached(sql)?;
    for hash in keys {
        if give.execute(params![key.tenant(), hash.0, Number(number)])? == 0 {
            return Err(taken(tx, key.tenant(), hash)?);
        }
    }
    Ok(())
}

fn taken(tx: &Connection, tenant: &str, hash: &ApiKeyHash) -> Result<Refused, Fault> {
    let sql = "SELECT u.key FROM api_keys a JOIN users u ON u.number = a.user
               WHERE a.tenant = ? AND a.hash = ?";
    let owner: String = tx
        .prepare_cached(sql)?
        .query_row(params![tenant, hash.0], |row| row.get(0))?;
    let user = people::whole_key(&owner)?;
    Ok(AppendError::ApiKeyTaken { user }.into())
}
