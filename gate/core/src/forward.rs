//! Header rules of forwarding (RFC 9110 §7.6, RFC 9112, RFC 6455). Order matters:
//! first what the client nominated as hop-by-hop goes, then what only the gate may
//! say, and only then does the gate say it.

use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::identify;

/// Hop-by-hop whether nominated by `Connection` or not (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// Connection headers of the ages before RFC 7230, and the offer of h2c.
const CONNECTION_RELICS: [&str; 2] = ["proxy-connection", "http2-settings"];

/// What only the gate may say. Apps read `_` and `.` as `-` in header names (CGI
/// and its heirs), so every spelling counts.
const MANAGED: [&str; 13] = [
    "forwarded",
    "front-end-https",
    // A CGI reads it as HTTP_PROXY.
    "proxy",
    "remote-user",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
const MANAGED_PREFIXES: [&str; 3] = ["x-portcullis-", "x-forwarded-", "x-envoy-"];

/// Headers that the gate judges by: an alias of one must not reach the app.
const JUDGED: [&str; 7] = [
    "authorization",
    "cookie",
    "host",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
];

/// What the gate says about the client.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    pub address: IpAddr,
    /// `http` or `https`, from the socket and never from the request.
    pub scheme: &'static str,
    pub host: &'a HeaderValue,
}

/// What the request goes on as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    Http1,
    /// HTTP/1.1 that asks for an upgrade.
    WebSocket,
    Http2,
}

/// Turns the client's headers into those that the upstream gets.
pub fn request_headers(
    headers: &mut HeaderMap,
    client: &Client<'_>,
    api_key_headers: &[HeaderName],
    onward: Onward,
) {
    let takes_trailers = onward == Onward::Http2 && takes_trailers(headers);
    drop_hop_by_hop(headers);
    drop_claims(headers, api_key_headers);
    headers.remove(header::EXPECT);
    join_cookies(headers);
    if let Ok(address) = HeaderValue::from_str(&client.address.to_string()) {
        headers.insert(HeaderName::from_static("x-forwarded-for"), address);
    }
    headers.insert(
        HeaderName::from_static("x-forwarded-host"),
        client.host.clone(),
    );
    let scheme = HeaderValue::from_static(client.scheme);
    headers.insert(HeaderName::from_static("x-forwarded-proto"), scheme);
    headers.insert(header::HOST, client.host.clone());
    match onward {
        Onward::Http1 => {}
        Onward::WebSocket => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        // A hop of the gate's own making: it says so only where its client did.
        Onward::Http2 if takes_trailers => {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        Onward::Http2 => {}
    }
}

/// Whether the client says that it takes trailers. gRPC servers insist on it, and
/// HTTP/2 allows `TE` to say nothing else (RFC 9113 §8.2.2).
fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Turns the upstream's headers into those that the client gets.
pub fn response_headers(headers: &mut HeaderMap, websocket: bool) {
    drop_hop_by_hop(headers);
    if websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Nominating `Cookie` or `Authorization` as hop-by-hop would hide from the app
/// what the gate judged, so such a nomination is not followed.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().to_ascii_lowercase().parse::<HeaderName>().ok())
        .filter(|name| !JUDGED.contains(&name.as_str()))
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    for name in CONNECTION_RELICS {
        headers.remove(name);
    }
}

/// Drops what only the gate may say, and every alias of what it judges by.
fn drop_claims(headers: &mut HeaderMap, api_key_headers: &[HeaderName]) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name, api_key_headers))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
}

fn is_claim(name: &HeaderName, api_key_headers: &[HeaderName]) -> bool {
    let name = name.as_str();
    // Managed names begin with one of few letters: most headers are done here.
    let first = name.as_bytes().first();
    let may_be_managed = matches!(first, Some(b'x' | b'f' | b'v' | b'p' | b'r' | b't'));
    let aliased = name.bytes().any(|b| b == b'_' || b == b'.');
    if !may_be_managed && !aliased {
        return false;
    }
    let plain;
    let read_as = if aliased {
        plain = name.replace(['_', '.'], "-");
        plain.as_str()
    } else {
        name
    };
    MANAGED.contains(&read_as)
        || MANAGED_PREFIXES
            .iter()
            .any(|prefix| read_as.starts_with(prefix))
        || (aliased
            && (JUDGED.contains(&read_as)
                || api_key_headers
                    .iter()
                    .any(|judged| judged.as_str() == read_as)))
}

