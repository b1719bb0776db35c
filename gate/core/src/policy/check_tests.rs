//! What may be sent, and what may not, as tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const LIMITS: AnswerLimits = AnswerLimits::STANDARD;

fn answer() -> RefusalAnswer {
    RefusalAnswer {
        status: 403,
        language: "en".to_owned(),
        title: "Your account is suspended".to_owned(),
        words: Some("Unusual activity.".to_owned()),
        message: "Contact us.\nThank you.".to_owned(),
        links: vec![link("mailto:help@acme.test")],
        headers: vec![("Retry-After".to_owned(), "3600".to_owned())],
    }
}

fn link(href: &str) -> Link {
    Link {
        label: "Help".to_owned(),
        href: href.to_owned(),
    }
}

/// What is wrong with an answer, or nothing.
fn judge(change: impl FnOnce(&mut RefusalAnswer)) -> Option<String> {
    let mut answer = answer();
    change(&mut answer);
    match check_refusal(answer, &LIMITS) {
        Ok(_) => None,
        Err(Fault::BadOutput { what }) => Some(what),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_proper_answer_passes_unchanged() {
    let decision = check_refusal(answer(), &LIMITS).unwrap();
    assert_eq!(decision.status, StatusCode::FORBIDDEN);
    assert_eq!(decision.title, answer().title);
    assert_eq!(decision.words, answer().words);
    assert_eq!(decision.message, answer().message);
    assert_eq!(decision.links, answer().links);
    let expected = (header::RETRY_AFTER, HeaderValue::from_static("3600"));
    assert_eq!(decision.headers, [expected]);
}

#[test]
fn only_statuses_that_refuse_are_taken() {
    for status in [400, 403, 404, 410, 423, 429, 451, 499] {
        assert_eq!(judge(|answer| answer.status = status), None, "{status}");
    }
    for status in [
        0, 99, 100, 200, 302, 399, 401, 407, 408, 421, 426, 431, 500, 503, 1000,
    ] {
        let what = judge(|answer| answer.status = status);
        assert!(
            what.is_some_and(|what| what.contains(&status.to_string())),
            "{status}"
        );
    }
}

#[test]
fn links_lead_only_where_a_reader_may_be_sent() {
    let good = [
        "https://acme.test/help?a=b#c",
        "HTTP://acme.test",
        "mailto:help@acme.test",
        "tel:+4930123456",
        "/forgot",
        "/",
    ];
    for href in good {
        assert_eq!(
            judge(|answer| answer.links = vec![link(href)]),
            None,
            "{href}"
        );
    }
    let bad = [
        "",
        "help",
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/\t/evil.test",
        " https://acme.test",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "https:evil.test",
        "https:///evil.test",
        "https://",
        "mailto:",
        "ftp://acme.test",
        "https://acme.test/\u{a0}x",
    ];
    for href in bad {
        let what = judge(|answer| answer.links = vec![link(href)]);
        assert!(
            what.is_some_and(|what| what.starts_with("links.href")),
            "{href:?}"
        );
    }
}

#[test]
fn only_harmless_headers_are_taken() {
    let header = |name: &str, value: &str| {
        let pair = (name.to_owned(), value.to_owned());
        judge(|answer| answer.headers = vec![pair])
    };
    assert_eq!(header("content-language", "de"), None);
    assert_eq!(header("LINK", "</help>; rel=help"), None);
    for name in [
        "set-cookie",
        "location",
        "refresh",
        "cache-control",
        "x-any",
        "a b",
        "",
        "é",
    ] {
        assert!(
            header(name, "x").is_some_and(|what| what.starts_with("header")),
            "{name}"
        );
    }
    for value in ["a\r\nb", "a\nb", "\0", "\u{7f}", "é", &"a".repeat(1025)] {
        assert!(header("link", value).is_some(), "{value:?}");
    }
}

#[test]
fn texts_hold_no_control_characters_and_are_bounded() {
    let long = "ä".repeat(8193);
    for text in ["a\rb", "a\0b", "\u{1b}[31m", "\u{85}", long.as_str()] {
        assert!(
            judge(|answer| answer.message = text.to_owned()).is_some(),
            "{text:?}"
        );
        assert!(
            judge(|answer| answer.words = Some(text.to_owned())).is_some(),
            "{text:?}"
        );
        assert!(
            judge(|answer| answer.title = text.to_owned()).is_some(),
            "{text:?}"
        );
    }
    for title in ["", "  ", "two\nlines", "two\u{2028}lines"] {
        assert!(
            judge(|answer| answer.title = title.to_owned()).is_some(),
            "{title:?}"
        );
    }
    assert!(judge(|answer| answer.links = vec![link("/"); 9]).is_some());
    for tag in ["", "-", "en_US", "en-", "toolongsubtag", "en us", "é"] {
        assert!(
            judge(|answer| answer.language = tag.to_owned()).is_some(),
            "{tag:?}"
        );
    }
    for tag in ["en", "de-AT", "zh-Hant-TW"] {
        assert_eq!(
            judge(|answer| answer.language = tag.to_owned()),
            None,
            "{tag:?}"
        );
    }
}

#[test]
fn a_reset_is_bounded_and_stays_on_the_web() {
    let decision = |allowed, lifetime_seconds, redirect_to: Option<&str>| {
        let decision = ReactivationDecision {
            allowed,
            lifetime_seconds,
            redirect_to: redirect_to.map(str::to_owned),
            why_not: None,
            language: "en".to_owned(),
        };
        check_reactivation(decision, &LIMITS).is_ok()
    };
    assert!(decision(true, 60, None));
    assert!(decision(true, 604_800, Some("/login")));
    assert!(decision(false, 0, None));
    assert!(!decision(true, 59, None));
    assert!(!decision(true, 604_801, None));
    assert!(!decision(true, 600, Some("mailto:a@b.test")));
    assert!(!decision(true, 600, Some("//evil.test")));
}

fn message(audience: Audience) -> Message {
    Message {
        channel: Channel::Email,
        to: match audience {
            Audience::User => Vec::new(),
            Audience::Stakeholder => vec!["hr@acme.test".to_owned()],
        },
        from: Some("Acme <no-reply@acme.test>".to_owned()),
        subject: Some("Suspended".to_owned()),
        text: "Reset: {link}".to_owned(),
        language: "en".to_owned(),
        reset: None,
    }
}

fn refuses(audience: Audience, change: impl FnOnce(&mut Message)) -> bool {
    let mut message = message(audience);
    change(&mut message);
    check_messages(vec![message], audience, &LIMITS).is_err()
}

#[test]
fn messages_reach_only_those_they_are_for() {
    use Audience::{Stakeholder, User};
    let reset = || {
        Some(ResetOffer {
            lifetime_seconds: 600,
            redirect_to: None,
        })
    };
    assert!(!refuses(User, |_| {}));
    assert!(!refuses(Stakeholder, |_| {}));
    assert!(!refuses(User, |message| message.reset = reset()));
    assert!(refuses(Stakeholder, |message| message.reset = reset()));
    assert!(refuses(User, |message| message.to =
        vec!["thief@evil.test".to_owned()]));
    assert!(refuses(Stakeholder, |message| message.to.clear()));
    for address in [
        "",
        "a@b.test, c@d.test",
        "A <a@b.test>",
        "a@b.test\nBcc: c@d.test",
    ] {
        assert!(
            refuses(Stakeholder, |message| message.to = vec![address.to_owned()]),
            "{address}"
        );
    }
    assert!(refuses(User, |message| message.from = Some("a\r\nb".to_owned())));
    assert!(refuses(User, |message| message.subject = None));
    assert!(refuses(User, |message| message.channel = Channel::Sms));
    assert!(refuses(User, |message| message.text = " \n".to_owned()));
    let many = vec![message(User); 9];
    assert!(check_messages(many, User, &LIMITS).is_err());
}
