//! Keeps learnt sessions in the store, for [`crate::live`] to find after a restart,
//! and looks after them: when they were last seen, and which may be forgotten.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SecureRandom;
use futures_util::future::BoxFuture;
use portcullis_core::ids::{TenantId, UserKey};
use portcullis_core::limits;
use portcullis_core::time::Timestamp;
use tokio::sync::watch;

use super::ledger::{AppendError, ReadError};
use super::store::{SessionWrite, SqliteStore};
use crate::live::sessions::{Change, End, LearnError, Learnt, Session, SessionHash, SessionStore};
use crate::live::{Reader, Writer};

pub struct KeptSessions(pub Arc<SqliteStore>);

impl SessionStore for KeptSessions {
    fn keep(&self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), LearnError>> {
        let store = Arc::clone(&self.0);
        Box::pin(async move {
            let writes = changes.iter().map(write).collect();
            store
                .write_sessions(writes)
                .await
                .map_err(|error| LearnError::Store(error.to_string()))
        })
    }
}

fn write(change: &Change) -> SessionWrite {
    match change {
        Change::Learnt(session) => SessionWrite::Learnt(Learnt {
            hash: session.hash,
            user: session.user.clone(),
            learnt_at: session.learnt_at,
            first_seen: session.first_seen,
            last_seen: session.last_seen(),
            place: (*session.place).clone(),
            address: session.address,
            agent: session.agent.as_deref().map(str::to_owned),
            ended: session.ended(),
        }),
        Change::Ended(session, why) => SessionWrite::Ended {
            user: session.user.clone(),
            hash: session.hash,
            why: *why,
        },
    }
}

/// The key that this gate seals cookies with, made at its first start.
pub async fn seal_key(store: &SqliteStore) -> Result<[u8; 32], AppendError> {
    let mut fresh = [0; 32];
    let filled = aws_lc_rs::rand::SystemRandom::new().fill(&mut fresh);
    filled.map_err(|_| AppendError::Unavailable("the system gives no random bytes".into()))?;
    store.secret("session-seal", fresh).await
}

/// Reads the sessions that were learnt before this start.
pub fn load(store: &SqliteStore, live: &Writer) -> Result<(), ReadError> {
    store.load_sessions(|learnt| {
        live.sessions().insert(learnt);
    })
}

/// Looks after the sessions until `stopping`, and once more then. What was last
/// seen since the round before is lost with a crash, and nothing else.
pub async fn upkeep(
    store: Arc<SqliteStore>,
    live: Reader,
    clock: fn() -> Timestamp,
    mut stopping: watch::Receiver<bool>,
) {
    let mut since = clock();
    loop {
        let stops = tokio::select! {
            () = tokio::time::sleep(limits::SESSIONS_UPKEEP_EVERY) => false,
            _ = stopping.wait_for(|stopping| *stopping) => true,
        };
        let now = clock();
        if let Err(error) = round(&store, &live, since, now).await {
            tracing::warn!(%error, "when sessions were last seen could not be noted; trying again later");
        } else {
            since = now;
        }
        if stops {
            return;
        }
    }
}

async fn round(
    store: &SqliteStore,
    live: &Reader,
    since: Timestamp,
    now: Timestamp,
) -> Result<(), AppendError> {
    let (mut seen, mut expired, mut over) = (Vec::new(), Vec::new(), Vec::new());
    live.sessions().each(|session| {
        let kept = kept_for(live, session);
        if session.last_seen() >= since {
            seen.push((session.user.clone(), session.hash, session.last_seen()));
        } else if session.has_expired(now, kept.saturating_mul(2))
            && may_be_forgotten(live, session)
        {
            over.push(Arc::clone(session));
        } else if session.ended().is_none() && session.has_expired(now, kept) {
            expired.push(Arc::clone(session));
        }
    });
    store.note_seen(seen).await?;
    if let Err(error) = live.sessions().end(&expired, End::Expired).await {
        tracing::warn!(%error, "expired sessions could not be noted");
    }
    let forgotten: Vec<(UserKey, SessionHash)> = over
        .iter()
        .map(|session| (session.user.clone(), session.hash))
        .collect();
    store.forget_sessions(forgotten).await?;
    for session in over {
        live.sessions().forget(&session);
    }
    Ok(())
}

/// How long a session may rest, by what its tenant says of its cookie.
fn kept_for(live: &Reader, session: &Session) -> Duration {
    let tenant = TenantId::parse(session.user.tenant()).ok();
    let tenants = live.tenants();
    let tenant = tenant.and_then(|id| tenants.all().iter().find(|tenant| *tenant.id() == id));
    tenant.map_or(limits::SESSION_KEPT, |tenant| {
        tenant.session_kept(&session.place.name)
    })
}

/// The cookie of a user who is out may still be honoured by the app, however old.
fn may_be_forgotten(live: &Reader, session: &Session) -> bool {
    let standing = live.standing(&live.resolve(session.user.clone()));
    !standing.deleted && standing.holds.is_empty()
}
