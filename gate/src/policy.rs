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
pub mod contract;
mod engine;
mod guest;
mod host;
mod limits;
mod load;
mod loaded;
mod manifest;
mod question;
mod templates;
mod threads;

pub use bundle::Bundle;
pub use host::PolicyHost;
pub use limits::{HostLimits, PolicyLimits};
pub use load::{LoadError, Problem};
pub use loaded::Policy;
pub use manifest::{LimitsAsked, Manifest, ManifestError, Module};
pub use question::{Answer, Question};
