//! Sessions that were learnt from an app's own login, by the hash of the cookie.

use std::net::IpAddr;

use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::append::Refused;
use super::columns::Number;
use super::fault::Fault;
use super::vault::Vault;
use super::{names, people};
use crate::control::ledger::{AppendError, ReadError};
use crate::live::sessions::{End, Learnt, Place, SessionHash};

/// Rows in one go, so that clearing up never holds up an append.
const ROWS: usize = 1000;

const COLUMNS: &str = "tenant, hash, user, learnt_at_revision, first_seen, last_seen,
                       name, path, domain, address, agent, ended_by";

/// What is to be kept of a session.
#[derive(Clone, Debug)]
pub enum SessionWrite {
    Learnt(Learnt),
    Ended {
        user: UserKey,
        hash: SessionHash,
        why: End,
    },
}

impl SqliteStore {
    /// Writes all or nothing; durable when this returns. Learning a session again
    /// is up to the caller, who has it in memory: the newest word stands.
    pub async fn write_sessions(&self, writes: Vec<SessionWrite>) -> Result<(), AppendError> {
        self.write(move |tx, vault| {
            for write in &writes {
                match write {
                    SessionWrite::Learnt(learnt) => learn(tx, vault, learnt)?,
                    SessionWrite::Ended { user, hash, why } => end(tx, user, hash, *why)?,
                }
            }
            Ok(())
        })
        .await
    }

