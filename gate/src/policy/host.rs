//! Loads policies and asks them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use portcullis_core::policy::{
    Description, Fault, NotificationDecision, NotificationInput, ReactivationDecision,
    ReactivationInput, RefusalDecision, RefusalInput, Settings, Templates,
};
use wasmtime::Engine;

use super::bundle::Bundle;
use super::compiler::{Compilations, Compiler, Pace};
use super::engine::{self, Clock};
use super::limits::{COMPILING_MAX, HostLimits, METERED_DEADLINE_TIMES, PolicyLimits};
use super::load::{self, LoadError};
use super::loaded::{Compiled, Policy};
use super::metrics::{Calls, Outcomes, Series};
use super::question::{Answer, Question};
use super::threads::GuestThreads;
use super::{smoke, templates};

/// The one place where guests run. Dropping it stops its threads.
pub struct PolicyHost {
    limits: HostLimits,
    engine: Engine,
    clock: Arc<Clock>,
    threads: GuestThreads,
    compiler: Arc<Compiler>,
    /// Compiled modules by digest. Weak: a module goes with its last policy.
    compiled: Mutex<HashMap<String, Weak<Compiled>>>,
    /// The gate's own.
    templates: Templates,
    /// Modules that may still be begun to be compiled.
    compiling: Turns,
    /// Held while a policy is tried: the pool has one place for that.
    loading: Mutex<()>,
    policies_made: AtomicU64,
    outcomes: Outcomes,
}

impl PolicyHost {
    /// Starts the engine and the threads. Modules are compiled in this process.
    ///
    /// # Errors
    /// [`LoadError::Limits`], [`LoadError::Engine`] or [`LoadError::Thread`].
    pub fn new(limits: HostLimits) -> Result<PolicyHost, LoadError> {
        Self::with_compiler(limits, Compiler::here())
    }

