//! The demonstration: an ordinary app to stand in front of, and the mailbox
//! that catches whatever is sent during it.

pub mod app;
mod html;
pub mod sinks;

#[cfg(test)]
mod testing;
