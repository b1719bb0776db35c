//! The decisions of Portcullis: pure functions over plain data.
//!
//! Nothing in this crate can reach a clock, a socket, a file, the environment or
//! a runtime: time, randomness and ids come in as arguments, so that each
//! decision has a table of tests. `serde` is here for its derives alone: the
//! ledger's entries are stored for years and their shape belongs beside them.

#![forbid(unsafe_code)]

pub mod cookies;
pub mod decide;
pub mod deed;
pub mod forward;
pub mod grpc;
pub mod host;
pub mod identify;
pub mod ids;
pub mod ledger;
pub mod lift;
pub mod limits;
pub mod login;
pub mod names;
pub mod negotiate;
pub mod path;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod request;
pub mod share;
pub mod standing;
pub mod time;
pub mod turns;
pub mod user;
pub mod websocket;
