//! Runs tenants' policies: WebAssembly components that decide what a suspended
//! user is told, may do, and is sent.
//!
//! A guest is never trusted. It is given nothing to call (an empty linker),
//! lives for one call in a store of its own, runs on a thread that is not the
//! caller's, under a deadline and limits on memory and result, and what it
//! answers is checked like a client's input. The worst that it can do is to
//! cost its tenant that one answer.

mod bindings;
pub mod builtin;
mod bundle;
pub mod cases;
pub mod compiler;
pub mod contract;
mod decisions;
mod difference;
mod engine;
mod files;
mod generations;
mod guest;
mod host;
mod limits;
mod load;
mod loaded;
mod manifest;
mod metrics;
mod pack;
mod question;
mod record;
mod rehearsal;
mod shadow;
mod smoke;
mod templates;
mod threads;

pub use bundle::Bundle;
pub use decisions::Decisions;
pub use difference::{Difference, differences};
pub use generations::{Generation, Generations, Step};
pub use host::PolicyHost;
pub use limits::{
    CompileLimits, DECISIONS_TOLD_MAX, GENERATIONS_KEPT, HostLimits, PolicyLimits,
    REHEARSAL_MS_MAX, REHEARSAL_WAIT_MS, SHADOW_MS_MAX, SHADOWS_MAX,
};
pub use load::{LoadError, Problem};
pub use loaded::Policy;
pub use manifest::{LimitsAsked, Manifest, ManifestError, Module, read_settings};
pub use metrics::{Calls, Series};
pub use pack::pack;
pub use question::{Answer, Question};
pub use record::{Answered, Decision, Record};
pub use rehearsal::{Costs, Trial, Verdict, judge, rehearse};
pub use shadow::{Counts, Ended, Example, Heard, Shadow, Tally};
