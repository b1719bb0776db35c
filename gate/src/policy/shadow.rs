//! A candidate that is asked what the policy in force is asked, while it is asked, and
//! whose answers nobody gets: they are compared and counted.
//!
//! Whoever is refused never waits for it. A decision goes into a bounded queue, or is
//! skipped where that is full; behind it the candidate runs on a host of its own. It
//! is asked the question as it was, and so meets each user as it would in force; what
//! is kept of that is scrubbed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_core::policy::Fault;
use portcullis_core::time::Timestamp;
use tokio::sync::{Notify, mpsc};

use super::difference::{Difference, differences};
use super::host::PolicyHost;
use super::limits::{SHADOW_EXAMPLES_MAX, SHADOW_QUEUE_MAX};
use super::loaded::Policy;
use super::question::{Answer, Question};
use super::rehearsal::{Verdict, judge};

/// A decision of the policy in force, on its way to the candidate. It holds what the
/// gate asked, of whom it asked it included, until the candidate has answered.
pub struct Heard {
    question: Question,
    scrubbed: Question,
    policy: Arc<Policy>,
    answer: Result<Answer, Fault>,
}

pub struct Shadow {
    /// Name, version and digest.
    pub candidate: [String; 3],
    /// The generation that it runs beside.
    pub against: u64,
    pub begun: Timestamp,
    pub ends: Timestamp,
    queue: mpsc::Sender<Heard>,
    over: Notify,
    tally: Mutex<Tally>,
    totals: Arc<Totals>,
}

/// What came of it so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub counts: Counts,
    pub examples: Vec<Example>,
    /// Differences that had no place among the examples.
    pub not_shown: u64,
    pub ended: Option<(Ended, Timestamp)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub same: u64,
    pub different: u64,
    pub failed: u64,
    /// Not asked: the candidate is slow, or has used up its time.
    pub skipped: u64,
}

/// Why a shadow runs no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Time,
    Stopped,
    /// Another policy is in force than the one that it was compared with.
    Swapped,
}

/// One kind of difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Scrubbed, as it was seen first.
    pub question: Question,
    pub verdict: Verdict,
    /// Where a field differs only for the user who was asked about, it is named and
    /// its values are not.
    pub differences: Vec<Difference>,
    /// The name of the candidate's fault.
    pub fault: Option<&'static str>,
    pub seen: u64,
}

/// Of all shadows of a tenant since the gate's start.
#[derive(Debug, Default)]
pub struct Totals {
    same: AtomicU64,
    different: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
}

impl Counts {
    fn of_mut(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Same => &mut self.same,
            Verdict::Different => &mut self.different,
            Verdict::Failed => &mut self.failed,
        }
    }
}

impl Totals {
    fn of(&self, verdict: Verdict) -> &AtomicU64 {
        match verdict {
            Verdict::Same => &self.same,
            Verdict::Different => &self.different,
            Verdict::Failed => &self.failed,
        }
    }

    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            same: read(&self.same),
            different: read(&self.different),
            failed: read(&self.failed),
            skipped: read(&self.skipped),
        }
    }
}

impl Shadow {
    /// With where its decisions come out.
    pub fn new(
        candidate: &Policy,
        against: u64,
        begun: Timestamp,
        ends: Timestamp,
        totals: Arc<Totals>,
    ) -> (Arc<Self>, mpsc::Receiver<Heard>) {
        let (queue, heard) = mpsc::channel(SHADOW_QUEUE_MAX);
        let said = candidate.description();
        let digest = candidate.digest().to_owned();
        let shadow = Self {
            candidate: [said.name.clone(), said.version.clone(), digest],
            against,
            begun,
            ends,
            queue,
            over: Notify::new(),
            tally: Mutex::default(),
            totals,
        };
        (Arc::new(shadow), heard)
    }

    pub fn tally(&self) -> Tally {
        self.lock().clone()
    }

    pub fn runs(&self) -> bool {
        self.lock().ended.is_none()
    }

    /// The first end stays.
    pub fn end(&self, why: Ended, at: Timestamp) -> bool {
        let mut tally = self.lock();
        if tally.ended.is_some() {
            return false;
        }
        tally.ended = Some((why, at));
        drop(tally);
        self.over.notify_one();
        true
    }

    /// Waits until somebody has ended it.
    pub async fn ended(&self) {
        self.over.notified().await;
    }

    pub(super) fn hear(
        &self,
        policy: &Arc<Policy>,
        question: Question,
        scrubbed: Question,
        answer: Result<Answer, Fault>,
    ) {
        if policy.generation() != self.against || !self.runs() {
            return;
        }
        let heard = Heard {
            question,
            scrubbed,
            policy: Arc::clone(policy),
            answer,
        };
        if self.queue.try_send(heard).is_err() {
            self.skip();
        }
    }

