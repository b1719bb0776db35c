//! The fold in tables: a user's row, its holds, and the names that mean it.

use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::user::User;
use rusqlite::{Connection, OptionalExtension, params};

use super::append::Refused;
use super::columns::Number;
use super::fault::Fault;
use super::vault::{Seal, Vault};
use super::{api_keys, names, sessions};

/// A user as the store knows it, or would.
pub(super) struct Met {
    /// As it is called here: a deleted user by the pseudonym.
    pub(super) key: UserKey,
    /// `None`: no row yet.
    pub(super) row: Option<Row>,
    /// A default one where nothing is known.
    pub(super) user: User,
}

pub(super) struct Row {
    pub(super) number: u64,
    /// `None`: the user is deleted.
    pub(super) seal: Option<Seal>,
}

impl Row {
    /// The row of `users` that has just been written, with a key for its entries.
    pub(super) fn with_seal(tx: &Connection) -> Result<Self, Fault> {
        let number = u64::try_from(tx.last_insert_rowid()).unwrap_or_default();
        let seal = Seal::fresh()?;
        tx.prepare_cached("INSERT INTO seals (number, seal) VALUES (?, ?)")?
            .execute(params![Number(number), seal])?;
        Ok(Self {
            number,
            seal: Some(seal),
        })
    }
}

/// The user whom `key` means, also by a name that has been forgotten.
pub(super) fn meet(connection: &Connection, vault: &Vault, key: &UserKey) -> Result<Met, Fault> {
    if let Some(met) = by_key(connection, key.as_str())? {
        return Ok(met);
    }
    if let Some(met) = forgotten(connection, vault, key)? {
        return Ok(met);
    }
    if let Some(phone) = dialled(key)
        && let Some(met) = by_key(connection, phone.as_str())?
    {
        return Ok(met);
    }
    Ok(Met {
        key: key.clone(),
        row: None,
        user: User::default(),
    })
}

fn by_key(connection: &Connection, key: &str) -> Result<Option<Met>, Fault> {
    let sql = "SELECT u.number, s.seal, u.key, u.body
               FROM users u LEFT JOIN seals s ON s.number = u.number WHERE u.key = ?";
    let found = connection
        .prepare_cached(sql)?
        .query_row([key], columns)
        .optional()?;
    found.map(met).transpose()
}

/// The deleted user who had that name.
pub(super) fn forgotten(
    connection: &Connection,
    vault: &Vault,
    name: &UserKey,
) -> Result<Option<Met>, Fault> {
    if !any_forgotten(connection)? {
        return Ok(None);
    }
    let found = forgotten_name(connection, vault, name)?;
    if found.is_some() {
        return Ok(found);
    }
    // A phone number may begin with `00` instead of `+`.
    match dialled(name) {
        Some(phone) => forgotten_name(connection, vault, &phone),
        None => Ok(None),
    }
}

/// Whether anybody has been deleted at all.
pub(super) fn any_forgotten(connection: &Connection) -> Result<bool, Fault> {
    let any = "SELECT 1 FROM forgotten LIMIT 1";
    Ok(connection.prepare_cached(any)?.exists([])?)
}

/// The key with the plus, of a name that could be a phone number without it.
pub(super) fn dialled(name: &UserKey) -> Option<UserKey> {
    let phone = portcullis_core::names::dialled(name.user())?;
    key(name.tenant(), &phone).ok()
}

pub(super) fn forgotten_name(
    connection: &Connection,
    vault: &Vault,
    name: &UserKey,
) -> Result<Option<Met>, Fault> {
    let sql = "SELECT u.number, NULL, u.key, u.body
               FROM forgotten f JOIN users u ON u.number = f.user WHERE f.name = ?";
    let found = connection
        .prepare_cached(sql)?
        .query_row([vault.pseudonyms.of(name).0], columns)
        .optional()?;
    found.map(met).transpose()
}

type Columns = (Number, Option<Seal>, String, String);

fn columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn met((number, seal, key, body): Columns) -> Result<Met, Fault> {
    Ok(Met {
        user: user(&key, &body)?,
        key: whole_key(&key)?,
        row: Some(Row {
            number: number.0,
            seal: seal.filter(|seal| !seal.is_forgotten()),
        }),
    })
}

/// What is known of the user; `None`: nothing.
pub(super) fn find(
    connection: &Connection,
    vault: &Vault,
    key: &UserKey,
) -> Result<Option<User>, Fault> {
    let met = meet(connection, vault, key)?;
    Ok((met.user.revision > Revision(0)).then_some(met.user))
}

/// A user from its row.
pub(super) fn user(key: &str, body: &str) -> Result<User, Fault> {
    serde_json::from_str(body).map_err(|error| Fault::garbled(format!("user {key:?}"), error))
}

/// A key from its parts.
pub(super) fn key(tenant: &str, id: &str) -> Result<UserKey, Fault> {
    let garbled = |error| Fault::garbled(format!("user {id:?} of tenant {tenant:?}"), error);
    let tenant = TenantId::parse(tenant).map_err(garbled)?;
    let id = UserId::parse(id).map_err(garbled)?;
    Ok(UserKey::new(&tenant, &id))
}

