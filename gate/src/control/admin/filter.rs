//! The filters of the user lists: `suspension_status=="permanent"` and the like,
//! joined with `and`.

use portcullis_core::ids::ReasonKey;
use portcullis_core::user::{Kind, Status};

use super::problem::Problem;
use crate::control::store::UserFilter;

const FIELDS: &str = "status, suspension_status, suspension_reason";

/// One condition, or one of each kind: what can be said by a pattern.
pub(super) const PATTERN: &str = "^(status==\"(active|suspended|deleted)\"( and suspension_status==\"(permanent|temporary)\")?( and suspension_reason==\"[a-z][A-Za-z0-9]{0,63}\")?|suspension_status==\"(permanent|temporary)\"( and suspension_reason==\"[a-z][A-Za-z0-9]{0,63}\")?|suspension_reason==\"[a-z][A-Za-z0-9]{0,63}\")$";

/// Reads a filter; what is wrong with it is told with the place, counted in
/// characters from 1.
pub(super) fn parse(text: &str) -> Result<UserFilter, Problem> {
    let mut reader = Reader { text, at: 0 };
    let mut filter = UserFilter::default();
    loop {
        reader.skip_space();
        let start = reader.at;
        let field = reader.word().to_owned();
        let known = ["status", "suspension_status", "suspension_reason"];
        if !known.contains(&field.as_str()) {
            let what = if field.is_empty() {
                "a field is missing".to_owned()
            } else {
                format!("unknown field `{field}`")
            };
            return Err(reader.wrong(start, &what, &format!("filter by one of {FIELDS}")));
        }
        reader.skip_space();
        if !reader.take("==") {
            let mend = format!("write {field}==\"…\"");
            return Err(reader.wrong(reader.at, "`==` is missing", &mend));
        }
        reader.skip_space();
        let place = reader.at;
        let value = reader.quoted()?.to_owned();
        set(&mut filter, &reader, (&field, start), (&value, place))?;
        reader.skip_space();
        if reader.at == text.len() {
            return Ok(filter);
        }
        let start = reader.at;
        if reader.word() != "and" {
            return Err(reader.wrong(start, "`and` is missing", "join conditions with `and`"));
        }
    }
}

fn set(
    filter: &mut UserFilter,
    reader: &Reader<'_>,
    (field, start): (&str, usize),
    (value, place): (&str, usize),
) -> Result<(), Problem> {
    let mut twice = false;
    match field {
        "status" => {
            let all = [Status::Active, Status::Suspended, Status::Deleted];
            let status = all.into_iter().find(|status| status.as_str() == value);
            let mend = "use active, suspended or deleted";
            let status = status.ok_or_else(|| reader.no_value(place, value, field, mend))?;
            twice = filter.status.replace(status).is_some();
        }
        "suspension_status" => {
            let all = [Kind::Permanent, Kind::Temporary];
            let kind = all.into_iter().find(|kind| kind.as_str() == value);
            let mend = "use permanent or temporary";
            let kind = kind.ok_or_else(|| reader.no_value(place, value, field, mend))?;
            twice = filter.kind.replace(kind).is_some();
        }
        _ => {
            let mend = "use a camelCase key such as suspiciousUserNoGood";
            let reason =
                ReasonKey::parse(value).map_err(|_| reader.no_value(place, value, field, mend))?;
            twice |= filter.reason.replace(reason).is_some();
        }
    }
    if twice {
        let what = format!("`{field}` is there twice");
        return Err(reader.wrong(start, &what, "name each field once"));
    }
    Ok(())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at += word.len();
        word
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn quoted(&mut self) -> Result<&'a str, Problem> {
        let start = self.at;
        let mend = "put the value in double quotes";
        if !self.take("\"") {
            return Err(self.wrong(start, "a value in quotes is missing", mend));
        }
        let Some((value, _)) = self.rest().split_once('"') else {
            return Err(self.wrong(start, "the quote is not closed", mend));
        };
        self.at += value.len() + 1;
        Ok(value)
    }

    fn no_value(&self, at: usize, value: &str, field: &str, mend: &str) -> Problem {
        self.wrong(at, &format!("{value:?} is no {field}"), mend)
    }

    fn wrong(&self, at: usize, what: &str, mend: &str) -> Problem {
        let place = self.text.get(..at).map_or(0, |text| text.chars().count()) + 1;
        Problem::field("filter", format!("at character {place}: {what}")).mend(mend)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::to_bytes;
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn the_filters_of_the_field_are_understood() {
        let kind = |kind| UserFilter {
            kind: Some(kind),
            ..UserFilter::default()
        };
        let permanent = parse("suspension_status==\"permanent\"").unwrap();
        assert_eq!(permanent, kind(Kind::Permanent));
        let temporary = parse(" suspension_status == \"temporary\" ").unwrap();
        assert_eq!(temporary, kind(Kind::Temporary));
        let all = parse(
            "suspension_reason==\"violatedTrustByeBye\" and status==\"suspended\" and suspension_status==\"permanent\"",
        );
        let all = all.unwrap();
        assert_eq!(all.status, Some(Status::Suspended));
        assert_eq!(all.reason.unwrap().as_str(), "violatedTrustByeBye");
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_with_its_place() {
        for (text, detail) in [
            ("", "at character 1: a field is missing; "),
            ("email==\"x\"", "at character 1: unknown field `email`; "),
            ("status=\"active\"", "at character 7: `==` is missing; "),
            (
                "status==active",
                "at character 9: a value in quotes is missing; ",
            ),
            (
                "status==\"active",
                "at character 9: the quote is not closed; ",
            ),
            (
                "status==\"gone\"",
                "at character 9: \"gone\" is no status; ",
            ),
            (
                "status==\"active\" or x",
                "at character 18: `and` is missing; ",
            ),
            (
                "status==\"active\" and ",
                "at character 22: a field is missing; ",
            ),
            (
                "status==\"active\" and status==\"active\"",
                "at character 22: `status` is there twice; ",
            ),
            (
                "suspension_reason==\"Not camel\"",
                "at character 20: \"Not camel\" is no suspension_reason; ",
            ),
        ] {
            let response = parse(text).unwrap_err().into_response();
            let body = to_bytes(response.into_body(), 10_000).await.unwrap();
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let found = json["detail"].as_str().unwrap();
            assert!(found.starts_with(detail), "{text}: {found}");
        }
    }
}
