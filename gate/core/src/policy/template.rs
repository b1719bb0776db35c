//! Templates: texts of the tenant's that the gate fills in.
//!
//! A guest chooses a template and gives the variables; the gate alone writes
//! markup. `{name}` stands for a variable and any other brace for itself, so that
//! a style sheet in a page needs no escaping. Where a variable is empty, one space
//! beside it goes too, so that no gap shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Fault;

/// A text with places for variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Variable(String),
}

/// What a variable's value is written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    Plain,
    /// Values are escaped for element content and for quoted attributes.
    Html,
}

impl Template {
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            plain.push_str(before);
            match after.split_once('}') {
                Some((name, after)) if is_name(name) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Variable(name.to_owned()));
                    rest = after;
                }
                Some(_) | None => {
                    plain.push('{');
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self(pieces)
    }

    /// The variables in it, as often as they stand there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Variable(name) => Some(name.as_str()),
        })
    }

    /// Fills it in, in one pass: what a value holds is never read again.
    ///
    /// # Errors
    /// [`Fault::BadOutput`] for a name without a value, and for what comes out
    /// longer than `bytes_max`.
    pub fn render<'a>(
        &self,
        value: impl Fn(&str) -> Option<&'a str>,
        markup: Markup,
        bytes_max: usize,
    ) -> Result<String, Fault> {
        let mut out = String::new();
        let mut gap = false;
        for (index, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(text) => {
                    let text = if gap { close_gap(&mut out, text) } else { text };
                    gap = false;
                    out.push_str(text);
                }
                Piece::Variable(name) => {
                    let value = value(name).ok_or_else(|| Fault::BadOutput {
                        what: format!("{{{name}}} in the template is no variable of the message"),
                    })?;
                    gap = value.is_empty();
                    match markup {
                        Markup::Plain => out.push_str(value),
                        Markup::Html => escape_into(&mut out, value),
                    }
                    // An empty one at the very end has the space before it only.
                    if gap && index + 1 == self.0.len() {
                        close_gap(&mut out, "");
                    }
                }
            }
            if out.len() > bytes_max {
                return Err(Fault::BadOutput {
                    what: format!("the template comes out longer than {bytes_max} bytes"),
                });
            }
        }
        Ok(out)
    }
}

/// Takes away the space before where a line ends, else the one after.
fn close_gap<'a>(out: &mut String, after: &'a str) -> &'a str {
    if after.is_empty() || after.starts_with('\n') {
        if out.ends_with(' ') {
            out.pop();
        }
        return after;
    }
    after.strip_prefix(' ').unwrap_or(after)
}

/// Whether `{name}` is a placeholder: `[a-z][a-z0-9_]*`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What a whole page may hold between braces; the URLs and labels are empty where
/// the answer has no such link.
pub const PAGE_NAMES: [&str; 11] = [
    "language",
    "title",
    "message",
    "words",
    "error_id",
    "contact_url",
    "contact_label",
    "appeal_url",
    "appeal_label",
    "reset_url",
    "reset_label",
];

/// The texts of one template in one language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateTexts {
    pub subject: Option<Arc<Template>>,
    /// Of a mail.
    pub text: Option<Arc<Template>>,
    pub html: Option<Arc<Template>>,
    /// Of an SMS.
    pub sms: Option<Arc<Template>>,
    /// A whole page, for a refusal.
    pub page: Option<Arc<Template>>,
}

/// Templates by name and language; a tenant's own go before the gate's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates(pub BTreeMap<String, BTreeMap<String, TemplateTexts>>);

impl Templates {
    /// The texts in `language`, or in a wider one (`de` for `de-AT`); language tags
    /// are compared without regard to case, as RFC 5646 §2.1.1 has it. `*` stands
    /// for every language.
    ///
    /// # Errors
    /// [`Fault::BadOutput`], naming what there is instead.
    pub fn find(&self, name: &str, language: &str) -> Result<&TemplateTexts, Fault> {
        let languages = self.0.get(name).ok_or_else(|| Fault::BadOutput {
            what: format!(
                "template {name:?} is not one of {}",
                join(self.0.keys().map(String::as_str))
            ),
        })?;
        let mut tag = language;
        loop {
            let same = |known: &&String| known.eq_ignore_ascii_case(tag);
            let found = languages
                .keys()
                .find(same)
                .and_then(|tag| languages.get(tag));
            if let Some(texts) = found {
                return Ok(texts);
            }
            match tag.rsplit_once('-') {
                Some((wider, _)) => tag = wider,
                None => break,
            }
        }
        languages.get("*").ok_or_else(|| Fault::BadOutput {
            what: format!(
                "template {name:?} has no texts in {language:?}; it has {}",
                join(languages.keys().map(String::as_str))
            ),
        })
    }

