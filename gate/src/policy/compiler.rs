//! Makes code of modules: in a process of its own where a gate runs, so that nothing
//! that a module does to its compiler is done to the gate, and once, since what came
//! out is kept.

mod artefact;
mod child;
mod inside;
mod kept;

use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engine;
use super::limits::CompileLimits;
use artefact::Artefact;
use kept::Kept;

pub use child::Program;
pub use inside::compile as compile_inside;

/// What the gate's executable is called with to compile.
pub const ASK: &str = "compile-policy";

/// The folder for compiled policies, in the folder of the store.
const FOLDER: &str = "compiled";

/// Why there is no code of a module.
#[derive(Debug, Error)]
pub enum CompilerError {
    #[error("the component cannot be compiled: {0}")]
    Refused(String),
    #[error(
        "to compile it takes more than {} MiB of memory; give a smaller module, or one of \
         smaller functions", max >> 20
    )]
    Memory { max: u64 },
    #[error(
        "to compile it takes more than {seconds} s of processor time; give a smaller module, or \
         one of smaller functions"
    )]
    Time { seconds: u64 },
    #[error(
        "to compile it takes longer than {seconds} s; give a smaller module, or try again when \
         the machine has less to do"
    )]
    Late { seconds: f32 },
    #[error("it makes more than the {max} bytes of code allowed; give a smaller module")]
    TooMuchCode { max: usize },
    #[error(
        "the compiler ended ({status}) and said {words:?}; try again, and if it ends so with this \
         module only, build the module anew or otherwise"
    )]
    Ended { status: ExitStatus, words: String },
    #[error(
        "a process to compile it in cannot be started: {0}; let the gate's user start processes \
         of the gate's own executable"
    )]
    Start(std::io::Error),
}

/// What a compiler's process is told besides the module.
#[derive(Debug, Clone)]
pub struct Order {
    /// The mark of the engine that will run the code.
    pub engine: String,
    pub memory_bytes_max: u64,
    pub cpu_seconds_max: u64,
}

/// How soon code is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nobody is served before it is there.
    AtOnce,
    /// Others are served meanwhile, and go first.
    Beside,
}

/// How often modules became code since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compilations {
    pub made: u64,
    pub failed: u64,
    /// What was kept from before served.
    pub reused: u64,
}

/// Makes code of modules.
#[derive(Debug)]
pub struct Compiler {
    /// In this process where there is none.
    apart: Option<Apart>,
    made: AtomicU64,
    failed: AtomicU64,
    reused: AtomicU64,
}

#[derive(Debug)]
struct Apart {
    program: Program,
    kept: Option<Kept>,
}

impl Compiler {
    /// In this process, and nothing is kept: for commands, which serve nobody else.
    pub fn here() -> Self {
        Self::by(None)
    }

    /// In processes of `program`; what comes out is kept in the folder of the store.
    /// Where that cannot be, the log says so and nothing is kept.
    pub fn apart(program: Program, store: &Path) -> Self {
        let kept = Kept::open(&store.join(FOLDER))
            .inspect_err(|error| {
                tracing::warn!(
                    %error,
                    "compiled policies are not kept; each start compiles them anew"
                );
            })
            .ok();
        Self::by(Some(Apart { program, kept }))
    }

    fn by(apart: Option<Apart>) -> Self {
        Self {
            apart,
            made: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }
    }

    pub(super) fn compilations(&self) -> Compilations {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Compilations {
            made: count(&self.made),
            failed: count(&self.failed),
            reused: count(&self.reused),
        }
    }

    /// The component of a module that was checked. `digest` is the module's own.
    pub(super) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        wasm: &[u8],
        limits: &CompileLimits,
        pace: Pace,
    ) -> Result<Component, CompilerError> {
        let Some(Apart { program, kept }) = &self.apart else {
            return Component::new(engine, wasm).map_err(|error| refused(&error));
        };
        let kept = kept.as_ref();
        let order = Order {
            engine: engine::mark(engine),
            memory_bytes_max: limits.memory_bytes_max,
            cpu_seconds_max: limits.cpu_seconds_max,
        };
        let name = format!("{digest}-{}", order.engine);
        if let Some(component) = kept.and_then(|kept| take(kept, engine, &name)) {
            self.reused.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(module = digest, "a policy was compiled before");
            return Ok(component);
        }
        let started = Instant::now();
        let compile = || program.compile(wasm, &order, pace, limits.deadline);
        let mut made = compile();
        if let (Err(error @ CompilerError::Ended { .. }), Pace::AtOnce) = (&made, pace) {
            // At a start the tenant would be left with an older policy, or the gate
            // would not start, because the system had a bad moment.
            tracing::warn!(module = digest, %error, "a policy is compiled once more");
            made = compile();
        }
        let made = made.and_then(|made| {
            // Only the engine that runs it has the last word on what it can run.
            let component = made.revive(engine).map_err(|error| refused(&error))?;
            Ok((made, component))
        });
        let counter = if made.is_ok() {
            &self.made
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Whoever asked may be gone by now.
        let (made, component) = made.inspect_err(|error| {
            tracing::warn!(module = digest, %error, "a policy could not be compiled");
        })?;
        tracing::info!(
            module = digest,
            bytes = made.bytes(),
            ms = started.elapsed().as_millis(),
            "a policy was compiled"
        );
        keep(kept, &name, &made);
        Ok(component)
    }
}

fn take(kept: &Kept, engine: &Engine, name: &str) -> Option<Component> {
    let revived = kept.find(name)?.revive(engine);
    revived
        .inspect_err(|error| {
            tracing::warn!(
                error = format!("{error:#}"),
                "a compiled policy does not fit; it is compiled anew"
            );
            kept.forget(name);
        })
        .ok()
}

fn keep(kept: Option<&Kept>, name: &str, made: &Artefact) {
    if let Some(Err(error)) = kept.map(|kept| kept.keep(name, made)) {
        tracing::warn!(%error, "a compiled policy is not kept; the next start compiles it anew");
    }
}

fn refused(error: &wasmtime::Error) -> CompilerError {
    CompilerError::Refused(format!("{error:#}"))
}
