//! The fold in tables: a user's row, its holds, and the names that mean it.

use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::user::User;
use rusqlite::{Connection, OptionalExtension, params};

use super::append::Refused;
use super::columns::Number;
use super::fault::Fault;
use super::sessions;
use crate::control::ledger::AppendError;

pub(super) fn find(connection: &Connection, key: &UserKey) -> Result<Option<User>, Fault> {
    let body: Option<String> = connection
        .prepare_cached("SELECT body FROM users WHERE key = ?")?
        .query_row([key.as_str()], |row| row.get(0))
        .optional()?;
    body.map(|body| user(key.as_str(), &body)).transpose()
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

/// Makes the tables say `after` where they said `before`.
pub(super) fn write(
    tx: &Connection,
    key: &UserKey,
    before: &User,
    after: &User,
) -> Result<(), Refused> {
    let body = serde_json::to_string(after)
        .map_err(|error| Fault::garbled(format!("user {:?}", key.as_str()), error))?;
    let sql = "INSERT INTO users (key, tenant, id, revision, deleted, sessions_revoked_at, body)
               VALUES (?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (key) DO UPDATE SET
                   revision = excluded.revision, deleted = excluded.deleted,
                   sessions_revoked_at = excluded.sessions_revoked_at, body = excluded.body";
    tx.prepare_cached(sql)?.execute(params![
        key.as_str(),
        key.tenant(),
        key.user(),
        Number(after.revision.0),
        after.deleted_at.is_some(),
        Number(after.sessions_revoked_at.0),
        body,
    ])?;
    if before.revision == Revision(0) {
        name(tx, key, key.user())?;
    }
    if before.holds != after.holds {
        write_holds(tx, key, after)?;
    }
    if before.profile != after.profile {
        write_aliases(tx, key, after)?;
    }
    Ok(())
}

fn write_holds(tx: &Connection, key: &UserKey, user: &User) -> Result<(), Refused> {
    tx.prepare_cached("DELETE FROM holds WHERE key = ?")?
        .execute([key.as_str()])?;
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

fn write_aliases(tx: &Connection, key: &UserKey, user: &User) -> Result<(), Refused> {
    let sql = "INSERT INTO former_names (tenant, name, key)
               SELECT tenant, name, key FROM names WHERE key = ?1 AND name <> ?2
               ON CONFLICT (tenant, name) DO UPDATE SET key = excluded.key";
    tx.prepare_cached(sql)?
        .execute([key.as_str(), key.user()])?;
    tx.prepare_cached("DELETE FROM names WHERE key = ?1 AND name <> ?2")?
        .execute([key.as_str(), key.user()])?;
    user.profile.aliases().try_for_each(|alias| {
        sessions::leave_with_former_user(tx, key, alias)?;
        name(tx, key, alias)
    })
}

/// Lets `name` mean `key`. A name that means another user is reported and never
/// taken over: merging two people is nothing to be done in passing.
fn name(tx: &Connection, key: &UserKey, name: &str) -> Result<(), Refused> {
    let sql = "INSERT INTO names (tenant, name, key) VALUES (?, ?, ?)
               ON CONFLICT (tenant, name) DO NOTHING";
    let added = tx
        .prepare_cached(sql)?
        .execute([key.tenant(), name, key.as_str()])?;
    if added == 1 {
        return Ok(());
    }
    match resolve(tx, key.tenant(), name)? {
        Some(user) if user != *key => Err(AppendError::AliasTaken {
            alias: name.to_owned(),
            user,
        }
        .into()),
        Some(_) | None => Ok(()),
    }
}

/// The user that `name` meant before it means nobody or somebody else.
pub(super) fn former(tx: &Connection, tenant: &str, name: &str) -> Result<Option<UserKey>, Fault> {
    let key: Option<String> = tx
        .prepare_cached("SELECT key FROM former_names WHERE tenant = ? AND name = ?")?
        .query_row([tenant, name], |row| row.get(0))
        .optional()?;
    key.as_deref().map(whole_key).transpose()
}

/// The user that `name` (an id or an alias) means.
pub(super) fn resolve(
    connection: &Connection,
    tenant: &str,
    name: &str,
) -> Result<Option<UserKey>, Fault> {
    let key: Option<String> = connection
        .prepare_cached("SELECT key FROM names WHERE tenant = ? AND name = ?")?
        .query_row([tenant, name], |row| row.get(0))
        .optional()?;
    key.as_deref().map(whole_key).transpose()
}
