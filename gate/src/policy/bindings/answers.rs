//! From the contract's answers to the core's, which checks them.

use portcullis_core::policy::{
    Action, Channel, Description, Link, LinkKind, Message, NotificationDecision, Proof,
    ReactivationDecision, RefusalAnswer, ResetOffer, ResetTerms, SettingDescription, Surface,
    Verdict, Wording,
};

use super::generated::exports::portcullis::policy::{
    about, notification, reactivation, refusal, types,
};
use crate::policy::load::Problem;

pub(crate) fn description(description: about::Description) -> Description {
    Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        languages: description.languages,
        settings: description
            .settings
            .into_iter()
            .map(|setting| SettingDescription {
                key: setting.key,
                summary: setting.summary,
                required: setting.required,
                default: setting.default,
            })
            .collect(),
        templates: description.templates,
        attributes: description.attributes,
    }
}

pub(crate) fn problem(problem: about::Problem) -> Problem {
    Problem {
        key: problem.key,
        message: problem.message,
    }
}

pub(crate) fn refusal_answer(decision: refusal::RefusalDecision) -> RefusalAnswer {
    RefusalAnswer {
        status: decision.status,
        language: decision.language,
        key: decision.key,
        title: decision.title,
        words: decision.words,
        message: decision.message,
        surface: decision.surface.map(|surface| match surface {
            refusal::Surface::Page => Surface::Page,
            refusal::Surface::Api => Surface::Api,
        }),
        template: decision.template,
        links: decision.links.into_iter().map(link).collect(),
        headers: decision.headers,
        actions: actions(decision.actions),
    }
}

pub(crate) fn reactivation_decision(
    decision: reactivation::ReactivationDecision,
) -> ReactivationDecision {
    ReactivationDecision {
        verdict: match decision.verdict {
            reactivation::Verdict::Allowed(terms) => Verdict::Allowed(ResetTerms {
                lifetime_seconds: terms.lifetime_seconds,
                redirect_to: terms.redirect_to,
            }),
            reactivation::Verdict::Refused => Verdict::Refused,
            reactivation::Verdict::StepUp(proofs) => {
                Verdict::StepUp(proofs.into_iter().map(proof).collect())
            }
        },
        words: decision.words,
        language: decision.language,
        actions: actions(decision.actions),
    }
}

pub(crate) fn notification_decision(
    decision: notification::NotificationDecision,
) -> NotificationDecision<Wording> {
    NotificationDecision {
        messages: decision.messages.into_iter().map(message).collect(),
        actions: actions(decision.actions),
    }
}

fn link(link: refusal::Link) -> Link {
    Link {
        kind: match link.kind {
            refusal::LinkKind::Contact => LinkKind::Contact,
            refusal::LinkKind::Appeal => LinkKind::Appeal,
            refusal::LinkKind::Reset => LinkKind::Reset,
            refusal::LinkKind::Other => LinkKind::Other,
        },
        label: link.label,
        href: link.href,
    }
}

fn message(message: notification::Message) -> Message<Wording> {
    Message {
        channel: match message.channel {
            types::Channel::Email => Channel::Email,
            types::Channel::Sms => Channel::Sms,
            types::Channel::Other(name) => Channel::Other(name),
        },
        to: message.to,
        from: message.from,
        language: message.language,
        wording: match message.template {
            notification::Template::Named(name) => Wording::Named(name),
            notification::Template::Inline(template) => Wording::Inline {
                subject: template.subject,
                text: template.text,
            },
        },
        variables: message.variables.into_iter().collect(),
        reset: message.reset.map(|reset| ResetOffer {
            lifetime_seconds: reset.lifetime_seconds,
            redirect_to: reset.redirect_to,
        }),
    }
}

fn proof(proof: reactivation::Proof) -> Proof {
    match proof {
        reactivation::Proof::EmailLink => Proof::EmailLink,
        reactivation::Proof::SmsCode => Proof::SmsCode,
        reactivation::Proof::Approval => Proof::Approval,
        reactivation::Proof::Other(name) => Proof::Other(name),
    }
}

fn actions(actions: Vec<types::Action>) -> Vec<Action> {
    actions
        .into_iter()
        .map(|action| Action {
            name: action.name,
            arguments: action.arguments,
        })
        .collect()
}
