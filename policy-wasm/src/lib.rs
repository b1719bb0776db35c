//! The standard policy: decides by its settings alone.
//!
//! It is a guest of the gate, built for `wasm32-unknown-unknown`, and imports
//! nothing. Compiled natively, the same functions are plain Rust, which is how
//! they are tested. There is no parser and no formatting machinery in it: a
//! fresh instance is made for each decision, so size is time.

pub mod about;
#[cfg(target_family = "wasm")]
mod arena;
pub mod bindings;
pub mod dates;
pub mod languages;
pub mod notification;
pub mod reactivation;
pub mod refusal;
pub mod settings;
pub mod templates;
pub mod texts;
pub mod validation;

use bindings::exports::portcullis::policy as exports;
use bindings::exports::portcullis::policy::types::PolicyError;
use settings::Settings;

/// The component.
pub struct StandardPolicy;

impl exports::about::Guest for StandardPolicy {
    fn describe() -> Result<exports::about::Description, PolicyError> {
        Ok(about::describe())
    }

    fn validate_settings(
        settings: Vec<(String, String)>,
    ) -> Result<Vec<exports::about::Problem>, PolicyError> {
        Ok(validation::validate(&Settings(&settings)))
    }
}

impl exports::refusal::Guest for StandardPolicy {
    fn decide(
        request: exports::refusal::RefusalRequest,
    ) -> Result<exports::refusal::RefusalDecision, PolicyError> {
        Ok(refusal::decide(&request))
    }
}

impl exports::reactivation::Guest for StandardPolicy {
    fn decide(
        request: exports::reactivation::ReactivationRequest,
    ) -> Result<exports::reactivation::ReactivationDecision, PolicyError> {
        Ok(reactivation::decide(&request))
    }
}

impl exports::notification::Guest for StandardPolicy {
    fn compose(
        request: exports::notification::NotificationRequest,
    ) -> Result<exports::notification::NotificationDecision, PolicyError> {
        Ok(notification::compose(&request))
    }
}
