//! A question to a policy without anything of the person whom it was about, for what
//! is kept of it: nothing secret and nothing personal, and yet enough for a policy to
//! decide by.
//!
//! What is kept is listed, not what is left out: a field that is added is left out
//! until somebody has thought about it.

use super::{
    Channel, Context, NotificationInput, Proof, ReactivationInput, RefusalInput, Suspension,
    UserEvent,
};

/// Stands for whoever was asked about.
pub const SOMEONE: &str = "someone";
/// Stands for a text that may hold anything.
pub const LEFT_OUT: &str = "(left out)";

/// Moments of a suspension are given to the hour, outwards: to the second they would
/// tell, together with the audit, whose it is.
const HOUR_S: u64 = 3600;
/// A reset may live for some minutes only, so its moment is given to the minute.
const MINUTE_S: u64 = 60;

/// Locales that are kept of a question.
const LOCALES_MAX: usize = 5;
const NAME_BYTES_MAX: usize = 64;

/// Attributes whose values come from a list of the gate's own. Of any other, the name
/// is kept and the value is not.
const OPEN_ATTRIBUTES: [(&str, &[&str]); 2] = [
    ("reset-offered", &["yes", "no"]),
    ("access", &["none", "read-only"]),
];

#[must_use]
pub fn scrub_refusal(input: &RefusalInput) -> RefusalInput {
    RefusalInput {
        context: context(&input.context),
        suspension: suspension(&input.suspension),
        surface: input.surface,
        occasion: input.occasion,
    }
}

#[must_use]
pub fn scrub_reactivation(input: &ReactivationInput) -> ReactivationInput {
    ReactivationInput {
        context: context(&input.context),
        suspension: suspension(&input.suspension),
        step: input.step,
        channel: channel(&input.channel),
        issued_at: input.issued_at.map(|at| at / MINUTE_S * MINUTE_S),
        proofs: input.proofs.iter().map(proof).collect(),
    }
}

#[must_use]
pub fn scrub_notification(input: &NotificationInput) -> NotificationInput {
    NotificationInput {
        context: context(&input.context),
        event: match &input.event {
            UserEvent::Other(name) => UserEvent::Other(word(name)),
            known @ (UserEvent::Suspended
            | UserEvent::Restored
            | UserEvent::Deleted
            | UserEvent::Reactivated
            | UserEvent::ResetRequested
            | UserEvent::ReviewDue) => known.clone(),
        },
        audience: input.audience,
        suspension: input.suspension.as_ref().map(suspension),
        source: word(&input.source),
        channels: input.channels.iter().map(channel).collect(),
    }
}

fn context(context: &Context) -> Context {
    let locales = context.locales.iter().filter(|tag| is_locale(tag));
    let attributes = context.attributes.iter().map(attribute);
    Context {
        tenant: context.tenant.clone(),
        user_id: SOMEONE.to_owned(),
        now: context.now,
        seed: context.seed,
        locales: locales.take(LOCALES_MAX).cloned().collect(),
        attributes: attributes.collect(),
    }
}

fn suspension(suspension: &Suspension) -> Suspension {
    let key = suspension.reason_key.as_ref();
    Suspension {
        kind: suspension.kind,
        reason_key: key.map(|key| key.chars().take(NAME_BYTES_MAX).collect()),
        reason_text: suspension.reason_text.as_ref().map(|_| LEFT_OUT.to_owned()),
        since: suspension.since / HOUR_S * HOUR_S,
        until: suspension
            .until
            .map(|until| until.div_ceil(HOUR_S).saturating_mul(HOUR_S)),
        source: word(&suspension.source),
    }
}

fn attribute((name, value): &(String, String)) -> (String, String) {
    let open = OPEN_ATTRIBUTES
        .iter()
        .any(|(known, values)| known == name && values.contains(&value.as_str()));
    let value = if open { value } else { LEFT_OUT };
    (word(name), value.to_owned())
}

fn channel(channel: &Channel) -> Channel {
    match channel {
        Channel::Email => Channel::Email,
        Channel::Sms => Channel::Sms,
        Channel::Other(name) => Channel::Other(word(name)),
    }
}

fn proof(proof: &Proof) -> Proof {
    match proof {
        Proof::Other(name) => Proof::Other(word(name)),
        known @ (Proof::EmailLink | Proof::SmsCode | Proof::Approval) => known.clone(),
    }
}

