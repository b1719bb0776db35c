//! What the compiler's process does: gives up what it does not need, reads a module,
//! writes compiled code, ends.

use std::io::{Read, Write};

use rustix::process::{self, Resource, Rlimit, Signal};
use wasmtime::Engine;

use super::Order;
use crate::policy::engine;
use crate::policy::limits::HostLimits;

/// Files that it may have open: its streams, and what the engine reads of the machine.
const FILES_MAX: u64 = 32;

/// Seconds from the signal that says that its time is up to the one that ends it.
const LAST_WORDS_SECONDS: u64 = 5;

/// Compiles what comes in. For a process of its own: it lowers the limits of the one
/// that it runs in.
///
/// # Errors
/// Why there is no compiled code, in words.
pub fn compile(
    order: &Order,
    niceness: i32,
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> Result<(), String> {
    step_back(order, niceness).map_err(|error| format!("limits cannot be set: {error}"))?;
    let mut wasm = Vec::new();
    let bytes_max = HostLimits::default().module_bytes_max as u64;
    input
        .take(bytes_max)
        .read_to_end(&mut wasm)
        .map_err(|error| format!("the module cannot be read: {error}"))?;
    let code = engine_of(order)?
        .precompile_component(&wasm)
        .map_err(|error| format!("{error:#}"))?;
    output
        .write_all(&code)
        .and_then(|()| output.flush())
        .map_err(|error| format!("the code cannot be handed over: {error}"))
}

/// The engine that the code is for: the gate's, or the one that counts.
fn engine_of(order: &Order) -> Result<Engine, String> {
    for metered in [false, true] {
        let engine = engine::for_compiling(metered).map_err(|error| error.to_string())?;
        if engine::mark(&engine) == order.engine {
            return Ok(engine);
        }
    }
    Err(format!(
        "this executable does not compile for the gate's engine, {}",
        order.engine
    ))
}

/// The gate comes first: in processor time, in memory, and when the system must end
/// somebody. And it is not outlived.
fn step_back(order: &Order, niceness: i32) -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // Lost where there is no such file: the memory limit is there all the same.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
    process::nice(niceness)?;
    lower(Resource::Core, 0, 0)?;
    lower(Resource::Nofile, FILES_MAX, FILES_MAX)?;
    let seconds = order.cpu_seconds_max;
    lower(Resource::Cpu, seconds, seconds + LAST_WORDS_SECONDS)?;
    // What it writes to, not all that it sees: its own executable is none of it.
    let bytes = order.memory_bytes_max;
    lower(Resource::Data, bytes, bytes)
}

/// Never raises one: whoever started the gate may have set it lower.
fn lower(resource: Resource, current: u64, maximum: u64) -> rustix::io::Result<()> {
    let now = process::getrlimit(resource);
    let least = |now: Option<u64>, wanted: u64| Some(now.map_or(wanted, |now| now.min(wanted)));
    let limit = Rlimit {
        current: least(now.current, current),
        maximum: least(now.maximum, maximum),
    };
    process::setrlimit(resource, limit)
}
