//! Cutting what hyper would not let go of.
//!
//! hyper asks a body for its next piece only when the last one has gone. Behind a
//! peer that takes nothing, a body therefore never hears of its cut. So whatever
//! carries an exchange (a client's HTTP/1 connection, one HTTP/2 stream, the app's
//! connection) runs inside [`until_cut`], hears of the cut itself, and is dropped:
//! HTTP/1 closes the socket, HTTP/2 resets that one stream and leaves the others.
//!
//! hyper makes these futures, so they can't be given their cut. It is told from
//! inside instead: while one is polled, the request that it carries calls [`hold`].

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use crate::live::connections::{Cut, Side};

/// While a request waits for its answer, a cut makes the gate answer with a
/// refusal; that may take this long.
pub(super) const REFUSAL_WAIT: Duration = Duration::from_millis(300);

/// What the future being polled carries.
pub(super) struct Held {
    cut: Arc<Cut>,
    grace: Duration,
}

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Says that what is being polled carries the request of `cut`, and may go on for
/// `grace` after the cut to end by itself.
pub(super) fn hold(cut: &Arc<Cut>, grace: Duration) {
    let cut = Arc::clone(cut);
    HELD.set(Some(Held { cut, grace }));
}

/// What has been said to be held since this future began to be polled, for a
/// future that is made in its midst and carries the same.
pub(super) fn held() -> Option<Held> {
    HELD.take()
}

/// Runs `future` to its end, or drops it when the request that it carries is cut
/// and does not end by itself: then `None`.
pub(super) async fn until_cut<F: Future>(side: Side, future: F) -> Option<F::Output> {
    until_cut_holding(None, side, future).await
}

/// As [`until_cut`], for what is known to carry a request already.
pub(super) async fn until_cut_holding<F: Future>(
    mut held: Option<Held>,
    side: Side,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut grace = pin!(None);
    poll_fn(|context| {
        HELD.set(None);
        let polled = future.as_mut().poll(context);
        if let Some(newer) = HELD.take() {
            held = Some(newer);
            grace.set(None);
        }
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Some(output));
        }
        let Some(Held { cut, grace: wait }) = held.as_ref().filter(|held| !held.cut.has_ended())
        else {
            held = None;
            return Poll::Pending;
        };
        ready!(cut.poll_fired(side, context));
        if !wait.is_zero() {
            if grace.is_none() {
                grace.set(Some(tokio::time::sleep(*wait)));
            }
            if let Some(grace) = grace.as_mut().as_pin_mut() {
                ready!(grace.poll(context));
            }
            // It may have ended meanwhile; the next request is not its heir.
            if cut.has_ended() {
                return Poll::Pending;
            }
        }
        cut.obey();
        Poll::Ready(None)
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::pending;

    use super::*;

    async fn carried(cut: &Arc<Cut>, grace: Duration) {
        hold(cut, grace);
        pending::<()>().await;
    }

    #[tokio::test]
    async fn what_ends_by_itself_is_let_be() {
        assert_eq!(until_cut(Side::Client, async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn what_hangs_is_dropped_once_it_is_cut() {
        let cut = Arc::new(Cut::default());
        let hanging = until_cut(Side::Client, carried(&cut, Duration::ZERO));
        let firing = async {
            tokio::task::yield_now().await;
            cut.fire();
        };
        assert_eq!(tokio::join!(hanging, firing).0, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_gets_its_time() {
        let cut = Arc::new(Cut::default());
        cut.fire();
        let started = tokio::time::Instant::now();
        assert_eq!(
            until_cut(Side::Client, carried(&cut, REFUSAL_WAIT)).await,
            None
        );
        assert!(started.elapsed() >= REFUSAL_WAIT);
    }

    #[tokio::test]
    async fn one_future_does_not_hear_of_anothers_cut() {
        let cut = Arc::new(Cut::default());
        cut.fire();
        let hers = async {
            tokio::task::yield_now().await;
            7
        };
        let (his, hers) = tokio::join!(
            until_cut(Side::Client, carried(&cut, Duration::ZERO)),
            until_cut(Side::Client, hers)
        );
        assert_eq!((his, hers), (None, Some(7)));
    }
}
