//! The contract in `wit/` as Rust types, and the way from and to the core's.
//!
//! What goes in is borrowed: a call copies it once, into the guest.

use portcullis_core::policy::{
    Audience, Channel, Link, Message, NotificationInput, Occasion, ReactivationDecision,
    ReactivationInput, RefusalAnswer, RefusalInput, ResetOffer, ResetStep, Surface, Suspension,
    SuspensionKind, UserEvent,
};

mod generated {
    #![allow(unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: false },
        include_component_type: true,
    });
}

use generated::exports::portcullis::policy::{notification, reactivation, refusal, types};

pub(super) use generated::exports::portcullis::policy::settings::Problem;
pub(super) use generated::{COMPONENT_TYPE, Policy as Instance, PolicyPre};
pub(super) use types::PolicyError;

/// Pairs as the contract carries them.
pub(super) type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The parts of a request that are lists, which need a place to be borrowed
/// from.
pub(super) struct Lists<'a> {
    locales: Vec<&'a str>,
    attributes: Pairs<'a>,
    settings: Pairs<'a>,
}

impl<'a> Lists<'a> {
    pub(super) fn new(
        locales: &'a [String],
        attributes: &'a [(String, String)],
        settings: Pairs<'a>,
    ) -> Self {
        Self {
            locales: locales.iter().map(String::as_str).collect(),
            attributes: attributes
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect(),
            settings,
        }
    }
}

pub(super) fn refusal_request<'a>(
    input: &'a RefusalInput,
    lists: &'a Lists<'a>,
) -> refusal::RefusalRequest<'a> {
    refusal::RefusalRequest {
        tenant: &input.tenant,
        user_id: &input.user_id,
        suspension: suspension(&input.suspension),
        locales: &lists.locales,
        surface: match input.surface {
            Surface::Page => refusal::Surface::Page,
            Surface::Api => refusal::Surface::Api,
        },
        occasion: match input.occasion {
            Occasion::Request => refusal::Occasion::Request,
            Occasion::Login => refusal::Occasion::Login,
        },
        attributes: &lists.attributes,
        settings: &lists.settings,
    }
}

pub(super) fn refusal_answer(decision: refusal::RefusalDecision) -> RefusalAnswer {
    RefusalAnswer {
        status: decision.status,
        language: decision.language,
        title: decision.title,
        words: decision.words,
        message: decision.message,
        links: decision
            .links
            .into_iter()
            .map(|link| Link {
                label: link.label,
                href: link.href,
            })
            .collect(),
        headers: decision.headers,
    }
}

pub(super) fn reactivation_request<'a>(
    input: &'a ReactivationInput,
    lists: &'a Lists<'a>,
) -> reactivation::ReactivationRequest<'a> {
    reactivation::ReactivationRequest {
        tenant: &input.tenant,
        user_id: &input.user_id,
        suspension: suspension(&input.suspension),
        step: match input.step {
            ResetStep::Issue => reactivation::Step::Issue,
            ResetStep::Open => reactivation::Step::Open,
            ResetStep::Complete => reactivation::Step::Complete,
        },
        channel: match input.channel {
            Channel::Email => types::Channel::Email,
            Channel::Sms => types::Channel::Sms,
        },
        now: input.now,
        issued_at: input.issued_at,
        locales: &lists.locales,
        attributes: &lists.attributes,
        settings: &lists.settings,
    }
}

pub(super) fn reactivation_decision(
    decision: reactivation::ReactivationDecision,
) -> ReactivationDecision {
    ReactivationDecision {
        allowed: decision.allowed,
        lifetime_seconds: decision.lifetime_seconds,
        redirect_to: decision.redirect_to,
        why_not: decision.why_not,
        language: decision.language,
    }
}

pub(super) fn notification_request<'a>(
    input: &'a NotificationInput,
    lists: &'a Lists<'a>,
) -> notification::NotificationRequest<'a> {
    notification::NotificationRequest {
        tenant: &input.tenant,
        user_id: &input.user_id,
        event: match &input.event {
            UserEvent::Suspended => notification::Event::Suspended,
            UserEvent::Restored => notification::Event::Restored,
            UserEvent::Deleted => notification::Event::Deleted,
            UserEvent::Reactivated => notification::Event::Reactivated,
            UserEvent::Other(name) => notification::Event::Other(name),
        },
        audience: match input.audience {
            Audience::User => notification::Audience::User,
            Audience::Stakeholder => notification::Audience::Stakeholder,
        },
        suspension: input.suspension.as_ref().map(suspension),
        source: &input.source,
        has_email: input.has_email,
        has_phone: input.has_phone,
        now: input.now,
        locales: &lists.locales,
        attributes: &lists.attributes,
        settings: &lists.settings,
    }
}

pub(super) fn message(message: notification::Message) -> Message {
    Message {
        channel: match message.channel {
            types::Channel::Email => Channel::Email,
            types::Channel::Sms => Channel::Sms,
        },
        to: message.to,
        from: message.from,
        subject: message.subject,
        text: message.text,
        language: message.language,
        reset: message.reset.map(|reset| ResetOffer {
            lifetime_seconds: reset.lifetime_seconds,
            redirect_to: reset.redirect_to,
        }),
    }
}

fn suspension(suspension: &Suspension) -> types::Suspension<'_> {
    types::Suspension {
        kind: match suspension.kind {
            SuspensionKind::Temporary => types::SuspensionKind::Temporary,
            SuspensionKind::Permanent => types::SuspensionKind::Permanent,
        },
        reason_key: suspension.reason_key.as_deref(),
        reason_text: suspension.reason_text.as_deref(),
        since: suspension.since,
        until: suspension.until,
        source: &suspension.source,
    }
}
