//! How much of the machine a policy may use. Every number of this room is here.

use std::time::Duration;

/// What one call of one policy may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLimits {
    /// Wall time of one call, instantiation included.
    pub deadline_ms: u64,
    /// Each linear memory of the component.
    pub memory_bytes_max: usize,
    /// What the answer may take once it is lifted out of the guest.
    pub result_bytes_max: usize,
}

/// What all policies together may use, and what one may use by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLimits {
    /// Default for [`PolicyLimits::deadline_ms`].
    pub deadline_ms: u64,
    /// Default for [`PolicyLimits::memory_bytes_max`].
    pub memory_bytes_max: usize,
    /// Default for [`PolicyLimits::result_bytes_max`].
    pub result_bytes_max: usize,
    /// The most that a policy's own `[limits]` may ask for. A guest written in
    /// JavaScript or Python brings its interpreter: 12 MiB of memory at rest.
    pub ceiling: PolicyLimits,
    /// Threads that run guests and nothing else.
    pub guest_threads: usize,
    /// Calls of one policy that run at a time. Below `guest_threads`, so that
    /// one that loops leaves a thread to the others.
    pub concurrent_calls_max: usize,
    /// Calls that wait for a thread, over all policies.
    pub queue_max: usize,
    /// Calls of one policy that wait, so that it cannot fill the queue alone.
    pub queue_per_policy_max: usize,
    /// Time that the calls of one tenant may take of each second of the threads; one
    /// that has none left is refused at once, and holds up nobody.
    pub guest_ms_per_second: u64,
    /// How much of it a tenant that was quiet may have saved up.
    pub guest_ms_saved_max: u64,
    /// A tenant with a call that took this long has its calls kept off one of the
    /// threads, until it has been quiet: the others then wait for no slow call.
    pub slow_ms: u64,
    /// Trial instantiation and `settings.validate` at load, which nobody's
    /// request waits for.
    pub load_deadline_ms: u64,
    /// The component as a file.
    pub module_bytes_max: usize,
    pub compile: CompileLimits,
}

/// What it may take to make code of one module, in a process of its own. The largest
/// known modules, policies in Python, take some 15 s of processor time and 300 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileLimits {
    /// Processor time, over all threads.
    pub cpu_seconds_max: u64,
    /// By the clock, since it gives way to others.
    pub deadline: Duration,
    /// Memory that it may write to.
    pub memory_bytes_max: u64,
}

impl HostLimits {
    /// What a policy may use that asks for nothing else.
    pub fn policy(&self) -> PolicyLimits {
        PolicyLimits {
            deadline_ms: self.deadline_ms,
            memory_bytes_max: self.memory_bytes_max,
            result_bytes_max: self.result_bytes_max,
        }
    }
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            deadline_ms: 20,
            memory_bytes_max: 16 * MIB,
            result_bytes_max: 256 * KIB,
            ceiling: PolicyLimits {
                deadline_ms: 1000,
                memory_bytes_max: 64 * MIB,
                result_bytes_max: MIB,
            },
            guest_threads: 2,
            concurrent_calls_max: 1,
            queue_max: 256,
            queue_per_policy_max: 64,
            guest_ms_per_second: 250,
            guest_ms_saved_max: 2000,
            slow_ms: 10,
            load_deadline_ms: 1000,
            module_bytes_max: 32 * MIB,
            compile: CompileLimits {
                cpu_seconds_max: 120,
                deadline: Duration::from_secs(300),
                memory_bytes_max: 2 << 30,
            },
        }
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How often the clock of the guests advances; deadlines are counted in it.
pub(super) const TICK_MS: u64 = 1;

/// How long the clock goes on ticking after the last call, to be spared the
/// wake-up for the next. An idle gate does not tick.
pub(super) const TICKS_BEFORE_REST: u32 = 200;

/// Stack of a guest. Deeper recursion is stopped.
pub(super) const GUEST_STACK_BYTES: usize = 512 * KIB;

/// Stack of a thread that runs guests: the guest's, and the host's around it.
pub(super) const THREAD_STACK_BYTES: usize = 2 * MIB;

/// Core instances in one component: a Python guest has 38.
pub(super) const CORE_INSTANCES_MAX: u32 = 64;

