//! What a request carries that can say who it is from. All of it is taken, none
//! is preferred: every identity on a request is judged.

mod basic;
mod query;
mod scheme;
mod trusted;
mod url;

pub use basic::{Basic, basic};
pub use query::query_tokens;
pub use trusted::trusted_names;
pub use url::{InTarget, url_sessions};

use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::limits;
use crate::request::HeadFault;

/// Where a tenant's requests carry credentials.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Names of opaque session cookies.
    pub session_cookies: Vec<String>,
    /// Which of them the gate seals: their values are taken as they stand.
    pub sealed_cookies: Vec<bool>,
    /// Where tokens are carried, each place once.
    pub tokens: Vec<TokenPlace>,
    /// Headers that carry API keys.
    pub api_key_headers: Vec<HeaderName>,
    /// Headers that name the user, from listed peers.
    pub trusted_headers: Vec<HeaderName>,
}

impl Sources {
    /// Whether the gate seals the session cookie of that index.
    pub fn is_sealed(&self, cookie: usize) -> bool {
        self.sealed_cookies.get(cookie).copied().unwrap_or_default()
    }

    /// The headers of the tenant's own naming that requests are judged by.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        let tokens = self.tokens.iter().filter_map(|place| match place {
            TokenPlace::Header { name, .. } => Some(name),
            TokenPlace::Bearer | TokenPlace::Cookie(_) | TokenPlace::Query(_) => None,
        });
        let others = self.api_key_headers.iter().chain(&self.trusted_headers);
        tokens.chain(others)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    Cookie(String),
    /// A header of its own, or `Authorization` under a scheme of the app's.
    Header {
        name: HeaderName,
        /// What stands before the token; without one the value is the token.
        scheme: Option<String>,
    },
    /// A parameter of the query (RFC 6750 §2.3).
    Query(String),
}

/// One credential, as it stands in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `cookie` and `source` index into the tenant's [`Sources`].
    Session {
        cookie: usize,
        value: Vec<u8>,
    },
    Token {
        source: usize,
        text: String,
    },
    ApiKey {
        source: usize,
        value: Vec<u8>,
    },
}

/// The cookies, tokens and keys in `headers`, in no order of rank.
pub fn credentials(headers: &HeaderMap, sources: &Sources) -> Result<Vec<Credential>, HeadFault> {
    let mut found = Vec::new();
    let wants_cookies = !sources.session_cookies.is_empty()
        || sources
            .tokens
            .iter()
            .any(|place| matches!(place, TokenPlace::Cookie(_)));
    if wants_cookies {
        let mut count = 0;
        for (name, value) in headers.get_all(COOKIE).iter().flat_map(pairs) {
            count += 1;
            if count > limits::COOKIES_MAX {
                return Err(HeadFault::ManyCookies);
            }
            take_cookie(name, value, sources, &mut found);
        }
    }
    for (source, place) in sources.tokens.iter().enumerate() {
        let texts = header_tokens(headers, place).into_iter();
        found.extend(texts.map(|text| Credential::Token { source, text }));
    }
    for (source, name) in sources.api_key_headers.iter().enumerate() {
        for value in headers.get_all(name) {
            // An app might trim what the gate does not.
            if !value
                .as_bytes()
                .trim_ascii()
                .iter()
                .all(u8::is_ascii_graphic)
            {
                return Err(HeadFault::OddApiKey);
            }
            found.push(Credential::ApiKey {
                source,
                value: value.as_bytes().trim_ascii().to_vec(),
            });
        }
    }
    if found.len() > limits::CREDENTIALS_MAX {
        return Err(HeadFault::ManyCredentials);
    }
    Ok(found)
}

fn take_cookie(name: &[u8], value: &[u8], sources: &Sources, found: &mut Vec<Credential>) {
    for (cookie, wanted) in sources.session_cookies.iter().enumerate() {
        if wanted.as_bytes() == name && !value.is_empty() {
            let value = if sources.is_sealed(cookie) {
                value.to_vec()
            } else {
                canonical_cookie_value(value)
            };
            found.push(Credential::Session { cookie, value });
        }
    }
    for (source, place) in sources.tokens.iter().enumerate() {
        if let TokenPlace::Cookie(wanted) = place
            && wanted.as_bytes() == name
            && !value.is_empty()
        {
            let text = String::from_utf8_lossy(&canonical_cookie_value(value)).into_owned();
            found.push(Credential::Token { source, text });
        }
    }
}

