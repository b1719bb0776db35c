//! The policies that one tenant has had, newest first in force.
//!
//! A swap is one pointer store. Who asked the old policy is answered by it; the next
//! who looks finds the new one. A policy that fails its first users is taken back by
//! itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::limits::{GENERATION_FAILURES_MAX, GENERATION_PROVEN_AFTER, GENERATIONS_KEPT};
use super::loaded::Policy;

/// A policy in its turn.
#[derive(Debug)]
pub struct Generation {
    pub policy: Arc<Policy>,
    /// Answers in a row that could not be used.
    failures: AtomicU32,
    decided: AtomicU32,
    /// It answered so many that it is not taken back for a failure any more.
    proven: AtomicBool,
}

impl Generation {
    fn new(policy: Arc<Policy>, proven: bool) -> Self {
        Self {
            policy,
            failures: AtomicU32::new(0),
            decided: AtomicU32::new(0),
            proven: AtomicBool::new(proven),
        }
    }

    pub fn number(&self) -> u64 {
        self.policy.generation()
    }
}

/// One policy taking another's place.
#[derive(Debug, Clone)]
pub struct Step {
    pub from: Arc<Policy>,
    pub to: Arc<Policy>,
}

/// What is told when a policy is taken back by itself.
type Watcher = Box<dyn Fn(Step) + Send + Sync>;

pub struct Generations {
    current: ArcSwap<Generation>,
    /// Those that may come back, the one in force last.
    kept: Mutex<Vec<Arc<Generation>>>,
    watcher: OnceLock<Watcher>,
}

impl Generations {
    pub fn new(policy: Arc<Policy>) -> Self {
        Self::with_earlier(Vec::new(), policy)
    }

    /// With policies from an earlier run of the gate, oldest first. They have proved
    /// themselves then.
    pub fn with_earlier(earlier: Vec<Arc<Policy>>, policy: Arc<Policy>) -> Self {
        let proven = |policy| Arc::new(Generation::new(policy, true));
        let current = proven(policy);
        let mut kept: Vec<Arc<Generation>> = earlier.into_iter().map(proven).collect();
        kept.push(Arc::clone(&current));
        Self {
            current: ArcSwap::new(current),
            kept: Mutex::new(kept),
            watcher: OnceLock::new(),
        }
    }

    /// Has `watcher` told of each policy that is taken back by itself; the first
    /// watcher stays.
    pub fn watch(&self, watcher: Box<dyn Fn(Step) + Send + Sync>) {
        // Fails where there is one already.
        drop(self.watcher.set(watcher));
    }

    /// The one in force.
    pub fn current(&self) -> Guard<Arc<Generation>> {
        self.current.load()
    }

    /// Those that may come back, the one in force last.
    pub fn kept(&self) -> Vec<Arc<Policy>> {
        let kept = self.lock();
        kept.iter().map(|kept| Arc::clone(&kept.policy)).collect()
    }

    /// The one before the one in force.
    pub fn previous(&self) -> Option<Arc<Policy>> {
        let kept = self.lock();
        let at = kept.len().checked_sub(2)?;
        kept.get(at).map(|kept| Arc::clone(&kept.policy))
    }

    /// Who may answer where `asked` could not: the one that has taken its place
    /// meanwhile, else the one before it.
    pub fn in_place_of(&self, asked: &Generation) -> Option<Arc<Policy>> {
        let current = self.current.load();
        if std::ptr::eq(asked, &**current) {
            self.previous()
        } else {
            Some(Arc::clone(&current.policy))
        }
    }

    /// Puts a policy in force.
    pub fn put(&self, policy: Arc<Policy>) -> Step {
        let mut kept = self.lock();
        let from = Arc::clone(&self.current.load().policy);
        let next = Arc::new(Generation::new(Arc::clone(&policy), false));
        kept.push(Arc::clone(&next));
        let excess = kept.len().saturating_sub(GENERATIONS_KEPT);
        kept.drain(..excess);
        self.current.store(next);
        Step { from, to: policy }
    }

