//! Portcullis, an edge gate for accounts.

pub mod config;
pub mod secret;
