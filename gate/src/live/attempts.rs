//! Logins that the app is thinking about, by the sessions that came along.
//!
//! An app may write the user into the session that the visitor already has. Between
//! that moment and the gate's hearing of it, the session is nobody's here and the
//! user's there. So requests in such a session wait until the login is settled,
//! whoever is trying: only some waiting would tell who is suspended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use super::sessions::SessionHash;
use super::sharded::Sharded;

/// Their number is bounded by that of the requests under way.
#[derive(Default)]
pub struct Attempts {
    open: Sharded<SessionHash, Vec<Open>>,
    /// Logins in `open`: mostly none, and then a request need not look. It can't miss
    /// one: a login is counted before it looks for requests in its sessions, and a
    /// request is in the table of connections before it looks here.
    count: AtomicUsize,
    next: AtomicU64,
}

struct Open {
    id: u64,
    settled: watch::Receiver<()>,
}

/// A login on its way. Dropping it says that it is settled.
pub struct Attempt {
    attempts: Arc<Attempts>,
    sessions: Vec<SessionHash>,
    id: u64,
    /// Closes when it is dropped, which wakes who waits.
    _settling: watch::Sender<()>,
}

/// Logins that have to be settled first.
pub struct Unsettled(Vec<watch::Receiver<()>>);

impl Attempts {
    /// Says that a login goes to the app in these sessions.
    pub fn begin(self: &Arc<Self>, sessions: Vec<SessionHash>) -> Attempt {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (settling, settled) = watch::channel(());
        self.count.fetch_add(1, Ordering::SeqCst);
        for session in &sessions {
            let settled = settled.clone();
            let mut shard = self.open.write(session);
            shard
                .entry(*session)
                .or_default()
                .push(Open { id, settled });
        }
        Attempt {
            attempts: Arc::clone(self),
            sessions,
            id,
            _settling: settling,
        }
    }

    /// The logins under way in any of these sessions, if there are some.
    pub fn within(&self, sessions: impl Iterator<Item = SessionHash>) -> Option<Unsettled> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let mut unsettled = Vec::new();
        for session in sessions {
            let shard = self.open.read(&session);
            let open = shard.get(&session).into_iter().flatten();
            unsettled.extend(open.map(|open| open.settled.clone()));
        }
        (!unsettled.is_empty()).then_some(Unsettled(unsettled))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        for session in &self.sessions {
            let mut shard = self.attempts.open.write(session);
            if let Some(open) = shard.get_mut(session) {
                open.retain(|open| open.id != self.id);
                if open.is_empty() {
                    shard.remove(session);
                }
            }
        }
        self.attempts.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Unsettled {
    pub async fn settle(self) {
        for mut settled in self.0 {
            // Nothing is ever sent: it fails once the attempt is gone.
            while settled.changed().await.is_ok() {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt;

    use super::*;

    const SID: SessionHash = [1; 32];
    const OTHER: SessionHash = [2; 32];

    #[tokio::test]
    async fn a_session_waits_for_all_its_logins_and_for_no_others() {
        let attempts = Arc::<Attempts>::default();
        let first = attempts.begin(vec![SID, SID]);
        let second = attempts.begin(vec![SID]);
        let _elsewhere = attempts.begin(vec![OTHER]);
        let waiting = attempts.within([SID].into_iter()).unwrap().settle();
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(second);
        waiting.await;
        assert!(attempts.within([SID].into_iter()).is_none());
        assert!(attempts.within([SID, OTHER].into_iter()).is_some());
    }
}
