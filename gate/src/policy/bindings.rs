//! The contract in `wit/` as Rust types, and the way from and to the core's.
//!
//! What goes in is borrowed: a call copies it once, into the guest.

mod answers;
mod exports;
mod questions;

mod generated {
    #![allow(unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: false },
        include_component_type: true,
    });
}

pub(super) use answers::{
    description, notification_decision, problem, reactivation_decision, refusal_answer,
};
pub(super) use exports::Exports;
pub(super) use generated::COMPONENT_TYPE;
pub(super) use generated::exports::portcullis::policy::types::PolicyError;
pub(super) use questions::{
    Lists, NotificationLists, Pairs, ReactivationLists, notification_request, reactivation_request,
    refusal_request,
};
