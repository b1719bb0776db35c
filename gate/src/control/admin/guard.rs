//! What protects the admin listener from browsers that are sent to it: a page
//! elsewhere may neither reach it under a name of its own (DNS rebinding) nor
//! have a visitor's browser call anything. There is no CORS either, so a page
//! elsewhere could not read an answer or send a token; this stops what is left.

use std::net::{Ipv4Addr, Ipv6Addr};

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
    // A link to the pages for people may stand anywhere.
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.uri().path().starts_with("/api/");
    if is_page {
        Ok(())
    } else {
        check_origin(headers, host)
    }
}

fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let cross = |header: &str, what: &str| {
        Err(Problem::new(StatusCode::FORBIDDEN, "cross_origin", what)
            .of(header)
            .mend("call it from the listener's own pages, or without a browser"))
    };
    // `same-site` is another port of this machine, say: not this listener's page.
    let site = headers.contains_key(&SEC_FETCH_SITE);
    if site && !matches!(only(headers, &SEC_FETCH_SITE), Some("same-origin" | "none")) {
        return cross(
            "Sec-Fetch-Site",
            "a page of another site may call nothing here",
        );
    }
    if !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let origin = only(headers, &header::ORIGIN).unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        Ok(())
    } else {
        cross("Origin", "a page of another origin may call nothing here")
    }
}

/// The value of a header that is there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok();
    value.filter(|_| all.next().is_none())
}

/// Names that nobody else's DNS can point here: addresses, and what every system
/// takes for itself (RFC 6761, section 6.3). With a port or without.
fn is_own(host: &str) -> bool {
    let (is_own, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let end = host.find(':').unwrap_or(host.len());
            let (name, port) = host.split_at(end);
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            let is_localhost = name == "localhost" || name.ends_with(".localhost");
            (is_localhost || name.parse::<Ipv4Addr>().is_ok(), port)
        }
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = |port: &str| digits(port) && port.parse::<u16>().is_ok();
    is_own && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_names_that_cannot_be_rebound_are_own() {
        for own in [
            "127.0.0.1:8081",
            "127.0.0.1",
            "127.0.0.1.:8081",
            "[::1]:8081",
            "[::1]",
            "[::ffff:127.0.0.1]:8081",
            "localhost:8081",
            "localhost.:8081",
            "LOCALHOST",
            "gate.localhost",
            "Gate.LocalHost.:80",
            "10.1.2.3:80",
            "0.0.0.0:8081",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "",
            ":8081",
            "evil.example",
            "evil.example.",
            "EVIL.example:8081",
            "localhost.evil.example",
            "localhost..",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "admin@localhost:8081",
            "localhost:8081@evil.example",
            "localhost:x",
            "localhost:",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "localhost:80/evil.example",
            "[::1",
            "[::1]evil.example",
            "[::1].evil.example:80",
            "[localhost]:80",
            "[127.0.0.1]:80",
            "::1",
            "2130706433",
            "127.1",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "localhost evil.example",
            "localhost,evil.example",
            "loc\u{e4}lhost",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }

    /// The code of what is refused; none where the request may go on.
    fn judge(call: &str, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let (method, target) = call.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        check(&request).err().map(|problem| problem.status())
    }

    const HOST: (&str, &str) = ("host", "localhost:8081");
    const MISDIRECTED: Option<StatusCode> = Some(StatusCode::MISDIRECTED_REQUEST);
    const CROSS: Option<StatusCode> = Some(StatusCode::FORBIDDEN);

    #[test]
    fn one_host_is_named_and_a_target_goes_before_it() {
        let suspend = "POST /api/v1/users/bob/suspend";
        assert_eq!(judge(suspend, &[HOST]), None);
        assert_eq!(judge(suspend, &[]), MISDIRECTED);
        assert_eq!(judge(suspend, &[HOST, HOST]), MISDIRECTED);
        assert_eq!(judge("GET /", &[("host", "evil.example")]), MISDIRECTED);
        let evil = "GET http://evil.example/api/v1/users";
        assert_eq!(judge(evil, &[HOST]), MISDIRECTED);
        let own = "GET http://127.0.0.1:8081/api/v1/users";
        assert_eq!(judge(own, &[("host", "evil.example")]), None);
        let signed_in = "GET http://localhost@evil.example/api/v1/users";
        assert_eq!(judge(signed_in, &[HOST]), MISDIRECTED);
        let signed_in = "GET http://evil.example@localhost/api/v1/users";
        assert_eq!(judge(signed_in, &[HOST]), MISDIRECTED);
    }

    #[test]
    fn pages_of_other_origins_call_nothing_whatever_the_method() {
        let calls = [
            "POST /api/v1/users/bob/suspend",
            "PUT /api/v1/users/bob",
            "DELETE /api/v1/users/bob/sessions",
            "OPTIONS /api/v1/users",
            "PATCH /api/v1/users/bob",
            "GET /api/v1/users",
            "HEAD /api/v1/audit",
            "POST /",
        ];
        for call in calls {
            for origin in [
                "http://evil.example",
                "http://localhost",
                "http://localhost:3000",
                "http://127.0.0.1:8081",
                "http://localhost:8081.evil.example",
                "http://evil.example/localhost:8081",
                "http://evil@localhost:8081",
                "localhost:8081",
                "null",
                "",
            ] {
                let headers = [HOST, ("origin", origin)];
                assert_eq!(judge(call, &headers), CROSS, "{call} {origin}");
            }
            let own = ("origin", "http://LOCALHOST:8081");
            assert_eq!(judge(call, &[HOST, own, own]), CROSS, "{call}: two origins");
            assert_eq!(judge(call, &[HOST, own]), None, "{call}");
            for site in ["cross-site", "same-site", "Same-Origin", "", "new-word"] {
                let headers = [HOST, own, ("sec-fetch-site", site)];
                assert_eq!(judge(call, &headers), CROSS, "{call} {site}");
            }
            let twice = ("sec-fetch-site", "same-origin");
            assert_eq!(judge(call, &[HOST, own, twice, twice]), CROSS, "{call}");
            for site in ["same-origin", "none"] {
                let headers = [HOST, own, ("sec-fetch-site", site)];
                assert_eq!(judge(call, &headers), None, "{call} {site}");
            }
        }
    }

    #[test]
    fn pages_for_people_can_be_linked_to_and_are_not_to_be_changed() {
        let from_elsewhere = [HOST, ("sec-fetch-site", "cross-site")];
        assert_eq!(judge("GET /", &from_elsewhere), None);
        assert_eq!(judge("HEAD /healthz", &from_elsewhere), None);
        assert_eq!(judge("POST /healthz", &from_elsewhere), CROSS);
    }
}
