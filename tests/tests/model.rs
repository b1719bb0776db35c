//! The gate does what a small model of its rules says, whatever is asked of it in
//! whichever order, and whatever happens to it meanwhile: crashes, restarts, a clock
//! that is set forwards and back.
//!
//! A run that differs is made smaller and printed, with its seed. With
//! `PORTCULLIS_MODEL_SEED` that run alone is done again; `PORTCULLIS_MODEL_RUNS`
//! says how many there are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use portcullis_tests::model::command::{Command, commands};
use portcullis_tests::model::run::run;
use portcullis_tests::model::world::World;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::{Builder, Runtime};

const RUNS: u64 = 1_000;
/// Gates that are tried side by side.
const LANES: usize = 2;
/// What proptest makes of a command is deep, and so is what tries it; a debug build
/// puts all of it on the stack.
const STACK_BYTES: usize = 16 << 20;
/// How long a run that differs is made smaller at most.
const SHRINKING_MS: u32 = 60_000;

#[test]
fn the_gate_does_what_the_model_of_its_rules_says() {
    if let Ok(seed) = env::var("PORTCULLIS_MODEL_SEED") {
        let seed = u64::from_str_radix(&seed, 16).expect("PORTCULLIS_MODEL_SEED is hexadecimal");
        return Lane::new().run(seed);
    }
    let runs = env::var("PORTCULLIS_MODEL_RUNS").map_or(RUNS, |runs| {
        runs.parse().expect("PORTCULLIS_MODEL_RUNS is a number")
    });
    let first = RandomState::new().hash_one(RUNS);
    let (turns, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let lane = || {
            let mut lane = Lane::new();
            loop {
                let turn = turns.fetch_add(1, Ordering::Relaxed);
                if turn >= runs || failed.load(Ordering::Relaxed) {
                    return;
                }
                let _stops = StopsOthers(&failed);
                lane.run(first.wrapping_add(turn));
            }
        };
        let lanes = (0..LANES).map(|_| {
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, lane).expect("a thread")
        });
        let lanes: Vec<_> = lanes.collect();
        for lane in lanes {
            lane.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// Where one lane fails, there is no use in the others' going on.
struct StopsOthers<'a>(&'a AtomicBool);

impl Drop for StopsOthers<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A gate that serves one run after the other.
struct Lane {
    runtime: Runtime,
    world: RefCell<Option<World>>,
}

impl Lane {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            runtime: runtime.expect("a runtime"),
            world: RefCell::new(None),
        }
    }

    fn run(&mut self, seed: u64) {
        let config = Config {
            failure_persistence: None,
            max_shrink_time: SHRINKING_MS,
            ..Config::default()
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let drawn = commands().new_tree(&mut runner).expect("some commands");
        match runner.run_one(drawn, |commands| self.try_out(&commands)) {
            Ok(_) => {}
            Err(TestError::Fail(difference, commands)) => {
                let commands: Vec<String> = commands
                    .iter()
                    .enumerate()
                    .map(|(at, command)| format!("  {at}: {command:?}\n"))
                    .collect();
                panic!(
                    "the run of seed {seed:016x} differs. At its smallest:\n{}{difference}\n\n\
                     To do it again:\nPORTCULLIS_MODEL_SEED={seed:016x} \
                     cargo nextest run --workspace -E 'binary(model)'",
                    commands.concat()
                )
            }
            Err(TestError::Abort(why)) => panic!("the run of seed {seed:016x}: {why}"),
        }
    }

    fn try_out(&self, commands: &[Command]) -> Result<(), TestCaseError> {
        let mut place = self.world.borrow_mut();
        self.runtime.block_on(async {
            // After a failure too, so that a smaller run stands alone.
            let mut world = match place.take() {
                Some(world) if world.is_fresh() => world,
                _ => World::new().await,
            };
            let done = run(&mut world, commands).await;
            *place = Some(world);
            done.map_err(TestCaseError::fail)
        })
    }
}
