//! Sessions that were learnt from an app's own login, by the hash of the cookie.

use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::time::Timestamp;
use rusqlite::{Row, params};

use super::SqliteStore;
use super::columns::Number;
use super::fault::Fault;
use crate::control::ledger::{AppendError, ReadError};

/// Sessions forgotten in one go, so that clearing up never holds up an append.
const FORGET_ROWS: u32 = 1000;

const COLUMNS: &str = "tenant, hash, user, learnt_at_revision, learnt_at, expires_at, path, domain";

/// A session and whose it is. The cookie itself is never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub tenant: TenantId,
    /// Hash of the cookie.
    pub hash: [u8; 32],
    pub user: UserId,
    /// Where the ledger stood when it was learnt: what a revocation compares with.
    pub learnt_at_revision: Revision,
    pub learnt_at: Timestamp,
    /// `None`: the app set no end.
    pub expires_at: Option<Timestamp>,
    /// Scope of the cookie.
    pub path: Option<String>,
    pub domain: Option<String>,
}

impl SqliteStore {
    /// Remembers a session; durable when this returns. Learning it again changes
    /// nothing, unless it was learnt at a later revision (an app may give a new
    /// login the old cookie) or for another user, whose revisions say nothing
    /// about this one's.
    pub async fn learn_session(&self, session: SessionRow) -> Result<(), AppendError> {
        self.write(move |tx| {
            let sql = "INSERT INTO sessions
                           (tenant, hash, user, learnt_at_revision, learnt_at, expires_at,
                            path, domain)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                       ON CONFLICT (tenant, hash) DO UPDATE SET
                           user = excluded.user,
                           learnt_at_revision = excluded.learnt_at_revision,
                           learnt_at = excluded.learnt_at,
                           expires_at = excluded.expires_at,
                           path = excluded.path,
                           domain = excluded.domain
                       WHERE excluded.user <> user
                          OR excluded.learnt_at_revision > learnt_at_revision
                          OR (excluded.learnt_at_revision = learnt_at_revision
                              AND excluded.learnt_at >= learnt_at)";
            tx.prepare_cached(sql)?.execute(params![
                session.tenant.as_str(),
                session.hash,
                session.user.as_str(),
                Number(session.learnt_at_revision.0),
                Number(session.learnt_at.0),
                session.expires_at.map(|end| Number(end.0)),
                session.path,
                session.domain,
            ])?;
            Ok(())
        })
        .await
    }

    /// Forgets sessions that expired before `expired_before`, and says how many.
    ///
    /// A session that is dead or may have to be is kept, whatever its age (its
    /// user is held, deleted, or had sessions revoked since): the app might still
    /// honour the cookie, and a cookie that the gate does not know is nobody's.
    pub async fn forget_sessions(&self, expired_before: Timestamp) -> Result<u64, AppendError> {
        let mut forgotten = 0;
        loop {
            let batch = self
                .write(move |tx| {
                    let sql = "DELETE FROM sessions WHERE (tenant, hash) IN (
                            SELECT s.tenant, s.hash FROM sessions s
                            WHERE s.expires_at < ?1
                              AND NOT EXISTS (SELECT 1 FROM users u
                                  WHERE u.key = s.tenant || '/' || s.user
                                    AND (u.deleted = 1
                                         OR u.sessions_revoked_at > s.learnt_at_revision
                                         OR EXISTS (SELECT 1 FROM holds h WHERE h.key = u.key)))
                            LIMIT ?2)";
                    Ok(tx
                        .prepare_cached(sql)?
                        .execute(params![Number(expired_before.0), FORGET_ROWS])?)
                })
                .await?;
            forgotten += batch as u64;
            if batch < FORGET_ROWS as usize {
                return Ok(forgotten);
            }
        }
    }

    /// Hands every session to `take`. Blocks on the disk.
    pub fn load_sessions(&self, mut take: impl FnMut(SessionRow)) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let mut all = reader.prepare(&format!("SELECT {COLUMNS} FROM sessions"))?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                take(session(row)?);
            }
            Ok(())
        })
    }

    /// The newest sessions of a user, up to `limit`. Blocks on the disk.
    pub fn sessions_of(&self, user: &UserKey, limit: usize) -> Result<Vec<SessionRow>, ReadError> {
        self.readers.look(|reader| {
            let sql = format!(
                "SELECT {COLUMNS} FROM sessions WHERE tenant = ? AND user = ?
                 ORDER BY learnt_at DESC, hash LIMIT ?"
            );
            let mut some = reader.prepare_cached(&sql)?;
            let mut rows = some.query(params![user.tenant(), user.user(), Number(limit as u64)])?;
            let mut sessions = Vec::new();
            while let Some(row) = rows.next()? {
                sessions.push(session(row)?);
            }
            Ok(sessions)
        })
    }

    /// How many sessions of a user are known, dead ones included. Blocks on the disk.
    pub fn session_count(&self, user: &UserKey) -> Result<u64, ReadError> {
        self.readers.look(|reader| {
            let sql = "SELECT count(*) FROM sessions WHERE tenant = ? AND user = ?";
            let mut count = reader.prepare_cached(sql)?;
            Ok(count
                .query_row([user.tenant(), user.user()], |row| row.get::<_, Number>(0))?
                .0)
        })
    }
}

fn session(row: &Row<'_>) -> Result<SessionRow, Fault> {
    let (tenant, user): (String, String) = (row.get(0)?, row.get(2)?);
    let garbled = |error| Fault::garbled(format!("a session of {user:?} of {tenant:?}"), error);
    Ok(SessionRow {
        tenant: TenantId::parse(&tenant).map_err(garbled)?,
        hash: row.get(1)?,
        user: UserId::parse(&user).map_err(garbled)?,
        learnt_at_revision: Revision(row.get::<_, Number>(3)?.0),
        learnt_at: Timestamp(row.get::<_, Number>(4)?.0),
        expires_at: row.get::<_, Option<Number>>(5)?.map(|end| Timestamp(end.0)),
        path: row.get(6)?,
        domain: row.get(7)?,
    })
}
