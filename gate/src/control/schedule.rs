//! Holds that begin later or end by themselves. Requests are judged by the clock
//! whether or not anything happens here; this records what time has brought about,
//! so that its effects (connections cut, sessions dead, keys back) come on time.
//!
//! A million users may have a hold that ends, and all of them at the same midnight:
//! what is due is found without looking at the rest, many are recorded at once, and
//! holds that begin, which keep somebody out, go before those that end.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use portcullis_core::plan::Agenda;
use portcullis_core::time::Timestamp;
use tokio::sync::mpsc;

use super::command::{CommandError, Commander};

/// The clock may be set meanwhile, so no sleep is longer.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// After a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Records what is due until nobody is left to tell of changes.
pub async fn run(
    commander: Arc<Commander>,
    mut changed: mpsc::UnboundedReceiver<(UserKey, Agenda)>,
) {
    let mut calendar = Calendar::default();
    loop {
        let now = commander.now();
        let wait = calendar.next().map_or(LOOK_EVERY_MAX, |at| {
            Duration::from_millis(at.0.saturating_sub(now.0)).min(LOOK_EVERY_MAX)
        });
        tokio::select! {
            // In turn, so that neither a flood of changes nor one of ends keeps the
            // other waiting.
            change = changed.recv() => match change {
                Some((key, agenda)) => calendar.note(&key, agenda),
                None => return,
            },
            () = tokio::time::sleep(wait) => {}
        }
        // What is known by now: at the start a million may be waiting.
        while let Ok((key, agenda)) = changed.try_recv() {
            calendar.note(&key, agenda);
        }
        let ripe = calendar.take_ripe(commander.now(), limits::TIMED_HOLDS_AT_ONCE_MAX);
        record(&commander, &mut calendar, ripe).await;
    }
}

async fn record(commander: &Commander, calendar: &mut Calendar, ripe: Vec<UserKey>) {
    let recording = ripe.into_iter().map(|key| async move {
        let recorded = commander.record_due(&key).await;
        (key, recorded)
    });
    let mut recording = stream::iter(recording).buffer_unordered(limits::TIMED_HOLDS_AT_ONCE_MAX);
    let mut failed: Option<(u64, CommandError)> = None;
    while let Some((key, recorded)) = recording.next().await {
        match recorded {
            // Nothing was due after all (the clock was set back): no entry comes to
            // tell when it will be.
            Ok(done) if done.unchanged => calendar.note(&key, Agenda::of(&done.user)),
            // Its own entry comes back as a change and sets the next time.
            Ok(_) => {}
            Err(error) => {
                commander.cut_by_clock(&key);
                let again = Agenda {
                    begins: Some(commander.now()),
                    ends: None,
                };
                calendar.note(&key, again);
                failed = Some((failed.map_or(1, |(count, _)| count + 1), error));
            }
        }
    }
    if let Some((count, error)) = failed {
        tracing::error!(
            count, %error,
            "timed holds could not be recorded; they are in force by the clock, and are tried again"
        );
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// What is due when.
#[derive(Default)]
struct Calendar {
    begins: Queue,
    ends: Queue,
}

#[derive(Default)]
struct Queue {
    by_time: BTreeSet<(Timestamp, UserKey)>,
    by_user: HashMap<UserKey, Timestamp>,
}

impl Calendar {
    fn note(&mut self, key: &UserKey, agenda: Agenda) {
        self.begins.set(key, agenda.begins);
        self.ends.set(key, agenda.ends);
    }

    fn next(&self) -> Option<Timestamp> {
        let first = |queue: &Queue| queue.by_time.first().map(|(at, _)| *at);
        first(&self.begins)
            .into_iter()
            .chain(first(&self.ends))
            .min()
    }

    /// At most `most` users of whom something is due, those first whose hold begins.
    /// A user is in both queues where both is due, and is taken out of both.
    fn take_ripe(&mut self, now: Timestamp, most: usize) -> Vec<UserKey> {
        let mut ripe = Vec::new();
        while ripe.len() < most {
            let next = self.begins.ripe(now).or_else(|| self.ends.ripe(now));
            let Some(key) = next else { break };
            self.note(&key, Agenda::default());
            ripe.push(key);
        }
        ripe
    }
}

impl Queue {
    fn set(&mut self, key: &UserKey, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.by_user.insert(key.clone(), at),
            None => self.by_user.remove(key),
        };
        if let Some(before) = before.filter(|before| Some(*before) != at) {
            self.by_time.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key.clone()));
        }
    }

    fn ripe(&self, now: Timestamp) -> Option<UserKey> {
        let (at, key) = self.by_time.first()?;
        (*at <= now).then(|| key.clone())
    }
}

#[cfg(test)]
mod tests;
