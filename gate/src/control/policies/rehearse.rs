//! A candidate on what the tenant's policy was asked of late, beside the data path:
//! nothing is put in force, and nothing is written down.
//!
//! One at a time, on an engine of its own that counts, and that is gone afterwards: of
//! the threads that answer requests it takes none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::ids::TenantId;

use super::{Policies, PolicyError};
use crate::live::tenants::Tenant;
use crate::policy::cases::Case;
use crate::policy::{
    Bundle, Decision, Policy, PolicyHost, Question, REHEARSAL_MS_MAX, REHEARSAL_WAIT_MS, Trial,
    rehearse,
};

/// What came of a rehearsal.
pub struct Rehearsal {
    pub current: Arc<Policy>,
    pub candidate: Arc<Policy>,
    /// The questions, in the order in which they were asked.
    pub asked: Vec<Asked>,
    /// Of the first of them; for the rest there was no time.
    pub trials: Vec<Trial>,
}

pub enum Asked {
    /// On record.
    Decision(Decision),
    /// Where nothing is on record: a case's name and question.
    Case(String, Question),
}

impl Asked {
    pub fn question(&self) -> &Question {
        match self {
            Asked::Decision(decision) => &decision.question,
            Asked::Case(_, question) => question,
        }
    }
}

impl Policies {
    /// Asks both, where the candidate passes what a policy must pass to be put.
    ///
    /// # Errors
    /// What it did not pass; [`PolicyError::Busy`] where others wait as well.
    pub async fn rehearse(
        &self,
        tenant: &Tenant,
        bundle: Bundle,
        cases: Vec<Case>,
    ) -> Result<Rehearsal, PolicyError> {
        let wait = Duration::from_millis(REHEARSAL_WAIT_MS);
        let turn = tokio::time::timeout(wait, Arc::clone(&self.rehearsing).lock_owned()).await;
        let turn = turn.map_err(|_| PolicyError::Busy)?;
        let current = Arc::clone(&tenant.policies.current().policy);
        let decisions = tenant.decisions.record.recent((self.clock)().seconds());
        let (id, gates) = (tenant.id().clone(), Arc::clone(&self.host));
        let done = tokio::task::spawn_blocking(move || {
            // Until it is done, whoever has gone away meanwhile.
            let _turn = turn;
            run(&gates, &id, current, decisions, &bundle, cases)
        });
        done.await.map_err(|_| PolicyError::BrokenOff)?
    }
}

fn run(
    gates: &PolicyHost,
    tenant: &TenantId,
    current: Arc<Policy>,
    decisions: Vec<Decision>,
    bundle: &Bundle,
    cases: Vec<Case>,
) -> Result<Rehearsal, PolicyError> {
    let host = gates.metered_beside()?;
    let candidate = host.load_tried(tenant.as_str(), 0, bundle)?;
    let runtime = tokio::runtime::Handle::current();
    for case in &cases {
        runtime.block_on(case.check(&host, bundle, &candidate))?;
    }
    let asked: Vec<Asked> = if decisions.is_empty() {
        cases.into_iter().filter_map(of_case).collect()
    } else {
        decisions.into_iter().map(Asked::Decision).collect()
    };
    let before = host.adopt(&current)?;
    let until = Instant::now() + Duration::from_millis(REHEARSAL_MS_MAX);
    let questions = asked.iter().map(Asked::question);
    let trials = rehearse(&host, &before, &candidate, questions, until);
    Ok(Rehearsal {
        current,
        candidate,
        asked,
        trials,
    })
}

fn of_case(case: Case) -> Option<Asked> {
    let name = case.path.file_stem().unwrap_or_default().to_string_lossy();
    Some(Asked::Case(name.into_owned(), case.question?))
}
