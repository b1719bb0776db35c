//! Says what is wrong with settings before they are put in force.
//!
//! It is as strict as the gate's own check of answers, so that what passes here
//! does not fail on a user's request.

use crate::bindings::exports::portcullis::policy::about::Problem;
use crate::languages;
use crate::settings::{
    APPEAL, CONTACT, DEFAULT_LANGUAGE, EMAIL_FROM, EMAIL_LIFETIME, EMAIL_REDIRECT_TO,
    NOTIFY_EVENTS, NOTIFY_QUIET, PAGE_TEMPLATE, RESET_ALLOWED, RESET_PAGE, RESET_STEP_UP,
    REVIEW_TO, SHOW_REASON, SHOW_REASON_TEXT, SMS_LIFETIME, STAKEHOLDERS_EVENTS, STAKEHOLDERS_TO,
    STATUS, Settings, TEXTS, WORDS, split_list, split_localized,
};
use crate::templates::{PLACEHOLDERS, names};
use crate::texts::{LETTERS, PAGE, RESET, Text, find_near, is_known, own};

const EVENTS: [&str; 6] = [
    "suspended",
    "restored",
    "deleted",
    "reactivated",
    "reset-requested",
    "review-due",
];
const PROOFS: [&str; 3] = ["email-link", "sms-code", "approval"];

/// Every problem there is, so that one look mends them all.
pub fn validate(settings: &Settings<'_>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = settings
        .0
        .iter()
        .filter_map(|(key, value)| {
            let message = check(key, value).err()?;
            Some(Problem {
                key: key.clone(),
                message: message.to_owned(),
            })
        })
        .collect();
    if settings.text(CONTACT).is_none() {
        problems.push(Problem {
            key: CONTACT.to_owned(),
            message: "is missing; give a mail address or an https: URL where users find help"
                .to_owned(),
        });
    }
    check_languages(*settings, &mut problems);
    check_letters(*settings, &mut problems);
    problems
}

/// One setting by itself.
fn check(key: &str, value: &str) -> Result<(), &'static str> {
    match key {
        STATUS => demand(
            is_status(value),
            "is not a status from 400 to 499 that suits a refusal; 403 is usual",
        ),
        DEFAULT_LANGUAGE => demand(is_tag(value), "is not a language tag such as en or de-AT"),
        CONTACT => demand(
            is_address(value) || is_web(value) || value.starts_with("tel:"),
            "is not a mail address, an https: URL or a tel: number",
        ),
        APPEAL => demand(
            is_address(value) || is_web(value) || is_path(value),
            "is not a mail address, an https: URL or a path that starts with one /",
        ),
        PAGE_TEMPLATE => demand(
            is_name(value),
            "is not the name of a template in templates/, without .toml",
        ),
        RESET_STEP_UP => demand(
            split_list(value).all(|proof| PROOFS.contains(&proof)),
            "names something else than email-link, sms-code and approval",
        ),
        SHOW_REASON | SHOW_REASON_TEXT | RESET_ALLOWED => demand(
            matches!(value, "true" | "false"),
            "is neither true nor false",
        ),
        RESET_PAGE | EMAIL_REDIRECT_TO => demand(
            is_web(value) || is_path(value),
            "is not an https: URL or a path that starts with one /",
        ),
        EMAIL_FROM => demand(is_line(value), "is not one line of at most 200 bytes"),
        EMAIL_LIFETIME | SMS_LIFETIME => demand(
            is_lifetime(value),
            "is not a number of seconds from 60 to 604800",
        ),
        NOTIFY_EVENTS | STAKEHOLDERS_EVENTS => demand(
            split_list(value).all(|event| EVENTS.contains(&event)),
            "names something else than suspended, restored, deleted, reactivated, \
             reset-requested and review-due",
        ),
        NOTIFY_QUIET => demand(
            split_list(value).all(|source| source.bytes().all(|b| b.is_ascii_lowercase())),
            "is not a list of sources such as console, api or scim",
        ),
        STAKEHOLDERS_TO | REVIEW_TO => demand(
            split_list(value).all(is_address) && split_list(value).count() <= 16,
            "is not a list of at most 16 mail addresses",
        ),
        _ => check_localized(key, value),
    }
}

