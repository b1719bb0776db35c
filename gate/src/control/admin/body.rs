//! The body of a request: bounded, JSON, an object, and of known fields.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use portcullis_core::ids::{HoldName, ReasonKey};
use portcullis_core::limits;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::problem::Problem;

pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let bytes = gather(headers, body, limits::ADMIN_BODY_BYTES_MAX).await?;
    if !bytes.is_empty() && !is_a(headers, &["application/json"]) {
        let mend = "send Content-Type: application/json";
        return Err(wrong_type("the body is not announced as JSON", mend));
    }
    Ok(bytes)
}

/// How a bulk call's body is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One object.
    Json,
    /// An object, then a line a user.
    Lines,
}

/// The body of a bulk call, which may be large.
pub(super) async fn read_bulk(headers: &HeaderMap, body: Body) -> Result<(Form, Bytes), Problem> {
    let gathered = gather(headers, body, limits::BULK_BODY_BYTES_MAX);
    let bytes = tokio::time::timeout(limits::BULK_BODY_WAIT, gathered).await;
    let bytes = bytes.map_err(|_| {
        let status = StatusCode::REQUEST_TIMEOUT;
        Problem::new(status, "slow_body", "the body did not come in time")
            .mend("send fewer users in one call; several calls may share a `batch`")
    })??;
    if bytes.is_empty() || is_a(headers, &["application/json"]) {
        Ok((Form::Json, bytes))
    } else if is_a(headers, &["application/x-ndjson", "application/ndjson"]) {
        Ok((Form::Lines, bytes))
    } else {
        let mend = "send Content-Type: application/json, or application/x-ndjson";
        Err(wrong_type(
            "the body is announced neither as JSON nor as lines of it",
            mend,
        ))
    }
}

fn wrong_type(what: &str, mend: &str) -> Problem {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Problem::new(status, "wrong_content_type", what)
        .of("Content-Type")
        .mend(mend)
}

async fn gather(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let bytes = to_bytes(body, limit).await;
    bytes.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.is_some_and(|cause| cause.is::<LengthLimitError>()) {
            too_large(limit)
        } else {
            Problem::bad("broken_body", "the body broke off")
        }
    })
}

fn too_large(limit: usize) -> Problem {
    let what = format!("the body is larger than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", what)
}

fn is_a(headers: &HeaderMap, types: &[&str]) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    types
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

/// The fields of a body; no body is an object without any.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    let whole = serde_json::from_slice::<IgnoredAny>(body);
    whole.map_err(|error| malformed(&error))?;
    // An array would be taken for the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad("not_an_object", "the body is no JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| wrong(&error))
}

fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let place = format!(" at line {line} column {column}");
    let what = text.strip_suffix(&place).unwrap_or(&text);
    let what = format!("the body is not JSON: {what} (line {line}, column {column})");
    Problem::bad("malformed_json", what)
}

/// Well-formed, but not what the call takes.
fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    let (line, column) = (inner.line(), inner.column());
    let text = inner.to_string();
    let place = format!(" at line {line} column {column}");
    let what = text.strip_suffix(&place).unwrap_or(&text);
    // `unknown field `x`, expected one of …`
    let unknown = what.strip_prefix("unknown field `");
    if let Some((name, expected)) = unknown.and_then(|rest| rest.split_once("`, ")) {
        let what = format!("unknown field `{name}`");
        let mend = format!("leave it out ({expected})");
        return Problem::bad("unknown_field", what).of(name).mend(mend);
    }
    if let Some(name) = what.strip_prefix("duplicate field `") {
        let name = name.trim_end_matches('`');
        return Problem::field(name, format!("`{name}` is there twice")).mend("give it once");
    }
    let path = error.path().to_string();
    let problem = Problem::bad("invalid_field", what);
    if path == "." {
        problem
    } else {
        problem.of(path)
    }
}

/// A text for people: bounded, not empty, of visible characters and line ends.
pub(super) fn text(field: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let limit = limits::TEXT_FIELD_BYTES_MAX;
    if text.trim().is_empty() {
        return Err(Problem::field(field, "it is empty").mend("leave it out, or say something"));
    }
    if text.len() > limit {
        let what = format!("it is {} bytes, the limit is {limit}", text.len());
        return Err(Problem::field(field, what).mend("shorten it"));
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        let what = "it holds control characters";
        return Err(Problem::field(field, what).mend("leave them out"));
    }
    Ok(Some(text))
}

/// Two texts for the one place for words that the ledger has: both stand there, a
/// line each.
pub(super) fn words(
    first: (&str, Option<String>),
    second: (&str, Option<String>),
) -> Result<Option<String>, Problem> {
    let said = [text(first.0, first.1)?, text(second.0, second.1)?];
    let said: Vec<String> = said.into_iter().flatten().collect();
    Ok((!said.is_empty()).then(|| said.join("\n")))
}

pub(super) fn reason_key(field: &str, text: &str) -> Result<ReasonKey, Problem> {
    ReasonKey::parse(text).map_err(|error| Problem::field(field, error.to_string()))
}

pub(super) fn hold_name(text: Option<&str>) -> Result<Option<HoldName>, Problem> {
    let name = text.map(HoldName::parse).transpose();
    name.map_err(|error| Problem::field("hold", error.to_string()))
}