    /// Takes back the one in force. `None`: there is none before it.
    pub fn roll_back(&self) -> Option<Step> {
        let mut kept = self.lock();
        self.take_back(&mut kept)
    }

    /// Is told what became of a call. One that fails its first users is taken back,
    /// and the watcher told.
    pub fn report(&self, asked: &Generation, decided: bool) -> Option<Step> {
        if decided {
            asked.failures.store(0, Ordering::Relaxed);
            if !asked.proven.load(Ordering::Relaxed)
                && asked.decided.fetch_add(1, Ordering::Relaxed) + 1 >= GENERATION_PROVEN_AFTER
            {
                asked.proven.store(true, Ordering::Relaxed);
            }
            return None;
        }
        let failures = asked.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if asked.proven.load(Ordering::Relaxed) || failures < GENERATION_FAILURES_MAX {
            return None;
        }
        let mut kept = self.lock();
        // Whoever comes later finds that it has been done.
        let current = self.current.load();
        if !std::ptr::eq(asked, &**current) {
            return None;
        }
        let step = self.take_back(&mut kept)?;
        drop(kept);
        if let Some(watcher) = self.watcher.get() {
            watcher(step.clone());
        }
        Some(step)
    }

    fn take_back(&self, kept: &mut Vec<Arc<Generation>>) -> Option<Step> {
        if kept.len() < 2 {
            return None;
        }
        let from = kept.pop()?;
        let to = Arc::clone(kept.last()?);
        let step = Step {
            from: Arc::clone(&from.policy),
            to: Arc::clone(&to.policy),
        };
        self.current.store(to);
        Some(step)
    }

    /// No code that can panic runs under it, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Generation>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations")
            .field("current", &self.current.load().number())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Bundle, HostLimits, PolicyHost};
    use super::*;

    fn policies<const N: usize>() -> [Arc<Policy>; N] {
        let host = PolicyHost::new(HostLimits::default()).unwrap();
        let bundle = Bundle::built_in("acme").unwrap();
        std::array::from_fn(|number| host.load_for("acme", number as u64, &bundle).unwrap())
    }

    #[test]
    fn what_was_put_in_force_can_be_taken_back_step_by_step() {
        let [first, second, third] = policies();
        let generations = Generations::new(first);
        assert!(generations.roll_back().is_none());
        generations.put(second);
        generations.put(third);
        assert_eq!(generations.current().number(), 2);
        assert_eq!(generations.roll_back().unwrap().to.generation(), 1);
        assert_eq!(generations.previous().unwrap().generation(), 0);
        assert_eq!(generations.roll_back().unwrap().to.generation(), 0);
        assert!(generations.roll_back().is_none());
        assert_eq!(generations.current().number(), 0);
    }

    #[test]
    fn the_oldest_is_let_go() {
        let all: [Arc<Policy>; 8] = policies();
        let [first, rest @ ..] = all;
        let generations = Generations::new(first);
        for policy in rest {
            generations.put(policy);
        }
        let kept: Vec<u64> = generations
            .kept()
            .iter()
            .map(|policy| policy.generation())
            .collect();
        assert_eq!(kept, [4, 5, 6, 7]);
    }

    #[test]
    fn one_that_fails_its_first_users_is_taken_back_and_a_proven_one_is_not() {
        let [first, second] = policies();
        let generations = Generations::new(first);
        generations.put(Arc::clone(&second));
        let asked = generations.current().clone();
        for _ in 1..GENERATION_FAILURES_MAX {
            assert!(generations.report(&asked, false).is_none());
        }
        assert!(generations.report(&asked, true).is_none());
        let steps = (0..2 * GENERATION_FAILURES_MAX)
            .filter_map(|_| generations.report(&asked, false))
            .count();
        assert_eq!((steps, generations.current().number()), (1, 0));

        generations.put(second);
        let asked = generations.current().clone();
        for _ in 0..GENERATION_PROVEN_AFTER {
            generations.report(&asked, true);
        }
        for _ in 0..2 * GENERATION_FAILURES_MAX {
            assert!(generations.report(&asked, false).is_none());
        }
        assert_eq!(generations.current().number(), 1);
    }
}
