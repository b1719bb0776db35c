//! The demonstration: a gate with two tenants, an ordinary app behind each, and
//! the mailbox that catches whatever is sent. All embedded, nothing to install.

pub mod app;
mod guide;
mod html;
mod setting;
pub mod sinks;
mod stage;

#[cfg(test)]
mod testing;

pub use stage::{DemoError, run};
