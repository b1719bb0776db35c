//! Header rules of forwarding (RFC 9110 §7.6, RFC 9112, RFC 6455). Order matters:
//! first what the client nominated as hop-by-hop goes, then what only the gate may
//! say, and only then does the gate say it.

use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::identify::{self, Sources};

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

/// The headers of the tenant's own naming that say who a request is from.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub sources: &'a Sources,
    /// Those of its trusted headers for which the request's peer is listed: they
    /// go to the app as they came, and from anyone else they do not.
    pub listed: &'a [HeaderName],
}

impl Named<'_> {
    fn is_judged(&self, name: &str) -> bool {
        let mut own = self.sources.headers();
        JUDGED.contains(&name) || own.any(|judged| judged.as_str() == name)
    }
}

/// Turns the client's headers into those that the upstream gets.
pub fn request_headers(
    headers: &mut HeaderMap,
    client: &Client<'_>,
    named: &Named<'_>,
    onward: Onward,
) {
    let takes_trailers = onward == Onward::Http2 && takes_trailers(headers);
    drop_hop_by_hop(headers, Some(named));
    drop_claims(headers, named);
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
    drop_hop_by_hop(headers, None);
    if websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Nominating `Cookie` or `Authorization` as hop-by-hop would hide from the app
/// what the gate judged, so such a nomination is not followed.
fn drop_hop_by_hop(headers: &mut HeaderMap, named: Option<&Named<'_>>) {
    let is_judged = |name: &HeaderName| match named {
        Some(named) => named.is_judged(name.as_str()),
        None => JUDGED.contains(&name.as_str()),
    };
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().to_ascii_lowercase().parse::<HeaderName>().ok())
        .filter(|name| !is_judged(name))
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
fn drop_claims(headers: &mut HeaderMap, named: &Named<'_>) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name, named))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
}

fn is_claim(name: &HeaderName, named: &Named<'_>) -> bool {
    if named.sources.trusted_headers.contains(name) {
        return !named.listed.contains(name);
    }
    let name = name.as_str();
    // Managed names begin with one of few letters: most headers are done here.
    let first = name.as_bytes().first();
    let may_be_managed = matches!(first, Some(b'x' | b'f' | b'v' | b'p' | b'r' | b't'));
    let aliased = name.bytes().any(|b| b == b'_' || b == b'.');
    ((may_be_managed || aliased) && is_managed(name)) || aliases_judged(name, aliased, named)
}

/// Whether `name` is another spelling of a header that the gate judges by. The
/// header itself may be spelt with `_`.
fn aliases_judged(name: &str, aliased: bool, named: &Named<'_>) -> bool {
    let own = || named.sources.headers().map(HeaderName::as_str);
    let reads_as_judged = |judged: &&str| reads_as(name, judged);
    (aliased && JUDGED.iter().any(reads_as_judged))
        || (own().any(|judged| reads_as_judged(&judged)) && own().all(|judged| judged != name))
}

/// Whether a CGI or its heirs would take one header for the other.
fn reads_as(one: &str, other: &str) -> bool {
    let plain = |b: u8| if matches!(b, b'_' | b'.') { b'-' } else { b };
    one.len() == other.len()
        && one
            .bytes()
            .zip(other.bytes())
            .all(|(a, b)| plain(a) == plain(b))
}

/// Whether requests may not carry the header `name` (in lower case), in any
/// spelling: only the gate may say it.
pub fn is_managed(name: &str) -> bool {
    let plain;
    let read_as = if name.bytes().any(|b| b == b'_' || b == b'.') {
        plain = name.replace(['_', '.'], "-");
        plain.as_str()
    } else {
        name
    };
    let mut prefixes = MANAGED_PREFIXES.iter();
    MANAGED.contains(&read_as) || prefixes.any(|prefix| read_as.starts_with(prefix))
}

/// Whether the header `name` (in lower case) is the protocol's or the gate's own
/// word, and so can name no user.
pub fn is_reserved(name: &str) -> bool {
    const WRITTEN: [&str; 5] = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "expect",
        "te",
    ];
    WRITTEN.contains(&name)
        || name.starts_with("x-portcullis-")
        || JUDGED.contains(&name)
        || CONNECTION_RELICS.contains(&name)
        || HOP_BY_HOP.iter().any(|hop| hop.as_str() == name)
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
    rewrite_cookies(headers, |name, value| {
        (!name.is_empty() && !is_dead(name, value)).then(|| value.to_vec())
    });
}

/// Gives each cookie of a request the value that `rewrite` makes of it, or none.
pub fn rewrite_cookies(headers: &mut HeaderMap, rewrite: impl Fn(&[u8], &[u8]) -> Option<Vec<u8>>) {
    let kept: Vec<Vec<u8>> = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(identify::pairs)
        .filter_map(|(name, value)| Some([name, b"=", &rewrite(name, value)?].concat()))
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
    use crate::identify::TokenPlace;

    fn forwarded_from(list: &[(&str, &str)], onward: Onward, trusted: bool) -> HeaderMap {
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
        let sources = Sources {
            api_key_headers: vec![HeaderName::from_static("x-api-key")],
            trusted_headers: ["x-auth-user", "remote-user"]
                .map(HeaderName::from_static)
                .to_vec(),
            tokens: vec![TokenPlace::Header {
                name: HeaderName::from_static("x_token"),
                scheme: None,
            }],
            ..Sources::default()
        };
        let named = Named {
            sources: &sources,
            listed: if trusted {
                &sources.trusted_headers
            } else {
                &[]
            },
        };
        request_headers(&mut headers, &client, &named, onward);
        headers
    }

    fn forwarded(list: &[(&str, &str)], onward: Onward) -> HeaderMap {
        forwarded_from(list, onward, false)
    }

    #[test]
    fn a_header_that_names_users_passes_from_listed_peers_alone_and_in_one_spelling() {
        let list = [
            ("x-auth-user", "bob"),
            ("x_auth_user", "alice"),
            ("x.auth-user", "alice"),
            ("remote-user", "bob"),
            ("remote_user", "alice"),
            ("x_token", "t"),
            ("x-token", "alias"),
            ("x-other", "1"),
            ("connection", "x-auth-user"),
        ];
        let names = |trusted| {
            let headers = forwarded_from(&list, Onward::Http1, trusted);
            let own = |name: &HeaderName| {
                let name = name.as_str();
                name != "host" && !name.starts_with("x-forwarded-")
            };
            let mut names: Vec<String> = headers
                .keys()
                .filter(|name| own(name))
                .map(ToString::to_string)
                .collect();
            names.sort_unstable();
            names
        };
        assert_eq!(
            names(true),
            ["remote-user", "x-auth-user", "x-other", "x_token"]
        );
        assert_eq!(names(false), ["x-other", "x_token"]);
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
