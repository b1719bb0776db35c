//! The names that mean a user: the id, the aliases, and those that it had before.

use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::user::User;
use rusqlite::{Connection, OptionalExtension};

use super::append::Refused;
use super::fault::Fault;
use super::people::{any_forgotten, forgotten_name, key as key_of, whole_key};
use super::sessions;
use super::vault::Vault;
use crate::control::ledger::AppendError;

/// Refuses names that mean another user, before anything is written: a name is
/// reported and never taken over, for merging two people is nothing to be done in
/// passing.
pub(super) fn check(
    tx: &Connection,
    vault: &Vault,
    key: &UserKey,
    before: &User,
    after: &User,
) -> Result<(), Refused> {
    if is_new(before, after) {
        check_one(tx, vault, key, key.user())?;
    }
    if before.profile == after.profile {
        return Ok(());
    }
    let mut aliases = after.profile.aliases();
    aliases.try_for_each(|alias| check_one(tx, vault, key, alias))
}

fn check_one(tx: &Connection, vault: &Vault, key: &UserKey, name: &str) -> Result<(), Refused> {
    match resolve(tx, key.tenant(), name)? {
        Some(user) if user != *key => return Err(taken(name, user)),
        Some(_) => return Ok(()),
        None => {}
    }
    // `+49…` and `0049…` are one number, which is one user's.
    let other = match name.strip_prefix('+') {
        Some(digits) => Some(format!("00{digits}")),
        None => portcullis_core::names::dialled(name),
    };
    if let Some(other) = other {
        let user = resolve(tx, key.tenant(), &other)?.filter(|user| user != key);
        if let Some(user) = user.or(deleted_id(tx, vault, key.tenant(), &other)?) {
            return Err(taken(name, user));
        }
    }
    match deleted_id(tx, vault, key.tenant(), name)? {
        Some(user) => Err(taken(name, user)),
        None => Ok(()),
    }
}

/// The deleted user whose id it was, which stays taken. Another name of theirs may be
/// given to somebody else, whom it means from then on.
fn deleted_id(
    tx: &Connection,
    vault: &Vault,
    tenant: &str,
    name: &str,
) -> Result<Option<UserKey>, Fault> {
    if !any_forgotten(tx)? {
        return Ok(None);
    }
    let named = key_of(tenant, name)?;
    let deleted = forgotten_name(tx, vault, &named)?;
    let id = vault.pseudonyms.key(&named);
    Ok(deleted
        .map(|deleted| deleted.key)
        .filter(|key| Some(key) == id.as_ref()))
}

/// Lets the names that [`check`] let pass mean `key`.
pub(super) fn write(
    tx: &Connection,
    vault: &Vault,
    key: &UserKey,
    before: &User,
    after: &User,
) -> Result<(), Fault> {
    if is_new(before, after) {
        take_up(tx, vault, key, key.user())?;
    }
    if before.profile == after.profile {
        return Ok(());
    }
    let sql = "INSERT INTO former_names (tenant, name, key)
               SELECT tenant, name, key FROM names WHERE key = ?
               ON CONFLICT (tenant, name) DO UPDATE SET key = excluded.key";
    tx.prepare_cached(sql)?.execute([key.as_str()])?;
    tx.prepare_cached("DELETE FROM names WHERE key = ?")?
        .execute([key.as_str()])?;
    after.profile.aliases().try_for_each(|alias| {
        sessions::leave_with_former_user(tx, key, alias)?;
        give(tx, vault, key, alias)
    })
}

fn is_new(before: &User, after: &User) -> bool {
    before.revision == Revision(0) && after.revision > Revision(0)
}