/// The name-value pairs of one `Cookie` header (RFC 6265 §4.2).
pub fn pairs(header: &HeaderValue) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.as_bytes().split(|b| *b == b';').map(|pair| {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii();
        (name, halves.next().unwrap_or_default().trim_ascii())
    })
}

/// One spelling for the values that apps read as equal: without surrounding
/// quotes, and percent-decoded, as the common frameworks do before they look a
/// session up. A user must not get out of sight by writing `%2e` for a dot.
pub fn canonical_cookie_value(value: &[u8]) -> Vec<u8> {
    let bare = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value);
    percent_encoding::percent_decode(bare).collect()
}

/// The tokens that `headers` carry at `place`, odd ones as empty text.
fn header_tokens(headers: &HeaderMap, place: &TokenPlace) -> Vec<String> {
    match place {
        TokenPlace::Bearer => headers
            .get_all(AUTHORIZATION)
            .iter()
            .filter_map(|value| scheme::behind(value, "bearer"))
            .collect(),
        TokenPlace::Header { name, scheme } => headers
            .get_all(name)
            .iter()
            .filter_map(|value| header_token(name, scheme.as_deref(), value))
            .collect(),
        TokenPlace::Cookie(_) | TokenPlace::Query(_) => Vec::new(),
    }
}

fn header_token(name: &HeaderName, scheme: Option<&str>, value: &HeaderValue) -> Option<String> {
    let Some(scheme) = scheme else {
        let text = value.as_bytes().trim_ascii();
        return (!text.is_empty()).then(|| scheme::token68(text));
    };
    match scheme::behind(value, scheme) {
        // `Authorization` is for other schemes too; a header of its own is not.
        None if name != AUTHORIZATION => Some(String::new()),
        found => found,
    }
}

/// A cookie that a response sets (RFC 6265 §5.2), as far as the gate needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    /// Index into [`Sources::session_cookies`].
    pub cookie: usize,
    pub value: Vec<u8>,
    /// The cookie is being taken back (empty, or expired at once).
    pub expires: bool,
    pub path: Option<String>,
    pub domain: Option<String>,
}

/// The session cookies that a response sets or takes back.
pub fn set_cookies(headers: &HeaderMap, sources: &Sources) -> Vec<SetCookie> {
    headers
        .get_all(http::header::SET_COOKIE)
        .iter()
        .filter_map(|header| parse_set_cookie(header.as_bytes(), sources))
        .collect()
}

/// Takes the session cookies out of what the app sets.
pub fn without_set_cookies(headers: &mut HeaderMap, sources: &Sources) {
    let all = headers.get_all(http::header::SET_COOKIE).iter();
    let others: Vec<HeaderValue> = all
        .filter(|line| parse_set_cookie(line.as_bytes(), sources).is_none())
        .cloned()
        .collect();
    headers.remove(http::header::SET_COOKIE);
    for line in others {
        headers.append(http::header::SET_COOKIE, line);
    }
}