    /// Asks the candidate what the policy in force was asked, on a host of its own;
    /// `live` is the host of the one in force.
    pub async fn compare(
        &self,
        candidate: &Arc<Policy>,
        host: &PolicyHost,
        live: &PolicyHost,
        heard: Heard,
    ) {
        let answer = host.answer(candidate, &heard.question).await;
        if is_put_off(&answer) {
            return self.skip();
        }
        let verdict = judge(&heard.answer, &answer);
        self.totals.of(verdict).fetch_add(1, Ordering::Relaxed);
        *self.lock().counts.of_mut(verdict) += 1;
        if verdict == Verdict::Same {
            return;
        }
        let found = differences(&heard.answer, &answer);
        let fault = answer.err().map(|fault| fault.name());
        if self.is_known(&heard.scrubbed, &found) {
            return;
        }
        // What was answered may hold the user's name: the values that are shown come
        // from the question without it.
        let before = live.answer(&heard.policy, &heard.scrubbed).await;
        let after = host.answer(candidate, &heard.scrubbed).await;
        let open = if is_put_off(&before) || is_put_off(&after) {
            Vec::new()
        } else {
            differences(&before, &after)
        };
        let differences = found.into_iter().map(|difference| {
            let open = open.iter().find(|open| open.field == difference.field);
            open.cloned().unwrap_or(Difference {
                field: difference.field,
                before: None,
                after: None,
            })
        });
        let mut tally = self.lock();
        tally.examples.push(Example {
            question: heard.scrubbed,
            verdict,
            differences: differences.collect(),
            fault,
            seen: 1,
        });
    }

    /// Whether there is such an example, which is then counted, or no place for it.
    fn is_known(&self, question: &Question, found: &[Difference]) -> bool {
        let mut tally = self.lock();
        let alike = |example: &&mut Example| {
            let fields = example.differences.iter().map(|one| &one.field);
            example.question.is_like(question) && fields.eq(found.iter().map(|one| &one.field))
        };
        if let Some(known) = tally.examples.iter_mut().find(alike) {
            known.seen += 1;
            return true;
        }
        let full = tally.examples.len() >= SHADOW_EXAMPLES_MAX;
        tally.not_shown += u64::from(full);
        full
    }

    fn skip(&self) {
        self.totals.skipped.fetch_add(1, Ordering::Relaxed);
        self.lock().counts.skipped += 1;
    }

    /// No code that can panic runs under it, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the threads had no time for says nothing of the policy.
pub(super) fn is_put_off(answer: &Result<Answer, Fault>) -> bool {
    matches!(answer, Err(Fault::Busy | Fault::OverBudget))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use portcullis_core::policy::{
        Context, Occasion, RefusalInput, Surface, Suspension, SuspensionKind,
    };

    use super::super::{Bundle, Decisions, HostLimits};
    use super::*;

    fn question() -> Question {
        Question::Refusal(RefusalInput {
            context: Context::default(),
            suspension: Suspension {
                kind: SuspensionKind::Permanent,
                reason_key: None,
                reason_text: None,
                since: 0,
                until: None,
                source: "api".to_owned(),
            },
            surface: Surface::Page,
            occasion: Occasion::Request,
        })
    }

    fn begun() -> (PolicyHost, [Arc<Policy>; 2], Decisions) {
        let host = PolicyHost::new(HostLimits::default()).unwrap();
        let bundle = Bundle::built_in("acme").unwrap();
        let policies = [0, 1].map(|number| host.load_for("acme", number, &bundle).unwrap());
        (host, policies, Decisions::among(1))
    }

    #[tokio::test]
    async fn nobody_waits_for_a_shadow_that_does_not_keep_up() {
        let (host, [current, other], decisions) = begun();
        let totals = Arc::clone(decisions.totals());
        let (shadow, mut heard) = Shadow::new(&other, 0, Timestamp(1), Timestamp(2), totals);
        decisions.shade(Arc::clone(&shadow));
        let answer = host.answer(&current, &question()).await;
        // Nobody takes them out meanwhile.
        for _ in 0..SHADOW_QUEUE_MAX + 5 {
            decisions.note(&current, question(), answer.clone());
        }
        assert_eq!(shadow.tally().counts.skipped, 5);
        // Another generation's, and what the threads had no time for, are not for it.
        decisions.note(&other, question(), answer.clone());
        decisions.note(&current, question(), Err(Fault::OverBudget));
        assert_eq!(shadow.tally().counts.skipped, 5);
        while let Ok(next) = heard.try_recv() {
            shadow.compare(&other, &host, &host, next).await;
        }
        let counts = Counts {
            same: SHADOW_QUEUE_MAX as u64,
            skipped: 5,
            ..Counts::default()
        };
        assert_eq!(shadow.tally().counts, counts);

        assert!(shadow.end(Ended::Stopped, Timestamp(3)));
        assert!(
            !shadow.end(Ended::Time, Timestamp(4)),
            "the first end stays"
        );
        shadow.ended().await;
        decisions.note(&current, question(), answer);
        assert!(heard.try_recv().is_err(), "it hears on after its end");
        assert_eq!(decisions.shadowed(), Some(counts));
    }
}
