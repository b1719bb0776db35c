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
pub mod cases;
mod engine;
mod guest;
mod host;
mod limits;
mod load;
mod manifest;
mod threads;

pub use host::{Policy, PolicyHost};
pub use limits::{HostLimits, PolicyLimits};
pub use load::{LoadError, Problem};
pub use manifest::{LimitsAsked, Manifest, ManifestError, Module};
