//! What the tests share: a gate as a child process, apps behind it, and clients
//! in front of it.

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod browser;
pub mod client;
pub mod crowd;
pub mod demo;
pub mod distinguisher;
pub mod django;
pub mod gate;
pub mod guests;
pub mod guide;
pub mod model;
pub mod origin;
pub mod panel;
pub mod patience;
pub mod program;
pub mod provider;
pub mod python;
pub mod raw;
pub mod signer;
pub mod socket;
pub mod transcript;
pub mod verdaccio;
