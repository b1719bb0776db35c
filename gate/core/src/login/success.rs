//! What the body of an app's answer says of a login, where its status and cookies
//! do not: apps that answer 200 to everything and say `"success": false` inside.

use super::json::Json;

/// What a body must say for the login to count as accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// The JSON value at a pointer is this one; with `None`, it is there and not null.
    Pointer {
        steps: Vec<String>,
        equals: Option<Json>,
    },
    /// The text stands in the body.
    Contains(String),
    /// The text does not stand in the body.
    Absent(String),
}

/// What a rule says of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyVerdict {
    Accepted,
    Refused,
    /// It could be either: cut short, compressed, not the format that was promised.
    /// The caller takes it for accepted, so that nothing is handed to a user who is
    /// out on a guess.
    Unclear,
}

impl BodyVerdict {
    pub const fn counts_as_accepted(self) -> bool {
        match self {
            Self::Accepted | Self::Unclear => true,
            Self::Refused => false,
        }
    }
}

impl BodyRule {
    /// Judges the beginning of a body; `whole` says that it is all of it. `parse`
    /// reads JSON.
    pub fn judge(
        &self,
        body: &[u8],
        whole: bool,
        parse: impl FnOnce(&[u8]) -> Option<Json>,
    ) -> BodyVerdict {
        match self {
            Self::Contains(text) if holds(body, text) => BodyVerdict::Accepted,
            Self::Absent(text) if holds(body, text) => BodyVerdict::Refused,
            Self::Contains(_) | Self::Absent(_) | Self::Pointer { .. } if !whole => {
                BodyVerdict::Unclear
            }
            Self::Contains(_) => BodyVerdict::Refused,
            Self::Absent(_) => BodyVerdict::Accepted,
            Self::Pointer { steps, equals } => match parse(body) {
                Some(json) => judge_json(&json, steps, equals.as_ref()),
                None => BodyVerdict::Unclear,
            },
        }
    }
}

fn judge_json(json: &Json, steps: &[String], equals: Option<&Json>) -> BodyVerdict {
    let fits = match (json.at(steps, |key, step| key == step), equals) {
        (Err(_), _) => return BodyVerdict::Unclear,
        (Ok(None), _) => false,
        (Ok(Some(found)), Some(wanted)) => found == wanted,
        (Ok(Some(found)), None) => *found != Json::Null,
    };
    if fits {
        BodyVerdict::Accepted
    } else {
        BodyVerdict::Refused
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len().max(1))
        .any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::BodyVerdict::{Accepted, Refused, Unclear};
    use super::*;

    #[test]
    fn text_is_looked_for_and_a_part_is_not_taken_for_the_whole() {
        let contains = BodyRule::Contains("Welcome".into());
        let absent = BodyRule::Absent("Invalid password".into());
        let judge =
            |rule: &BodyRule, body: &str, whole| rule.judge(body.as_bytes(), whole, |_| None);
        assert_eq!(judge(&contains, "<p>Welcome, bob", true), Accepted);
        assert_eq!(judge(&contains, "<p>Welcome, bob", false), Accepted);
        assert_eq!(judge(&contains, "<p>Who?", true), Refused);
        assert_eq!(judge(&contains, "<p>Who?", false), Unclear);
        assert_eq!(judge(&absent, "<p>Invalid password", true), Refused);
        assert_eq!(judge(&absent, "<p>Invalid password", false), Refused);
        assert_eq!(judge(&absent, "<p>Hello", true), Accepted);
        assert_eq!(judge(&absent, "<p>Hello", false), Unclear);
    }

    #[test]
    fn a_pointer_is_compared_and_what_is_no_json_stays_unclear() {
        let steps = vec!["success".to_owned()];
        let rule = |equals| BodyRule::Pointer {
            steps: steps.clone(),
            equals,
        };
        let said = |entries: Vec<(String, Json)>| {
            rule(Some(Json::Flag(true))).judge(b"", true, |_| Some(Json::Object(entries)))
        };
        let flag = |flag| ("success".to_owned(), Json::Flag(flag));
        assert_eq!(said(vec![flag(true)]), Accepted);
        assert_eq!(said(vec![flag(false)]), Refused);
        assert_eq!(said(vec![]), Refused);
        assert_eq!(said(vec![flag(false), flag(true)]), Unclear);
        let there = rule(None);
        let null = Json::Object(vec![("success".into(), Json::Null)]);
        assert_eq!(there.judge(b"", true, |_| Some(null)), Refused);
        assert_eq!(there.judge(b"<p>", true, |_| None), Unclear);
        assert_eq!(
            there.judge(b"{}", false, |_| Some(Json::Object(vec![]))),
            Unclear
        );
    }
}