fn check_localized(key: &str, value: &str) -> Result<(), &'static str> {
    let (family, language, name) =
        split_localized(key).ok_or("is not a setting of the standard policy")?;
    demand(
        is_text(value),
        "is longer than 4096 bytes or holds a control character",
    )?;
    match family {
        WORDS => {
            demand(is_tag(language), "has no language tag after words")?;
            demand(
                is_reason(name),
                "does not end in a reason key such as suspiciousUserNoGood",
            )
        }
        TEXTS => {
            demand(is_tag(language), "has no language tag after texts")?;
            demand(is_known(name), "is not a text of the standard policy")?;
            check_text(name, value)
        }
        _ => Err("is not a setting of the standard policy"),
    }
}

fn check_text(name: &str, value: &str) -> Result<(), &'static str> {
    demand(
        names(value).all(|name| PLACEHOLDERS.contains(&name)),
        "holds a placeholder that is not one of {reason}, {since}, {until}, {duration}, \
         {contact}, {tenant}, {user}, {link} and {code}",
    )?;
    let holds = |wanted: &str| names(value).any(|name| name == wanted);
    if name == RESET.message {
        demand(
            holds("link"),
            "does not hold {link}, without which nobody can reset",
        )?;
    }
    if name == RESET.sms {
        demand(
            holds("code"),
            "does not hold {code}, without which nobody can reset",
        )?;
    }
    if name.ends_with("title") || name.ends_with("label") || name.ends_with("subject") {
        demand(is_line(value), "is not one line of at most 200 bytes")?;
    }
    Ok(())
}

/// A language that has some words must have all that a page is made of, else
/// pages would come in two languages.
fn check_languages(settings: Settings<'_>, problems: &mut Vec<Problem>) {
    let mut seen: Vec<&str> = Vec::new();
    let named = settings.0.iter().filter_map(|(key, _)| {
        let (family, language, _) = split_localized(key)?;
        ((family == WORDS || family == TEXTS) && is_tag(language)).then_some(language)
    });
    let default = Some(languages::default(settings)).filter(|tag| is_tag(tag));
    for language in named.chain(default) {
        if seen.iter().any(|seen| seen.eq_ignore_ascii_case(language)) {
            continue;
        }
        seen.push(language);
        let missing = PAGE
            .iter()
            .filter(|text| find_near(settings, language, **text).is_none());
        problems.extend(missing.map(|Text(name)| {
            Problem {
                key: [TEXTS, ".", language, ".", name].concat(),
                message:
                    "is missing; a language that is not en, de or fr needs all texts of a page"
                        .to_owned(),
            }
        }));
    }
}

/// A mail has a subject and a message in one voice: who gives one gives both.
fn check_letters(settings: Settings<'_>, problems: &mut Vec<Problem>) {
    let given = settings.0.iter().filter_map(|(key, _)| {
        let (family, language, name) = split_localized(key)?;
        (family == TEXTS).then_some((language, name))
    });
    for (language, name) in given {
        let other = LETTERS.iter().find_map(|letter| {
            if letter.subject == name {
                Some(letter.message)
            } else {
                (letter.message == name).then_some(letter.subject)
            }
        });
        if let Some(other) = other.filter(|other| own(settings, language, other).is_none()) {
            problems.push(Problem {
                key: [TEXTS, ".", language, ".", other].concat(),
                message: "is missing; a mail needs both its subject and its message".to_owned(),
            });
        }
    }
}

