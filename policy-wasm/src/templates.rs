//! Fills `{placeholders}` in texts.

use crate::bindings::exports::portcullis::policy::types::Suspension;
use crate::dates;
use crate::settings::{CONTACT, SHOW_REASON, SHOW_REASON_TEXT, Settings, WORDS};

/// What a text may hold between braces. `link` and `code` are the gate's to
/// fill, which alone knows them, and stay as they are.
pub const PLACEHOLDERS: [&str; 9] = [
    "reason", "since", "until", "duration", "contact", "tenant", "user", "link", "code",
];

/// What the placeholders stand for, in one language.
pub struct Facts<'a> {
    pub settings: Settings<'a>,
    pub language: &'a str,
    pub tenant: &'a str,
    pub user_id: &'a str,
    pub suspension: Option<&'a Suspension>,
    /// A tenant may keep its reasons from users, and not from its own people.
    pub is_for_user: bool,
}

impl<'a> Facts<'a> {
    /// The tenant's words for the reason, in the language of the text.
    pub fn words(&self) -> Option<&'a str> {
        if self.is_for_user && !self.settings.flag(SHOW_REASON, true) {
            return None;
        }
        let key = self.suspension?.reason_key.as_deref()?;
        self.settings.localized(WORDS, self.language, key)
    }

    /// The variables of a message, by the names that texts know them by.
    pub fn variables(&self) -> Vec<(String, String)> {
        PLACEHOLDERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.value(name)?)))
            .collect()
    }

    /// What stands for `name`, or `None` for a name that is left as it is.
    fn value(&self, name: &str) -> Option<String> {
        let date = |seconds: Option<u64>| {
            seconds
                .map(|seconds| dates::write(seconds, self.language))
                .unwrap_or_default()
        };
        let value = match name {
            "reason" => self.reason(),
            "since" => date(self.suspension.map(|suspension| suspension.since)),
            "until" => date(self.suspension.and_then(|suspension| suspension.until)),
            "duration" => dates::duration(
                self.suspension.and_then(|suspension| suspension.until),
                self.language,
            ),
            "contact" => self.settings.text(CONTACT).unwrap_or_default().to_owned(),
            "tenant" => self.tenant.to_owned(),
            "user" => self.user_id.to_owned(),
            _ => return None,
        };
        Some(value.chars().map(tame).collect())
    }

    /// The words for the reason, else what the administrator wrote where the
    /// tenant shows that, else nothing.
    fn reason(&self) -> String {
        if self.is_for_user && !self.settings.flag(SHOW_REASON, true) {
            return String::new();
        }
        let shown = self.settings.flag(SHOW_REASON_TEXT, false);
        let written = self
            .suspension
            .and_then(|suspension| suspension.reason_text.as_deref())
            .filter(|_| shown);
        self.words().or(written).unwrap_or_default().to_owned()
    }
}

/// Fills what it knows. Where a placeholder stands for nothing, one space beside
/// it goes too, so that no gap shows.
pub fn fill(template: &str, facts: &Facts<'_>) -> String {
    let mut text = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let filled = after
            .split_once('}')
            .and_then(|(name, after)| facts.value(name).map(|value| (value, after)));
        rest = match filled {
            Some((value, after)) if value.is_empty() => close_gap(&mut text, after),
            Some((value, after)) => {
                text.push_str(&value);
                after
            }
            None => {
                text.push('{');
                after
            }
        };
    }
    text.push_str(rest);
    text
}

/// Takes away the space before where a line ends, else the one after.
fn close_gap<'a>(text: &mut String, after: &'a str) -> &'a str {
    if after.is_empty() || after.starts_with('\n') {
        if text.ends_with(' ') {
            text.pop();
        }
        return after;
    }
    after.strip_prefix(' ').unwrap_or(after)
}

/// The names between braces in `template`.
pub fn names(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

/// Values come from administrators and users: they may not break lines (the
/// gate would throw the answer away), nor write a placeholder of the gate's.
fn tame(c: char) -> char {
    match c {
        '{' => '(',
        '}' => ')',
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::portcullis::policy::types::SuspensionKind;

    fn fill_with(template: &str, reason_text: Option<&str>) -> String {
        let settings = [
            (CONTACT.to_owned(), "help@a.test".to_owned()),
            (SHOW_REASON_TEXT.to_owned(), "true".to_owned()),
        ];
        let suspension = Suspension {
            kind: SuspensionKind::Temporary,
            reason_key: None,
            reason_text: reason_text.map(str::to_owned),
            since: 0,
            until: None,
            source: "api".to_owned(),
        };
        let facts = Facts {
            settings: Settings(&settings),
            language: "en",
            tenant: "acme",
            user_id: "bob",
            suspension: Some(&suspension),
            is_for_user: true,
        };
        fill(template, &facts)
    }

    #[test]
    fn known_placeholders_are_filled_and_others_left() {
        let table = [
            (
                "{user} of {tenant}, since {since}",
                "bob of acme, since 1 January 1970",
            ),
            ("{link} {code} {nonsense} {", "{link} {code} {nonsense} {"),
            ("{{user}}", "{bob}"),
            ("A. {reason} B", "A. B"),
            ("A. {reason}\nB {reason}", "A.\nB"),
            ("{reason}", ""),
        ];
        for (template, expected) in table {
            assert_eq!(fill_with(template, None), expected, "{template}");
        }
    }

    #[test]
    fn a_value_can_neither_break_lines_nor_write_placeholders() {
        let filled = fill_with("{reason}", Some("a\r\nb {link} {contact}"));
        assert_eq!(filled, "a  b (link) (contact)");
    }
}
