//! What a suspended user is told.

use crate::bindings::exports::portcullis::policy::refusal::{
    Link, LinkKind, RefusalDecision, RefusalRequest,
};
use crate::bindings::exports::portcullis::policy::types::SuspensionKind;
use crate::languages;
use crate::settings::{
    APPEAL, CONTACT, PAGE_TEMPLATE, RESET_ALLOWED, RESET_PAGE, SHOW_REASON, STATUS, STATUS_DEFAULT,
    Settings, WORDS,
};
use crate::templates::{Facts, fill};
use crate::texts::{
    APPEAL_LABEL, CONTACT_LABEL, PERMANENT_MESSAGE, PERMANENT_TITLE, READ_ONLY_MESSAGE,
    READ_ONLY_TITLE, RESET_LABEL, TEMPORARY_MESSAGE, TEMPORARY_TITLE, find, find_near, pick,
};

/// The attribute by which the gate says whether it can run a reset.
const RESET_OFFERED: &str = "reset-offered";
/// The attribute by which it says what the user may still do.
const ACCESS: &str = "access";

/// One language for the whole answer: the first that the reader prefers and
/// that has words for the reason; where no language has, the first that has
/// texts.
pub fn decide(request: &RefusalRequest) -> RefusalDecision {
    let settings = Settings(&request.context.settings);
    let resettable = is_resettable(settings, request.suspension.kind);
    let title = if resettable {
        TEMPORARY_TITLE
    } else {
        PERMANENT_TITLE
    };
    // A way back is spoken of only where there is one.
    let offered = !says(request, RESET_OFFERED, "no");
    let resettable = resettable && offered;
    let message = if resettable {
        TEMPORARY_MESSAGE
    } else {
        PERMANENT_MESSAGE
    };
    let shown = settings.flag(SHOW_REASON, true);
    let reason = request
        .suspension
        .reason_key
        .as_deref()
        .filter(|key| shown && has_words(settings, key));
    let language = languages::choose(settings, &request.context.locales, |tag| match reason {
        Some(key) => settings.localized(WORDS, tag, key).is_some(),
        None => find(settings, tag, message).is_some(),
    });
    // A language that the tenant has added may not have these.
    let looks = says(request, ACCESS, "read-only")
        && find_near(settings, &language, READ_ONLY_MESSAGE).is_some();
    let (title, message) = if looks {
        (READ_ONLY_TITLE, READ_ONLY_MESSAGE)
    } else {
        (title, message)
    };
    let facts = Facts {
        settings,
        language: &language,
        tenant: &request.context.tenant,
        user_id: &request.context.user_id,
        suspension: Some(&request.suspension),
        is_for_user: true,
    };
    let links = links(settings, &language, resettable);
    RefusalDecision {
        status: u16::try_from(settings.number(STATUS, STATUS_DEFAULT)).unwrap_or(403),
        key: (!shown).then(|| key(request.suspension.kind)),
        title: cut(fill(pick(settings, &language, title), &facts)),
        words: facts.words().map(str::to_owned),
        message: fill(pick(settings, &language, message), &facts),
        surface: None,
        template: settings.text(PAGE_TEMPLATE).map(str::to_owned),
        links,
        headers: Vec::new(),
        actions: Vec::new(),
        language,
    }
}

/// What the reader can do, the likeliest to help first.
fn links(settings: Settings<'_>, language: &str, resettable: bool) -> Vec<Link> {
    let link = |kind, label, href: String| Link {
        kind,
        label: pick(settings, language, label).to_owned(),
        href,
    };
    let reset = settings
        .text(RESET_PAGE)
        .filter(|_| resettable)
        .map(|page| link(LinkKind::Reset, RESET_LABEL, page.to_owned()));
    let contact = settings
        .text(CONTACT)
        .map(|contact| link(LinkKind::Contact, CONTACT_LABEL, href(contact)));
    let appeal = settings
        .text(APPEAL)
        .map(|appeal| link(LinkKind::Appeal, APPEAL_LABEL, href(appeal)));
    [reset, contact, appeal].into_iter().flatten().collect()
}

/// The gate's own key without the reason, for a tenant that keeps its reasons.
fn key(kind: SuspensionKind) -> String {
    match kind {
        SuspensionKind::Temporary => "error.account.temporarilySuspended".to_owned(),
        SuspensionKind::Permanent => "error.account.permanentlySuspended".to_owned(),
    }
}

fn says(request: &RefusalRequest, attribute: &str, value: &str) -> bool {
    let mut attributes = request.context.attributes.iter();
    attributes.any(|(key, said)| key == attribute && said == value)
}

/// Whether the user may come back by a reset: the suspension is temporary, and
/// the tenant allows resets.
pub fn is_resettable(settings: Settings<'_>, kind: SuspensionKind) -> bool {
    match kind {
        SuspensionKind::Temporary => settings.flag(RESET_ALLOWED, true),
        SuspensionKind::Permanent => false,
    }
}

/// A title or subject may have 200 bytes. Placeholders can make it longer than
/// the tenant meant.
pub fn cut(mut line: String) -> String {
    const ELLIPSIS: char = '…';
    if line.len() > 200 {
        let end = (0..=200 - ELLIPSIS.len_utf8())
            .rev()
            .find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or_default());
        line.push(ELLIPSIS);
    }
    line
}

fn has_words(settings: Settings<'_>, reason: &str) -> bool {
    settings.0.iter().any(|(key, value)| {
        crate::settings::split_localized(key)
            .is_some_and(|(family, _, name)| family == WORDS && name == reason)
            && !value.is_empty()
    })
}

/// A contact is an address or a URL.
fn href(contact: &str) -> String {
    if contact.contains("://") || contact.starts_with("tel:") || contact.starts_with('/') {
        contact.to_owned()
    } else {
        let mut mail = String::from("mailto:");
        mail.push_str(contact);
        mail
    }
}