/// A key from one column.
pub(super) fn whole_key(text: &str) -> Result<UserKey, Fault> {
    let (tenant, id) = text.split_once('/').unwrap_or((text, ""));
    key(tenant, id)
}

/// Refuses what may not be written of the user, before anything is.
pub(super) fn check(
    tx: &Connection,
    vault: &Vault,
    met: &Met,
    after: &User,
) -> Result<(), Refused> {
    names::check(tx, vault, &met.key, &met.user, after)?;
    let keys = &after.profile.api_keys;
    if met.user.profile.api_keys != *keys {
        let number = met.row.as_ref().map(|row| row.number);
        api_keys::check(tx, met.key.tenant(), number, keys)?;
    }
    Ok(())
}

/// Makes the tables say `after` of the user, which [`check`] let pass, and sees to it
/// that there is a row.
pub(super) fn write(tx: &Connection, vault: &Vault, met: Met, after: &User) -> Result<Met, Fault> {
    let Met {
        key,
        row,
        user: before,
    } = met;
    let row = match row {
        Some(row) => {
            let sql = "UPDATE users SET revision = ?, deleted = ?, body = ? WHERE number = ?";
            tx.prepare_cached(sql)?.execute(params![
                Number(after.revision.0),
                after.deleted_at.is_some(),
                body(&key, after)?,
                Number(row.number),
            ])?;
            row
        }
        None => insert(tx, &key, after)?,
    };
    if before.holds != after.holds {
        write_holds(tx, &key, &before, after)?;
    }
    names::write(tx, vault, &key, &before, after)?;
    if before.profile.api_keys != after.profile.api_keys {
        api_keys::write(tx, &key, row.number, &after.profile.api_keys)?;
    }
    Ok(Met {
        key,
        row: Some(row),
        user: before,
    })
}

fn body(key: &UserKey, user: &User) -> Result<String, Fault> {
    serde_json::to_string(user)
        .map_err(|error| Fault::garbled(format!("user {:?}", key.as_str()), error))
}

fn insert(tx: &Connection, key: &UserKey, user: &User) -> Result<Row, Fault> {
    let sql = "INSERT INTO users (key, revision, deleted, body) VALUES (?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute(params![
        key.as_str(),
        Number(user.revision.0),
        user.deleted_at.is_some(),
        body(key, user)?,
    ])?;
    Row::with_seal(tx)
}

fn write_holds(tx: &Connection, key: &UserKey, before: &User, user: &User) -> Result<(), Fault> {
    if !before.holds.is_empty() {
        tx.prepare_cached("DELETE FROM holds WHERE key = ?")?
            .execute([key.as_str()])?;
    }
    let sql = "INSERT INTO holds (key, name, kind, reason, starts_at, ends_at)
               VALUES (?, ?, ?, ?, ?, ?)";
    let mut insert = tx.prepare_cached(sql)?;
    for hold in &user.holds {
        // The columns tell by the clock which holds are in force, and one that has
        // begun stays so though the clock is set back.
        let starts_at = if hold.begun { 0 } else { hold.starts_at.0 };
        insert.execute(params![
            key.as_str(),
            hold.name.as_str(),
            hold.kind.as_str(),
            hold.reason.as_ref().map(|reason| reason.as_str()),
            Number(starts_at),
            hold.ends_at.map(|end| Number(end.0)),
        ])?;
    }
    Ok(())
}

/// Forgets whom a deleted user was: the row is called by a pseudonym from now on, the
/// key of its entries is gone, and so is every name. Returns it, and the names.
pub(super) fn forget(
    tx: &Connection,
    vault: &Vault,
    key: &UserKey,
    number: u64,
) -> Result<(UserKey, Vec<UserKey>), Fault> {
    let pseudonym = vault.pseudonyms.key(key);
    let pseudonym = pseudonym.ok_or_else(|| Fault::garbled("a pseudonym", "it is no name"))?;
    let all = names::take_all(tx, key)?;
    tx.prepare_cached("DELETE FROM holds WHERE key = ?")?
        .execute([key.as_str()])?;
    tx.prepare_cached("UPDATE users SET key = ? WHERE number = ?")?
        .execute(params![pseudonym.as_str(), Number(number)])?;
    tx.prepare_cached("UPDATE seals SET seal = zeroblob(32) WHERE number = ?")?
        .execute([Number(number)])?;
    // They are this user's for good.
    tx.prepare_cached("UPDATE api_keys SET former = 0 WHERE user = ?")?
        .execute([Number(number)])?;
    tx.prepare_cached("UPDATE meta SET value = value + 1 WHERE name = 'unscrubbed'")?
        .execute([])?;
    let sql = "INSERT INTO forgotten (name, user) VALUES (?, ?)
               ON CONFLICT (name) DO UPDATE SET user = excluded.user";
    let mut remember = tx.prepare_cached(sql)?;
    for name in &all {
        remember.execute(params![vault.pseudonyms.of(name).0, Number(number)])?;
        sessions::forget_owner(tx, name, &pseudonym)?;
    }
    Ok((pseudonym, all))
}
