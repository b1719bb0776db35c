//! Reads settings: pairs of dotted key and text.

/// The settings as they come.
#[derive(Clone, Copy)]
pub struct Settings<'a>(pub &'a [(String, String)]);

impl<'a> Settings<'a> {
    /// The text under `key`; empty counts as absent.
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether `key` says `true`; `default` where it is absent.
    pub fn flag(self, key: &str, default: bool) -> bool {
        match self.text(key) {
            Some(value) => value == "true",
            None => default,
        }
    }

    /// The number under `key`; `default` where it is absent or none.
    pub fn number(self, key: &str, default: u32) -> u32 {
        self.text(key)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    }

    /// The words under `key`, which are separated by commas.
    pub fn list(self, key: &str, default: &'a str) -> impl Iterator<Item = &'a str> {
        // Here an empty text is an empty list, not an absent one.
        let found = self.0.iter().find(|(name, _)| name == key);
        split_list(found.map_or(default, |(_, value)| value.as_str()))
    }

    /// The text under `FAMILY.LANGUAGE.NAME`. Languages are compared without
    /// regard to case, as RFC 5646 §2.1.1 has it.
    pub fn localized(self, family: &str, language: &str, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(key, _)| {
                split_localized(key).is_some_and(|(its_family, its_language, its_name)| {
                    its_family == family
                        && its_name == name
                        && its_language.eq_ignore_ascii_case(language)
                })
            })
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// Splits `words.en.suspiciousUserNoGood` in its three parts; the last may hold
/// further dots.
pub fn split_localized(key: &str) -> Option<(&str, &str, &str)> {
    let (family, rest) = key.split_once('.')?;
    let (language, name) = rest.split_once('.')?;
    Some((family, language, name))
}

/// The parts of a list, without the space around them and without empty ones.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

pub const STATUS: &str = "status";
pub const DEFAULT_LANGUAGE: &str = "default_language";
pub const CONTACT: &str = "contact";
pub const APPEAL: &str = "appeal";
pub const PAGE_TEMPLATE: &str = "page_template";
pub const SHOW_REASON: &str = "show_reason";
pub const SHOW_REASON_TEXT: &str = "show_reason_text";
pub const RESET_ALLOWED: &str = "reset.allowed";
pub const RESET_PAGE: &str = "reset.page";
pub const RESET_STEP_UP: &str = "reset.step_up";
pub const EMAIL_FROM: &str = "email.from";
pub const EMAIL_REDIRECT_TO: &str = "email.redirect_to";
pub const EMAIL_LIFETIME: &str = "email.url_lifetime_seconds";
pub const SMS_LIFETIME: &str = "sms.code_lifetime_seconds";
pub const NOTIFY_EVENTS: &str = "notify.events";
pub const NOTIFY_QUIET: &str = "notify.quiet_sources";
pub const STAKEHOLDERS_TO: &str = "stakeholders.to";
pub const STAKEHOLDERS_EVENTS: &str = "stakeholders.events";
pub const REVIEW_TO: &str = "review.to";

pub const STATUS_DEFAULT: u32 = 403;
pub const LANGUAGE_DEFAULT: &str = "en";
pub const EMAIL_LIFETIME_DEFAULT: u32 = 24 * 3600;
pub const SMS_LIFETIME_DEFAULT: u32 = 600;
pub const NOTIFY_EVENTS_DEFAULT: &str = "suspended, restored, reset-requested";
/// A suspension by hand in the console sends nothing by itself.
pub const NOTIFY_QUIET_DEFAULT: &str = "console";
pub const STAKEHOLDERS_EVENTS_DEFAULT: &str =
    "suspended, restored, deleted, reactivated, review-due";

/// The family of a tenant's words for its reasons.
pub const WORDS: &str = "words";
/// The family of the tenant's own texts in place of the built-in ones.
pub const TEXTS: &str = "texts";
