//! What is sent when something has happened to a user.
//!
//! The gate has the texts and fills them in. The policy chooses one, or gives the
//! tenant's own, and says what its placeholders stand for.

use crate::bindings::exports::portcullis::policy::notification::{
    Audience, Event, InlineTemplate, Message, NotificationDecision, NotificationRequest, Reset,
    Template,
};
use crate::bindings::exports::portcullis::policy::types::Channel;
use crate::languages;
use crate::reactivation::{lifetime, redirect_to};
use crate::refusal::is_resettable;
use crate::settings::{
    EMAIL_FROM, NOTIFY_EVENTS, NOTIFY_EVENTS_DEFAULT, NOTIFY_QUIET, NOTIFY_QUIET_DEFAULT,
    REVIEW_TO, STAKEHOLDERS_EVENTS, STAKEHOLDERS_EVENTS_DEFAULT, STAKEHOLDERS_TO, Settings,
};
use crate::templates::Facts;
use crate::texts::{
    DELETED, Letter, NOTICE_DELETED, NOTICE_RESTORED, NOTICE_REVIEW, NOTICE_SUSPENDED, RESET,
    RESTORED, SUSPENDED, is_built_in, own,
};

/// One message at most for the user: by mail, and by SMS only where there is no
/// mail address. One for all stakeholders.
pub fn compose(request: &NotificationRequest) -> NotificationDecision {
    let settings = Settings(&request.context.settings);
    let message = event(&request.event).and_then(|event| match request.audience {
        Audience::User => for_user(request, settings, event),
        Audience::Stakeholder => for_stakeholders(request, settings, event),
    });
    NotificationDecision {
        messages: message.into_iter().collect(),
        actions: Vec::new(),
    }
}

/// What settings call the event; none for one that this policy has never heard of.
fn event(event: &Event) -> Option<&'static str> {
    match event {
        Event::Suspended => Some("suspended"),
        Event::Restored => Some("restored"),
        Event::Deleted => Some("deleted"),
        Event::Reactivated => Some("reactivated"),
        Event::ResetRequested => Some("reset-requested"),
        Event::ReviewDue => Some("review-due"),
        Event::Other(_) => None,
    }
}

fn for_user(request: &NotificationRequest, settings: Settings<'_>, event: &str) -> Option<Message> {
    let mut quiet = settings.list(NOTIFY_QUIET, NOTIFY_QUIET_DEFAULT);
    let mut events = settings.list(NOTIFY_EVENTS, NOTIFY_EVENTS_DEFAULT);
    if quiet.any(|source| source == request.source) || !events.any(|wanted| wanted == event) {
        return None;
    }
    let resettable = request
        .suspension
        .as_ref()
        .is_some_and(|suspension| is_resettable(settings, suspension.kind));
    let letter = match &request.event {
        Event::Suspended | Event::ResetRequested if resettable => RESET,
        // Who asks for a reset and can't have one is told whom to turn to.
        Event::Suspended | Event::ResetRequested => SUSPENDED,
        Event::Restored | Event::Reactivated => RESTORED,
        Event::Deleted => DELETED,
        Event::ReviewDue | Event::Other(_) => return None,
    };
    let has = |wanted: fn(&Channel) -> bool| request.channels.iter().any(wanted);
    let channel = if has(|channel| matches!(channel, Channel::Email)) {
        Channel::Email
    } else if has(|channel| matches!(channel, Channel::Sms)) {
        Channel::Sms
    } else {
        return None;
    };
    let text = match &channel {
        Channel::Email => letter.message,
        Channel::Sms | Channel::Other(_) => letter.sms,
    };
    let language = languages::choose(settings, &request.context.locales, |tag| {
        settings
            .localized(crate::settings::TEXTS, tag, text)
            .is_some()
            || ["en", "de", "fr"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(tag))
    });
    let reset = (letter == RESET).then(|| Reset {
        lifetime_seconds: lifetime(settings, &channel),
        redirect_to: redirect_to(settings),
    });
    let from = settings
        .text(EMAIL_FROM)
        .filter(|_| matches!(channel, Channel::Email));
    let mut message = write(request, settings, letter, channel.clone(), language);
    message.from = from.map(str::to_owned);
    message.reset = reset;
    Some(message)
}

/// In the tenant's language: the user's is not theirs.
fn for_stakeholders(
    request: &NotificationRequest,
    settings: Settings<'_>,
    event: &str,
) -> Option<Message> {
    let letter = match &request.event {
        Event::Suspended => NOTICE_SUSPENDED,
        Event::Restored | Event::Reactivated => NOTICE_RESTORED,
        Event::Deleted => NOTICE_DELETED,
        Event::ReviewDue => NOTICE_REVIEW,
        Event::ResetRequested | Event::Other(_) => return None,
    };
    let all = settings.text(STAKEHOLDERS_TO).unwrap_or_default();
    let to: Vec<String> = match &request.event {
        Event::ReviewDue => settings.list(REVIEW_TO, all).map(str::to_owned).collect(),
        Event::Suspended
        | Event::Restored
        | Event::Reactivated
        | Event::Deleted
        | Event::ResetRequested
        | Event::Other(_) => settings
            .list(STAKEHOLDERS_TO, "")
            .map(str::to_owned)
            .collect(),
    };
    let mut events = settings.list(STAKEHOLDERS_EVENTS, STAKEHOLDERS_EVENTS_DEFAULT);
    if to.is_empty() || !events.any(|wanted| wanted == event) {
        return None;
    }
    let language = languages::default(settings).to_owned();
    let mut message = write(request, settings, letter, Channel::Email, language);
    message.from = settings.text(EMAIL_FROM).map(str::to_owned);
    message.to = to;
    Some(message)
}

/// The tenant's own texts where it has them in this language, else the gate's;
/// failing both, in the default language, and at last in English.
fn write(
    request: &NotificationRequest,
    settings: Settings<'_>,
    letter: Letter,
    channel: Channel,
    language: String,
) -> Message {
    let default = languages::default(settings);
    let candidates = [language.as_str(), default, "en"];
    let chosen = candidates
        .iter()
        .find_map(|tag| Some((*tag, find(settings, tag, letter, &channel)?)));
    let (language, template) =
        chosen.unwrap_or(("en", Template::Named(letter.template.to_owned())));
    let facts = Facts {
        settings,
        language,
        tenant: &request.context.tenant,
        user_id: &request.context.user_id,
        suspension: request.suspension.as_ref(),
        is_for_user: matches!(request.audience, Audience::User),
    };
    Message {
        channel,
        to: Vec::new(),
        from: None,
        template,
        variables: facts.variables(),
        language: language.to_owned(),
        reset: None,
    }
}

fn find(
    settings: Settings<'_>,
    language: &str,
    letter: Letter,
    channel: &Channel,
) -> Option<Template> {
    let own = match channel {
        Channel::Email => match (
            own(settings, language, letter.subject),
            own(settings, language, letter.message),
        ) {
            (Some(subject), Some(text)) => Some(InlineTemplate {
                subject: Some(subject.to_owned()),
                text: text.to_owned(),
            }),
            (None, _) | (_, None) => None,
        },
        Channel::Sms | Channel::Other(_) => {
            own(settings, language, letter.sms).map(|text| InlineTemplate {
                subject: None,
                text: text.to_owned(),
            })
        }
    };
    own.map(Template::Inline)
        .or_else(|| is_built_in(language).then(|| Template::Named(letter.template.to_owned())))
}
