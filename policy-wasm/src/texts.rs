//! The built-in texts, and the tenant's own in their place.

use crate::languages;
use crate::settings::{Settings, TEXTS};

/// A text that the policy needs, by the name that settings know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text(pub &'static str);

/// Where the user may come back by a reset.
pub const TEMPORARY_TITLE: Text = Text("temporary.title");
pub const TEMPORARY_MESSAGE: Text = Text("temporary.message");
/// Where only an administrator lets the user back in.
pub const PERMANENT_TITLE: Text = Text("permanent.title");
pub const PERMANENT_MESSAGE: Text = Text("permanent.message");
/// Where the user may go on looking.
pub const READ_ONLY_TITLE: Text = Text("read_only.title");
pub const READ_ONLY_MESSAGE: Text = Text("read_only.message");
pub const CONTACT_LABEL: Text = Text("contact_label");
pub const RESET_LABEL: Text = Text("reset_label");
pub const NO_RESET: Text = Text("no_reset");
pub const RESET_EXPIRED: Text = Text("reset_expired");
/// Where something is wanted besides the link or the code.
pub const STEP_UP: Text = Text("step_up");
pub const APPEAL_LABEL: Text = Text("appeal_label");

/// A message: the gate's template, and the names that settings know its texts by.
/// The gate has the texts themselves; a tenant that gives its own gives subject and
/// message of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    pub template: &'static str,
    pub subject: &'static str,
    pub message: &'static str,
    /// Empty for what is never sent by SMS.
    pub sms: &'static str,
}

const fn letter(
    template: &'static str,
    subject: &'static str,
    message: &'static str,
    sms: &'static str,
) -> Letter {
    Letter {
        template,
        subject,
        message,
        sms,
    }
}

pub const RESET: Letter = letter(
    "reset",
    "mail.reset.subject",
    "mail.reset.message",
    "sms.reset",
);
pub const SUSPENDED: Letter = letter(
    "suspended",
    "mail.suspended.subject",
    "mail.suspended.message",
    "sms.suspended",
);
pub const RESTORED: Letter = letter(
    "restored",
    "mail.restored.subject",
    "mail.restored.message",
    "sms.restored",
);
pub const DELETED: Letter = letter(
    "deleted",
    "mail.deleted.subject",
    "mail.deleted.message",
    "sms.deleted",
);
pub const NOTICE_SUSPENDED: Letter = letter(
    "notice-suspended",
    "stakeholder.suspended.subject",
    "stakeholder.suspended.message",
    "",
);
pub const NOTICE_RESTORED: Letter = letter(
    "notice-restored",
    "stakeholder.restored.subject",
    "stakeholder.restored.message",
    "",
);
pub const NOTICE_DELETED: Letter = letter(
    "notice-deleted",
    "stakeholder.deleted.subject",
    "stakeholder.deleted.message",
    "",
);
pub const NOTICE_REVIEW: Letter = letter(
    "notice-review",
    "stakeholder.review.subject",
    "stakeholder.review.message",
    "",
);

pub const LETTERS: [Letter; 8] = [
    RESET,
    SUSPENDED,
    RESTORED,
    DELETED,
    NOTICE_SUSPENDED,
    NOTICE_RESTORED,
    NOTICE_DELETED,
    NOTICE_REVIEW,
];

/// What a page is made of: a language that is not built in needs all of these.
pub const PAGE: [Text; 5] = [
    TEMPORARY_TITLE,
    TEMPORARY_MESSAGE,
    PERMANENT_TITLE,
    PERMANENT_MESSAGE,
    CONTACT_LABEL,
];

