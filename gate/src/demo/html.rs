//! Filling the pages' templates. Every value is escaped unless the caller says
//! that it already is markup, so that forgetting cannot open a hole.

/// What stands in a template's place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Words, from anywhere: escaped on the way in.
    Text(&'a str),
    /// Markup of our own making, put in as it is.
    Markup(&'a str),
}

/// Replaces each `{{name}}` of `template` by its value, in one pass, so that a
/// value which itself looks like a placeholder is never expanded. A name
/// without a value leaves nothing behind.
pub(super) fn fill(template: &str, values: &[(&str, Value<'_>)]) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        page.push_str(before);
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, Value::Text(text))) => page.push_str(&escape(text)),
            Some((_, Value::Markup(markup))) => page.push_str(markup),
            None => {}
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Makes text safe both between tags and inside a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{Value, escape, fill};

    #[test]
    fn a_value_is_escaped_and_never_expanded_again() {
        let page = fill(
            "<p title=\"{{a}}\">{{b}}{{missing}}</p>{{c}} {{ open",
            &[
                ("a", Value::Text("\"><script>")),
                ("b", Value::Text("{{c}}")),
                ("c", Value::Markup("<hr>")),
            ],
        );
        assert_eq!(
            page,
            "<p title=\"&quot;&gt;&lt;script&gt;\">{{c}}</p><hr> {{ open"
        );
    }

    #[test]
    fn text_without_markup_stays_as_it_is() {
        assert_eq!(escape("Grüße, bob"), "Grüße, bob");
    }
}