fn parse_set_cookie(header: &[u8], sources: &Sources) -> Option<SetCookie> {
    let mut parts = header.split(|b| *b == b';');
    let mut pair = parts.next()?.splitn(2, |b| *b == b'=');
    let (name, value) = (pair.next()?.trim_ascii(), pair.next()?.trim_ascii());
    let cookie = sources
        .session_cookies
        .iter()
        .position(|wanted| wanted.as_bytes() == name)?;
    let mut set = SetCookie {
        cookie,
        value: canonical_cookie_value(value),
        expires: value.is_empty() || value == b"\"\"",
        path: None,
        domain: None,
    };
    for attribute in parts {
        let mut halves = attribute.splitn(2, |b| *b == b'=');
        let name = halves
            .next()
            .unwrap_or_default()
            .trim_ascii()
            .to_ascii_lowercase();
        let value = String::from_utf8_lossy(halves.next().unwrap_or_default().trim_ascii());
        match name.as_slice() {
            b"path" => set.path = Some(value.into_owned()),
            b"domain" => set.domain = Some(value.into_owned()),
            b"max-age" => set.expires |= value.starts_with('-') || value == "0",
            b"expires" => set.expires |= value.contains("1970"),
            _ => {}
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sources() -> Sources {
        Sources {
            session_cookies: vec!["sid".into()],
            tokens: vec![TokenPlace::Bearer, TokenPlace::Cookie("jwt".into())],
            api_key_headers: vec![HeaderName::from_static("x-api-key")],
            ..Sources::default()
        }
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn session(value: &str) -> Credential {
        Credential::Session {
            cookie: 0,
            value: value.into(),
        }
    }

    #[test]
    fn every_credential_is_taken() {
        let map = headers(&[
            ("cookie", "a=1; sid=one; jwt=t1"),
            ("cookie", "sid=two"),
            ("authorization", "bEaReR t2"),
            ("x-api-key", "k1"),
            ("x-api-key", "k2"),
        ]);
        let found = credentials(&map, &sources()).unwrap();
        let expected = [
            session("one"),
            Credential::Token {
                source: 1,
                text: "t1".into(),
            },
            session("two"),
            Credential::Token {
                source: 0,
                text: "t2".into(),
            },
            Credential::ApiKey {
                source: 0,
                value: b"k1".to_vec(),
            },
            Credential::ApiKey {
                source: 0,
                value: b"k2".to_vec(),
            },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn spellings_of_one_cookie_are_one_session() {
        for spelling in ["sid=a.b", "sid=\"a.b\"", "sid=a%2Eb", " sid = a%2eb "] {
            let found = credentials(&headers(&[("cookie", spelling)]), &sources()).unwrap();
            assert_eq!(found, [session("a.b")], "{spelling}");
        }
    }

    #[test]
    fn tokens_are_taken_from_headers_of_the_tenants_naming() {
        let place = |name: &'static str, scheme: Option<&str>| TokenPlace::Header {
            name: HeaderName::from_static(name),
            scheme: scheme.map(str::to_owned),
        };
        let sources = Sources {
            tokens: vec![
                TokenPlace::Bearer,
                place("authorization", Some("JWT")),
                place("x-token", None),
                place("x-app", Some("Token")),
            ],
            ..Sources::default()
        };
        let texts = |list: &[(&'static str, &str)]| {
            let found = credentials(&headers(list), &sources).unwrap();
            let text = |credential| match credential {
                Credential::Token { source, text } => (source, text),
                other @ (Credential::Session { .. } | Credential::ApiKey { .. }) => {
                    panic!("{other:?}")
                }
            };
            found.into_iter().map(text).collect::<Vec<_>>()
        };
        let one = |source, text: &str| vec![(source, text.to_owned())];
        assert_eq!(texts(&[("authorization", "jwt a.b.c")]), one(1, "a.b.c"));
        assert_eq!(texts(&[("authorization", "Bearer a")]), one(0, "a"));
        assert!(texts(&[("authorization", "Basic YTpi")]).is_empty());
        assert_eq!(
            texts(&[("x-token", "a"), ("x-token", " b ")]),
            [(2, "a".to_owned()), (2, "b".to_owned())]
        );
        assert_eq!(texts(&[("x-token", "a, b")]), one(2, ""));
        assert_eq!(texts(&[("x-token", "Bearer a")]), one(2, ""));
        assert!(texts(&[("x-token", "")]).is_empty());
        assert_eq!(texts(&[("x-app", "token a")]), one(3, "a"));
        assert_eq!(texts(&[("x-app", "a")]), one(3, ""));
    }

    #[test]
    fn a_flood_of_cookies_is_refused() {
        let flood = "a=;".repeat(limits::COOKIES_MAX + 1);
        let result = credentials(&headers(&[("cookie", &flood)]), &sources());
        assert_eq!(result, Err(HeadFault::ManyCookies));
    }

    #[test]
    fn a_set_cookie_is_read_with_its_scope() {
        let set = |text: &str| set_cookies(&headers(&[("set-cookie", text)]), &sources());
        let fresh = &set("sid=abc; Path=/app; Domain=a.test; HttpOnly")[0];
        assert_eq!(
            (fresh.value.as_slice(), fresh.expires),
            (b"abc".as_slice(), false)
        );
        assert_eq!(
            (fresh.path.as_deref(), fresh.domain.as_deref()),
            (Some("/app"), Some("a.test"))
        );
        for gone in [
            "sid=",
            "sid=\"\"; Path=/",
            "sid=x; Max-Age=0",
            "sid=x; expires=Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert!(set(gone)[0].expires, "{gone}");
        }
        assert!(set("other=1").is_empty());
        let mut all = headers(&[
            ("set-cookie", "a=1"),
            ("set-cookie", "sid=abc"),
            ("set-cookie", "b=2"),
            ("set-cookie", " sid = ; Path=/"),
        ]);
        without_set_cookies(&mut all, &sources());
        let left: Vec<_> = all.get_all("set-cookie").iter().collect();
        assert_eq!(left, ["a=1", "b=2"]);
    }
}
