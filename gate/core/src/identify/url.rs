//! Sessions in the target: servers of the servlet family take them from a parameter
//! of the path (`;jsessionid=`, Servlet 6 §7.1.3) where no cookie comes, and others
//! from the query. What has the name of a session cookie is judged there, too.

use http::Uri;

use super::query::decoded;
use super::{Sources, canonical_cookie_value};
use crate::login::fields::alike;

/// A session in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTarget {
    /// Index into [`Sources::session_cookies`].
    pub cookie: usize,
    pub value: Vec<u8>,
    /// It stands in the path, not in the query.
    pub in_path: bool,
}

/// Every session that `uri` carries.
pub fn url_sessions(uri: &Uri, sources: &Sources) -> Vec<InTarget> {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    if sources.session_cookies.is_empty() || (query.is_empty() && !path.contains(';')) {
        return Vec::new();
    }
    let in_path = path
        .split('/')
        .flat_map(|segment| segment.split(';').skip(1));
    let in_query = query.split(['&', ';']);
    let all = in_path
        .map(|pair| (pair, true))
        .chain(in_query.map(|pair| (pair, false)));
    let mut found = Vec::new();
    for (pair, in_path) in all {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let name = decoded(name);
        for (cookie, wanted) in sources.session_cookies.iter().enumerate() {
            if !value.is_empty() && !sources.is_sealed(cookie) && alike(&name, wanted) {
                found.push(InTarget {
                    cookie,
                    value: canonical_cookie_value(value.as_bytes()),
                    in_path,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_session_in_the_target_is_not_overlooked() {
        let sources = Sources {
            session_cookies: vec!["JSESSIONID".into()],
            ..Sources::default()
        };
        let found = |target: &str| {
            let found = url_sessions(&target.parse().unwrap(), &sources);
            let values = found.into_iter().map(|found| found.value);
            values
                .map(|value| String::from_utf8(value).unwrap())
                .collect::<Vec<_>>()
        };
        for target in [
            "/me;jsessionid=abc",
            "/a;x=1;JSESSIONID=abc/b",
            "/me;%6asessionid=%61bc",
            "/me?JSESSIONID=abc",
            "/me?x=1&jsessionid=abc",
            "/me?+jsessionid=abc",
        ] {
            assert_eq!(found(target), ["abc"], "{target}");
        }
        for target in ["/me", "/jsessionid=abc", "/me;jsessionid=", "/me?other=abc"] {
            assert!(found(target).is_empty(), "{target}");
        }
    }
}
