//! A candidate and the policy in force, asked the same questions, one after the other,
//! on one thread that serves nobody else.
//!
//! Both are asked the question as it is on record, so what is left out of it can make
//! no difference between them.

use std::time::Instant;

use portcullis_core::policy::Fault;

use super::difference::{Difference, differences};
use super::host::PolicyHost;
use super::loaded::Policy;
use super::question::{Answer, Question};

/// What came of one question.
#[derive(Debug, Clone)]
pub struct Trial {
    pub verdict: Verdict,
    /// From the policy in force to the candidate.
    pub differences: Vec<Difference>,
    /// Why the candidate has no answer.
    pub fault: Option<Fault>,
    /// What the calls used; `None`: there was no answer.
    pub cost: Costs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Different,
    /// The candidate has no answer, and the policy in force has one or fails in
    /// another way.
    Failed,
}

/// Units of work, the same on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Costs {
    pub current: Option<u64>,
    pub candidate: Option<u64>,
}

/// Asks both on this thread. The host is [`PolicyHost::metered`], and both are loaded
/// there. What is not begun at `until` has no trial.
pub fn rehearse<'a>(
    host: &PolicyHost,
    current: &Policy,
    candidate: &Policy,
    questions: impl IntoIterator<Item = &'a Question>,
    until: Instant,
) -> Vec<Trial> {
    questions
        .into_iter()
        .take_while(|_| Instant::now() < until)
        .map(|question| {
            let (before, current) = ask(host, current, question);
            let (after, candidate) = ask(host, candidate, question);
            Trial {
                verdict: judge(&before, &after),
                differences: differences(&before, &after),
                fault: after.err(),
                cost: Costs { current, candidate },
            }
        })
        .collect()
}

fn ask(
    host: &PolicyHost,
    policy: &Policy,
    question: &Question,
) -> (Result<Answer, Fault>, Option<u64>) {
    match host.cost(policy, question) {
        Ok((answer, cost)) => (Ok(answer), cost),
        Err(fault) => (Err(fault), None),
    }
}

/// How the answer of a candidate compares.
pub fn judge(before: &Result<Answer, Fault>, after: &Result<Answer, Fault>) -> Verdict {
    match (before, after) {
        (Ok(before), Ok(after)) if before == after => Verdict::Same,
        (Ok(_) | Err(_), Ok(_)) => Verdict::Different,
        (Err(before), Err(after)) if before.name() == after.name() => Verdict::Same,
        (Ok(_) | Err(_), Err(_)) => Verdict::Failed,
    }
}
