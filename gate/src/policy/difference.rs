//! What two answers to one question have that the other has not, field by field.

use portcullis_core::policy::Fault;
use toml::{Table, Value};

use super::limits::{DIFFERENCE_CHARS_MAX, DIFFERENCES_PER_DECISION_MAX};
use super::question::Answer;

/// A field of an answer; `None`: it is absent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As a case names it; of a list, with the place in it: `links[0]`.
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// A page or a mail whose words are the same and whose layout is not.
const LAYOUT: &str = "layout";

/// The same answer has none. A fault is a field, too.
pub fn differences(
    before: &Result<Answer, Fault>,
    after: &Result<Answer, Fault>,
) -> Vec<Difference> {
    let (was, is) = (fields(before), fields(after));
    let mut found = Vec::new();
    for (field, value) in &was {
        let other = is.iter().find(|(other, _)| other == field);
        if other.map(|(_, other)| other) != Some(value) {
            let after = other.map(|(_, value)| shorten(value));
            found.push(Difference {
                field: field.clone(),
                before: Some(shorten(value)),
                after,
            });
        }
    }
    let new = is
        .iter()
        .filter(|(field, _)| was.iter().all(|(known, _)| known != field));
    found.extend(new.map(|(field, value)| Difference {
        field: field.clone(),
        before: None,
        after: Some(shorten(value)),
    }));
    if found.is_empty()
        && let (Ok(before), Ok(after)) = (before, after)
        && before != after
    {
        found.push(Difference {
            field: LAYOUT.to_owned(),
            before: None,
            after: None,
        });
    }
    found.truncate(DIFFERENCES_PER_DECISION_MAX);
    found
}

fn fields(answer: &Result<Answer, Fault>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    match answer {
        Ok(answer) => flatten(&mut fields, "", &answer.table()),
        Err(fault) => fields.push(("fault".to_owned(), fault.name().to_owned())),
    }
    fields
}

fn flatten(fields: &mut Vec<(String, String)>, prefix: &str, table: &Table) {
    for (key, value) in table {
        add(fields, format!("{prefix}{key}"), value);
    }
}

fn add(fields: &mut Vec<(String, String)>, name: String, value: &Value) {
    match value {
        Value::Table(table) => flatten(fields, &format!("{name}."), table),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                add(fields, format!("{name}[{place}]"), item);
            }
        }
        Value::String(text) => fields.push((name, text.clone())),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            fields.push((name, value.to_string()));
        }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(DIFFERENCE_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use http::StatusCode;
    use portcullis_core::policy::{Link, LinkKind, RefusalDecision, Template};

    use super::*;

    fn decision() -> RefusalDecision {
        RefusalDecision {
            status: StatusCode::FORBIDDEN,
            language: "en".to_owned(),
            key: None,
            title: "No".to_owned(),
            words: None,
            message: "No entry.".to_owned(),
            surface: None,
            page: None,
            links: Vec::new(),
            headers: Vec::new(),
            actions: Vec::new(),
        }
    }

    fn between(
        before: Result<RefusalDecision, Fault>,
        after: Result<RefusalDecision, Fault>,
    ) -> Vec<(String, Option<String>, Option<String>)> {
        let found = differences(&before.map(Answer::Refusal), &after.map(Answer::Refusal));
        let parts = |one: Difference| (one.field, one.before, one.after);
        found.into_iter().map(parts).collect()
    }

    fn difference(
        field: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> (String, Option<String>, Option<String>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (field.to_owned(), owned(before), owned(after))
    }

    #[test]
    fn what_is_the_same_is_not_told_and_what_comes_and_goes_is() {
        assert_eq!(between(Ok(decision()), Ok(decision())), []);
        let mut other = decision();
        other.status = StatusCode::UNAUTHORIZED;
        other.words = Some("Suspicious.".to_owned());
        other.links = vec![Link {
            kind: LinkKind::Contact,
            label: "help".to_owned(),
            href: "/help".to_owned(),
        }];
        let told = [
            difference("status", Some("403"), Some("401")),
            difference("words", None, Some("Suspicious.")),
            difference("links[0]", None, Some("contact: help -> /help")),
        ];
        let found = between(Ok(decision()), Ok(other.clone()));
        assert_eq!(found.len(), 3);
        assert!(told.iter().all(|one| found.contains(one)), "{found:?}");
        let back = between(Ok(other), Ok(decision()));
        let gone = difference("words", Some("Suspicious."), None);
        assert!(back.contains(&gone), "{back:?}");
    }

    #[test]
    fn an_answer_that_becomes_a_fault_loses_its_fields() {
        let found = between(Ok(decision()), Err(Fault::Deadline { limit_ms: 20 }));
        assert!(found.contains(&difference("status", Some("403"), None)));
        assert!(found.contains(&difference("fault", None, Some("deadline"))));
    }

    #[test]
    fn long_texts_are_cut_and_another_layout_is_told_without_its_text() {
        let mut other = decision();
        other.message = "é".repeat(DIFFERENCE_CHARS_MAX + 1);
        let found = between(Ok(decision()), Ok(other));
        let after = found.first().unwrap().2.clone().unwrap();
        assert_eq!(after.chars().count(), DIFFERENCE_CHARS_MAX + 1);
        let with_page = |text: &str| RefusalDecision {
            page: Some(Arc::new(Template::parse(text))),
            ..decision()
        };
        let found = between(Ok(with_page("<b>{title}")), Ok(with_page("<i>{title}")));
        assert_eq!(found, [difference(LAYOUT, None, None)]);
    }
}
