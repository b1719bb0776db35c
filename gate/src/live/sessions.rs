//! Sessions of unchanged apps, learnt from their own login answers: which cookie
//! belongs to whom. The cookie's value is never kept, only its hash.
//!
//! Nothing is evicted: a forgotten session could not be told from a stranger's
//! and would slip past a later suspension. At the bound, logins are refused.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::digest;
use portcullis_core::ids::{Revision, TenantId, UserKey};
use portcullis_core::limits;
use portcullis_core::standing::Standing;
use portcullis_core::time::Timestamp;

use super::sharded::Sharded;

/// SHA-256 over tenant, cookie name and canonical value.
pub type SessionHash = [u8; 32];

/// What is known of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The name that logged in. It may be an alias: resolve it at each use.
    pub user: UserKey,
    /// The user's revision when the login was judged; an earlier one than the
    /// user's last revocation means that the session is dead.
    pub learnt_at: Revision,
    pub first_seen: Timestamp,
    /// Scope of the cookie, so that it can be taken back.
    pub path: Option<String>,
    pub domain: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    #[error("the gate holds {} sessions and takes no more", limits::SESSIONS_MAX)]
    Full,
    #[error("the session could not be stored: {0}")]
    Store(String),
}

/// Keeps sessions across restarts. The future is done when the session is durable.
pub trait SessionStore: Send + Sync {
    fn keep(
        &self,
        hash: SessionHash,
        session: Session,
    ) -> Pin<Box<dyn Future<Output = Result<(), LearnError>> + Send>>;
}

pub struct Sessions {
    by_hash: Sharded<SessionHash, Arc<Session>>,
    by_user: Sharded<UserKey, Vec<SessionHash>>,
    count: AtomicUsize,
    store: Arc<dyn SessionStore>,
}

pub fn hash(tenant: &TenantId, cookie: &str, value: &[u8]) -> SessionHash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [tenant.as_str().as_bytes(), cookie.as_bytes()] {
        context.update(part);
        context.update(&[0]);
    }
    context.update(value);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl Sessions {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            by_hash: Sharded::default(),
            by_user: Sharded::default(),
            count: AtomicUsize::new(0),
            store,
        }
    }

    pub fn find(&self, hash: &SessionHash) -> Option<Arc<Session>> {
        self.by_hash.read(hash).get(hash).cloned()
    }

    /// Learns a session; when this returns, it is durable. Learning it again for
    /// the same user changes nothing, so that a session revoked meanwhile can't
    /// be refreshed by an app that sets the same cookie over and over.
    pub async fn learn(&self, hash: SessionHash, session: Session) -> Result<(), LearnError> {
        if let Some(known) = self.find(&hash)
            && known.user == session.user
            && known.learnt_at >= session.learnt_at
        {
            return Ok(());
        }
        if self.count.load(Ordering::Relaxed) >= limits::SESSIONS_MAX {
            return Err(LearnError::Full);
        }
        // In force before durable: should the store fail, the answer that carries
        // the cookie is withheld, and an entry too many lets nobody in.
        self.insert(hash, session.clone());
        self.store.keep(hash, session).await
    }

    /// Puts in a session that is durable already (at start).
    pub fn insert(&self, hash: SessionHash, session: Session) {
        let user = session.user.clone();
        let before = self.by_hash.write(&hash).insert(hash, Arc::new(session));
        match before {
            Some(before) if before.user == user => return,
            Some(before) => self.forget_owner(&before.user, &hash),
            None => {
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.by_user
            .write(&user)
            .entry(user.clone())
            .or_default()
            .push(hash);
    }

    fn forget_owner(&self, user: &UserKey, hash: &SessionHash) {
        if let Some(hashes) = self.by_user.write(user).get_mut(user) {
            hashes.retain(|other| other != hash);
        }
    }

    /// The sessions of `user` that `standing` leaves alive.
    pub fn alive(&self, user: &UserKey, standing: &Standing) -> Vec<Arc<Session>> {
        let hashes = self
            .by_user
            .read(user)
            .get(user)
            .cloned()
            .unwrap_or_default();
        hashes
            .iter()
            .filter_map(|hash| self.find(hash))
            .filter(|session| !standing.killed_session(session.learnt_at))
            .collect()
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use portcullis_core::ids::UserId;

    use super::*;

    struct Kept;

    impl SessionStore for Kept {
        fn keep(
            &self,
            _: SessionHash,
            _: Session,
        ) -> Pin<Box<dyn Future<Output = Result<(), LearnError>> + Send>> {
            Box::pin(async { Ok(()) })
        }
    }

    fn session(name: &str, learnt_at: u64) -> Session {
        let tenant = TenantId::parse("acme").unwrap();
        Session {
            user: UserKey::new(&tenant, &UserId::parse(name).unwrap()),
            learnt_at: Revision(learnt_at),
            first_seen: Timestamp(0),
            path: None,
            domain: None,
        }
    }

    #[test]
    fn a_session_is_found_by_tenant_cookie_and_value_together() {
        let (acme, globex) = (
            TenantId::parse("acme").unwrap(),
            TenantId::parse("globex").unwrap(),
        );
        let one = hash(&acme, "sid", b"1");
        assert_ne!(one, hash(&globex, "sid", b"1"));
        assert_ne!(one, hash(&acme, "sid", b"2"));
        assert_ne!(hash(&acme, "a", b"b"), hash(&acme, "ab", b""));
    }

    #[tokio::test]
    async fn a_dead_session_is_not_revived_by_the_app_setting_it_again() {
        let sessions = Sessions::new(Arc::new(Kept));
        sessions.learn([1; 32], session("bob", 4)).await.unwrap();
        sessions.learn([1; 32], session("bob", 2)).await.unwrap();
        assert_eq!(sessions.find(&[1; 32]).unwrap().learnt_at, Revision(4));
    }

    #[tokio::test]
    async fn the_sessions_of_a_user_are_counted_while_they_live() {
        let sessions = Sessions::new(Arc::new(Kept));
        sessions.learn([1; 32], session("bob", 1)).await.unwrap();
        sessions.learn([2; 32], session("bob", 3)).await.unwrap();
        sessions.learn([3; 32], session("alice", 1)).await.unwrap();
        let bob = session("bob", 0).user;
        assert_eq!(sessions.alive(&bob, &Standing::default()).len(), 2);
        let revoked = Standing {
            sessions_revoked_at: Revision(2),
            ..Standing::default()
        };
        assert_eq!(sessions.alive(&bob, &revoked).len(), 1);
        // The same browser logs in as someone else: the cookie changes hands.
        sessions.learn([2; 32], session("alice", 3)).await.unwrap();
        assert_eq!(sessions.alive(&bob, &Standing::default()).len(), 1);
        assert_eq!(sessions.count(), 3);
    }
}