/// Tables in one component, and elements in each: a JavaScript guest has 7,688.
pub(super) const TABLES_MAX: u32 = 4;
pub(super) const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Linear memories in one component.
pub(super) const MEMORIES_MAX: u32 = 1;

/// Memory of a slot that stays resident when its guest is gone. Only the pages
/// that were written count, since the kernel is asked which they are.
pub(super) const RESIDENT_BYTES: usize = MIB;

/// Policies of a tenant that may come back, the one in force among them.
pub const GENERATIONS_KEPT: usize = 4;

/// A new policy that fails so many users in a row is taken back, until it has
/// answered so many: one that works does not lose its place to a bad day.
pub(super) const GENERATION_FAILURES_MAX: u32 = 3;
pub(super) const GENERATION_PROVEN_AFTER: u32 = 1000;

/// A policy's own templates, and one of them as a file.
pub(super) const TEMPLATES_MAX: usize = 64;
pub(super) const TEMPLATE_BYTES_MAX: usize = 64 * KIB;

/// A `policy.toml`, a case, a template, as it lies in a folder.
pub(super) const POLICY_TEXT_BYTES_MAX: usize = MIB;

/// Modules that are compiled at a time; one tenant has one of them.
pub(super) const COMPILING_MAX: usize = 2;

/// Code of one module. It is some three times as large as the module.
pub(super) const ARTEFACT_BYTES_MAX: usize = 256 * MIB;

/// Threads of the compiler, each of which takes memory: more than these find little
/// to do in one module.
pub(super) const COMPILE_THREADS_MAX: usize = 8;

/// How much the compiler gives way while others are served: each of its threads gets a
/// tenth of what a thread of the gate's gets that wants the same core.
pub(super) const COMPILE_NICENESS: i32 = 10;

/// Compiled policies on the disk: a tenant with one in JavaScript and the three before
/// it takes 150 MB.
pub(super) const KEPT_BYTES_MAX: u64 = 4 << 30;
pub(super) const KEPT_FILES_MAX: usize = 1024;

/// Series of outcomes that are counted; with one more, an old generation's goes.
pub(super) const OUTCOMES_MAX: usize = 4096;

/// How often a host that counts gives a policy its deadline: counting takes time, and
/// what takes ten times as long would have failed its users, too.
pub(super) const METERED_DEADLINE_TIMES: u64 = 10;

/// Questions on record of one tenant, and of all together: they share it. With very
/// many tenants each has at least the last.
pub(super) const DECISIONS_PER_TENANT_MAX: usize = 256;
pub(super) const DECISIONS_ALL_MAX: usize = 16_384;
pub(super) const DECISIONS_LEAST: usize = 8;

/// One question on record: 1 MiB for a tenant, 64 MiB for all. A usual one takes a
/// tenth; a larger one is not kept.
pub(super) const DECISION_BYTES_MAX: usize = 4 * KIB;

/// A question that was not asked for so long is no recent one: seven days.
pub(super) const DECISION_KEPT_S: u64 = 7 * 24 * 3600;

/// Fields that are told of one decision, and characters of each.
pub(super) const DIFFERENCES_PER_DECISION_MAX: usize = 32;
pub(super) const DIFFERENCE_CHARS_MAX: usize = 500;

/// How long a rehearsal asks; what it has not come to then is left out.
pub const REHEARSAL_MS_MAX: u64 = 20_000;

/// How long a rehearsal waits for the one before it.
pub const REHEARSAL_WAIT_MS: u64 = 20_000;

/// Decisions that a rehearsal tells of, field by field; the rest it counts.
pub const DECISIONS_TOLD_MAX: usize = 100;

/// Shadows that run at a time, over all tenants.
pub const SHADOWS_MAX: usize = 8;

/// How long one may run: a day.
pub const SHADOW_MS_MAX: u64 = 24 * 3600 * 1000;

/// Decisions of one shadow that wait; further ones are skipped. Each may hold an
/// answer, so 8 MiB of a policy that always answers with as much as it may.
pub(super) const SHADOW_QUEUE_MAX: usize = 32;

/// Differences of one shadow that are kept as examples.
pub(super) const SHADOW_EXAMPLES_MAX: usize = 32;
