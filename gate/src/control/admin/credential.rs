//! The one credential of a request (RFC 6750): a bearer token in the header, or,
//! for the Circularo calls and where it is configured, in the query.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};

use super::access::{Call, permitted};
use super::problem::Problem;
use super::query::Query;

const CHALLENGE: &str = "Bearer realm=\"portcullis\"";

/// Where this request may carry its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryToken {
    Taken,
    /// Not on this call.
    NotHere,
    /// Nowhere on this gate.
    Off,
}

/// The token, taken out of the query so that nothing later can log it.
pub(super) fn take(
    headers: &HeaderMap,
    query: &mut Query,
    query_token: QueryToken,
) -> Result<String, Problem> {
    let from_header = from_header(headers)?;
    match (from_header, query.take("token")) {
        (Some(_), Some(_)) => Err(invalid_request(
            "a header and a parameter both carry a token",
        )),
        (Some(token), None) => Ok(token),
        (None, None) => Err(missing("this call needs a token")),
        (None, Some(token)) => match query_token {
            QueryToken::Taken => Ok(token),
            QueryToken::NotHere => Err(missing("this call takes no token in its query")),
            QueryToken::Off => Err(missing("tokens in the query are not taken on this gate")),
        },
    }
}

fn from_header(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(invalid_request(
            "there is more than one Authorization header",
        ));
    }
    let text = value.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(missing("the Authorization header carries no bearer token"));
    }
    let token = token.trim();
    if token.is_empty() || token.contains(' ') {
        return Err(invalid_request(
            "the Authorization header is not `Bearer TOKEN`",
        ));
    }
    Ok(Some(token.to_owned()))
}

/// No credential: RFC 6750 §3.1 gives no error code then.
fn missing(what: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "token_missing", what)
        .mend("send the header `Authorization: Bearer TOKEN`")
        .with(header::WWW_AUTHENTICATE, CHALLENGE)
}

fn invalid_request(what: &str) -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"invalid_request\"");
    Problem::bad("invalid_credentials", what)
        .mend("send one token, as `Authorization: Bearer TOKEN`")
        .with(header::WWW_AUTHENTICATE, challenge)
}

/// The token is good, and the user whom it belongs to is not.
pub(super) fn user_out() -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"invalid_token\"");
    let what = "the user whom the token belongs to is suspended or deleted";
    Problem::new(StatusCode::UNAUTHORIZED, "token_user_out", what)
        .mend("have the user let back in, or use another token")
        .with(header::WWW_AUTHENTICATE, challenge)
}

/// As RFC 6585, section 4.
pub(super) fn too_many_failures(retry_after: Duration) -> Problem {
    let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
    let what = "too many calls with a bad token came from this address";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", what)
        .mend(format!(
            "use a good token, or wait {seconds} s before trying another"
        ))
        .with(header::RETRY_AFTER, seconds.to_string())
}

/// Unknown, expired and revoked look alike.
pub(super) fn invalid_token() -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"invalid_token\"");
    let what = "the token is unknown, expired or revoked";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_token", what)
        .mend("use one that is in force (`portcullis token create` makes one)")
        .with(header::WWW_AUTHENTICATE, challenge)
}

pub(super) fn wrong_role(role: &str, call: Call) -> Problem {
    let challenge = format!("{CHALLENGE}, error=\"insufficient_scope\"");
    let what = format!("a token of the role {role} may not do this");
    Problem::new(StatusCode::FORBIDDEN, "insufficient_role", what)
        .mend(format!(
            "use a token of the role {}",
            permitted(call).join(" or ")
        ))
        .with(header::WWW_AUTHENTICATE, challenge)
}
