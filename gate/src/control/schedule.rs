//! Holds that begin later or end by themselves. Requests are judged by the clock
//! whether or not anything happens here; this records what time has brought about,
//! so that its effects (connections cut, sessions dead, keys back) come on time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::ids::UserKey;
use portcullis_core::plan;
use portcullis_core::time::Timestamp;
use portcullis_core::user::User;
use tokio::sync::mpsc;

use super::command::Commander;

/// The clock may be set meanwhile, so no sleep is longer.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// After a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub async fn run(commander: Arc<Commander>, mut changed: mpsc::UnboundedReceiver<(UserKey, User)>) {
    let mut due: HashMap<UserKey, Timestamp> = HashMap::new();
    loop {
        let now = commander.now();
        let wait = due.values().min().map_or(LOOK_EVERY_MAX, |at| {
            Duration::from_millis(at.0.saturating_sub(now.0)).min(LOOK_EVERY_MAX)
        });
        tokio::select! {
            change = changed.recv() => match change {
                Some((key, user)) => note(&mut due, key, &user, commander.now()),
                None => return,
            },
            () = tokio::time::sleep(wait) => {}
        }
        let now = commander.now();
        let ripe: Vec<UserKey> = due
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in ripe {
            due.remove(&key);
            // Its own entry comes back as a change and sets the next time.
            if let Err(error) = commander.record_due(&key).await {
                tracing::error!(user = ?key, %error, "a timed hold could not be recorded; trying again");
                due.insert(key, commander.now());
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

fn note(due: &mut HashMap<UserKey, Timestamp>, key: UserKey, user: &User, now: Timestamp) {
    let at = if plan::due(user, now).is_some() {
        Some(now)
    } else {
        plan::next_due(user, now)
    };
    match at {
        Some(at) => due.insert(key, at),
        None => due.remove(&key),
    };
}
