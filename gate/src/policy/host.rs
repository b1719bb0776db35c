//! Loads policies and asks them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use portcullis_core::policy::{
    AnswerLimits, Fault, Message, NotificationInput, ReactivationDecision, ReactivationInput,
    RefusalDecision, RefusalInput, Settings, check_messages, check_reactivation, check_refusal,
};
use wasmtime::Engine;

use super::bindings::{self, Lists, Pairs, PolicyPre};
use super::builtin;
use super::engine::{self, Clock};
use super::guest::{self, Guest};
use super::limits::{HostLimits, PolicyLimits};
use super::load::{self, LoadError, Problem};
use super::manifest::{Manifest, Module};
use super::threads::{GuestThreads, Owner};

/// The one place where guests run. Dropping it stops its threads.
pub struct PolicyHost {
    limits: HostLimits,
    engine: Engine,
    clock: Arc<Clock>,
    threads: GuestThreads,
    /// Compiled modules by digest. Weak: a module goes with its last policy.
    compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    /// Held while a policy loads: compiling takes all cores anyway, and the
    /// pool has one place for trials.
    loading: Mutex<()>,
    policies_made: AtomicU64,
}

struct Compiled {
    digest: String,
    pre: PolicyPre<Guest>,
}

/// A policy that passed every check: a module, its settings and its limits.
pub struct Policy {
    owner: Owner,
    compiled: Arc<Compiled>,
    settings: Settings,
    limits: PolicyLimits,
}

impl PolicyHost {
    /// Starts the engine and the threads.
    ///
    /// # Errors
    /// [`LoadError::Limits`], [`LoadError::Engine`] or [`LoadError::Thread`].
    pub fn new(limits: HostLimits) -> Result<PolicyHost, LoadError> {
        let engine = engine::build(&limits)?;
        let clock = Arc::new(Clock::start(&engine)?);
        let threads = GuestThreads::start(&limits)?;
        Ok(Self {
            limits,
            engine,
            clock,
            threads,
            compiled: Mutex::default(),
            loading: Mutex::default(),
            policies_made: AtomicU64::new(0),
        })
    }

    /// Checks and compiles a component, and has it check its settings. It
    /// blocks, from tens of milliseconds to seconds: not for a thread that
    /// serves requests. A module that is loaded already is not compiled again.
    ///
    /// # Errors
    /// What is wrong with the module or the settings.
    pub fn load(&self, wasm: &[u8], settings: Settings) -> Result<Arc<Policy>, LoadError> {
        self.load_with(wasm, settings, self.limits.policy())
    }

    /// As [`load`](Self::load), with the policy's own limits.
    ///
    /// # Errors
    /// Also [`LoadError::Limits`], for one above the host's ceiling.
    pub fn load_with(
        &self,
        wasm: &[u8],
        settings: Settings,
        limits: PolicyLimits,
    ) -> Result<Arc<Policy>, LoadError> {
        self.check_limits(&limits)?;
        let _loading = lock(&self.loading);
        let compiled = self.compile(wasm)?;
        let policy = Policy {
            owner: self.policies_made.fetch_add(1, Ordering::Relaxed),
            compiled,
            settings,
            limits,
        };
        self.try_out(&policy)?;
        Ok(Arc::new(policy))
    }

    /// Loads `policy.toml` of a folder and the module that it names.
    ///
    /// # Errors
    /// Also what cannot be read, and where.
    pub fn load_folder(&self, folder: &Path) -> Result<Arc<Policy>, LoadError> {
        let manifest = Manifest::read(&folder.join("policy.toml"))?;
        let limits = manifest.limits.over(&self.limits.policy());
        match &manifest.module {
            Module::Builtin(name) => {
                self.load_with(builtin::module(name)?, manifest.settings, limits)
            }
            Module::File(file) => {
                let path = folder.join(file);
                let wasm = std::fs::read(&path).map_err(|source| LoadError::Read {
                    path: path.clone(),
                    source,
                })?;
                self.load_with(&wasm, manifest.settings, limits)
            }
        }
    }

    /// Loads one of the policies that the gate brings: `standard`, `acme` or
    /// `globex`.
    ///
    /// # Errors
    /// [`LoadError::UnknownBuiltin`], or as [`load`](Self::load).
    pub fn load_builtin(&self, name: &str) -> Result<Arc<Policy>, LoadError> {
        let manifest = builtin::manifest(name)?;
        let limits = manifest.limits.over(&self.limits.policy());
        self.load_with(builtin::module("standard")?, manifest.settings, limits)
    }

    /// Asks what a suspended user is told.
    ///
    /// # Errors
    /// Why there is no answer that can be used. Dropping the future gives up
    /// the answer; a guest that runs already keeps its place until it is done.
    pub async fn refusal(
        &self,
        policy: &Arc<Policy>,
        input: RefusalInput,
    ) -> Result<RefusalDecision, Fault> {
        let answer = self
            .ask(policy, move |policy, clock| policy.refuse(clock, &input))
            .await?;
        check_refusal(answer, &AnswerLimits::STANDARD)
    }

    /// As [`refusal`](Self::refusal), but on this thread, which it blocks for up
    /// to the deadline: for measurements, and for a command line that has nobody
    /// else to serve.
    ///
    /// # Errors
    /// As [`refusal`](Self::refusal), but never [`Fault::Busy`] for the queue.
    pub fn refuse_here(
        &self,
        policy: &Policy,
        input: &RefusalInput,
    ) -> Result<RefusalDecision, Fault> {
        let answer = policy.refuse(&self.clock, input)?;
        check_refusal(answer, &AnswerLimits::STANDARD)
    }

