//! A tenant's decisions as they are made: where they go on record, and on to a shadow
//! where one runs.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use portcullis_core::policy::Fault;

use super::loaded::Policy;
use super::question::{Answer, Question};
use super::record::Record;
use super::shadow::{Counts, Shadow, Totals, is_put_off};

pub struct Decisions {
    pub record: Record,
    /// The one that runs, or the last that ran.
    shadow: ArcSwapOption<Shadow>,
    totals: Arc<Totals>,
}

impl Decisions {
    /// Of one of so many tenants.
    pub fn among(tenants: usize) -> Self {
        Self {
            record: Record::among(tenants),
            shadow: ArcSwapOption::empty(),
            totals: Arc::default(),
        }
    }

    /// Takes down a decision of the policy in force. What the threads had no time for
    /// is none.
    pub fn note(&self, policy: &Arc<Policy>, question: Question, answer: Result<Answer, Fault>) {
        if is_put_off(&answer) {
            return;
        }
        let scrubbed = question.scrubbed();
        self.record.note(&scrubbed, policy, &answer);
        if let Some(shadow) = &*self.shadow.load() {
            shadow.hear(policy, question, scrubbed, answer);
        }
    }

    pub fn shadow(&self) -> Option<Arc<Shadow>> {
        self.shadow.load_full()
    }

    pub fn shade(&self, shadow: Arc<Shadow>) {
        self.shadow.store(Some(shadow));
    }

    /// What all shadows so far have counted; `None`: there was none.
    pub fn shadowed(&self) -> Option<Counts> {
        self.shadow.load().as_ref().map(|_| self.totals.counts())
    }

    pub fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }
}
