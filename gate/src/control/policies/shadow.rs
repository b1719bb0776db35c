//! Runs candidates beside the policies in force, each for a while, on a host of their
//! own.
//!
//! A shadow ends by its time, by a word, or when another policy comes into force: what
//! it has counted would mean something else from then on. None outlives the gate. It
//! changes nothing, so the log has it and the ledger has not.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use portcullis_core::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Caller, Policies, PolicyError};
use crate::live::tenants::Tenant;
use crate::policy::cases::Case;
use crate::policy::{Bundle, Ended, Heard, HostLimits, LoadError, Policy, PolicyHost, Shadow};

/// The host of all shadows: there while one runs.
#[derive(Default)]
pub(super) struct ShadowHost(Mutex<Weak<PolicyHost>>);

impl ShadowHost {
    fn beside(&self, gates: &PolicyHost) -> Result<Arc<PolicyHost>, LoadError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = known.upgrade() {
            return Ok(host);
        }
        // One thread: however many candidates burn time, they burn that of one.
        let host = Arc::new(gates.beside(HostLimits {
            guest_threads: 1,
            ..HostLimits::default()
        })?);
        *known = Arc::downgrade(&host);
        Ok(host)
    }
}

impl Policies {
    /// Begins to ask a candidate as well, where it passes what a policy must pass to
    /// be put.
    ///
    /// # Errors
    /// What it did not pass; [`PolicyError::ShadowRuns`] and [`PolicyError::Busy`].
    pub async fn begin_shadow(
        &self,
        tenant: &Arc<Tenant>,
        bundle: Bundle,
        cases: Vec<Case>,
        lasts: Duration,
        by: &Caller,
    ) -> Result<(), PolicyError> {
        let place = Arc::clone(&self.shadow_places).try_acquire_owned();
        let place = place.map_err(|_| PolicyError::Busy)?;
        free(tenant)?;
        let (hosts, id) = (Arc::clone(&self.shadow_host), tenant.id().clone());
        let gates = Arc::clone(&self.host);
        let made = tokio::task::spawn_blocking(move || {
            let host = hosts.beside(&gates)?;
            let candidate = host.load_tried(id.as_str(), 0, &bundle)?;
            let runtime = tokio::runtime::Handle::current();
            for case in cases {
                runtime.block_on(case.check(&host, &bundle, &candidate))?;
            }
            Ok::<_, PolicyError>((host, candidate))
        });
        let (host, candidate) = made.await.map_err(|_| PolicyError::BrokenOff)??;
        // Until it is in its place, no other policy is put in force.
        let lane = self.lane(tenant.id()).await;
        let _one_at_a_time = lane.changing.lock().await;
        free(tenant)?;
        let begun = (self.clock)();
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let (shadow, heard) = Shadow::new(
            &candidate,
            tenant.policies.current().number(),
            begun,
            Timestamp(begun.0.saturating_add(lasts_ms)),
            Arc::clone(tenant.decisions.totals()),
        );
        tenant.decisions.shade(Arc::clone(&shadow));
        tracing::info!(
            tenant = %tenant.id(), candidate = candidate.digest(), beside = shadow.against,
            by = by.actor, "a shadow begins"
        );
        let attendance = Attendance {
            tenant: Arc::clone(tenant),
            shadow,
            candidate,
            host,
            live: Arc::clone(&self.host),
            clock: self.clock,
            _place: place,
        };
        tokio::spawn(attendance.attend(heard, lasts));
        Ok(())
    }

    /// Ends the tenant's shadow, if one runs.
    pub fn end_shadow(&self, tenant: &Tenant, why: Ended) {
        if let Some(shadow) = tenant.decisions.shadow() {
            shadow.end(why, (self.clock)());
        }
    }
}

fn free(tenant: &Tenant) -> Result<(), PolicyError> {
    match tenant.decisions.shadow() {
        Some(shadow) if shadow.runs() => Err(PolicyError::ShadowRuns),
        Some(_) | None => Ok(()),
    }
}

/// What a shadow takes while it runs; all of it goes with its end.
struct Attendance {
    tenant: Arc<Tenant>,
    shadow: Arc<Shadow>,
    candidate: Arc<Policy>,
    host: Arc<PolicyHost>,
    live: Arc<PolicyHost>,
    clock: fn() -> Timestamp,
    _place: OwnedSemaphorePermit,
}

impl Attendance {
    async fn attend(self, mut heard: mpsc::Receiver<Heard>, lasts: Duration) {
        let mut time = pin!(tokio::time::sleep(lasts));
        loop {
            let next = tokio::select! {
                biased;
                () = &mut time => {
                    self.shadow.end(Ended::Time, (self.clock)());
                    break;
                }
                () = self.shadow.ended() => break,
                next = heard.recv() => next,
            };
            let Some(next) = next else { break };
            let compared = self
                .shadow
                .compare(&self.candidate, &self.host, &self.live, next);
            compared.await;
        }
        let tally = self.shadow.tally();
        let counts = tally.counts;
        tracing::info!(
            tenant = %self.tenant.id(), candidate = self.candidate.digest(),
            why = ?tally.ended.map(|(why, _)| why),
            same = counts.same, different = counts.different,
            failed = counts.failed, skipped = counts.skipped,
            "a shadow has ended"
        );
    }
}