    /// These, with `own` in front: a template of the same name is replaced as a
    /// whole, so that no mail comes half in one voice and half in another.
    pub fn with(mut self, own: Templates) -> Self {
        self.0.extend(own.0);
        self
    }
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Makes one line of at most `bytes_max` bytes: for a subject, whose variables a
/// user may have chosen.
pub fn one_line(text: &str, bytes_max: usize) -> String {
    const ELLIPSIS: char = '…';
    let mut line: String = text
        .chars()
        .map(|c| if breaks_line(c) { ' ' } else { c })
        .collect();
    if line.len() > bytes_max {
        let end = (0..=bytes_max.saturating_sub(ELLIPSIS.len_utf8()))
            .rev()
            .find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or_default());
        line.push(ELLIPSIS);
    }
    line
}

/// U+2028 and U+2029 are no control characters, yet break lines.
pub fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The HTML of a mail that has text only. `escaped` is that text, filled in and
/// escaped; `link` is made one that can be clicked.
pub fn document(language: &str, escaped: &str, link: Option<&str>) -> String {
    let mut html = String::from("<!doctype html><html lang=\"");
    escape_into(&mut html, language);
    html.push_str("\"><meta charset=\"utf-8\"><body>");
    for paragraph in escaped.split("\n\n").filter(|text| !text.is_empty()) {
        html.push_str("<p>");
        html.push_str(&paragraph.replace('\n', "<br>"));
        html.push_str("</p>");
    }
    html.push_str("</body></html>");
    match link {
        None => html,
        Some(link) => {
            let mut escaped = String::new();
            escape_into(&mut escaped, link);
            html.replace(&escaped, &format!("<a href=\"{escaped}\">{escaped}</a>"))
        }
    }
}

/// Escapes for element content and for attributes in quotes.
pub fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fill(text: &str, markup: Markup) -> Result<String, Fault> {
        let value = |name: &str| match name {
            "user" => Some("bob"),
            "empty" => Some(""),
            "tricky" => Some("<b>{user}</b> & \"co\""),
            _ => None,
        };
        Template::parse(text).render(value, markup, 100)
    }

    #[test]
    fn variables_are_filled_and_other_braces_left() {
        let table = [
            ("{user}, {user}", "bob, bob"),
            (
                "body{margin:0} { {} {User} {",
                "body{margin:0} { {} {User} {",
            ),
            ("{{user}}", "{bob}"),
            ("A. {empty} B", "A. B"),
            ("A. {empty}\nB {empty}", "A.\nB"),
            ("{empty}", ""),
            ("{empty} A", "A"),
        ];
        for (text, expected) in table {
            assert_eq!(fill(text, Markup::Plain).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_neither_read_as_a_placeholder_nor_as_markup() {
        assert_eq!(
            fill("{tricky}", Markup::Plain).unwrap(),
            "<b>{user}</b> & \"co\""
        );
        assert_eq!(
            fill("<i>{tricky}</i>", Markup::Html).unwrap(),
            "<i>&lt;b&gt;{user}&lt;/b&gt; &amp; &quot;co&quot;</i>"
        );
    }

    #[test]
    fn an_unknown_name_and_a_flood_are_refused() {
        let error = fill("{usr}", Markup::Plain).unwrap_err().to_string();
        assert!(error.contains("{usr}"), "{error}");
        assert!(fill(&"{tricky}".repeat(20), Markup::Html).is_err());
    }

    #[test]
    fn texts_are_found_by_the_nearest_language() {
        let texts = |text: &str| TemplateTexts {
            text: Some(Arc::new(Template::parse(text))),
            ..TemplateTexts::default()
        };
        let languages = [("de", texts("de")), ("*", texts("any"))];
        let languages = languages.map(|(tag, texts)| (tag.to_owned(), texts)).into();
        let templates = Templates([("a".to_owned(), languages)].into());
        assert_eq!(templates.find("a", "de-AT"), Ok(&texts("de")));
        assert_eq!(templates.find("a", "DE"), Ok(&texts("de")));
        assert_eq!(templates.find("a", "fr"), Ok(&texts("any")));
        assert!(templates.find("b", "de").is_err());
    }

    #[test]
    fn a_subject_is_one_line_and_no_longer_than_it_may_be() {
        assert_eq!(one_line("a\r\nb\u{2028}c", 20), "a  b c");
        assert_eq!(one_line("ääää", 7), "ää…");
    }

    #[test]
    fn the_html_of_a_mail_has_paragraphs_and_one_link() {
        let html = document(
            "en",
            "A\nB\n\nhttps://a.test/?x&amp;y",
            Some("https://a.test/?x&y"),
        );
        assert!(html.contains("<p>A<br>B</p>"), "{html}");
        assert!(
            html.contains("<a href=\"https://a.test/?x&amp;y\">"),
            "{html}"
        );
    }
}
