//! What protects the admin listener from browsers that are sent to it: a page
//! elsewhere may neither reach it under a name of its own (DNS rebinding) nor
//! have a visitor's browser change anything.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// What a browser says of where a request comes from (W3C Fetch Metadata).
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

fn check(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    // Of the two, a server goes by the target (RFC 9112 §3.2.2).
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => only(headers, &header::HOST).unwrap_or_default(),
    };
    if !is_own(host) {
        let status = StatusCode::MISDIRECTED_REQUEST;
        let what = format!("the admin listener does not go by the name {host:?}");
        return Err(Problem::new(status, "wrong_host", what)
            .of("Host")
            .mend("call it by its IP address or as localhost"));
    }
    match *request.method() {
        Method::GET | Method::HEAD => Ok(()),
        _ => check_origin(headers, host),
    }
}

fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let cross = |what: &str| {
        Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", what)
            .of("Origin")
            .mend("make changes from the listener's own pages, or without a browser"))
    };
    if only(headers, &SEC_FETCH_SITE) == Some("cross-site") {
        return cross("a page of another site may change nothing here");
    }
    if !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let origin = only(headers, &header::ORIGIN).unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        Ok(())
    } else {
        cross("a page of another origin may change nothing here")
    }
}

/// The value of a header that is there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok();
    value.filter(|_| all.next().is_none())
}

/// Names that nobody else's DNS can point here.
fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_be_rebound_are_own() {
        for own in [
            "127.0.0.1:8081",
            "127.0.0.1",
            "[::1]:8081",
            "localhost:8081",
            "LOCALHOST",
            "gate.localhost",
            "10.1.2.3:80",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:8081",
            "127.0.0.1.evil.example",
            "notlocalhost",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
