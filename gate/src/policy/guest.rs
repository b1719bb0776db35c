//! One call of one guest: a fresh instance, used once and thrown away.

use std::sync::atomic::Ordering;

use portcullis_core::policy::Fault;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Error, PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, WasmBacktrace};

use super::bindings::PolicyError;
use super::engine::Clock;
use super::limits::{
    CORE_INSTANCES_MAX, MEMORIES_MAX, PolicyLimits, TABLE_ELEMENTS_MAX, TABLES_MAX, TICK_MS,
};

/// Enough for any call: a metered one is measured, not stopped.
const FUEL: u64 = u64::MAX / 2;

/// What the store of a call knows: the limits, and whether memory was refused.
#[derive(Debug)]
pub(super) struct Guest {
    memory_bytes_max: usize,
    memory_refused: bool,
}

/// Instantiates the policy and makes one call, all within `limits`.
///
/// It blocks the thread for up to the deadline, and needs one with room for
/// the guest's stack.
pub(super) fn call<T>(
    pre: &InstancePre<Guest>,
    clock: &Clock,
    limits: &PolicyLimits,
    export: impl FnOnce(&Instance, &mut Store<Guest>) -> Result<Result<T, PolicyError>, Error>,
) -> Result<T, Fault> {
    let guest = Guest {
        memory_bytes_max: limits.memory_bytes_max,
        memory_refused: false,
    };
    let mut store = Store::new(pre.engine(), guest);
    store.limiter(|guest| guest);
    store.set_hostcall_fuel(limits.result_bytes_max);
    if clock.meter.is_some() {
        // Fails where the engine does not meter, which it does where there is one.
        let _ = store.set_fuel(FUEL);
    }
    let _running = clock.run();
    // Before instantiation, which may run the guest's own code too. One tick
    // more than the budget, since the first may come at once.
    store.set_epoch_deadline(limits.deadline_ms.div_ceil(TICK_MS) + 1);
    let instance = match pre.instantiate(&mut store) {
        Ok(instance) => instance,
        Err(error) => {
            return Err(fault(&error, store.data(), limits, Fault::Invalid));
        }
    };
    let exported = export(&instance, &mut store);
    // Asked of a metered one only: from others it is an error, and to make one takes
    // longer than many a guest does.
    if let Some(meter) = &clock.meter
        && let Ok(left) = store.get_fuel()
    {
        meter.store(FUEL - left, Ordering::Relaxed);
    }
    match exported {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(PolicyError { code, message })) => Err(Fault::Declined {
            code: shorten(&code, 64),
            message: shorten(&message, 500),
        }),
        // What is no trap is an answer that could not be read: text that is not
        // UTF-8, a case that does not exist, a pointer out of bounds.
        Err(error) => {
            let unreadable = |what| Fault::BadOutput { what };
            Err(fault(&error, store.data(), limits, unreadable))
        }
    }
}

/// Tells what went wrong. `otherwise` is the name for what is neither a trap
/// nor a limit, and is given the cause.
fn fault(
    error: &Error,
    guest: &Guest,
    limits: &PolicyLimits,
    otherwise: impl FnOnce(String) -> Fault,
) -> Fault {
    // A refusal of memory is turned into a trap, but not into a `Trap`.
    if guest.memory_refused {
        return Fault::Memory {
            limit_bytes: limits.memory_bytes_max,
        };
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::Busy;
    }
    // Not `to_string`, which is the backtrace alone and leaves out the cause.
    let cause = shorten(&error.root_cause().to_string(), 500);
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::Deadline {
            limit_ms: limits.deadline_ms,
        },
        Some(Trap::StackOverflow) => Fault::StackOverflow,
        Some(_) => Fault::Trap(cause + &place(error)),
        // The error's type is private to wasmtime; a test holds on to its text.
        None if cause.contains("fuel allocated for hostcalls") => Fault::ResultTooLarge {
            limit_bytes: limits.result_bytes_max,
        },
        None => otherwise(cause),
    }
}

/// Where the guest was, innermost first, as far as it kept the names of its
/// functions.
fn place(error: &Error) -> String {
    const FRAMES_MAX: usize = 5;
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map_or(&[][..], WasmBacktrace::frames);
    let names: Vec<String> = frames
        .iter()
        .filter_map(|frame| frame.func_name())
        .take(FRAMES_MAX)
        .map(|name| shorten(name, 100))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", in {}", names.join(", in "))
    }
}

/// Makes a guest's words fit for one line of a log.
fn shorten(text: &str, chars_max: usize) -> String {
    text.chars()
        .take(chars_max)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, Error> {
        let within_own = maximum.is_none_or(|maximum| desired <= maximum);
        if desired <= self.memory_bytes_max {
            return Ok(within_own);
        }
        self.memory_refused = true;
        Err(Error::msg(format!("{desired} bytes of memory wanted")))
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, Error> {
        let within_own = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(within_own && desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }
}
