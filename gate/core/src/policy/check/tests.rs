//! What may be sent, and what may not, as tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use super::*;
use crate::policy::{
    Audience, Channel, LinkKind, Message, NotificationDecision, Proof, ResetOffer, Template,
    TemplateTexts, Wording,
};

const LIMITS: AnswerLimits = AnswerLimits::STANDARD;

fn answer() -> RefusalAnswer {
    RefusalAnswer {
        status: 403,
        language: "en".to_owned(),
        key: None,
        title: "Your account is suspended".to_owned(),
        words: Some("Unusual activity.".to_owned()),
        message: "Contact us.\nThank you.".to_owned(),
        surface: None,
        template: None,
        links: vec![link("mailto:help@acme.test")],
        headers: vec![("Retry-After".to_owned(), "3600".to_owned())],
        actions: Vec::new(),
    }
}

fn link(href: &str) -> Link {
    Link {
        kind: LinkKind::Contact,
        label: "Help".to_owned(),
        href: href.to_owned(),
    }
}

/// What is wrong with an answer, or nothing.
fn judge(change: impl FnOnce(&mut RefusalAnswer)) -> Option<String> {
    let mut answer = answer();
    change(&mut answer);
    match check_refusal(answer, &templates(), &LIMITS) {
        Ok(_) => None,
        Err(Fault::BadOutput { what }) => Some(what),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_proper_answer_passes_unchanged() {
    let decision = check_refusal(answer(), &templates(), &LIMITS).unwrap();
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
fn keys_and_templates_are_those_that_there_are() {
    for key in ["error.account.suspended", "E-1_b"] {
        assert_eq!(judge(|answer| answer.key = Some(key.to_owned())), None);
    }
    for key in ["", "a b", "a\n", "é", &"a".repeat(201)] {
        assert!(judge(|answer| answer.key = Some(key.to_owned())).is_some());
    }
    assert_eq!(
        judge(|answer| answer.template = Some("page".to_owned())),
        None
    );
    for (name, said) in [
        ("mail", "has no page"),
        ("none", "is not one of mail, page"),
    ] {
        let what = judge(|answer| answer.template = Some(name.to_owned()));
        assert!(what.is_some_and(|what| what.contains(said)), "{name}");
    }
}

#[test]
fn actions_are_few_and_named() {
    let action = |name: &str| Action {
        name: name.to_owned(),
        arguments: vec![("a".to_owned(), "b".to_owned())],
    };
    assert_eq!(
        judge(|answer| answer.actions = vec![action("open-ticket")]),
        None
    );
    assert!(judge(|answer| answer.actions = vec![action("Open ticket")]).is_some());
    assert!(judge(|answer| answer.actions = vec![action("a"); 9]).is_some());
}

/// A mail named `mail` in any language, a page named `page`.
fn templates() -> Templates {
    let template = |text: &str| Some(Arc::new(Template::parse(text)));
    let mail = TemplateTexts {
        subject: template("For {user}"),
        text: template("{user}: {link}"),
        ..TemplateTexts::default()
    };
    let page = TemplateTexts {
        page: template("<h1>{title}</h1>"),
        ..TemplateTexts::default()
    };
    let named = |name: &str, texts| (name.to_owned(), [("*".to_owned(), texts)].into());
    Templates([named("mail", mail), named("page", page)].into())
}

#[test]
fn a_reset_is_bounded_and_stays_on_the_web() {
    let decision = |verdict| {
        let decision = ReactivationDecision {
            verdict,
            words: None,
            language: "en".to_owned(),
            actions: Vec::new(),
        };
        check_reactivation(decision, &LIMITS).is_ok()
    };
    let allowed = |lifetime_seconds, redirect_to: Option<&str>| {
        decision(Verdict::Allowed(ResetTerms {
            lifetime_seconds,
            redirect_to: redirect_to.map(str::to_owned),
        }))
    };
    assert!(allowed(60, None));
    assert!(allowed(604_800, Some("/login")));
    assert!(!allowed(59, None));
    assert!(!allowed(604_801, None));
    assert!(!allowed(600, Some("mailto:a@b.test")));
    assert!(!allowed(600, Some("//evil.test")));
    assert!(decision(Verdict::Refused));
    assert!(decision(Verdict::StepUp(vec![Proof::SmsCode])));
    assert!(!decision(Verdict::StepUp(Vec::new())));
    assert!(!decision(Verdict::StepUp(vec![Proof::Other(
        "A b".to_owned()
    )])));
}

fn message(audience: Audience) -> Message<Wording> {
    Message {
        channel: Channel::Email,
        to: match audience {
            Audience::User => Vec::new(),
            Audience::Stakeholder => vec!["hr@acme.test".to_owned()],
        },
        from: Some("Acme <no-reply@acme.test>".to_owned()),
        language: "en".to_owned(),
        wording: inline(Some("Suspended"), "You are suspended, {user}."),
        variables: [("user".to_owned(), "bob".to_owned())].into(),
        reset: None,
    }
}

fn inline(subject: Option<&str>, text: &str) -> Wording {
    Wording::Inline {
        subject: subject.map(str::to_owned),
        text: text.to_owned(),
    }
}

fn check(messages: Vec<Message<Wording>>, audience: Audience) -> Result<Message, Fault> {
    let decision = NotificationDecision {
        messages,
        actions: Vec::new(),
    };
    let mut decision = check_messages(decision, audience, &templates(), &LIMITS)?;
    Ok(decision.messages.remove(0))
}

fn refuses(audience: Audience, change: impl FnOnce(&mut Message<Wording>)) -> bool {
    let mut message = message(audience);
    change(&mut message);
    check(vec![message], audience).is_err()
}

fn reset() -> Option<ResetOffer> {
    Some(ResetOffer {
        lifetime_seconds: 600,
        redirect_to: None,
    })
}

#[test]
fn messages_reach_only_those_they_are_for() {
    use Audience::{Stakeholder, User};
    assert!(!refuses(User, |_| {}));
    assert!(!refuses(Stakeholder, |_| {}));
    assert!(refuses(Stakeholder, |message| {
        message.reset = reset();
        message.wording = inline(Some("Hi"), "{link}");
    }));
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
    assert!(refuses(User, |message| message.channel = Channel::Sms));
    assert!(refuses(User, |message| message.channel =
        Channel::Other("push".to_owned())));
    let many = vec![message(User); 9];
    assert!(check(many, User).is_err());
}

#[test]
fn a_message_has_a_subject_a_text_and_nothing_unknown_in_them() {
    use Audience::User;
    for (subject, text) in [
        (None, "x"),
        (Some("a\nBcc: b"), "x"),
        (Some(" "), "x"),
        (Some("Hi"), " \n"),
        (Some("Hi"), "{usr}"),
        (Some("Hi"), "{link}"),
        (Some("Hi"), "a\u{7}"),
    ] {
        let wording = inline(subject, text);
        assert!(refuses(User, |message| message.wording = wording), "{text}");
    }
    for (name, value) in [("link", "x"), ("Name", "x"), ("a", "\u{1b}")] {
        let pair = (name.to_owned(), value.to_owned());
        assert!(refuses(User, |message| message.variables.extend([pair])));
    }
    let named = |name: &str| Wording::Named(name.to_owned());
    assert!(refuses(User, |message| message.wording = named("none")));
    assert!(refuses(User, |message| message.wording = named("page")));
}

#[test]
fn the_secret_of_a_reset_is_filled_in_by_the_gate_and_stands_in_the_text() {
    use Audience::User;
    let mut offered = message(User);
    offered.reset = reset();
    assert!(check(vec![offered.clone()], User).is_err());
    offered.wording = Wording::Named("mail".to_owned());
    offered.variables = [("user".to_owned(), "<{link}>".to_owned())].into();
    let message = check(vec![offered], User).unwrap();
    let rendered = message
        .render(Some("https://a.test/r?t=1&u=2"), &LIMITS)
        .unwrap();
    assert_eq!(rendered.text, "<{link}>: https://a.test/r?t=1&u=2");
    let html = rendered.html.unwrap();
    assert!(html.contains("&lt;{link}&gt;: <a href=\"https://a.test/r?t=1&amp;u=2\">"));
    assert_eq!(rendered.subject.as_deref(), Some("For <{link}>"));
}
