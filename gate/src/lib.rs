//! Portcullis: an edge gate for accounts.

pub mod demo;
