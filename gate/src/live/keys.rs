//! The keys of an identity provider, as the control wing last fetched them. The
//! data wing reads them, and asks for newer ones when a token names a key that is
//! not there; it never fetches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use crate::config::{KeySet, KeySource};

/// The current keys of one source, and how to ask for newer ones.
pub struct Keys {
    pub source: KeySource,
    current: ArcSwapOption<Published>,
    state: watch::Sender<State>,
    wanted: Notify,
}

pub struct Published {
    pub set: KeySet,
    /// Differs from that of every other set that this source had.
    pub generation: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Fetches that have ended, well or not.
    ended: u64,
    running: bool,
    /// Until then, nobody's ask is followed.
    quiet_until: Option<Instant>,
}

impl Keys {
    pub(super) fn new(source: KeySource) -> Self {
        let first = match &source {
            KeySource::File { first, .. } => Some(first.clone()),
            KeySource::Fixed(_) | KeySource::Url(_) => None,
        };
        let keys = Self {
            source,
            current: ArcSwapOption::empty(),
            state: watch::Sender::default(),
            wanted: Notify::new(),
        };
        if let Some(set) = first {
            keys.publish(set);
        }
        keys
    }

    /// `None` until the first fetch has succeeded.
    pub fn current(&self) -> Option<Arc<Published>> {
        self.current.load_full()
    }

    /// Makes `set` the one in force; whether it differs from the one before.
    pub fn publish(&self, set: KeySet) -> bool {
        let before = self.current();
        if let Some(before) = &before
            && before.set.digest == set.digest
        {
            return false;
        }
        let generation = before.map_or(1, |before| before.generation + 1);
        self.current
            .store(Some(Arc::new(Published { set, generation })));
        true
    }

    /// Says that a fetch is under way.
    pub fn begin_fetch(&self) {
        self.state.send_modify(|state| state.running = true);
    }

    /// Says that the fetch has ended; asks are not followed for `cooldown`.
    pub fn end_fetch(&self, cooldown: Duration) {
        self.state.send_modify(|state| {
            state.running = false;
            state.ended += 1;
            state.quiet_until = Some(Instant::now() + cooldown);
        });
    }

    /// Ready when someone has asked for newer keys and may be heard.
    pub async fn wanted(&self) {
        loop {
            self.wanted.notified().await;
            // An ask may have crossed the fetch that answers it.
            if !self.state.borrow().is_quiet() {
                return;
            }
        }
    }

    /// Waits for the fetch that is under way, or asks for one, unless the last is
    /// too recent: whatever the number of those who ask, there is one fetch.
    pub(super) async fn renew(&self) {
        let KeySource::Url(url) = &self.source else {
            return;
        };
        let mut seen = self.state.subscribe();
        let before = *seen.borrow_and_update();
        if !before.running {
            if before.is_quiet() {
                return;
            }
            self.wanted.notify_one();
        }
        let ended = seen.wait_for(|state| state.ended > before.ended);
        // Whether it came or not, what is in force then is what counts.
        let _ = tokio::time::timeout(url.wait, ended).await;
    }
}

impl State {
    fn is_quiet(&self) -> bool {
        self.quiet_until.is_some_and(|until| Instant::now() < until)
    }
}