/// HTTP/2 may split cookies (RFC 9113 §8.2.3); HTTP/1 wants one header.
fn join_cookies(headers: &mut HeaderMap) {
    let mut values = headers.get_all(header::COOKIE).iter();
    if values.next().is_none() || values.next().is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Takes the named session cookies out of a request.
pub fn without_cookies(headers: &mut HeaderMap, is_dead: impl Fn(&[u8], &[u8]) -> bool) {
    let kept: Vec<Vec<u8>> = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(identify::pairs)
        .filter(|(name, value)| !name.is_empty() && !is_dead(name, value))
        .map(|(name, value)| [name, b"=", value].concat())
        .collect();
    headers.remove(header::COOKIE);
    if let (false, Ok(value)) = (
        kept.is_empty(),
        HeaderValue::from_bytes(&kept.join(&b"; "[..])),
    ) {
        headers.insert(header::COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn forwarded(list: &[(&str, &str)], onward: Onward) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let host = HeaderValue::from_static("a.test");
        let client = Client {
            address: IpAddr::from([192, 0, 2, 7]),
            scheme: "http",
            host: &host,
        };
        let keys = [HeaderName::from_static("x-api-key")];
        request_headers(&mut headers, &client, &keys, onward);
        headers
    }

    #[test]
    fn the_client_cannot_speak_for_the_gate_in_any_spelling() {
        let headers = forwarded(
            &[
                ("x-portcullis-user", "admin"),
                ("X_Portcullis_User", "admin"),
                ("x.portcullis-user", "admin"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x_forwarded_for", "127.0.0.1"),
                ("forwarded", "for=127.0.0.1"),
                ("x-original-url", "/admin"),
                ("x-forwarded-user", "admin"),
                ("remote_user", "admin"),
                ("proxy", "http://evil.test"),
                ("x_api_key", "demo-key-bob"),
                ("co_okie", "kept"),
                ("x-other", "kept"),
            ],
            Onward::Http1,
        );
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "co_okie",
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-other",
        ];
        assert_eq!(names, expected);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
    }

    #[test]
    fn nominated_headers_go_but_not_those_that_are_judged() {
        let headers = forwarded(
            &[
                ("connection", "close, X-Secret, cookie, x-forwarded-for"),
                ("x-secret", "1"),
                ("cookie", "sid=1"),
                ("te", "trailers"),
                ("keep-alive", "5"),
                ("http2-settings", "x"),
                ("upgrade", "h2c"),
            ],
            Onward::Http1,
        );
        for gone in [
            "connection",
            "x-secret",
            "te",
            "keep-alive",
            "http2-settings",
            "upgrade",
        ] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["cookie"], "sid=1");
        assert!(
            headers.contains_key("x-forwarded-for"),
            "the gate's own word stays"
        );
    }

    #[test]
    fn a_websocket_handshake_keeps_its_upgrade() {
        let asked = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
        ];
        let headers = forwarded(&asked, Onward::WebSocket);
        assert_eq!(
            (&headers["connection"], &headers["upgrade"]),
            (
                &HeaderValue::from_static("upgrade"),
                &HeaderValue::from_static("websocket")
            )
        );
    }

    #[test]
    fn trailers_are_asked_for_only_over_http2_and_only_for_who_asked() {
        let te = |value, onward| forwarded(&[("te", value)], onward).remove("te");
        let trailers = Some(HeaderValue::from_static("trailers"));
        assert_eq!(te("Trailers, deflate;q=0.5", Onward::Http2), trailers);
        assert_eq!(te("deflate", Onward::Http2), None);
        assert_eq!(te("trailers", Onward::Http1), None);
    }

    #[test]
    fn split_cookies_are_joined_and_dead_ones_can_be_taken_out() {
        let mut headers = forwarded(
            &[("cookie", "a=1"), ("cookie", "sid=dead; b=2")],
            Onward::Http1,
        );
        assert_eq!(headers.get_all("cookie").iter().count(), 1);
        assert_eq!(headers["cookie"], "a=1; sid=dead; b=2");
        without_cookies(&mut headers, |name, value| {
            name == b"sid" && value == b"dead"
        });
        assert_eq!(headers["cookie"], "a=1; b=2");
    }
}
