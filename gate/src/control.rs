//! The control wing: the one way to change state, and everything that asks for it.
//! An ask becomes an entry of the ledger (durable), the entry becomes a standing in
//! `live`, and the effects hang on that transition, whoever asked.

pub mod admin;
pub mod apply;
pub mod bulk;
pub mod command;
pub mod identities;
pub mod ledger;
pub mod policies;
pub mod record;
pub mod schedule;
pub mod sessions;
pub mod store;
pub mod tokens;
