//! Waiting for the thing itself, never for a while.

#![allow(clippy::panic)]

use std::time::{Duration, Instant};

/// What a test waits for at most, where the time is not what it shows.
pub const LONG: Duration = Duration::from_secs(30);
/// Between two looks at what cannot be waited for otherwise.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits for `thing`, and fails by its name when it does not come.
///
/// # Panics
/// When `limit` has passed.
pub async fn within<T>(limit: Duration, name: &str, thing: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, thing).await {
        Ok(came) => came,
        Err(_) => panic!("{name}: did not come within {limit:?}"),
    }
}

/// Looks until `thing` is there.
///
/// # Panics
/// When [`LONG`] has passed.
pub fn until<T>(name: &str, mut thing: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = thing() {
            return found;
        }
        assert!(
            started.elapsed() < LONG,
            "{name}: did not come within {LONG:?}"
        );
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "between two looks at another process, on a thread that waits for nothing else"
)]
fn pause() {
    std::thread::sleep(LOOK_AGAIN);
}

/// As [`until`], for tests whose own runtime has to go on meanwhile.
///
/// # Panics
/// When [`LONG`] has passed.
pub async fn eventually(name: &str, mut thing: impl FnMut() -> bool) {
    let looking = async {
        while !thing() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    within(LONG, name, looking).await;
}

/// As [`eventually`], for what has to be asked for.
///
/// # Panics
/// When [`LONG`] has passed.
pub async fn found<T>(name: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    within(LONG, name, looking).await
}
