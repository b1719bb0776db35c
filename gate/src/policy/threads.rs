//! The threads that guests run on, and the queue before them.
//!
//! A place is held from when a call starts until its guest is done, whether or
//! not anybody still waits for the answer: else callers that give up would let
//! more guests run than there are threads. A policy may hold only some of the
//! places and fill only a part of the queue, so that one that loops leaves room
//! for the others.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_core::policy::Fault;
use portcullis_core::turns::Turns;
use tokio::sync::oneshot;

use super::limits::{HostLimits, THREAD_STACK_BYTES};
use super::load::LoadError;

/// Whose call it is: a tenant, whichever of its policies runs.
pub(super) type Owner = Arc<str>;

type Job = Box<dyn Call>;

/// A call together with where its answer goes.
trait Call: Send {
    /// Whether nobody waits for the answer any more.
    fn abandoned(&self) -> bool;
    fn run(self: Box<Self>);
}

struct Pending<T, F> {
    guest: F,
    answer: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Call for Pending<T, F>
where
    T: Send,
    F: FnOnce() -> Result<T, Fault> + Send,
{
    fn abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(self: Box<Self>) {
        let Pending { guest, answer } = *self;
        // Fails where the caller has gone; the answer is then nobody's.
        drop(answer.send(guest()));
    }
}

#[derive(Default)]
struct Queue {
    /// By owner, each in turn: who has much waiting waits behind itself alone.
    waiting: Turns<Owner, Job>,
    shares: HashMap<Owner, Share>,
    /// Calls that run now of owners whose calls are long.
    slow_running: usize,
    stopped: bool,
}

/// What an owner uses of the threads.
struct Share {
    running: usize,
    /// Seconds that its calls may still take. Below nought where the last one took
    /// more than there was: that is earned first.
    left: f64,
    counted_at: Instant,
    /// A call of its was long: until it has been quiet for a while, one thread is
    /// kept free of it.
    slow: bool,
}

impl Share {
    fn whole(allowance: &Allowance, now: Instant) -> Self {
        Self {
            running: 0,
            left: allowance.saved_max,
            counted_at: now,
            slow: false,
        }
    }

    /// Gives back what has come in since the last time, up to what may be saved.
    fn refill(&mut self, allowance: &Allowance, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_at);
        let earned = passed.as_secs_f64() * allowance.share;
        self.left = (self.left + earned).min(allowance.saved_max);
        self.counted_at = now;
    }

    fn is_whole(&self, allowance: &Allowance) -> bool {
        self.running == 0 && self.left >= allowance.saved_max
    }
}

/// How much guest time an owner may have.
struct Allowance {
    /// Of each second.
    share: f64,
    /// Seconds.
    saved_max: f64,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    concurrent_calls_max: usize,
    queue_max: usize,
    queue_per_policy_max: usize,
    allowance: Allowance,
    /// Longer than this a call does not take that means well.
    slow: Duration,
    slow_calls_max: usize,
}

/// The threads. Dropping it lets each finish its call and ends it.
pub(super) struct GuestThreads(Arc<Shared>);

impl GuestThreads {
    pub(super) fn start(limits: &HostLimits) -> Result<Self, LoadError> {
        let threads = Self(Arc::new(Shared {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            concurrent_calls_max: limits.concurrent_calls_max.max(1),
            queue_max: limits.queue_max,
            queue_per_policy_max: limits.queue_per_policy_max,
            allowance: Allowance {
                share: limits.guest_ms_per_second as f64 / 1000.0,
                saved_max: limits.guest_ms_saved_max as f64 / 1000.0,
            },
            slow: Duration::from_millis(limits.slow_ms),
            slow_calls_max: limits.guest_threads.saturating_sub(1).max(1),
        }));
        for number in 0..limits.guest_threads {
            let shared = Arc::clone(&threads.0);
            thread::Builder::new()
                .name(format!("policy-guest-{number}"))
                .stack_size(THREAD_STACK_BYTES)
                .spawn(move || serve(&shared))
                .map_err(LoadError::Thread)?;
        }
        Ok(threads)
    }