    /// Notes when sessions were last seen.
    pub async fn note_seen(
        &self,
        seen: Vec<(UserKey, SessionHash, Timestamp)>,
    ) -> Result<(), AppendError> {
        for some in seen.chunks(ROWS) {
            let some = some.to_vec();
            self.write(move |tx, _| {
                let sql = "UPDATE sessions SET last_seen = ?
                           WHERE tenant = ? AND hash = ? AND user = ? AND last_seen < ?1";
                let mut update = tx.prepare_cached(sql)?;
                for (user, hash, at) in &some {
                    update.execute(params![Number(at.0), user.tenant(), hash, user.user()])?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Forgets sessions. Whether that is safe is the caller's to know.
    pub async fn forget_sessions(
        &self,
        sessions: Vec<(UserKey, SessionHash)>,
    ) -> Result<(), AppendError> {
        for some in sessions.chunks(ROWS) {
            let some = some.to_vec();
            self.write(move |tx, _| {
                let sql = "DELETE FROM sessions WHERE tenant = ? AND hash = ? AND user = ?";
                let mut delete = tx.prepare_cached(sql)?;
                for (user, hash) in &some {
                    delete.execute(params![user.tenant(), hash, user.user()])?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// What is kept of the sessions under these names, the last used first. Blocks on
    /// the disk.
    pub fn sessions_of(&self, names: &[UserKey]) -> Result<Vec<Learnt>, ReadError> {
        self.readers.look(|reader| {
            let sql = format!("SELECT {COLUMNS} FROM sessions WHERE tenant = ? AND user = ?");
            let mut some = reader.prepare_cached(&sql)?;
            let mut found = Vec::new();
            for name in names {
                let mut rows = some.query([name.tenant(), name.user()])?;
                while let Some(row) = rows.next()? {
                    found.push(session(row)?);
                }
            }
            found.sort_by_key(|session| std::cmp::Reverse(session.last_seen));
            Ok(found)
        })
    }

    /// Hands every session to `take`. Blocks on the disk.
    pub fn load_sessions(&self, mut take: impl FnMut(Learnt)) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let mut all = reader.prepare(&format!("SELECT {COLUMNS} FROM sessions"))?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                take(session(row)?);
            }
            Ok(())
        })
    }
}

fn learn(tx: &Connection, vault: &Vault, learnt: &Learnt) -> Result<(), Refused> {
    // A login of a deleted user is no reason to write down again who that was.
    let deleted = people::forgotten(tx, vault, &learnt.user)?;
    let known = deleted.is_none();
    let user = deleted.map_or_else(|| learnt.user.clone(), |deleted| deleted.key);
    let sql = "INSERT INTO sessions
                   (tenant, hash, user, learnt_at_revision, first_seen, last_seen,
                    name, path, domain, address, agent, ended_by)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (tenant, hash, user) DO UPDATE SET
                   learnt_at_revision = excluded.learnt_at_revision,
                   first_seen = excluded.first_seen, last_seen = excluded.last_seen,
                   name = excluded.name, path = excluded.path, domain = excluded.domain,
                   address = excluded.address, agent = excluded.agent,
                   ended_by = excluded.ended_by";
    tx.prepare_cached(sql)?.execute(params![
        user.tenant(),
        learnt.hash,
        user.user(),
        Number(learnt.learnt_at.0),
        Number(learnt.first_seen.0),
        Number(learnt.last_seen.0),
        learnt.place.name,
        learnt.place.path,
        learnt.place.domain,
        learnt
            .address
            .filter(|_| known)
            .map(|address| address.to_string()),
        learnt.agent.as_deref().filter(|_| known),
        learnt.ended.map(End::as_str),
    ])?;
    Ok(())
}

pub(super) fn end(
    tx: &Connection,
    user: &UserKey,
    hash: &SessionHash,
    why: End,
) -> Result<(), Refused> {
    let sql = "UPDATE sessions SET ended_by = ?
               WHERE tenant = ? AND hash = ? AND user = ? AND ended_by IS NULL";
    tx.prepare_cached(sql)?
        .execute(params![why.as_str(), user.tenant(), hash, user.user()])?;
    Ok(())
}

/// Ends the session of that hash, whoever's it is.
pub(super) fn end_of_all(tx: &Connection, tenant: &str, hash: &SessionHash) -> Result<(), Fault> {
    let sql = "UPDATE sessions SET ended_by = ? WHERE tenant = ? AND hash = ? AND ended_by IS NULL";
    tx.prepare_cached(sql)?
        .execute(params![End::Revoked.as_str(), tenant, hash])?;
    Ok(())
}

/// `alias` is about to mean `user`. Sessions that were learnt under it while it meant
/// another user stay that one's.
pub(super) fn leave_with_former_user(
    tx: &Connection,
    user: &UserKey,
    alias: &str,
) -> Result<(), Fault> {
    let Some(former) = names::former(tx, user.tenant(), alias)?.filter(|former| former != user)
    else {
        return Ok(());
    };
    // What the other user has besides stands; it may have ended.
    for sql in [
        "UPDATE OR IGNORE sessions SET user = ?3 WHERE tenant = ?1 AND user = ?2",
        "DELETE FROM sessions WHERE tenant = ?1 AND user = ?2 AND ?3 <> ?2",
    ] {
        tx.prepare_cached(sql)?
            .execute(params![user.tenant(), alias, former.user()])?;
    }
    Ok(())
}

/// The sessions of a name that is forgotten stay dead, and tell of nobody any more.
pub(super) fn forget_owner(
    tx: &Connection,
    name: &UserKey,
    pseudonym: &UserKey,
) -> Result<(), Fault> {
    let sql = "UPDATE OR IGNORE sessions
               SET user = ?3, address = NULL, agent = NULL, ended_by = coalesce(ended_by, ?4)
               WHERE tenant = ?1 AND user = ?2";
    tx.prepare_cached(sql)?.execute(params![
        name.tenant(),
        name.user(),
        pseudonym.user(),
        End::Revoked.as_str()
    ])?;
    // One cookie learnt under two names.
    tx.prepare_cached("DELETE FROM sessions WHERE tenant = ? AND user = ?")?
        .execute([name.tenant(), name.user()])?;
    Ok(())
}

fn session(row: &Row<'_>) -> Result<Learnt, Fault> {
    let (tenant, user): (String, String) = (row.get(0)?, row.get(2)?);
    let garbled = |what: &str| {
        Fault::garbled(
            format!("a session of {user:?} of {tenant:?}"),
            what.to_owned(),
        )
    };
    let address: Option<String> = row.get(9)?;
    let ended: Option<String> = row.get(11)?;
    Ok(Learnt {
        user: people::key(&tenant, &user)?,
        hash: row.get(1)?,
        learnt_at: Revision(row.get::<_, Number>(3)?.0),
        first_seen: Timestamp(row.get::<_, Number>(4)?.0),
        last_seen: Timestamp(row.get::<_, Number>(5)?.0),
        place: Place {
            name: row.get(6)?,
            path: row.get(7)?,
            domain: row.get(8)?,
        },
        address: match address {
            None => None,
            Some(text) => Some(text.parse::<IpAddr>().map_err(|_| garbled("no address"))?),
        },
        agent: row.get(10)?,
        ended: match ended {
            None => None,
            Some(text) => Some(End::parse(&text).ok_or_else(|| garbled("no end"))?),
        },
    })
}
