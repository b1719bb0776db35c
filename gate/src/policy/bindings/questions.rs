//! From the core's questions to the contract's.

use portcullis_core::policy::{
    Audience, Channel, Context, NotificationInput, Occasion, Proof, ReactivationInput,
    RefusalInput, ResetStep, Surface, Suspension, SuspensionKind, UserEvent,
};

use super::generated::exports::portcullis::policy::{notification, reactivation, refusal, types};

/// Pairs as the contract carries them.
pub(crate) type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The parts of a question that are lists, which need a place to be borrowed
/// from.
pub(crate) struct Lists<'a> {
    locales: Vec<&'a str>,
    attributes: Pairs<'a>,
    settings: Pairs<'a>,
}

impl<'a> Lists<'a> {
    pub(crate) fn new(context: &'a Context, settings: Pairs<'a>) -> Self {
        Self {
            locales: context.locales.iter().map(String::as_str).collect(),
            attributes: context
                .attributes
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect(),
            settings,
        }
    }
}

pub(crate) struct ReactivationLists<'a> {
    common: Lists<'a>,
    channel: types::Channel,
    proofs: Vec<reactivation::Proof>,
}

impl<'a> ReactivationLists<'a> {
    pub(crate) fn new(input: &'a ReactivationInput, settings: Pairs<'a>) -> Self {
        Self {
            common: Lists::new(&input.context, settings),
            channel: channel(&input.channel),
            proofs: input.proofs.iter().map(proof).collect(),
        }
    }

    pub(crate) fn proofs(&self) -> Vec<&reactivation::Proof> {
        self.proofs.iter().collect()
    }
}

pub(crate) struct NotificationLists<'a> {
    common: Lists<'a>,
    channels: Vec<types::Channel>,
}

impl<'a> NotificationLists<'a> {
    pub(crate) fn new(input: &'a NotificationInput, settings: Pairs<'a>) -> Self {
        Self {
            common: Lists::new(&input.context, settings),
            channels: input.channels.iter().map(channel).collect(),
        }
    }

    pub(crate) fn channels(&self) -> Vec<&types::Channel> {
        self.channels.iter().collect()
    }
}

pub(crate) fn refusal_request<'a>(
    input: &'a RefusalInput,
    lists: &'a Lists<'a>,
) -> refusal::RefusalRequest<'a> {
    refusal::RefusalRequest {
        context: context(&input.context, lists),
        suspension: suspension(&input.suspension),
        surface: match input.surface {
            Surface::Page => refusal::Surface::Page,
            Surface::Api => refusal::Surface::Api,
        },
        occasion: match input.occasion {
            Occasion::Request => refusal::Occasion::Request,
            Occasion::Login => refusal::Occasion::Login,
        },
    }
}

pub(crate) fn reactivation_request<'a>(
    input: &'a ReactivationInput,
    lists: &'a ReactivationLists<'a>,
    proofs: &'a [&'a reactivation::Proof],
) -> reactivation::ReactivationRequest<'a> {
    reactivation::ReactivationRequest {
        context: context(&input.context, &lists.common),
        suspension: suspension(&input.suspension),
        step: match input.step {
            ResetStep::Issue => reactivation::Step::Issue,
            ResetStep::Open => reactivation::Step::Open,
            ResetStep::Complete => reactivation::Step::Complete,
        },
        channel: &lists.channel,
        issued_at: input.issued_at,
        proofs,
    }
}

pub(crate) fn notification_request<'a>(
    input: &'a NotificationInput,
    lists: &'a NotificationLists<'a>,
    channels: &'a [&'a types::Channel],
) -> notification::NotificationRequest<'a> {
    notification::NotificationRequest {
        context: context(&input.context, &lists.common),
        event: match &input.event {
            UserEvent::Suspended => notification::Event::Suspended,
            UserEvent::Restored => notification::Event::Restored,
            UserEvent::Deleted => notification::Event::Deleted,
            UserEvent::Reactivated => notification::Event::Reactivated,
            UserEvent::ResetRequested => notification::Event::ResetRequested,
            UserEvent::ReviewDue => notification::Event::ReviewDue,
            UserEvent::Other(name) => notification::Event::Other(name),
        },
        audience: match input.audience {
            Audience::User => notification::Audience::User,
            Audience::Stakeholder => notification::Audience::Stakeholder,
        },
        suspension: input.suspension.as_ref().map(suspension),
        source: &input.source,
        channels,
    }
}

fn context<'a>(context: &'a Context, lists: &'a Lists<'a>) -> types::Context<'a> {
    types::Context {
        tenant: &context.tenant,
        user_id: &context.user_id,
        now: context.now,
        seed: context.seed,
        locales: &lists.locales,
        attributes: &lists.attributes,
        settings: &lists.settings,
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

fn channel(channel: &Channel) -> types::Channel {
    match channel {
        Channel::Email => types::Channel::Email,
        Channel::Sms => types::Channel::Sms,
        Channel::Other(name) => types::Channel::Other(name.clone()),
    }
}

fn proof(proof: &Proof) -> reactivation::Proof {
    match proof {
        Proof::EmailLink => reactivation::Proof::EmailLink,
        Proof::SmsCode => reactivation::Proof::SmsCode,
        Proof::Approval => reactivation::Proof::Approval,
        Proof::Other(name) => reactivation::Proof::Other(name.clone()),
    }
}