/// Built-in texts: name, English, German, French.
const BUILT_IN: [(Text, [&str; 3]); 12] = [
    (
        TEMPORARY_TITLE,
        [
            "Your account is temporarily suspended",
            "Ihr Konto ist vorübergehend gesperrt",
            "Votre compte est temporairement suspendu",
        ],
    ),
    (
        TEMPORARY_MESSAGE,
        [
            "Your account was suspended on {since}. {reason}\nYou can restore your access by resetting your password. If you need help, contact {contact}.",
            "Ihr Konto wurde am {since} gesperrt. {reason}\nSie können es wieder nutzen, sobald Sie Ihr Passwort zurücksetzen. Hilfe erhalten Sie unter {contact}.",
            "Votre compte a été suspendu le {since}. {reason}\nVous pouvez rétablir votre accès en réinitialisant votre mot de passe. Pour toute aide, contactez {contact}.",
        ],
    ),
    (
        PERMANENT_TITLE,
        [
            "Your account is suspended",
            "Ihr Konto ist gesperrt",
            "Votre compte est suspendu",
        ],
    ),
    (
        PERMANENT_MESSAGE,
        [
            "Your account was suspended on {since}. {reason}\nTo restore your access, contact {contact}.",
            "Ihr Konto wurde am {since} gesperrt. {reason}\nUm es wieder nutzen zu können, wenden Sie sich an {contact}.",
            "Votre compte a été suspendu le {since}. {reason}\nPour rétablir votre accès, contactez {contact}.",
        ],
    ),
    (
        READ_ONLY_TITLE,
        [
            "Your account is read-only",
            "Ihr Konto ist auf Lesen beschränkt",
            "Votre compte est en lecture seule",
        ],
    ),
    (
        READ_ONLY_MESSAGE,
        [
            "Your account has been read-only since {since}. {reason}\nYou can look at everything as before, but change nothing. To do more again, contact {contact}.",
            "Ihr Konto ist seit dem {since} auf Lesen beschränkt. {reason}\nSie können alles ansehen wie bisher, aber nichts ändern. Um es wieder ganz nutzen zu können, wenden Sie sich an {contact}.",
            "Votre compte est en lecture seule depuis le {since}. {reason}\nVous pouvez tout consulter comme avant, mais rien modifier. Pour retrouver un accès complet, contactez {contact}.",
        ],
    ),
    (
        CONTACT_LABEL,
        ["Get help", "Hilfe erhalten", "Obtenir de l’aide"],
    ),
    (
        RESET_LABEL,
        [
            "Reset your password",
            "Passwort zurücksetzen",
            "Réinitialiser le mot de passe",
        ],
    ),
    (
        NO_RESET,
        [
            "This account cannot be restored by a password reset. Contact {contact}.",
            "Dieses Konto kann nicht durch Zurücksetzen des Passworts entsperrt werden. Wenden Sie sich an {contact}.",
            "Ce compte ne peut pas être rétabli par une réinitialisation du mot de passe. Contactez {contact}.",
        ],
    ),
    (
        RESET_EXPIRED,
        [
            "This link or code has expired. Ask for a new one.",
            "Dieser Link oder Code ist abgelaufen. Fordern Sie einen neuen an.",
            "Ce lien ou ce code a expiré. Demandez-en un nouveau.",
        ],
    ),
    (
        STEP_UP,
        [
            "Something more is needed before this account can be restored. If you need help, contact {contact}.",
            "Bevor dieses Konto entsperrt werden kann, wird noch etwas gebraucht. Hilfe erhalten Sie unter {contact}.",
            "Il manque encore quelque chose avant que ce compte puisse être rétabli. Pour toute aide, contactez {contact}.",
        ],
    ),
    (APPEAL_LABEL, ["Dispute this", "Widersprechen", "Contester"]),
];

/// The text in exactly this language: the tenant's own, else the built-in one.
pub fn find<'a>(settings: Settings<'a>, language: &str, text: Text) -> Option<&'a str> {
    settings
        .localized(TEXTS, language, text.0)
        .or_else(|| built_in(language, text))
}

/// The text in this language, or in a wider one (`de` for `de-AT`).
pub fn find_near<'a>(settings: Settings<'a>, language: &str, text: Text) -> Option<&'a str> {
    let mut tag = language;
    loop {
        if let Some(found) = find(settings, tag, text) {
            return Some(found);
        }
        (tag, _) = tag.rsplit_once('-')?;
    }
}

/// The text in this language, else in the default one, else in English.
pub fn pick<'a>(settings: Settings<'a>, language: &str, text: Text) -> &'a str {
    find_near(settings, language, text)
        .or_else(|| find_near(settings, languages::default(settings), text))
        .or_else(|| built_in("en", text))
        .unwrap_or_default()
}

/// The names that settings may give under `texts.LANGUAGE.`.
pub fn is_known(name: &str) -> bool {
    BUILT_IN.iter().any(|(text, _)| text.0 == name)
        || LETTERS.iter().any(|letter| {
            let Letter {
                subject,
                message,
                sms,
                ..
            } = letter;
            [subject, message, sms].contains(&&name) && !name.is_empty()
        })
}

/// The tenant's own text in this language, or in a wider one.
pub fn own<'a>(settings: Settings<'a>, language: &str, name: &str) -> Option<&'a str> {
    let mut tag = language;
    loop {
        if let Some(found) = settings.localized(TEXTS, tag, name) {
            return Some(found);
        }
        (tag, _) = tag.rsplit_once('-')?;
    }
}

/// Whether the policy has built-in texts in this language or in a wider one, and
/// the gate has templates.
pub fn is_built_in(language: &str) -> bool {
    ["en", "de", "fr"].contains(&primary(language).as_str())
}

/// The first subtag of a language tag, in lower case.
pub fn primary(tag: &str) -> String {
    tag.split('-')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// Only for the bare language, so that the tenant's own `de` goes before the
/// built-in one for a reader of `de-AT`.
fn built_in(language: &str, text: Text) -> Option<&'static str> {
    let position = ["en", "de", "fr"]
        .iter()
        .position(|tag| tag.eq_ignore_ascii_case(language))?;
    let (_, words) = BUILT_IN.iter().find(|(known, _)| *known == text)?;
    words.get(position).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::{PLACEHOLDERS, names};

    #[test]
    fn built_in_texts_hold_known_placeholders_and_are_distinct() {
        for (index, (text, words)) in BUILT_IN.iter().enumerate() {
            assert!(
                !BUILT_IN[..index].iter().any(|(other, _)| other == text),
                "{text:?} twice"
            );
            for word in words {
                assert!(
                    names(word).all(|name| PLACEHOLDERS.contains(&name)),
                    "{word}"
                );
            }
        }
    }

    #[test]
    fn every_text_exists_in_every_built_in_language() {
        for (text, _) in BUILT_IN {
            for language in ["en", "de", "fr"] {
                assert!(built_in(language, text).is_some_and(|words| !words.is_empty()));
            }
        }
    }
}