    /// As [`new`](Self::new), with modules compiled elsewhere: for a gate.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_compiler(limits: HostLimits, compiler: Compiler) -> Result<PolicyHost, LoadError> {
        Self::start(limits, Arc::new(compiler), false)
    }

    /// One that counts what a guest does ([`cost`](Self::cost)) and has more patience:
    /// for measurements and rehearsals.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn metered() -> Result<PolicyHost, LoadError> {
        Self::start(HostLimits::default(), Arc::new(Compiler::here()), true)
    }

    /// As [`metered`](Self::metered), beside this one: by the same compiler.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn metered_beside(&self) -> Result<PolicyHost, LoadError> {
        Self::start(HostLimits::default(), Arc::clone(&self.compiler), true)
    }

    /// One with limits and threads of its own, beside this one: by the same compiler.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn beside(&self, limits: HostLimits) -> Result<PolicyHost, LoadError> {
        Self::start(limits, Arc::clone(&self.compiler), false)
    }

    fn start(
        limits: HostLimits,
        compiler: Arc<Compiler>,
        metered: bool,
    ) -> Result<PolicyHost, LoadError> {
        let engine = engine::build(&limits, metered)?;
        let clock = Arc::new(Clock::start(&engine, metered)?);
        let threads = GuestThreads::start(&limits)?;
        let templates = templates::built_in()?;
        Ok(Self {
            limits,
            engine,
            clock,
            threads,
            compiler,
            compiled: Mutex::default(),
            templates,
            compiling: Turns::new(COMPILING_MAX),
            loading: Mutex::default(),
            policies_made: AtomicU64::new(0),
            outcomes: Outcomes::default(),
        })
    }

    /// Checks and compiles a policy, and has it check its settings. It blocks,
    /// from tens of milliseconds to seconds: not for a thread that serves
    /// requests. A module that is loaded already is not compiled again.
    ///
    /// # Errors
    /// What is wrong with the module, the settings, the templates or the limits.
    pub fn load(&self, bundle: &Bundle) -> Result<Arc<Policy>, LoadError> {
        let number = self.policies_made.fetch_add(1, Ordering::Relaxed);
        self.load_for(&format!("policy {number}"), 0, bundle)
    }

    /// As [`load`](Self::load), for a tenant: its policies share its share of the
    /// threads, whichever of them runs.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for(
        &self,
        tenant: &str,
        generation: u64,
        bundle: &Bundle,
    ) -> Result<Arc<Policy>, LoadError> {
        self.make(tenant, generation, bundle, Pace::AtOnce)
            .map(|(policy, _)| Arc::new(policy))
    }

    /// As [`load_for`](Self::load_for), and asks it the questions that any policy can
    /// answer: for one that is to take the place of another. It is compiled beside
    /// what is served meanwhile.
    ///
    /// # Errors
    /// Also [`LoadError::Question`].
    pub fn load_tried(
        &self,
        tenant: &str,
        generation: u64,
        bundle: &Bundle,
    ) -> Result<Arc<Policy>, LoadError> {
        let (mut policy, trial) = self.make(tenant, generation, bundle, Pace::Beside)?;
        // Nobody's request waits for this.
        let own = std::mem::replace(&mut policy.limits, trial);
        for question in smoke::questions() {
            self.answer_here(&policy, &question)
                .map_err(|fault| LoadError::Question {
                    kind: question.kind(),
                    fault,
                })?;
        }
        policy.limits = own;
        Ok(Arc::new(policy))
    }

    /// A policy that passed, and the limits that it was tried under.
    fn make(
        &self,
        tenant: &str,
        generation: u64,
        bundle: &Bundle,
        pace: Pace,
    ) -> Result<(Policy, PolicyLimits), LoadError> {
        let limits = bundle.limits.over(&self.limits.policy());
        self.check_limits(&limits)?;
        let limits = self.be_patient(limits);
        let own = templates::parse_all(&bundle.place, &bundle.templates)?;
        let compiled = self.compile(&bundle.module, pace)?;
        let _loading = lock(&self.loading);
        let mut policy = Policy {
            owner: tenant.into(),
            generation,
            module: Arc::clone(&bundle.module),
            compiled,
            settings: bundle.settings.clone(),
            templates: self.templates.clone().with(own),
            limits,
            description: Description::default(),
        };
        let trial = PolicyLimits {
            deadline_ms: self.limits.load_deadline_ms.max(policy.limits.deadline_ms),
            ..policy.limits.clone()
        };
        policy.try_out(&self.clock, &trial)?;
        Ok((policy, trial))
    }

    /// A policy that another host has loaded, for this one: compiled for its engine,
    /// and not tried again.
    ///
    /// # Errors
    /// As [`load`](Self::load), for the module alone.
    pub fn adopt(&self, policy: &Policy) -> Result<Policy, LoadError> {
        Ok(Policy {
            owner: Arc::clone(&policy.owner),
            generation: policy.generation,
            module: Arc::clone(&policy.module),
            compiled: self.compile(&policy.module, Pace::Beside)?,
            settings: policy.settings.clone(),
            templates: policy.templates.clone(),
            limits: self.be_patient(policy.limits.clone()),
            description: policy.description.clone(),
        })
    }

    /// Loads a module with its settings alone.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_module(&self, wasm: &[u8], settings: Settings) -> Result<Arc<Policy>, LoadError> {
        self.load(&Bundle::new(wasm, settings))
    }

    /// Loads a policy's folder.
    ///
    /// # Errors
    /// Also what cannot be read, and where.
    pub fn load_folder(&self, folder: &Path) -> Result<Arc<Policy>, LoadError> {
        self.load(&Bundle::read(folder)?)
    }

    /// Loads one of the policies that the gate brings: `standard`, `acme` or
    /// `globex`.
    ///
    /// # Errors
    /// [`LoadError::UnknownBuiltin`], or as [`load`](Self::load).
    pub fn load_builtin(&self, name: &str) -> Result<Arc<Policy>, LoadError> {
        self.load(&Bundle::built_in(name)?)
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
        self.ask(policy, move |policy, clock| policy.refuse(clock, &input))
            .await
    }

    /// As [`answer`](Self::answer), but on this thread, which it blocks for up to the
    /// deadline: for measurements, and for a command line that has nobody else to
    /// serve.
    ///
    /// # Errors
    /// Why there is no answer that can be used; never for the queue.
    pub fn answer_here(&self, policy: &Policy, question: &Question) -> Result<Answer, Fault> {
        match question {
            Question::Refusal(input) => policy.refuse(&self.clock, input).map(Answer::Refusal),
            Question::Reactivation(input) => policy
                .reactivate(&self.clock, input)
                .map(Answer::Reactivation),
            Question::Notification(input) => {
                policy.compose(&self.clock, input).map(Answer::Notification)
            }
        }
    }

    /// As [`answer_here`](Self::answer_here), with what the call used: the same for
    /// the same module and question on every machine. `None` unless the host is
    /// [`metered`](Self::metered).
    ///
    /// # Errors
    /// As [`answer_here`](Self::answer_here).
    pub fn cost(
        &self,
        policy: &Policy,
        question: &Question,
    ) -> Result<(Answer, Option<u64>), Fault> {
        let answer = self.answer_here(policy, question)?;
        let used = self.clock.meter.as_ref();
        Ok((answer, used.map(|used| used.load(Ordering::Relaxed))))
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
        self.ask(policy, move |policy, clock| {
            policy.reactivate(clock, &input)
        })
        .await
    }

    /// Asks what is to be sent.
    ///
    /// # Errors
    /// As [`refusal`](Self::refusal).
    pub async fn notification(
        &self,
        policy: &Arc<Policy>,
        input: NotificationInput,
    ) -> Result<NotificationDecision, Fault> {
        self.ask(policy, move |policy, clock| policy.compose(clock, &input))
            .await
    }

    /// What became of the calls so far.
    pub fn outcomes(&self) -> Vec<(Series, Calls)> {
        self.outcomes.all()
    }

    /// How often modules were compiled since the start.
    pub fn compilations(&self) -> Compilations {
        self.compiler.compilations()
    }

    async fn ask<T: Send + 'static>(
        &self,
        policy: &Arc<Policy>,
        call: impl FnOnce(&Policy, &Clock) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        let (asked, clock) = (Arc::clone(policy), Arc::clone(&self.clock));
        let answer = self
            .threads
            .run(&policy.owner, move || call(&asked, &clock))
            .await;
        let series = Series {
            tenant: Arc::clone(&policy.owner),
            policy: policy.description.name.clone(),
            generation: policy.generation,
            outcome: answer.as_ref().err().map_or("decided", Fault::name),
        };
        self.outcomes.count(series, started.elapsed());
        answer
    }

    fn be_patient(&self, limits: PolicyLimits) -> PolicyLimits {
        let times = self
            .clock
            .meter
            .as_ref()
            .map_or(1, |_| METERED_DEADLINE_TIMES);
        PolicyLimits {
            deadline_ms: limits.deadline_ms.saturating_mul(times),
            ..limits
        }
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

    fn compile(&self, wasm: &[u8], pace: Pace) -> Result<Arc<Compiled>, LoadError> {
        let digest = load::hash(wasm);
        if let Some(known) = lock(&self.compiled).get(&digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        load::check(wasm, self.limits.module_bytes_max)?;
        let _turn = self.compiling.take();
        let component = self
            .compiler
            .component(&self.engine, &digest, wasm, &self.limits.compile, pace)
            .map_err(|error| LoadError::Compile {
                module: digest.clone(),
                error,
            })?;
        let exports = load::link(&self.engine, &component)?;
        let compiled = Arc::new(Compiled {
            digest: digest.as_str().into(),
            exports,
        });
        let mut modules = lock(&self.compiled);
        modules.retain(|_, module| module.strong_count() > 0);
        modules.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }
}

impl fmt::Debug for PolicyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyHost")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// No code that can panic runs under the lock on the modules, and the other
/// guards nothing, so a poisoned one is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many at a time; whoever comes beyond waits.
#[derive(Debug)]
struct Turns {
    left: Mutex<usize>,
    given_back: Condvar,
}

struct Turn<'a>(&'a Turns);

impl Turns {
    const fn new(most: usize) -> Self {
        Self {
            left: Mutex::new(most),
            given_back: Condvar::new(),
        }
    }

    fn take(&self) -> Turn<'_> {
        let left = lock(&self.left);
        let waited = self.given_back.wait_while(left, |left| *left == 0);
        let mut left = waited.unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.left) += 1;
        self.0.given_back.notify_one();
    }
}