    /// Runs `call` on one of the threads.
    ///
    /// # Errors
    /// At once, [`Fault::Busy`] when too many calls wait already, and
    /// [`Fault::OverBudget`] when the owner's have taken all their time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        owner: &Owner,
        guest: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(owner, Box::new(Pending { guest, answer }))?;
        // Without an answer the thread panicked, or the host is being dropped.
        answered
            .await
            .unwrap_or_else(|_| Err(Fault::Trap("the call was broken off".to_owned())))
    }

    fn enqueue(&self, owner: &Owner, job: Job) -> Result<(), Fault> {
        let shared = &self.0;
        let mut queue = lock(&shared.queue);
        if let Some(share) = queue.shares.get_mut(owner) {
            share.refill(&shared.allowance, Instant::now());
            if share.left <= 0.0 {
                return Err(Fault::OverBudget);
            }
        }
        if queue.waiting.waiting() >= shared.queue_max {
            queue.waiting.retain(|job| !job.abandoned());
        }
        if queue.waiting.waiting() >= shared.queue_max
            || queue.waiting.held(owner) >= shared.queue_per_policy_max
        {
            return Err(Fault::Busy);
        }
        queue.waiting.put(Arc::clone(owner), job);
        drop(queue);
        shared.arrived.notify_one();
        Ok(())
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        queue.stopped = true;
        queue.waiting = Turns::default();
        drop(queue);
        self.0.arrived.notify_all();
    }
}

fn serve(shared: &Shared) {
    while let Some((owner, call, slow)) = next(shared) {
        let started = Instant::now();
        if !call.abandoned() {
            // A panic here is the gate's own mistake; it must not cost a thread
            // for good. The caller learns of it, since its answer never comes.
            if catch_unwind(AssertUnwindSafe(|| call.run())).is_err() {
                tracing::error!("a policy call panicked; this is a fault of the gate");
            }
        }
        finish(shared, &owner, slow, started.elapsed());
    }
}

/// Waits for a call whose owner has a place free. `true`: it counts as a slow one.
fn next(shared: &Shared) -> Option<(Owner, Job, bool)> {
    let mut queue = lock(&shared.queue);
    loop {
        if queue.stopped {
            return None;
        }
        let Queue {
            waiting,
            shares,
            slow_running,
            ..
        } = &mut *queue;
        let ready = waiting.next(|owner| {
            shares.get(owner).is_none_or(|share| {
                share.running < shared.concurrent_calls_max
                    && (!share.slow || *slow_running < shared.slow_calls_max)
            })
        });
        if let Some((owner, job)) = ready {
            let share = shares
                .entry(Arc::clone(&owner))
                .or_insert_with(|| Share::whole(&shared.allowance, Instant::now()));
            share.running += 1;
            let slow = share.slow;
            *slow_running += usize::from(slow);
            return Some((owner, job, slow));
        }
        queue = shared
            .arrived
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn finish(shared: &Shared, owner: &Owner, slow: bool, taken: Duration) {
    let mut queue = lock(&shared.queue);
    queue.slow_running -= usize::from(slow);
    if let Some(share) = queue.shares.get_mut(owner) {
        share.refill(&shared.allowance, Instant::now());
        share.running -= 1;
        // Before its time is taken off: one that saved up all of it was quiet.
        share.slow = taken >= shared.slow || (share.slow && !share.is_whole(&shared.allowance));
        share.left -= taken.as_secs_f64();
        if share.is_whole(&shared.allowance) {
            queue.shares.remove(owner);
        }
    }
    let waits = queue.waiting.waiting() > 0;
    drop(queue);
    // This thread looks at the queue next, but a call that waited for a slow one to
    // end may be for another.
    if waits {
        shared.arrived.notify_one();
    }
}

/// No code that can panic runs under these locks, so a poisoned one is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    fn threads() -> GuestThreads {
        GuestThreads::start(&HostLimits::default()).unwrap()
    }

    fn owner() -> Owner {
        Owner::from("acme")
    }

    #[test]
    fn the_threads_end_with_their_host_once_their_calls_are_done() {
        let threads = threads();
        let shared = Arc::downgrade(&threads.0);
        let (release, held) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        let owner = owner();
        let call = threads.run(&owner, move || {
            start.send(()).unwrap();
            Ok(held.recv().is_err())
        });
        // The call is queued at the first poll, which here is also the last.
        let mut call = Box::pin(call);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        started.recv().unwrap();
        drop(call);
        drop(threads);
        assert!(shared.upgrade().is_some(), "a call still runs");
        drop(release);
        let begun = Instant::now();
        while shared.upgrade().is_some() {
            assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain");
            thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_call_that_panics_costs_no_thread() {
        let (threads, owner) = (threads(), owner());
        for _ in 0..5 {
            #[allow(clippy::panic)]
            let panicked = threads.run(&owner, || -> Result<(), Fault> {
                panic!("a fault of the gate")
            });
            assert!(matches!(panicked.await, Err(Fault::Trap(_))));
        }
        assert_eq!(threads.run(&owner, || Ok(1)).await, Ok(1));
    }
}
