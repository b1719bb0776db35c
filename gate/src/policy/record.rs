//! What a tenant's policy was asked of late, for rehearsals: bounded, in memory, and
//! without anything of the people whom it was asked about.
//!
//! Questions that differ in nothing but their moment and their chance are one, with a
//! count. Where there is no place for a new one, the sort with most of them makes
//! room: who asks in a thousand languages pushes out no one else's question.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_core::policy::Fault;

use super::limits::{
    DECISION_BYTES_MAX, DECISION_KEPT_S, DECISIONS_ALL_MAX, DECISIONS_LEAST,
    DECISIONS_PER_TENANT_MAX,
};
use super::loaded::Policy;
use super::question::{Answer, Question};

/// A question that the policy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// As it was asked last, scrubbed.
    pub question: Question,
    /// How often.
    pub seen: u64,
    /// Unix seconds.
    pub first_seen: u64,
    pub last_seen: u64,
    pub answered: Answered,
}

/// What was answered last, in short: the whole answer may hold the user's name, and
/// is had again by asking the same policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub generation: u64,
    /// SHA-256 of the module.
    pub digest: Arc<str>,
    /// `decided`, or the name of the fault.
    pub outcome: &'static str,
    /// The status of a refusal.
    pub status: Option<u16>,
}

pub struct Record {
    places: usize,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    decision: Decision,
    /// Of everything but moment and chance.
    likeness: u64,
    /// Of this without the languages, which the client may choose at will.
    sort: u64,
}

impl Record {
    /// For one of so many tenants, which share what there is in all.
    pub fn among(tenants: usize) -> Self {
        let share = DECISIONS_ALL_MAX / tenants.max(1);
        Self {
            places: share.clamp(DECISIONS_LEAST, DECISIONS_PER_TENANT_MAX),
            kept: Mutex::default(),
        }
    }

    /// Notes a question, which must be scrubbed, and what came of it.
    pub(super) fn note(
        &self,
        question: &Question,
        policy: &Policy,
        answer: &Result<Answer, Fault>,
    ) {
        if bytes(question) > DECISION_BYTES_MAX {
            return;
        }
        let (likeness, sort) = hashes(question);
        let now = question.context().now;
        let answered = Answered {
            generation: policy.generation(),
            digest: Arc::clone(policy.shared_digest()),
            outcome: answer.as_ref().err().map_or("decided", Fault::name),
            status: match answer {
                Ok(Answer::Refusal(decision)) => Some(decision.status.as_u16()),
                Ok(Answer::Reactivation(_) | Answer::Notification(_)) | Err(_) => None,
            },
        };
        let mut kept = self.lock();
        if let Some(known) = kept.iter_mut().find(|one| one.likeness == likeness) {
            let decision = &mut known.decision;
            decision.question.clone_from(question);
            decision.seen += 1;
            decision.last_seen = now.max(decision.last_seen);
            decision.answered = answered;
            return;
        }
        if kept.len() >= self.places {
            make_room(&mut kept, now);
        }
        kept.push(Kept {
            decision: Decision {
                question: question.clone(),
                seen: 1,
                first_seen: now,
                last_seen: now,
                answered,
            },
            likeness,
            sort,
        });
    }

