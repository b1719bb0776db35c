//! The one WebAssembly engine and its clock.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use aws_lc_rs::digest;
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use super::limits::{
    CORE_INSTANCES_MAX, GUEST_STACK_BYTES, HostLimits, MEMORIES_MAX, RESIDENT_BYTES,
    TABLE_ELEMENTS_MAX, TABLES_MAX, TICK_MS, TICKS_BEFORE_REST,
};
use super::load::{LoadError, hexadecimal};

/// Makes the engine: instances come from a pool, which is as large as the
/// threads that can use it and no larger.
///
/// `metered`: it counts what a guest does, which costs a third more.
pub(super) fn build(limits: &HostLimits, metered: bool) -> Result<Engine, LoadError> {
    let slots = u32::try_from(limits.guest_threads)
        .ok()
        // One more for the trial at load.
        .and_then(|threads| threads.checked_add(1))
        .filter(|slots| (2..=1024).contains(slots))
        .ok_or_else(|| LoadError::Limits("guest_threads is not from 1 to 1023".to_owned()))?;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * CORE_INSTANCES_MAX)
        .total_memories(slots * MEMORIES_MAX)
        .total_tables(slots * TABLES_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memory_size(limits.ceiling.memory_bytes_max)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    let mut config = code_config(metered);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    start(&config)
}

/// Makes an engine that compiles for the one of [`build`] and runs nothing: it sets no
/// room aside for instances.
pub(super) fn for_compiling(metered: bool) -> Result<Engine, LoadError> {
    start(&code_config(metered))
}

fn start(config: &Config) -> Result<Engine, LoadError> {
    Engine::new(config).map_err(|error| LoadError::Engine(format!("{error:#}")))
}

/// Everything that code depends on. Where instances live is not part of it.
fn code_config(metered: bool) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(metered)
        .max_wasm_stack(GUEST_STACK_BYTES)
        // What no policy needs is not offered. Canonical NaNs: the same
        // decision on every machine.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .cranelift_nan_canonicalization(true);
    config
}

/// Another one where code for one engine is no code for the other: another version of
/// it, another processor, other settings. A SHA-256, in hexadecimal.
pub(super) fn mark(engine: &Engine) -> String {
    let mut marking = Marking(digest::Context::new(&digest::SHA256));
    engine.precompile_compatibility_hash().hash(&mut marking);
    hexadecimal(marking.0.finish().as_ref())
}

/// Whatever is hashed, digested: the standard's own hash is short, and another one in
/// another version of Rust.
struct Marking(digest::Context);

impl Hasher for Marking {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        let first = digest.as_ref().first_chunk().copied();
        u64::from_le_bytes(first.unwrap_or_default())
    }
}

/// Advances the engine's epoch while a guest runs, and rests when none does.
///
/// One for each engine: with two, deadlines would come early.
#[derive(Debug)]
pub(super) struct Clock {
    state: Arc<ClockState>,
    thread: Thread,
    /// What the last call used, where the engine is metered.
    pub(super) meter: Option<AtomicU64>,
}

#[derive(Debug, Default)]
struct ClockState {
    /// Calls that run now.
    running: AtomicUsize,
    resting: AtomicBool,
    stopped: AtomicBool,
}

impl Clock {
    pub(super) fn start(engine: &Engine, metered: bool) -> Result<Self, LoadError> {
        let state = Arc::new(ClockState::default());
        let shared = Arc::clone(&state);
        // The weak handle lets the engine go when its host does.
        let engine = engine.weak();
        let thread = thread::Builder::new()
            .name("policy-clock".to_owned())
            .spawn(move || tick(&engine, &shared))
            .map_err(LoadError::Thread)?
            .thread()
            .clone();
        Ok(Self {
            state,
            thread,
            meter: metered.then(AtomicU64::default),
        })
    }

    /// The clock ticks at least until the guard is dropped.
    pub(super) fn run(&self) -> Running<'_> {
        // Sequential consistency on both sides: either the clock sees this call
        // before it rests, or this call sees it rest.
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.resting.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.state)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A call that the clock ticks for.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a ClockState);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this thread serves nobody: sleeping between ticks is all that it is for"
)]
fn tick(engine: &EngineWeak, state: &ClockState) {
    let mut idle_ticks = 0;
    while !state.stopped.load(Ordering::SeqCst) {
        let Some(alive) = engine.upgrade() else {
            return;
        };
        alive.increment_epoch();
        drop(alive);
        if state.running.load(Ordering::SeqCst) > 0 {
            idle_ticks = 0;
        } else {
            idle_ticks += 1;
        }
        if idle_ticks < TICKS_BEFORE_REST {
            thread::sleep(Duration::from_millis(TICK_MS));
            continue;
        }
        state.resting.store(true, Ordering::SeqCst);
        if state.running.load(Ordering::SeqCst) == 0 && !state.stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        state.resting.store(false, Ordering::SeqCst);
        idle_ticks = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn wait_until(met: impl Fn() -> bool) {
        let started = std::time::Instant::now();
        while !met() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "waited in vain"
            );
            thread::yield_now();
        }
    }

    /// What the compiler's process makes is for the gate's engine.
    #[test]
    fn code_is_the_same_with_and_without_a_pool_and_another_when_metered() {
        let marks = [false, true].map(|metered| {
            let gate = mark(&build(&HostLimits::default(), metered).unwrap());
            assert_eq!(gate, mark(&for_compiling(metered).unwrap()));
            assert_eq!(gate.len(), 64);
            gate
        });
        assert_ne!(marks[0], marks[1]);
    }

    /// A clock that rests and is not woken would let a guest loop for ever.
    #[test]
    fn a_clock_at_rest_is_woken_by_a_call() {
        let engine = build(&HostLimits::default(), false).unwrap();
        let clock = Clock::start(&engine, false).unwrap();
        for _ in 0..3 {
            wait_until(|| clock.state.resting.load(Ordering::SeqCst));
            let _running = clock.run();
            wait_until(|| !clock.state.resting.load(Ordering::SeqCst));
        }
    }

    #[test]
    fn a_clock_stops_with_its_host_at_rest_or_not() {
        let engine = build(&HostLimits::default(), false).unwrap();
        for at_rest in [false, true] {
            let clock = Clock::start(&engine, false).unwrap();
            let state = Arc::downgrade(&clock.state);
            wait_until(|| !at_rest || clock.state.resting.load(Ordering::SeqCst));
            drop(clock);
            wait_until(|| state.upgrade().is_none());
        }
    }
}