/// Lets `name`, an alias which means nobody, mean `key`.
fn give(tx: &Connection, vault: &Vault, key: &UserKey, name: &str) -> Result<(), Fault> {
    if name == key.user() {
        return Ok(());
    }
    let sql = "INSERT INTO names (tenant, name, key) VALUES (?, ?, ?)
               ON CONFLICT (tenant, name) DO NOTHING";
    let added = tx
        .prepare_cached(sql)?
        .execute([key.tenant(), name, key.as_str()])?;
    if added == 0 && resolve(tx, key.tenant(), name)?.as_ref() != Some(key) {
        return Err(Fault::garbled(
            format!("the name {name:?}"),
            "it means two users",
        ));
    }
    match added {
        1 => take_up(tx, vault, key, name),
        _ => Ok(()),
    }
}

/// A name that means `key` from now on means no deleted user any more.
fn take_up(tx: &Connection, vault: &Vault, key: &UserKey, name: &str) -> Result<(), Fault> {
    if any_forgotten(tx)? {
        tx.prepare_cached("DELETE FROM forgotten WHERE name = ?")?
            .execute([vault.pseudonyms.of(&key_of(key.tenant(), name)?).0])?;
    }
    Ok(())
}

fn taken(alias: &str, user: UserKey) -> Refused {
    AppendError::AliasTaken {
        alias: alias.to_owned(),
        user,
    }
    .into()
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
    // Of whom entries speak alone, nothing is known: the name is free.
    let id = connection
        .prepare_cached("SELECT 1 FROM users WHERE key = ? || '/' || ? AND revision > 0")?
        .exists([tenant, name])?;
    if id {
        return key_of(tenant, name).map(Some);
    }
    let key: Option<String> = connection
        .prepare_cached("SELECT key FROM names WHERE tenant = ? AND name = ?")?
        .query_row([tenant, name], |row| row.get(0))
        .optional()?;
    key.as_deref().map(whole_key).transpose()
}

/// The names of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// That mean the user now, the id included.
    pub now: Vec<String>,
    /// That meant the user before. One that means another by now is the other's.
    pub former: Vec<String>,
}

impl Names {
    /// All of them as keys of `user`'s tenant, the id first; phone numbers also as they
    /// are dialled.
    pub fn keys(&self, user: &UserKey) -> impl Iterator<Item = UserKey> {
        let others = self.now.iter().chain(&self.former);
        let others = others.filter(|name| *name != user.user()).cloned();
        let all = std::iter::once(user.user().to_owned()).chain(others);
        let spelt = all.flat_map(|name| {
            let dialled = name.strip_prefix('+').map(|digits| format!("00{digits}"));
            std::iter::once(name).chain(dialled)
        });
        spelt.filter_map(|name| key_of(user.tenant(), &name).ok())
    }
}

pub(super) fn of(connection: &Connection, user: &UserKey) -> Result<Names, Fault> {
    let look = |sql: &str| -> Result<Vec<String>, Fault> {
        let mut some = connection.prepare_cached(sql)?;
        let names = some.query_map([user.as_str()], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    };
    let mut now = look("SELECT name FROM names WHERE key = ?")?;
    if resolve(connection, user.tenant(), user.user())?.as_ref() == Some(user) {
        now.push(user.user().to_owned());
    }
    now.sort_unstable();
    Ok(Names {
        now,
        former: look(
            "SELECT name FROM former_names f
             WHERE key = ? AND NOT EXISTS (SELECT 1 FROM names n
                                           WHERE n.tenant = f.tenant AND n.name = f.name)
               AND NOT EXISTS (SELECT 1 FROM users u
                               WHERE u.key = f.tenant || '/' || f.name AND u.revision > 0)
             ORDER BY name",
        )?,
    })
}

/// Takes away every name of the user, the id first among those that are returned.
pub(super) fn take_all(tx: &Connection, key: &UserKey) -> Result<Vec<UserKey>, Fault> {
    let names = of(tx, key)?.keys(key).collect();
    for sql in [
        "DELETE FROM names WHERE key = ?",
        "DELETE FROM former_names WHERE key = ?",
    ] {
        tx.prepare_cached(sql)?.execute([key.as_str()])?;
    }
    Ok(names)
}
