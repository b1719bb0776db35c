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
pub const MAIL_RESET: Mail = Mail(Text("mail.reset.subject"), Text("mail.reset.message"));
pub const MAIL_SUSPENDED: Mail = Mail(
    Text("mail.suspended.subject"),
    Text("mail.suspended.message"),
);
pub const MAIL_RESTORED: Mail = Mail(Text("mail.restored.subject"), Text("mail.restored.message"));
pub const MAIL_DELETED: Mail = Mail(Text("mail.deleted.subject"), Text("mail.deleted.message"));
pub const SMS_RESET: Text = Text("sms.reset");
pub const SMS_SUSPENDED: Text = Text("sms.suspended");
pub const SMS_RESTORED: Text = Text("sms.restored");
pub const SMS_DELETED: Text = Text("sms.deleted");
pub const NOTICE_SUSPENDED: Mail = Mail(
    Text("stakeholder.suspended.subject"),
    Text("stakeholder.suspended.message"),
);
pub const NOTICE_RESTORED: Mail = Mail(
    Text("stakeholder.restored.subject"),
    Text("stakeholder.restored.message"),
);
pub const NOTICE_DELETED: Mail = Mail(
    Text("stakeholder.deleted.subject"),
    Text("stakeholder.deleted.message"),
);

/// Subject and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mail(pub Text, pub Text);

/// What a page is made of: a language that is not built in needs all of these.
pub const PAGE: [Text; 5] = [
    TEMPORARY_TITLE,
    TEMPORARY_MESSAGE,
    PERMANENT_TITLE,
    PERMANENT_MESSAGE,
    CONTACT_LABEL,
];

/// Built-in texts: name, English, German, French.
const BUILT_IN: [(Text, [&str; 3]); 28] = [
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
        MAIL_RESET.0,
        [
            "Your account has been suspended",
            "Ihr Konto wurde gesperrt",
            "Votre compte a été suspendu",
        ],
    ),
    (
        MAIL_RESET.1,
        [
            "Your account was suspended on {since}. {reason}\n\nTo restore your access, choose a new password here:\n{link}\n\nFor questions, contact {contact}.",
            "Ihr Konto wurde am {since} gesperrt. {reason}\n\nUm es wieder zu nutzen, wählen Sie hier ein neues Passwort:\n{link}\n\nBei Fragen wenden Sie sich an {contact}.",
            "Votre compte a été suspendu le {since}. {reason}\n\nPour rétablir votre accès, choisissez un nouveau mot de passe ici :\n{link}\n\nPour toute question, contactez {contact}.",
        ],
    ),
    (
        MAIL_SUSPENDED.0,
        [
            "Your account has been suspended",
            "Ihr Konto wurde gesperrt",
            "Votre compte a été suspendu",
        ],
    ),
    (
        MAIL_SUSPENDED.1,
        [
            "Your account was suspended on {since}. {reason}\n\nFor questions, contact {contact}.",
            "Ihr Konto wurde am {since} gesperrt. {reason}\n\nBei Fragen wenden Sie sich an {contact}.",
            "Votre compte a été suspendu le {since}. {reason}\n\nPour toute question, contactez {contact}.",
        ],
    ),
    (
        MAIL_RESTORED.0,
        [
            "Your account has been restored",
            "Ihr Konto ist wieder freigegeben",
            "Votre compte a été rétabli",
        ],
    ),
    (
        MAIL_RESTORED.1,
        [
            "You can sign in to your account again.\n\nFor questions, contact {contact}.",
            "Sie können sich wieder anmelden.\n\nBei Fragen wenden Sie sich an {contact}.",
            "Vous pouvez de nouveau vous connecter.\n\nPour toute question, contactez {contact}.",
        ],
    ),
    (
        MAIL_DELETED.0,
        [
            "Your account has been deleted",
            "Ihr Konto wurde gelöscht",
            "Votre compte a été supprimé",
        ],
    ),
    (
        MAIL_DELETED.1,
        [
            "Your account has been deleted.\n\nFor questions, contact {contact}.",
            "Ihr Konto wurde gelöscht.\n\nBei Fragen wenden Sie sich an {contact}.",
            "Votre compte a été supprimé.\n\nPour toute question, contactez {contact}.",
        ],
    ),
    (
        SMS_RESET,
        [
            "Your account is suspended. Code to restore it: {code}",
            "Ihr Konto ist gesperrt. Code zum Entsperren: {code}",
            "Votre compte est suspendu. Code pour le rétablir : {code}",
        ],
    ),
    (
        SMS_SUSPENDED,
        [
            "Your account is suspended. Contact {contact}.",
            "Ihr Konto ist gesperrt. Kontakt: {contact}",
            "Votre compte est suspendu. Contactez {contact}.",
        ],
    ),
    (
        SMS_RESTORED,
        [
            "Your account is restored. You can sign in again.",
            "Ihr Konto ist wieder freigegeben.",
            "Votre compte est rétabli. Vous pouvez vous connecter.",
        ],
    ),
    (
        SMS_DELETED,
        [
            "Your account has been deleted. Contact {contact}.",
            "Ihr Konto wurde gelöscht. Kontakt: {contact}",
            "Votre compte a été supprimé. Contactez {contact}.",
        ],
    ),
    (
        NOTICE_SUSPENDED.0,
        [
            "Account suspended: {user}",
            "Konto gesperrt: {user}",
            "Compte suspendu : {user}",
        ],
    ),
    (
        NOTICE_SUSPENDED.1,
        [
            "The account {user} of {tenant} was suspended on {since}. {reason}",
            "Das Konto {user} von {tenant} wurde am {since} gesperrt. {reason}",
            "Le compte {user} de {tenant} a été suspendu le {since}. {reason}",
        ],
    ),
    (
        NOTICE_RESTORED.0,
        [
            "Account restored: {user}",
            "Konto freigegeben: {user}",
            "Compte rétabli : {user}",
        ],
    ),
    (
        NOTICE_RESTORED.1,
        [
            "The account {user} of {tenant} has been restored.",
            "Das Konto {user} von {tenant} ist wieder freigegeben.",
            "Le compte {user} de {tenant} a été rétabli.",
        ],
    ),
    (
        NOTICE_DELETED.0,
        [
            "Account deleted: {user}",
            "Konto gelöscht: {user}",
            "Compte supprimé : {user}",
        ],
    ),
    (
        NOTICE_DELETED.1,
        [
            "The account {user} of {tenant} has been deleted.",
            "Das Konto {user} von {tenant} wurde gelöscht.",
            "Le compte {user} de {tenant} a été supprimé.",
        ],
    ),
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
