//! A policy that passed every check, and the calls that can be made of it.

use std::fmt;
use std::sync::Arc;

use portcullis_core::policy::check::check_description;
use portcullis_core::policy::{
    AnswerLimits, Description, Fault, NotificationDecision, NotificationInput,
    ReactivationDecision, ReactivationInput, RefusalDecision, RefusalInput, Settings, Templates,
    check_messages, check_reactivation, check_refusal,
};

use super::bindings::{self, Exports, Lists, NotificationLists, Pairs, ReactivationLists};
use super::engine::Clock;
use super::guest::{self, Guest};
use super::limits::PolicyLimits;
use super::load::{LoadError, Problem};
use super::threads::Owner;

/// A module, ready to be instantiated.
pub(super) struct Compiled {
    pub(super) digest: Arc<str>,
    pub(super) exports: Exports<Guest>,
}

/// A module, its settings, its templates and its limits.
pub struct Policy {
    pub(super) owner: Owner,
    pub(super) generation: u64,
    /// Kept for a change of settings alone.
    pub(super) module: Arc<[u8]>,
    pub(super) compiled: Arc<Compiled>,
    pub(super) settings: Settings,
    /// Its own, before those of the gate.
    pub(super) templates: Templates,
    pub(super) limits: PolicyLimits,
    pub(super) description: Description,
}

impl Policy {
    /// The SHA-256 of the module, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.compiled.digest
    }

    pub(super) fn shared_digest(&self) -> &Arc<str> {
        &self.compiled.digest
    }

    /// Which of its tenant's policies this is; counted by whoever loads them.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The component itself.
    pub fn module(&self) -> &Arc<[u8]> {
        &self.module
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn limits(&self) -> &PolicyLimits {
        &self.limits
    }

    /// Whether the other would decide the same about everything.
    pub fn is_like(&self, other: &Self) -> bool {
        self.compiled.digest == other.compiled.digest
            && self.settings == other.settings
            && self.templates == other.templates
            && self.limits == other.limits
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    pub(super) fn refuse(
        &self,
        clock: &Clock,
        input: &RefusalInput,
    ) -> Result<RefusalDecision, Fault> {
        let exports = &self.compiled.exports;
        let lists = Lists::new(&input.context, self.pairs());
        let request = bindings::refusal_request(input, &lists);
        let answer = guest::call(&exports.pre, clock, &self.limits, |instance, store| {
            let policy = exports.refusal(&mut *store, instance)?;
            policy.call_decide(store, request)
        })?;
        let answer = bindings::refusal_answer(answer);
        check_refusal(answer, &self.templates, &AnswerLimits::STANDARD)
    }

    pub(super) fn reactivate(
        &self,
        clock: &Clock,
        input: &ReactivationInput,
    ) -> Result<ReactivationDecision, Fault> {
        let exports = &self.compiled.exports;
        let lists = ReactivationLists::new(input, self.pairs());
        let proofs = lists.proofs();
        let request = bindings::reactivation_request(input, &lists, &proofs);
        let decision = guest::call(&exports.pre, clock, &self.limits, |instance, store| {
            let policy = exports.reactivation(&mut *store, instance)?;
            policy.call_decide(store, request)
        })?;
        check_reactivation(
            bindings::reactivation_decision(decision),
            &AnswerLimits::STANDARD,
        )
    }

    pub(super) fn compose(
        &self,
        clock: &Clock,
        input: &NotificationInput,
    ) -> Result<NotificationDecision, Fault> {
        let exports = &self.compiled.exports;
        let lists = NotificationLists::new(input, self.pairs());
        let channels = lists.channels();
        let request = bindings::notification_request(input, &lists, &channels);
        let decision = guest::call(&exports.pre, clock, &self.limits, |instance, store| {
            let policy = exports.notification(&mut *store, instance)?;
            policy.call_compose(store, request)
        })?;
        check_messages(
            bindings::notification_decision(decision),
            input.audience,
            &self.templates,
            &AnswerLimits::STANDARD,
        )
    }

    /// Makes a first instance, which is where the last mismatches would show, has
    /// it say what it is, and has it check its settings. Nobody's request waits for
    /// this, so `limits` are not the policy's own.
    pub(super) fn try_out(
        &mut self,
        clock: &Clock,
        limits: &PolicyLimits,
    ) -> Result<(), LoadError> {
        let exports = &self.compiled.exports;
        let pre = &exports.pre;
        // An instance alone first: what fails here is the module's fault, what
        // fails below may be the settings'.
        guest::call(pre, clock, limits, |instance, store| {
            exports.load_all(store, instance).map(Ok)
        })
        .map_err(LoadError::Trial)?;
        let description = guest::call(pre, clock, limits, |instance, store| {
            let about = exports.about(&mut *store, instance)?;
            about.call_describe(store)
        })
        .map(bindings::description)
        .and_then(|said| check_description(said, &self.templates, &AnswerLimits::STANDARD))
        .map_err(LoadError::Undescribed)?;
        let settings = self.pairs();
        let problems = guest::call(pre, clock, limits, |instance, store| {
            let about = exports.about(&mut *store, instance)?;
            about.call_validate_settings(store, &settings)
        })
        .map_err(LoadError::Unchecked)?;
        if !problems.is_empty() {
            let problems: Vec<Problem> = problems.into_iter().map(bindings::problem).collect();
            return Err(LoadError::Settings(problems));
        }
        self.description = description;
        Ok(())
    }

    fn pairs(&self) -> Pairs<'_> {
        self.settings.pairs().collect()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("digest", &self.compiled.digest)
            .field("settings", &self.settings)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