/// A word from a list of the gate's own, as `api` or `reset-offered`.
fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'-' || b == b'_';
    if text.len() <= NAME_BYTES_MAX && text.bytes().all(plain) {
        text.to_owned()
    } else {
        LEFT_OUT.to_owned()
    }
}

/// A language, perhaps with script and region, and nothing besides: BCP 47 has room
/// for a secret in its extensions, and the client writes what it likes.
fn is_locale(tag: &str) -> bool {
    let letters = |part: &str| part.bytes().all(|b| b.is_ascii_alphabetic());
    let mut parts = tag.split('-').peekable();
    let language = parts
        .next()
        .is_some_and(|part| (2..=3).contains(&part.len()) && letters(part));
    parts.next_if(|part| part.len() == 4 && letters(part));
    parts.next_if(|part| match part.len() {
        2 => letters(part),
        3 => part.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    });
    language && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Audience, Occasion, ResetStep, Surface, SuspensionKind};

    /// In every text that a question has room for.
    const SECRET: &str = "b0b@acme.test";

    fn full() -> (Context, Suspension) {
        let secret = || SECRET.to_owned();
        let context = Context {
            tenant: "acme".to_owned(),
            user_id: secret(),
            now: 10_000,
            seed: 7,
            locales: vec!["de-at".to_owned(), secret(), "x-b0b".to_owned()],
            attributes: vec![
                ("reset-offered".to_owned(), "no".to_owned()),
                ("access".to_owned(), secret()),
                ("email".to_owned(), secret()),
                (secret(), secret()),
            ],
        };
        let suspension = Suspension {
            kind: SuspensionKind::Temporary,
            reason_key: Some("suspiciousUser".to_owned()),
            reason_text: Some(secret()),
            since: 9_999,
            until: Some(14_401),
            source: secret(),
        };
        (context, suspension)
    }

    #[test]
    fn nothing_of_the_person_is_left_and_what_decides_is() {
        let (context, suspension) = full();
        let input = RefusalInput {
            context: context.clone(),
            suspension: suspension.clone(),
            surface: Surface::Page,
            occasion: Occasion::Login,
        };
        let scrubbed = scrub_refusal(&input);
        assert!(!format!("{scrubbed:?}").contains("b0b"), "{scrubbed:?}");
        let kept = &scrubbed.context;
        assert_eq!((kept.now, kept.seed, &*kept.tenant), (10_000, 7, "acme"));
        assert_eq!(kept.locales, ["de-at"]);
        assert_eq!(
            kept.attributes.first(),
            Some(&("reset-offered".to_owned(), "no".to_owned()))
        );
        let kept = &scrubbed.suspension;
        assert_eq!((kept.since, kept.until), (7_200, Some(18_000)));
        assert_eq!(kept.reason_key.as_deref(), Some("suspiciousUser"));
        assert_eq!(kept.reason_text.as_deref(), Some(LEFT_OUT));
        assert_eq!(scrub_refusal(&scrubbed), scrubbed, "once is enough");

        let reactivation = scrub_reactivation(&ReactivationInput {
            context: context.clone(),
            suspension: suspension.clone(),
            step: ResetStep::Open,
            channel: Channel::Other(SECRET.to_owned()),
            issued_at: Some(9_000),
            proofs: vec![Proof::EmailLink, Proof::Other(SECRET.to_owned())],
        });
        let notification = scrub_notification(&NotificationInput {
            context,
            event: UserEvent::Other(SECRET.to_owned()),
            audience: Audience::User,
            suspension: Some(suspension),
            source: SECRET.to_owned(),
            channels: vec![Channel::Other(SECRET.to_owned())],
        });
        let both = format!("{reactivation:?}{notification:?}");
        assert!(!both.contains("b0b"), "{both}");
    }

    #[test]
    fn a_locale_is_a_language_a_script_and_a_region() {
        for tag in ["de", "de-at", "zh-hant", "zh-hant-tw", "es-419", "gsw"] {
            assert!(is_locale(tag), "{tag}");
        }
        for tag in [
            "",
            "d",
            "hunter",
            "de-x-secret",
            "de-1996",
            "de-at-at",
            "123",
            "de-",
        ] {
            assert!(!is_locale(tag), "{tag}");
        }
    }

    #[test]
    fn a_suspension_at_the_end_of_time_is_no_trouble() {
        let (_, mut last) = full();
        last.until = Some(u64::MAX);
        assert_eq!(suspension(&last).until, Some(u64::MAX));
    }
}
