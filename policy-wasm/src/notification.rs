//! What is sent when a user's state has changed.

use crate::bindings::exports::portcullis::policy::notification::{
    Audience, Event, Message, NotificationRequest, Reset,
};
use crate::bindings::exports::portcullis::policy::types::Channel;
use crate::languages;
use crate::reactivation::{lifetime, redirect_to};
use crate::refusal::{cut, is_resettable};
use crate::settings::{
    EMAIL_FROM, NOTIFY_EVENTS, NOTIFY_EVENTS_DEFAULT, NOTIFY_QUIET, NOTIFY_QUIET_DEFAULT,
    STAKEHOLDERS_EVENTS, STAKEHOLDERS_EVENTS_DEFAULT, STAKEHOLDERS_TO, Settings,
};
use crate::templates::{Facts, fill};
use crate::texts::{
    MAIL_DELETED, MAIL_RESET, MAIL_RESTORED, MAIL_SUSPENDED, Mail, NOTICE_DELETED, NOTICE_RESTORED,
    NOTICE_SUSPENDED, SMS_DELETED, SMS_RESET, SMS_RESTORED, SMS_SUSPENDED, Text, find, pick,
};

/// The words of an event: its name in settings, and its texts for each reader.
struct Words {
    event: &'static str,
    mail: Mail,
    sms: Text,
    notice: Mail,
}

/// One message at most for the user: by mail, and by SMS only where there is
/// no mail address. One for all stakeholders.
pub fn compose(request: &NotificationRequest) -> Vec<Message> {
    let settings = Settings(&request.settings);
    let Some(words) = words(request, settings) else {
        return Vec::new();
    };
    let message = match request.audience {
        Audience::User => for_user(request, settings, &words),
        Audience::Stakeholder => for_stakeholders(request, settings, &words),
    };
    message.into_iter().collect()
}

/// The event's words; none for an event that this policy has never heard of.
fn words(request: &NotificationRequest, settings: Settings<'_>) -> Option<Words> {
    let words = |event, mail, sms, notice| {
        Some(Words {
            event,
            mail,
            sms,
            notice,
        })
    };
    match &request.event {
        Event::Suspended if offers_reset(request, settings) => {
            words("suspended", MAIL_RESET, SMS_RESET, NOTICE_SUSPENDED)
        }
        Event::Suspended => words("suspended", MAIL_SUSPENDED, SMS_SUSPENDED, NOTICE_SUSPENDED),
        Event::Restored => words("restored", MAIL_RESTORED, SMS_RESTORED, NOTICE_RESTORED),
        Event::Deleted => words("deleted", MAIL_DELETED, SMS_DELETED, NOTICE_DELETED),
        Event::Reactivated => words("reactivated", MAIL_RESTORED, SMS_RESTORED, NOTICE_RESTORED),
        Event::Other(_) => None,
    }
}

fn offers_reset(request: &NotificationRequest, settings: Settings<'_>) -> bool {
    matches!(request.event, Event::Suspended)
        && request
            .suspension
            .as_ref()
            .is_some_and(|suspension| is_resettable(settings, suspension.kind))
}

fn for_user(
    request: &NotificationRequest,
    settings: Settings<'_>,
    words: &Words,
) -> Option<Message> {
    let mut quiet = settings.list(NOTIFY_QUIET, NOTIFY_QUIET_DEFAULT);
    let mut events = settings.list(NOTIFY_EVENTS, NOTIFY_EVENTS_DEFAULT);
    if quiet.any(|source| source == request.source) || !events.any(|event| event == words.event) {
        return None;
    }
    let (channel, subject, text) = match (request.has_email, request.has_phone) {
        (true, _) => (Channel::Email, Some(words.mail.0), words.mail.1),
        (false, true) => (Channel::Sms, None, words.sms),
        (false, false) => return None,
    };
    let language = languages::choose(settings, &request.locales, |tag| {
        find(settings, tag, text).is_some()
    });
    let facts = facts(request, settings, &language);
    Some(Message {
        channel,
        to: Vec::new(),
        from: settings
            .text(EMAIL_FROM)
            .filter(|_| request.has_email)
            .map(str::to_owned),
        subject: subject.map(|subject| cut(fill(pick(settings, &language, subject), &facts))),
        text: fill(pick(settings, &language, text), &facts),
        reset: offers_reset(request, settings).then(|| Reset {
            lifetime_seconds: lifetime(settings, channel),
            redirect_to: redirect_to(settings),
        }),
        language: language.clone(),
    })
}

/// In the tenant's language: the user's is not theirs.
fn for_stakeholders(
    request: &NotificationRequest,
    settings: Settings<'_>,
    words: &Words,
) -> Option<Message> {
    let to: Vec<String> = settings
        .list(STAKEHOLDERS_TO, "")
        .map(str::to_owned)
        .collect();
    let mut events = settings.list(STAKEHOLDERS_EVENTS, STAKEHOLDERS_EVENTS_DEFAULT);
    if to.is_empty() || !events.any(|event| event == words.event) {
        return None;
    }
    let language = languages::default(settings).to_owned();
    let facts = facts(request, settings, &language);
    let Mail(subject, text) = words.notice;
    Some(Message {
        channel: Channel::Email,
        to,
        from: settings.text(EMAIL_FROM).map(str::to_owned),
        subject: Some(cut(fill(pick(settings, &language, subject), &facts))),
        text: fill(pick(settings, &language, text), &facts),
        reset: None,
        language: language.clone(),
    })
}

fn facts<'a>(
    request: &'a NotificationRequest,
    settings: Settings<'a>,
    language: &'a str,
) -> Facts<'a> {
    Facts {
        settings,
        language,
        tenant: &request.tenant,
        user_id: &request.user_id,
        suspension: request.suspension.as_ref(),
    }
}
