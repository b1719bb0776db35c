//! Questions that any policy can answer, asked before one is put in force.

use portcullis_core::policy::{
    Audience, Channel, Context, NotificationInput, Occasion, ReactivationInput, RefusalInput,
    ResetStep, Surface, Suspension, SuspensionKind, UserEvent,
};

use super::question::Question;

pub(super) fn questions() -> Vec<Question> {
    let kinds = [SuspensionKind::Temporary, SuspensionKind::Permanent];
    let mut questions = Vec::new();
    for kind in kinds {
        for surface in [Surface::Page, Surface::Api] {
            questions.push(Question::Refusal(RefusalInput {
                context: context(),
                suspension: suspension(kind),
                surface,
                occasion: Occasion::Login,
            }));
        }
        questions.push(Question::Reactivation(ReactivationInput {
            context: context(),
            suspension: suspension(kind),
            step: ResetStep::Issue,
            channel: Channel::Email,
            issued_at: None,
            proofs: Vec::new(),
        }));
        for audience in [Audience::User, Audience::Stakeholder] {
            questions.push(Question::Notification(NotificationInput {
                context: context(),
                event: UserEvent::Suspended,
                audience,
                suspension: Some(suspension(kind)),
                source: "api".to_owned(),
                channels: vec![Channel::Email, Channel::Sms],
            }));
        }
    }
    questions
}

fn context() -> Context {
    Context {
        tenant: "trial".to_owned(),
        user_id: "trial".to_owned(),
        now: 1_795_309_200,
        seed: 1,
        locales: vec!["en".to_owned()],
        attributes: Vec::new(),
    }
}

fn suspension(kind: SuspensionKind) -> Suspension {
    Suspension {
        kind,
        reason_key: Some("trial".to_owned()),
        reason_text: None,
        since: 1_795_305_600,
        until: None,
        source: "api".to_owned(),
    }
}
