//! Questions to policies, and what differs in their answers, as rehearsals and shadows
//! show them. Nothing in them is of a person: they are shown scrubbed.

use portcullis_core::policy::{Audience, Occasion, ResetStep, Surface, SuspensionKind, UserEvent};
use schemars::JsonSchema;
use serde::Serialize;

use crate::policy::{Difference, Question, Verdict};

/// What a question is about.
#[derive(Serialize, JsonSchema)]
pub(super) struct QuestionView {
    /// `refusal`, `reactivation` or `notification`.
    question: &'static str,
    /// Of a refusal: `request` or `login`; of a reset: its step; of a notification: the
    /// event.
    occasion: String,
    /// `page` or `api`, of a refusal; whom it is for, of a notification.
    surface: Option<&'static str>,
    /// `temporary` or `permanent`.
    suspension: Option<&'static str>,
    reason: Option<String>,
    source: Option<String>,
    locales: Vec<String>,
    attributes: Vec<(String, String)>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FieldView {
    field: String,
    /// `null`: it is absent, or not told.
    before: Option<String>,
    after: Option<String>,
}

pub(super) fn question(question: &Question) -> QuestionView {
    let (occasion, surface) = match question {
        Question::Refusal(input) => {
            let occasion = match input.occasion {
                Occasion::Request => "request",
                Occasion::Login => "login",
            };
            let surface = match input.surface {
                Surface::Page => "page",
                Surface::Api => "api",
            };
            (occasion.to_owned(), Some(surface))
        }
        Question::Reactivation(input) => {
            let step = match input.step {
                ResetStep::Issue => "issue",
                ResetStep::Open => "open",
                ResetStep::Complete => "complete",
            };
            (step.to_owned(), None)
        }
        Question::Notification(input) => {
            let audience = match input.audience {
                Audience::User => "user",
                Audience::Stakeholder => "stakeholder",
            };
            (event(&input.event).to_owned(), Some(audience))
        }
    };
    let suspension = question.suspension();
    QuestionView {
        question: question.kind(),
        occasion,
        surface,
        suspension: suspension.map(|suspension| match suspension.kind {
            SuspensionKind::Temporary => "temporary",
            SuspensionKind::Permanent => "permanent",
        }),
        reason: suspension.and_then(|suspension| suspension.reason_key.clone()),
        source: suspension.map(|suspension| suspension.source.clone()),
        locales: question.context().locales.clone(),
        attributes: question.context().attributes.clone(),
    }
}

/// As the contract spells it.
fn event(event: &UserEvent) -> &str {
    match event {
        UserEvent::Suspended => "suspended",
        UserEvent::Restored => "restored",
        UserEvent::Deleted => "deleted",
        UserEvent::Reactivated => "reactivated",
        UserEvent::ResetRequested => "reset-requested",
        UserEvent::ReviewDue => "review-due",
        UserEvent::Other(name) => name,
    }
}

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::Different => "different",
        Verdict::Failed => "failed",
    }
}

pub(super) fn fields(differences: Vec<Difference>) -> Vec<FieldView> {
    let fields = differences.into_iter().map(|difference| FieldView {
        field: difference.field,
        before: difference.before,
        after: difference.after,
    });
    fields.collect()
}