fn demand(met: bool, message: &'static str) -> Result<(), &'static str> {
    if met { Ok(()) } else { Err(message) }
}

fn is_status(value: &str) -> bool {
    const UNFIT: [u16; 6] = [401, 407, 408, 421, 426, 431];
    value
        .parse()
        .is_ok_and(|status: u16| (400..=499).contains(&status) && !UNFIT.contains(&status))
}

fn is_lifetime(value: &str) -> bool {
    value
        .parse()
        .is_ok_and(|seconds: u32| (60..=604_800).contains(&seconds))
}

fn is_tag(value: &str) -> bool {
    value.len() <= 35
        && value.split('-').all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// The name of a file, and no way out of its folder.
fn is_name(value: &str) -> bool {
    (1..=64).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// `[a-z][A-Za-z0-9]{0,63}`, as reasons are everywhere.
fn is_reason(value: &str) -> bool {
    value.len() <= 64
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_address(value: &str) -> bool {
    is_href(value)
        && !value.contains([',', ';', '<', '>', ':', '/'])
        && value.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@')
        })
}

fn is_web(value: &str) -> bool {
    is_href(value)
        && ["https://", "http://"].iter().any(|scheme| {
            value
                .strip_prefix(scheme)
                .is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
        })
}

fn is_path(value: &str) -> bool {
    is_href(value) && value.starts_with('/') && !value.starts_with("//")
}

fn is_href(value: &str) -> bool {
    value.len() <= 1024
        && !value
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
}

fn is_line(value: &str) -> bool {
    value.len() <= 200
        && !value
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

fn is_text(value: &str) -> bool {
    value.len() <= 4096 && !value.chars().any(|c| c.is_control() && c != '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
        let settings: Vec<(String, String)> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        validate(&Settings(&settings))
            .into_iter()
            .map(|problem| problem.key)
            .collect()
    }

    #[test]
    fn a_contact_is_all_that_is_needed() {
        assert_eq!(
            problems(&[("contact", "help@a.test")]),
            Vec::<String>::new()
        );
        assert_eq!(
            problems(&[("contact", "https://a.test/help")]),
            Vec::<String>::new()
        );
        assert_eq!(problems(&[]), ["contact"]);
        assert_eq!(problems(&[("contact", "")]), ["contact", "contact"]);
    }

    #[test]
    fn each_wrong_setting_is_named() {
        let table = [
            ("contcat", "help@a.test"),
            ("status", "200"),
            ("status", "421"),
            ("status", "forbidden"),
            ("default_language", "english language"),
            ("contact", "javascript:alert(1)"),
            ("show_reason_text", "yes"),
            ("reset.allowed", "1"),
            ("reset.page", "//evil.test"),
            ("email.redirect_to", "ftp://a.test"),
            ("email.url_lifetime_seconds", "59"),
            ("sms.code_lifetime_seconds", "604801"),
            ("email.from", "A\nBcc: b@c.test"),
            ("notify.events", "suspended, vanished"),
            ("stakeholders.to", "a@b.test, nobody"),
            ("words.en", "x"),
            ("words.en.Not a key", "x"),
            ("words.en.control", "\u{7}"),
            ("texts.en.temporary.titel", "x"),
            ("texts.en.temporary.title", "two\nlines"),
            ("texts.en.temporary.message", "since {when}"),
            ("appeal", "javascript:alert(1)"),
            ("page_template", "../page"),
            ("reset.step_up", "sms-code, wishes"),
            ("texts.en.sms.reset", "no code in it"),
        ];
        for (key, value) in table {
            let mut pairs = vec![(key, value)];
            if key != "contact" {
                pairs.push(("contact", "help@a.test"));
            }
            assert_eq!(problems(&pairs), [key], "{key} = {value:?}");
        }
    }

    #[test]
    fn a_mail_of_the_tenants_own_has_a_subject_and_a_message() {
        let contact = ("contact", "help@a.test");
        let subject = ("texts.en.mail.reset.subject", "Hello");
        let message = ("texts.en.mail.reset.message", "Go to {link}");
        assert_eq!(problems(&[contact, subject, message]), Vec::<String>::new());
        assert_eq!(problems(&[contact, subject]), [message.0]);
        assert_eq!(problems(&[contact, message]), [subject.0]);
        let unlinked = ("texts.en.mail.reset.message", "no link in it");
        assert_eq!(problems(&[contact, subject, unlinked]), [message.0]);
    }

    #[test]
    fn a_language_that_is_not_built_in_needs_all_texts_of_a_page() {
        let found = problems(&[("contact", "help@a.test"), ("words.it.fraud", "Frode.")]);
        assert_eq!(found.len(), PAGE.len());
        assert!(
            found.iter().all(|key| key.starts_with("texts.it.")),
            "{found:?}"
        );
        let near = problems(&[("contact", "help@a.test"), ("words.de-AT.fraud", "Betrug.")]);
        assert_eq!(near, Vec::<String>::new());
    }
}
