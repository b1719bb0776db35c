//! What a request is about: to look, or to act. A hold that leaves looking allowed
//! goes by it.
//!
//! The method says so: GET, HEAD and OPTIONS are those safe ones (RFC 9110 §9.2.1)
//! that every app knows. But some frameworks take the method from a header or from
//! the query whatever the request line says (WordPress' REST API does with a GET),
//! so what names an unsafe one there acts.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Deed {
    /// It may change something.
    #[default]
    Act,
    /// It changes nothing that it could be asked to answer for; or it has to do with
    /// coming and going alone (a login, a logout).
    Look,
}

/// Headers that name the method in place of the request line.
const METHOD_HEADERS: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];
/// The parameter of Rails, Laravel, Symfony and WordPress.
const METHOD_PARAMETER: &[u8] = b"_method";

impl Deed {
    /// What the head of a request says. `upgrades`: it asks for another protocol,
    /// in which whatever comes can't be told apart any more.
    pub fn of(method: &Method, query: Option<&str>, headers: &HeaderMap, upgrades: bool) -> Self {
        let looks = !upgrades
            && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
            && headers_look(headers)
            && query.is_none_or(query_looks);
        if looks { Self::Look } else { Self::Act }
    }
}

/// Apps read `_` and `.` as `-` in header names (CGI and its heirs).
fn headers_look(headers: &HeaderMap) -> bool {
    let dashed = |byte: u8| match byte {
        b'_' | b'.' => b'-',
        other => other,
    };
    let names_method = |name: &[u8]| {
        METHOD_HEADERS.iter().any(|known| {
            known.len() == name.len()
                && name.iter().zip(known.bytes()).all(|(b, k)| dashed(*b) == k)
        })
    };
    headers
        .iter()
        .filter(|(name, _)| names_method(name.as_str().as_bytes()))
        .all(|(_, value)| is_safe(value.as_bytes()))
}

fn query_looks(query: &str) -> bool {
    query.split(['&', ';']).all(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !names_method(name) || is_safe(&percent_decode_str(value).collect::<Vec<u8>>())
    })
}

/// Whether a parameter's name is read as the method's: PHP trims it and reads `.`
/// and a space as `_`, and what follows a `[` is a key within it.
fn names_method(name: &str) -> bool {
    if name.len() < METHOD_PARAMETER.len() {
        return false;
    }
    let name: Cow<'_, [u8]> = percent_decode_str(name).into();
    let start = name.iter().position(|b| !matches!(b, b' ' | b'+'));
    let name = &name[start.unwrap_or(name.len())..];
    let end = name.iter().position(|b| matches!(b, b'[' | 0));
    let name = &name[..end.unwrap_or(name.len())];
    let underscored = |byte: u8| match byte {
        b'.' | b' ' | b'+' => b'_',
        other => other.to_ascii_lowercase(),
    };
    name.len() == METHOD_PARAMETER.len()
        && name
            .iter()
            .map(|b| underscored(*b))
            .eq(METHOD_PARAMETER.iter().copied())
}

fn is_safe(method: &[u8]) -> bool {
    let method = method.trim_ascii();
    ["GET", "HEAD", "OPTIONS"]
        .iter()
        .any(|safe| method.eq_ignore_ascii_case(safe.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn of(method: &str, query: Option<&str>, headers: &[(&str, &str)]) -> Deed {
        let named = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        let headers: HeaderMap = headers.iter().map(named).collect();
        Deed::of(&method.parse().unwrap(), query, &headers, false)
    }

    #[test]
    fn safe_methods_look_and_all_others_act() {
        for safe in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(
                of(safe, Some("page=2&q="), &[("accept", "*/*")]),
                Deed::Look
            );
        }
        for other in ["POST", "PUT", "PATCH", "DELETE", "get", "PROPFIND", "QUERY"] {
            assert_eq!(of(other, None, &[]), Deed::Act, "{other}");
        }
        let upgrade = Deed::of(&Method::GET, None, &HeaderMap::new(), true);
        assert_eq!(upgrade, Deed::Act);
    }

    #[test]
    fn a_method_that_is_named_elsewhere_counts() {
        for name in [
            "X-HTTP-Method-Override",
            "x_http_method.override",
            "X-HTTP-Method",
            "X-Method-Override",
        ] {
            assert_eq!(of("GET", None, &[(name, "DELETE")]), Deed::Act, "{name}");
            assert_eq!(of("GET", None, &[(name, "")]), Deed::Act, "{name}");
            assert_eq!(of("GET", None, &[(name, " head ")]), Deed::Look, "{name}");
            let both = [(name, "GET"), (name, "PUT")];
            assert_eq!(of("GET", None, &both), Deed::Act, "{name}");
        }
        for query in [
            "_method=DELETE",
            "a=1&_method=put",
            "a=1;_method=PUT",
            "%5Fmethod=DELETE",
            ".method=DELETE",
            "+_METHOD=DELETE",
            "%20_method[x]=DELETE",
            "_method",
            "_method=GET&_method=DELETE",
            "_method=%44ELETE",
        ] {
            assert_eq!(of("GET", Some(query), &[]), Deed::Act, "{query}");
        }
        for query in [
            "_method=get",
            "_methods=DELETE",
            "method=DELETE",
            "",
            "&&=",
            "_method=%47ET",
        ] {
            assert_eq!(of("GET", Some(query), &[]), Deed::Look, "{query}");
        }
    }
}