    /// Asks whether a step of a reset may be taken.
    ///
    /// # Errors
    /// As [`refusal`](Self::refusal).
    pub async fn reactivation(
        &self,
        policy: &Arc<Policy>,
        input: ReactivationInput,
    ) -> Result<ReactivationDecision, Fault> {
        let decision = self
            .ask(policy, move |policy, clock| {
                policy.reactivate(clock, &input)
            })
            .await?;
        check_reactivation(decision, &AnswerLimits::STANDARD)
    }

    /// Asks what is to be sent.
    ///
    /// # Errors
    /// As [`refusal`](Self::refusal).
    pub async fn notification(
        &self,
        policy: &Arc<Policy>,
        input: NotificationInput,
    ) -> Result<Vec<Message>, Fault> {
        let audience = input.audience;
        let messages = self
            .ask(policy, move |policy, clock| policy.compose(clock, &input))
            .await?;
        check_messages(messages, audience, &AnswerLimits::STANDARD)
    }

    async fn ask<T: Send + 'static>(
        &self,
        policy: &Arc<Policy>,
        call: impl FnOnce(&Policy, &Clock) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let owner = policy.owner;
        let (policy, clock) = (Arc::clone(policy), Arc::clone(&self.clock));
        self.threads.run(owner, move || call(&policy, &clock)).await
    }

    fn check_limits(&self, limits: &PolicyLimits) -> Result<(), LoadError> {
        let ceiling = &self.limits.ceiling;
        let checks = [
            ("deadline_ms", limits.deadline_ms, ceiling.deadline_ms),
            (
                "memory_bytes_max",
                limits.memory_bytes_max as u64,
                ceiling.memory_bytes_max as u64,
            ),
            (
                "result_bytes_max",
                limits.result_bytes_max as u64,
                ceiling.result_bytes_max as u64,
            ),
        ];
        match checks
            .iter()
            .find(|(_, value, most)| !(1..=*most).contains(value))
        {
            None => Ok(()),
            Some((name, value, most)) => Err(LoadError::Limits(format!(
                "{name} is {value}; give a number from 1 to {most}"
            ))),
        }
    }

    fn compile(&self, wasm: &[u8]) -> Result<Arc<Compiled>, LoadError> {
        let digest = load::hash(wasm);
        if let Some(known) = lock(&self.compiled).get(&digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let pre = load::compile(&self.engine, wasm, self.limits.module_bytes_max)?;
        let compiled = Arc::new(Compiled {
            digest: digest.clone(),
            pre,
        });
        let mut modules = lock(&self.compiled);
        modules.retain(|_, module| module.strong_count() > 0);
        modules.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }

    /// Makes a first instance, which is where the last mismatches would show,
    /// and has it check its settings.
    fn try_out(&self, policy: &Policy) -> Result<(), LoadError> {
        let limits = PolicyLimits {
            deadline_ms: self.limits.load_deadline_ms.max(policy.limits.deadline_ms),
            ..policy.limits.clone()
        };
        let pre = &policy.compiled.pre;
        // An instance alone first: what fails here is the module's fault, what
        // fails below may be the settings'.
        guest::call(pre, &self.clock, &limits, |_, _| Ok(Ok(()))).map_err(LoadError::Trial)?;
        let settings = policy.pairs();
        let problems = guest::call(pre, &self.clock, &limits, |instance, store| {
            instance
                .portcullis_policy_settings()
                .call_validate(store, &settings)
        })
        .map_err(LoadError::Unchecked)?;
        if problems.is_empty() {
            return Ok(());
        }
        Err(LoadError::Settings(
            problems
                .into_iter()
                .map(|bindings::Problem { key, message }| Problem { key, message })
                .collect(),
        ))
    }
}

impl Policy {
    /// The SHA-256 of the module, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.compiled.digest
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn limits(&self) -> &PolicyLimits {
        &self.limits
    }

    fn pairs(&self) -> Pairs<'_> {
        self.settings.pairs().collect()
    }

    fn refuse(
        &self,
        clock: &Clock,
        input: &RefusalInput,
    ) -> Result<portcullis_core::policy::RefusalAnswer, Fault> {
        let lists = Lists::new(&input.locales, &input.attributes, self.pairs());
        let request = bindings::refusal_request(input, &lists);
        guest::call(
            &self.compiled.pre,
            clock,
            &self.limits,
            |instance, store| {
                instance
                    .portcullis_policy_refusal()
                    .call_decide(store, request)
            },
        )
        .map(bindings::refusal_answer)
    }

    fn reactivate(
        &self,
        clock: &Clock,
        input: &ReactivationInput,
    ) -> Result<ReactivationDecision, Fault> {
        let lists = Lists::new(&input.locales, &input.attributes, self.pairs());
        let request = bindings::reactivation_request(input, &lists);
        guest::call(
            &self.compiled.pre,
            clock,
            &self.limits,
            |instance, store| {
                instance
                    .portcullis_policy_reactivation()
                    .call_decide(store, request)
            },
        )
        .map(bindings::reactivation_decision)
    }

    fn compose(&self, clock: &Clock, input: &NotificationInput) -> Result<Vec<Message>, Fault> {
        let lists = Lists::new(&input.locales, &input.attributes, self.pairs());
        let request = bindings::notification_request(input, &lists);
        let messages = guest::call(
            &self.compiled.pre,
            clock,
            &self.limits,
            |instance, store| {
                instance
                    .portcullis_policy_notification()
                    .call_compose(store, request)
            },
        )?;
        Ok(messages.into_iter().map(bindings::message).collect())
    }
}

impl fmt::Debug for PolicyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyHost")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
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

/// No code that can panic runs under the lock on the modules, and the other
/// guards nothing, so a poisoned one is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
