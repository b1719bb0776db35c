//! Puts tenants' policies in force while the gate runs, and takes them back.
//!
//! A candidate is loaded, asked the usual questions and the questions of its cases,
//! all beside the data path. Then it is written down, put on record, and put in
//! force by one pointer store; whatever fails before that leaves the old one alone.

mod rehearse;
mod shadow;
mod shelf;
mod watch;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use portcullis_core::ids::TenantId;
use portcullis_core::ledger::{Draft, Event, PolicyStep};
use portcullis_core::time::Timestamp;
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore, mpsc};

use super::command::Caller;
use super::ledger::{AppendError, Expect, Ledger};
use crate::config::PolicySource;
use crate::live::Reader;
use crate::live::tenants::Tenant;
use crate::policy::cases::{Case, CaseError};
use crate::policy::{Bundle, Ended, Generations, LoadError, Policy, PolicyHost, SHADOWS_MAX, Step};

pub use rehearse::{Asked, Rehearsal};
pub use shelf::{Shelf, ShelfError};

/// Why a policy was not put in force. The one before it stays.
#[derive(Debug, Error)]
pub enum PolicyError {
    #[error("{0}")]
    Load(#[from] LoadError),
    #[error("cases: {0}")]
    Case(#[from] CaseError),
    #[error("there is no policy before the one in force")]
    NoneBefore,
    #[error("{0}")]
    Shelf(#[from] ShelfError),
    #[error("the change could not be put on record: {0}")]
    Ledger(#[from] AppendError),
    #[error("others are being tried, as many as can be at a time")]
    Busy,
    #[error("a shadow runs already beside the policy in force")]
    ShadowRuns,
    #[error("the work was broken off")]
    BrokenOff,
}

pub struct Policies {
    host: Arc<PolicyHost>,
    shelf: Arc<Shelf>,
    ledger: Arc<dyn Ledger>,
    clock: fn() -> Timestamp,
    lanes: Mutex<HashMap<TenantId, Arc<Lane>>>,
    /// One rehearsal at a time, for the same reason.
    rehearsing: Arc<Mutex<()>>,
    shadow_host: Arc<shadow::ShadowHost>,
    shadow_places: Arc<Semaphore>,
}

/// The changes of one tenant, which wait for no other tenant's.
#[derive(Default)]
struct Lane {
    /// One candidate at a time is made ready, however long that takes.
    trying: Mutex<()>,
    /// One change at a time is put on record and in force: a way back waits for no
    /// candidate.
    changing: Mutex<()>,
}

/// A policy that was taken back by itself.
type TakenBack = (TenantId, Step);

impl Policies {
    /// Also follows what is taken back by itself, until the gate is gone.
    pub fn start(
        host: Arc<PolicyHost>,
        shelf: Arc<Shelf>,
        ledger: Arc<dyn Ledger>,
        live: &Reader,
        clock: fn() -> Timestamp,
    ) -> Arc<Self> {
        let policies = Arc::new(Self {
            host,
            shelf,
            ledger,
            clock,
            lanes: Mutex::default(),
            rehearsing: Arc::default(),
            shadow_host: Arc::default(),
            shadow_places: Arc::new(Semaphore::new(SHADOWS_MAX)),
        });
        let (sender, taken_back) = mpsc::unbounded_channel();
        for tenant in live.tenants().all() {
            let (sender, id) = (sender.clone(), tenant.id().clone());
            tenant.policies.watch(Box::new(move |step| {
                // Fails where the gate is stopping; the log has it then.
                drop(sender.send((id.clone(), step)));
            }));
        }
        tokio::spawn(Arc::clone(&policies).follow(taken_back, live.clone()));
        for tenant in live.tenants().all() {
            if let (PolicySource::Folder(folder), true) =
                (&tenant.config.policy.source, tenant.config.policy.watch)
            {
                let (policies, tenant) = (Arc::clone(&policies), Arc::clone(tenant));
                tokio::spawn(watch::follow(policies, tenant, folder.clone()));
            }
        }
        policies
    }

    /// What became of the calls so far.
    pub fn host(&self) -> &PolicyHost {
        &self.host
    }

    /// Puts a policy in force, if it passes everything.
    ///
    /// # Errors
    /// What it did not pass, or what could not be written down.
    pub async fn put(
        &self,
        tenant: &Tenant,
        bundle: Bundle,
        cases: Vec<Case>,
        by: &Caller,
    ) -> Result<Step, PolicyError> {
        let lane = self.lane(tenant.id()).await;
        let _one_candidate = lane.trying.lock().await;
        let (host, shelf) = (Arc::clone(&self.host), Arc::clone(&self.shelf));
        let id = tenant.id().clone();
        let kept = numbers(&tenant.policies);
        let current = Arc::clone(&tenant.policies.current().policy);
        let now = Arc::clone(&current);
        let made = tokio::task::spawn_blocking(move || {
            let number = shelf.next_number(&id, &kept)?;
            let policy = host.load_tried(id.as_str(), number, &bundle)?;
            let runtime = tokio::runtime::Handle::current();
            for case in cases {
                runtime.block_on(case.check(&host, &bundle, &policy))?;
            }
            // Sent twice, as after an answer that got lost: it would push out those that
            // a way back may be needed to.
            if policy.is_like(&now) {
                return Ok(None);
            }
            shelf.write(&id, number, &bundle)?;
            Ok::<_, PolicyError>(Some(policy))
        });
        let Some(policy) = made.await.map_err(|_| PolicyError::BrokenOff)?? else {
            return Ok(Step {
                from: Arc::clone(&current),
                to: current,
            });
        };
        let _one_at_a_time = lane.changing.lock().await;
        let from = Arc::clone(&tenant.policies.current().policy);
        self.record(tenant.id(), &from, &policy, PolicyStep::Put, by)
            .await?;
        let mut kept = numbers(&tenant.policies);
        kept.push(policy.generation());
        self.keep(tenant.id(), kept).await?;
        let step = tenant.policies.put(policy);
        self.end_shadow(tenant, Ended::Swapped);
        told(tenant.id(), &step, "a policy was put in force");
        Ok(step)
    }

    /// Takes back the policy in force.
    ///
    /// # Errors
    /// [`PolicyError::NoneBefore`], or what could not be written down.
    pub async fn roll_back(&self, tenant: &Tenant, by: &Caller) -> Result<Step, PolicyError> {
        let lane = self.lane(tenant.id()).await;
        let _one_at_a_time = lane.changing.lock().await;
        let to = tenant.policies.previous().ok_or(PolicyError::NoneBefore)?;
        let from = Arc::clone(&tenant.policies.current().policy);
        self.record(tenant.id(), &from, &to, PolicyStep::RolledBack, by)
            .await?;
        let mut kept = numbers(&tenant.policies);
        kept.pop();
        self.keep(tenant.id(), kept).await?;
        let step = tenant.policies.roll_back().ok_or(PolicyError::NoneBefore)?;
        self.end_shadow(tenant, Ended::Swapped);
        told(tenant.id(), &step, "a policy was taken back");
        Ok(step)
    }

    /// Writes down what the data wing did by itself.
    async fn follow(self: Arc<Self>, mut taken: mpsc::UnboundedReceiver<TakenBack>, live: Reader) {
        while let Some((id, step)) = taken.recv().await {
            let lane = self.lane(&id).await;
            let _one_at_a_time = lane.changing.lock().await;
            told(
                &id,
                &step,
                "a policy failed its first users and was taken back",
            );
            let by = Caller::gate();
            let recorded = self
                .record(&id, &step.from, &step.to, PolicyStep::Failed, &by)
                .await;
            let kept = match live.tenants().of_id(id.as_str()) {
                Some(tenant) => {
                    self.end_shadow(tenant, Ended::Swapped);
                    numbers(&tenant.policies)
                }
                None => Vec::new(),
            };
            let kept = self.keep(&id, kept).await;
            if let Err(error) = recorded.and(kept) {
                tracing::error!(tenant = %id, %error, "that a policy was taken back was not written down");
            }
        }
    }

    async fn lane(&self, tenant: &TenantId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().await;
        Arc::clone(lanes.entry(tenant.clone()).or_default())
    }

    async fn record(
        &self,
        tenant: &TenantId,
        from: &Policy,
        to: &Policy,
        step: PolicyStep,
        by: &Caller,
    ) -> Result<(), PolicyError> {
        let draft = Draft {
            at: (self.clock)(),
            tenant: Some(tenant.clone()),
            user: None,
            actor: by.actor.clone(),
            token: by.token.clone(),
            source: by.source,
            approver: None,
            ticket: None,
            comment: None,
            batch: None,
            event: Event::PolicyChanged {
                step,
                generation: to.generation(),
                policy: to.digest().to_owned(),
                was: from.digest().to_owned(),
            },
        };
        self.ledger.append(draft, Expect::Any, None).await?;
        Ok(())
    }

    async fn keep(&self, tenant: &TenantId, kept: Vec<u64>) -> Result<(), PolicyError> {
        let (shelf, tenant) = (Arc::clone(&self.shelf), tenant.clone());
        let kept = tokio::task::spawn_blocking(move || shelf.keep(&tenant, &kept));
        Ok(kept.await.map_err(|_| PolicyError::BrokenOff)??)
    }
}

/// The policies of a tenant as a gate finds them at its start: those on the shelf
/// over the one of the configuration. One on the shelf that does not load any more
/// is left out, which the log says.
///
/// # Errors
/// What cannot be read of the shelf.
pub fn take_up(
    host: &PolicyHost,
    shelf: &Shelf,
    tenant: &TenantId,
    configured: Arc<Policy>,
) -> Result<Generations, ShelfError> {
    let mut policies = Vec::new();
    for number in shelf.kept(tenant)? {
        if number == 0 {
            policies.push(Arc::clone(&configured));
            continue;
        }
        let bundle = shelf.read(tenant, number)?;
        match host.load_for(tenant.as_str(), number, &bundle) {
            Ok(policy) => policies.push(policy),
            Err(error) => tracing::error!(
                %tenant, generation = number, %error,
                "a policy that was put in force before does not load any more; the one before it is taken"
            ),
        }
    }
    let current = policies.pop().unwrap_or(configured);
    Ok(Generations::with_earlier(policies, current))
}

/// Reads the cases that came along with a policy.
///
/// # Errors
/// The first that is none.
pub fn parse_cases<'a>(
    cases: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<Case>, CaseError> {
    cases
        .map(|(name, text)| Case::parse(Path::new("cases").join(name), text))
        .collect()
}

fn numbers(generations: &Generations) -> Vec<u64> {
    let kept = generations.kept();
    kept.iter().map(|policy| policy.generation()).collect()
}

fn told(tenant: &TenantId, step: &Step, what: &str) {
    tracing::info!(
        %tenant,
        generation = step.to.generation(),
        policy = step.to.digest(),
        was = step.from.digest(),
        "{what}"
    );
}
