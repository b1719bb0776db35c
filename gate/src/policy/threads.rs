//! The threads that guests run on, and the queue before them.
//!
//! A place is held from when a call starts until its guest is done, whether or
//! not anybody still waits for the answer: else callers that give up would let
//! more guests run than there are threads. A policy may hold only some of the
//! places and fill only a part of the queue, so that one that loops leaves room
//! for the others.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use portcullis_core::policy::Fault;
use tokio::sync::oneshot;

use super::limits::{HostLimits, THREAD_STACK_BYTES};
use super::load::LoadError;

/// The policy that a call belongs to.
pub(super) type Owner = u64;

struct Job {
    owner: Owner,
    call: Box<dyn Call>,
}

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
    waiting: VecDeque<Job>,
    /// Calls that run now, by policy; no entry for none.
    running: HashMap<Owner, usize>,
    stopped: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    concurrent_calls_max: usize,
    queue_max: usize,
    queue_per_policy_max: usize,
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
    /// [`Fault::Busy`], at once, when too many calls wait already.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        owner: Owner,
        guest: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Job {
            owner,
            call: Box::new(Pending { guest, answer }),
        })?;
        // Without an answer the thread panicked, or the host is being dropped.
        answered
            .await
            .unwrap_or_else(|_| Err(Fault::Trap("the call was broken off".to_owned())))
    }

    fn enqueue(&self, job: Job) -> Result<(), Fault> {
        let mut queue = lock(&self.0.queue);
        if queue.waiting.len() >= self.0.queue_max {
            queue.waiting.retain(|job| !job.call.abandoned());
        }
        let own = queue
            .waiting
            .iter()
            .filter(|waiting| waiting.owner == job.owner)
            .count();
        if queue.waiting.len() >= self.0.queue_max || own >= self.0.queue_per_policy_max {
            return Err(Fault::Busy);
        }
        queue.waiting.push_back(job);
        drop(queue);
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        queue.stopped = true;
        queue.waiting.clear();
        drop(queue);
        self.0.arrived.notify_all();
    }
}

fn serve(shared: &Shared) {
    while let Some(Job { owner, call }) = next(shared) {
        if !call.abandoned() {
            // A panic here is the gate's own mistake; it must not cost a thread
            // for good. The caller learns of it, since its answer never comes.
            if catch_unwind(AssertUnwindSafe(|| call.run())).is_err() {
                tracing::error!("a policy call panicked; this is a fault of the gate");
            }
        }
        finish(shared, owner);
    }
}

/// Waits for a call whose policy has a place free.
fn next(shared: &Shared) -> Option<Job> {
    let mut queue = lock(&shared.queue);
    loop {
        if queue.stopped {
            return None;
        }
        let ready = queue.waiting.iter().position(|job| {
            queue
                .running
                .get(&job.owner)
                .is_none_or(|count| *count < shared.concurrent_calls_max)
        });
        if let Some(job) = ready.and_then(|position| queue.waiting.remove(position)) {
            *queue.running.entry(job.owner).or_insert(0) += 1;
            return Some(job);
        }
        queue = shared
            .arrived
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn finish(shared: &Shared, owner: Owner) {
    let mut queue = lock(&shared.queue);
    if let Some(count) = queue.running.get_mut(&owner) {
        *count -= 1;
        if *count == 0 {
            queue.running.remove(&owner);
        }
    }
    // No need to wake another thread: this one looks at the queue next, and
    // whoever put a call there woke one for it.
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

    #[test]
    fn the_threads_end_with_their_host_once_their_calls_are_done() {
        let threads = threads();
        let shared = Arc::downgrade(&threads.0);
        let (release, held) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        let call = threads.run(0, move || {
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
        let threads = threads();
        for _ in 0..5 {
            #[allow(clippy::panic)]
            let panicked =
                threads.run(0, || -> Result<(), Fault> { panic!("a fault of the gate") });
            assert!(matches!(panicked.await, Err(Fault::Trap(_))));
        }
        assert_eq!(threads.run(0, || Ok(1)).await, Ok(1));
    }
}
