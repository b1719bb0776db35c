//! The desk: where questions about tokens wait for the one who takes them to the
//! server, and what one asker may have of it.
//!
//! Anyone can make up tokens, as many as they like. So tokens that were good before
//! wait apart from those that nobody has seen, with places of their own; of either
//! queue an asker takes no more than is left; and askers take turns.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::turns::Turns;
use portcullis_core::{limits, share};
use tokio::sync::Notify;

/// What is known of a token before it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// It was good when it was last asked about.
    Known,
    New,
}

/// Whether anybody still waits for the answer; who finds that nobody does, drops it.
pub trait Wanted {
    fn is_wanted(&mut self) -> bool;
}

pub struct Desk<Q> {
    known: Queue<Q>,
    new: Queue<Q>,
}

struct Queue<Q> {
    waiting: Mutex<Waiting<Q>>,
    /// A question has come, or none will any more.
    changed: Notify,
}

struct Waiting<Q> {
    turns: Turns<IpAddr, Q>,
    closed: bool,
}

impl<Q: Wanted> Desk<Q> {
    pub(super) fn new() -> Self {
        let queue = || Queue {
            waiting: Mutex::new(Waiting {
                turns: Turns::default(),
                closed: false,
            }),
            changed: Notify::new(),
        };
        Self {
            known: queue(),
            new: queue(),
        }
    }

    const fn queue(&self, lane: Lane) -> &Queue<Q> {
        match lane {
            Lane::Known => &self.known,
            Lane::New => &self.new,
        }
    }

    /// Leaves a question; it comes back where there is no room for it.
    pub(super) fn put(&self, lane: Lane, asker: IpAddr, question: Q) -> Result<(), Q> {
        let queue = self.queue(lane);
        queue.waiting().put(asker, question)?;
        queue.changed.notify_one();
        Ok(())
    }

    /// The next question that somebody waits for; `None` once no more will come.
    pub async fn next(&self, lane: Lane) -> Option<Q> {
        let queue = self.queue(lane);
        loop {
            let mut changed = pin!(queue.changed.notified());
            changed.as_mut().enable();
            {
                let mut waiting = queue.waiting();
                if let Some(question) = waiting.next() {
                    return Some(question);
                }
                if waiting.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    pub(super) fn close(&self) {
        for queue in [&self.known, &self.new] {
            queue.waiting().closed = true;
            queue.changed.notify_waiters();
        }
    }
}

impl<Q> Queue<Q> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<Q>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q: Wanted> Waiting<Q> {
    fn has_room(&self, asker: IpAddr) -> bool {
        let free = limits::INTROSPECTIONS_QUEUED_MAX.saturating_sub(self.turns.waiting());
        share::may_take(self.turns.held(&asker), free, 1)
    }

    fn put(&mut self, asker: IpAddr, question: Q) -> Result<(), Q> {
        if !self.has_room(asker) {
            self.turns.retain(Wanted::is_wanted);
            if !self.has_room(asker) {
                return Err(question);
            }
        }
        self.turns.put(asker, question);
        Ok(())
    }

    fn next(&mut self) -> Option<Q> {
        let mut next = std::iter::from_fn(|| self.turns.next(|_| true));
        next.find_map(|(_, mut question)| question.is_wanted().then_some(question))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt;

    use super::*;

    /// Who asked, the number of the question, and whether anybody waits for it.
    #[derive(Debug, PartialEq, Eq)]
    struct Asked(u8, usize, bool);

    impl Wanted for Asked {
        fn is_wanted(&mut self) -> bool {
            self.2
        }
    }

    fn put(desk: &Desk<Asked>, lane: Lane, who: u8, number: usize, wanted: bool) -> bool {
        let asker = IpAddr::from([10, 0, 0, who]);
        desk.put(lane, asker, Asked(who, number, wanted)).is_ok()
    }

    fn next(desk: &Desk<Asked>, lane: Lane) -> Option<(u8, usize)> {
        let next = desk.next(lane).now_or_never().flatten();
        next.map(|Asked(who, number, _)| (who, number))
    }

    /// Asks until there is no room; how often there was.
    fn flood(desk: &Desk<Asked>, who: u8) -> usize {
        (0..)
            .take_while(|number| put(desk, Lane::New, who, *number, true))
            .count()
    }

    #[test]
    fn one_asker_takes_half_and_others_take_their_turns_with_it() {
        let desk = Desk::new();
        let held = flood(&desk, 1);
        assert_eq!(held, limits::INTROSPECTIONS_QUEUED_MAX / 2);
        assert!(put(&desk, Lane::New, 2, 0, true));
        assert!(put(&desk, Lane::New, 2, 1, true));
        assert!(put(&desk, Lane::New, 3, 0, true));
        let order: Vec<_> = (0..6).map(|_| next(&desk, Lane::New).unwrap()).collect();
        assert_eq!(order, [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (1, 2)]);
    }

    #[test]
    fn tokens_that_were_good_before_wait_for_no_others() {
        let desk = Desk::new();
        flood(&desk, 1);
        assert!(!put(&desk, Lane::New, 1, 0, true));
        assert!(put(&desk, Lane::Known, 1, 7, true));
        assert_eq!(next(&desk, Lane::Known), Some((1, 7)));
        assert_eq!(next(&desk, Lane::Known), None);
    }

    #[test]
    fn who_hangs_up_gives_the_place_up() {
        let desk = Desk::new();
        for number in 0..2 * limits::INTROSPECTIONS_QUEUED_MAX {
            assert!(put(&desk, Lane::New, 1, number, false));
        }
        assert!(put(&desk, Lane::New, 1, 7, true));
        assert_eq!(next(&desk, Lane::New), Some((1, 7)), "and is not asked for");
        assert_eq!(next(&desk, Lane::New), None);
        put(&desk, Lane::New, 1, 1, false);
        put(&desk, Lane::New, 2, 2, true);
        assert_eq!(next(&desk, Lane::New), Some((2, 2)));
    }

    #[tokio::test]
    async fn who_takes_questions_hears_of_new_ones_and_of_the_end() {
        let desk = Desk::new();
        let (taken, ()) = tokio::join!(desk.next(Lane::New), async {
            put(&desk, Lane::New, 1, 1, true);
        });
        assert_eq!(taken, Some(Asked(1, 1, true)));
        let (taken, ()) = tokio::join!(desk.next(Lane::New), async { desk.close() });
        assert_eq!(taken, None);
    }
}
