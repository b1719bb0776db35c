//! The control wing: everything that changes state.

pub mod ledger;
pub mod store;