    /// Those not older than they may be at `now` (Unix seconds), the newest first.
    pub fn recent(&self, now: u64) -> Vec<Decision> {
        let mut kept = self.lock();
        kept.retain(|one| !is_old(&one.decision, now));
        let mut all: Vec<Decision> = kept.iter().map(|one| one.decision.clone()).collect();
        drop(kept);
        all.sort_by_key(|decision| std::cmp::Reverse(decision.last_seen));
        all
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// No code that can panic runs under it, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of what is old, or else, of the sort with most of them, of the one that
/// was seen least: of those, the one not seen for longest.
fn make_room(kept: &mut Vec<Kept>, now: u64) {
    let before = kept.len();
    kept.retain(|one| !is_old(&one.decision, now));
    if kept.len() < before {
        return;
    }
    let mut sorts: HashMap<u64, usize> = HashMap::new();
    for one in kept.iter() {
        *sorts.entry(one.sort).or_default() += 1;
    }
    let most = sorts.values().copied().max().unwrap_or_default();
    let of_most = |one: &Kept| sorts.get(&one.sort) == Some(&most);
    let least = kept
        .iter()
        .enumerate()
        .filter(|(_, one)| of_most(one))
        .min_by_key(|(_, one)| (one.decision.seen, one.decision.last_seen))
        .map(|(place, _)| place);
    if let Some(place) = least {
        kept.swap_remove(place);
    }
}

fn is_old(decision: &Decision, now: u64) -> bool {
    now.saturating_sub(decision.last_seen) > DECISION_KEPT_S
}

/// Of the question but for its moment and its chance, and of its sort. Two that differ
/// and have one hash would share a place on record, and nothing else depends on it.
fn hashes(question: &Question) -> (u64, u64) {
    let mut likeness = question.clone();
    let (context, suspension) = likeness.parts_mut();
    (context.now, context.seed) = (0, 0);
    if let Some(suspension) = suspension {
        suspension.since = 0;
        suspension.until = suspension.until.map(|_| 0);
    }
    if let Question::Reactivation(input) = &mut likeness {
        input.issued_at = input.issued_at.map(|_| 0);
    }
    let whole = hash(&likeness);
    likeness.parts_mut().0.locales = Vec::new();
    (whole, hash(&likeness))
}

impl Question {
    /// Of one sort: but for the languages, which the client may choose at will.
    pub(super) fn is_like(&self, other: &Question) -> bool {
        hashes(self).1 == hashes(other).1
    }
}

fn hash(question: &Question) -> u64 {
    let mut hasher = DefaultHasher::new();
    question.hash(&mut hasher);
    hasher.finish()
}

/// About what it takes: its texts, and the frame around each.
fn bytes(question: &Question) -> usize {
    let context = question.context();
    let pairs = context.attributes.iter();
    let attributes = pairs.map(|(name, value)| name.len() + value.len() + 48);
    let locales = context.locales.iter().map(|tag| tag.len() + 24);
    let key = question
        .suspension()
        .and_then(|suspension| suspension.reason_key.as_ref());
    let more = match question {
        Question::Notification(input) => 32 * input.channels.len(),
        Question::Reactivation(input) => 32 * input.proofs.len(),
        Question::Refusal(_) => 0,
    };
    size_of::<Kept>() + attributes.chain(locales).sum::<usize>() + key.map_or(0, String::len) + more
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.lock().iter().map(|one| &one.decision))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use portcullis_core::policy::{
        Context, Occasion, RefusalInput, Surface, Suspension, SuspensionKind,
    };

    use super::super::{HostLimits, PolicyHost};
    use super::*;

    fn policy() -> Arc<Policy> {
        let host = PolicyHost::new(HostLimits::default()).unwrap();
        host.load_builtin("acme").unwrap()
    }

    fn question(reason: &str, locale: &str, now: u64) -> Question {
        Question::Refusal(RefusalInput {
            context: Context {
                tenant: "acme".to_owned(),
                user_id: "b0b@acme.test".to_owned(),
                now,
                seed: now,
                locales: vec![locale.to_owned()],
                attributes: vec![("email".to_owned(), "b0b@acme.test".to_owned())],
            },
            suspension: Suspension {
                kind: SuspensionKind::Permanent,
                reason_key: Some(reason.to_owned()),
                reason_text: Some("b0b wrote to us".to_owned()),
                since: now / 2,
                until: None,
                source: "api".to_owned(),
            },
            surface: Surface::Page,
            occasion: Occasion::Request,
        })
    }

    fn note(record: &Record, policy: &Policy, reason: &str, locale: &str, now: u64) {
        let question = question(reason, locale, now).scrubbed();
        record.note(&question, policy, &Err(Fault::StackOverflow));
    }

    #[test]
    fn questions_that_differ_in_their_moment_alone_are_one_and_nobody_is_named() {
        let (record, policy) = (Record::among(1), policy());
        for now in [10_000, 20_000, 30_000] {
            note(&record, &policy, "fraud", "de", now);
        }
        note(&record, &policy, "fraud", "en", 25_000);
        let all = record.recent(30_000);
        let [newest, other] = all.as_slice() else {
            unreachable!("{all:?}")
        };
        assert_eq!((newest.seen, other.seen), (3, 1));
        assert_eq!((newest.first_seen, newest.last_seen), (10_000, 30_000));
        // Asked again as it was asked last, by its moment and its chance.
        let context = newest.question.context();
        assert_eq!((context.now, context.seed), (30_000, 30_000));
        assert_eq!(newest.answered.outcome, "stack_overflow");
        assert_eq!(&*newest.answered.digest, policy.digest());
        let shown = format!("{record:?}");
        assert!(shown.contains("fraud") && !shown.contains("b0b"), "{shown}");
    }

    #[test]
    fn who_asks_in_a_thousand_languages_pushes_out_no_other_sort() {
        let (record, policy) = (Record::among(1), policy());
        note(&record, &policy, "spam", "de", 1_000);
        note(&record, &policy, "fraud", "fr", 1_000);
        note(&record, &policy, "fraud", "fr", 1_001);
        let letters = || b'a'..=b'z';
        for (first, second) in letters().flat_map(|a| letters().map(move |b| (a, b))) {
            let locale = String::from_utf8(vec![b'q', first, second]).unwrap();
            note(&record, &policy, "fraud", &locale, 2_000);
        }
        let all = record.recent(2_000);
        assert_eq!(all.len(), DECISIONS_PER_TENANT_MAX);
        let has = |reason: &str, locale: &str| {
            all.iter().any(|one| {
                let suspension = one.question.suspension().unwrap();
                suspension.reason_key.as_deref() == Some(reason)
                    && one.question.context().locales == [locale]
            })
        };
        assert!(has("spam", "de"), "another sort");
        assert!(has("fraud", "fr"), "one of the same sort that came back");
    }

    #[test]
    fn what_is_old_or_large_is_not_kept_and_many_tenants_share() {
        let (record, policy) = (Record::among(1), policy());
        note(&record, &policy, "fraud", "de", 1_000);
        let mut large = question("fraud", "en", 1_000).scrubbed();
        large.parts_mut().0.attributes = vec![("a".repeat(64), "b".repeat(64)); 100];
        record.note(&large, &policy, &Err(Fault::StackOverflow));
        assert_eq!(record.recent(1_000).len(), 1);
        assert_eq!(record.recent(1_000 + DECISION_KEPT_S).len(), 1);
        assert_eq!(record.recent(1_001 + DECISION_KEPT_S).len(), 0);

        for (tenants, places) in [(1, 256), (64, 256), (128, 128), (1_000_000, 8)] {
            assert_eq!(Record::among(tenants).places, places);
        }
        let record = Record::among(1_000_000);
        for number in 0..20 {
            note(
                &record,
                &policy,
                "fraud",
                &format!("e{}", char::from(b'a' + number)),
                1,
            );
        }
        assert_eq!(record.count(), 8);
    }
}
