//! What the standard policy says of itself.

use crate::bindings::exports::portcullis::policy::about::{Description, Setting};
use crate::settings::{
    APPEAL, CONTACT, DEFAULT_LANGUAGE, EMAIL_FROM, EMAIL_LIFETIME, EMAIL_REDIRECT_TO,
    NOTIFY_EVENTS, NOTIFY_EVENTS_DEFAULT, NOTIFY_QUIET, NOTIFY_QUIET_DEFAULT, PAGE_TEMPLATE,
    RESET_ALLOWED, RESET_PAGE, RESET_STEP_UP, REVIEW_TO, SHOW_REASON, SHOW_REASON_TEXT,
    SMS_LIFETIME, STAKEHOLDERS_EVENTS, STAKEHOLDERS_EVENTS_DEFAULT, STAKEHOLDERS_TO, STATUS,
};
use crate::texts::LETTERS;

/// Key, what stands where it is not given, and what it is for. No default: there is
/// none, and the policy goes without.
const SETTINGS: [(&str, &str, &str); 21] = [
    (CONTACT, "", "where a suspended user finds help"),
    (APPEAL, "", "where a suspension can be disputed"),
    (STATUS, "403", "status of a refusal"),
    (
        DEFAULT_LANGUAGE,
        "en",
        "language where the reader's has no words",
    ),
    (
        SHOW_REASON,
        "true",
        "whether users are told the reason at all",
    ),
    (
        SHOW_REASON_TEXT,
        "false",
        "whether users see an administrator's own words",
    ),
    (
        PAGE_TEMPLATE,
        "",
        "template whose page is shown to a browser",
    ),
    (
        RESET_ALLOWED,
        "true",
        "whether a temporarily suspended user may come back by a reset",
    ),
    (RESET_PAGE, "", "page where a reset may be asked for"),
    (
        RESET_STEP_UP,
        "",
        "what is wanted besides the link or the code",
    ),
    (EMAIL_FROM, "", "sender of mails"),
    (EMAIL_REDIRECT_TO, "", "where a completed reset leads"),
    (EMAIL_LIFETIME, "86400", "seconds for which a link is good"),
    (SMS_LIFETIME, "600", "seconds for which a code is good"),
    (
        NOTIFY_EVENTS,
        NOTIFY_EVENTS_DEFAULT,
        "what the user hears of",
    ),
    (
        NOTIFY_QUIET,
        NOTIFY_QUIET_DEFAULT,
        "changes from these send the user nothing",
    ),
    (STAKEHOLDERS_TO, "", "who else is told, by mail"),
    (
        STAKEHOLDERS_EVENTS,
        STAKEHOLDERS_EVENTS_DEFAULT,
        "what they hear of",
    ),
    (
        REVIEW_TO,
        "",
        "who is asked to review a long suspension; else the stakeholders",
    ),
    ("words.*.*", "", "words for a reason, by language and key"),
    (
        "texts.*.*",
        "",
        "own texts in place of built-in ones, by language and name",
    ),
];

pub fn describe() -> Description {
    let settings = SETTINGS.iter().map(|(key, default, summary)| Setting {
        key: (*key).to_owned(),
        summary: (*summary).to_owned(),
        required: *key == CONTACT,
        default: (!default.is_empty()).then(|| (*default).to_owned()),
    });
    Description {
        name: "standard".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: "decides by its settings alone".to_owned(),
        languages: ["en", "de", "fr"].map(str::to_owned).to_vec(),
        settings: settings.collect(),
        templates: LETTERS.map(|letter| letter.template.to_owned()).to_vec(),
        attributes: Vec::new(),
    }
}
