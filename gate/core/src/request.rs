//! The head of a request, checked before anything is judged. What passes means
//! one thing to every reader; the rest is refused before the upstream sees a byte.

use http::header::{self, HeaderName};
use http::{HeaderMap, Method, Uri, Version};

use crate::host::HostName;
use crate::limits;
use crate::path::{CheckedPath, PathError};

/// What is wrong with a request head, whatever the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    #[error("the request names no host")]
    NoHost,
    #[error("the request names more than one host")]
    ManyHosts,
    #[error("the host is not a host name with an optional port")]
    BadHost,
    #[error("the request target must be a path")]
    BadTarget,
    #[error("{0}")]
    BadPath(#[from] PathError),
    #[error("the request target is longer than {} bytes", limits::URI_BYTES_MAX)]
    LongTarget,
    #[error("the method is not allowed")]
    Method,
    #[error("only the transfer coding 'chunked' is understood")]
    TransferCoding,
    #[error("only the expectation '100-continue' is understood")]
    Expectation,
    #[error("a WebSocket upgrade is a GET without a body, version 13")]
    Upgrade,
    #[error("the request carries more than {} cookies", limits::COOKIES_MAX)]
    ManyCookies,
    #[error("the request carries more than one Authorization header")]
    ManyAuthorizations,
    #[error("the API key has a character that is not printable ASCII")]
    OddApiKey,
    #[error("a header that names the user must stand once, with one name in UTF-8")]
    OddTrustedHeader,
    #[error(
        "the request carries more than {} credentials",
        limits::CREDENTIALS_MAX
    )]
    ManyCredentials,
}

/// A head that passed the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedHead {
    pub host: HostName,
    pub path: CheckedPath,
    /// The client asks for a WebSocket (RFC 6455), the one upgrade on the list.
    pub websocket: bool,
}

/// Checks everything about a head that does not depend on the tenant.
pub fn check(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    has_body: bool,
) -> Result<CheckedHead, HeadFault> {
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(HeadFault::Method);
    }
    if uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len())
        > limits::URI_BYTES_MAX
    {
        return Err(HeadFault::LongTarget);
    }
    let host = check_host(uri, headers)?;
    // Authority form ("GET admin") has no path of its own.
    if uri.path_and_query().is_none() {
        return Err(HeadFault::BadTarget);
    }
    let path = CheckedPath::parse(uri.path()).map_err(|error| match error {
        PathError::NotAbsolute => HeadFault::BadTarget,
        PathError::DotSegment
        | PathError::HiddenSeparator
        | PathError::Control
        | PathError::BadEncoding
        | PathError::Fragment => HeadFault::BadPath(error),
    })?;
    check_framing(headers)?;
    if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(HeadFault::ManyAuthorizations);
    }
    let websocket = check_upgrade(method, version, headers, has_body)?;
    Ok(CheckedHead {
        host,
        path,
        websocket,
    })
}

/// Host and `:authority` (hyper keeps it in the URI) must name one host.
fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<HostName, HeadFault> {
    let mut named = headers.get_all(header::HOST).iter();
    let in_header = named.next();
    if named.next().is_some() {
        return Err(HeadFault::ManyHosts);
    }
    let parse = |text: &str| HostName::parse(text).map_err(|_| HeadFault::BadHost);
    let in_header = match in_header {
        Some(value) => Some(parse(value.to_str().map_err(|_| HeadFault::BadHost)?)?),
        None => None,
    };
    let in_target = uri
        .authority()
        .map(|authority| parse(authority.as_str()))
        .transpose()?;
    match (in_header, in_target) {
        (Some(a), Some(b)) if a != b => Err(HeadFault::ManyHosts),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(HeadFault::NoHost),
    }
}

fn check_framing(headers: &HeaderMap) -> Result<(), HeadFault> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || codings.next().is_some() {
            return Err(HeadFault::TransferCoding);
        }
    }
    let continues =
        |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers
        .get_all(header::EXPECT)
        .iter()
        .any(|value| !continues(value))
    {
        return Err(HeadFault::Expectation);
    }
    Ok(())
}

/// Whether this is a WebSocket handshake. Other upgrades (h2c among them) are not
/// errors: RFC 9110 §7.8 lets a server ignore them, and the header is dropped.
fn check_upgrade(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    has_body: bool,
) -> Result<bool, HeadFault> {
    let wants = lists(headers, &header::UPGRADE, "websocket")
        && lists(headers, &header::CONNECTION, "upgrade");
    if !wants || version != Version::HTTP_11 {
        return Ok(false);
    }
    let version_13 = headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .is_some_and(|version| version.as_bytes() == b"13");
    if method == Method::GET && !has_body && version_13 {
        Ok(true)
    } else {
        Err(HeadFault::Upgrade)
    }
}

/// Whether a comma-separated header lists `token`, in any case.
pub fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::Request;

    fn checked(target: &str, headers: &[(&str, &str)]) -> Result<CheckedHead, HeadFault> {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(
            &parts.method,
            &parts.uri,
            parts.version,
            &parts.headers,
            false,
        )
    }

    #[test]
    fn one_host_and_one_only() {
        let host =
            |result: Result<CheckedHead, HeadFault>| result.map(|head| head.host.to_string());
        assert_eq!(
            host(checked("/", &[("host", "A.test:80")])),
            Ok("a.test".into())
        );
        assert_eq!(
            host(checked("http://a.test/x", &[("host", "a.test")])),
            Ok("a.test".into())
        );
        assert_eq!(host(checked("/", &[])), Err(HeadFault::NoHost));
        let twice = [("host", "a.test"), ("host", "a.test")];
        assert_eq!(host(checked("/", &twice)), Err(HeadFault::ManyHosts));
        let other = checked("http://evil.test/adm", &[("host", "a.test")]);
        assert_eq!(host(other), Err(HeadFault::ManyHosts));
        assert_eq!(
            host(checked("/", &[("host", "u@a.test")])),
            Err(HeadFault::BadHost)
        );
    }

    #[test]
    fn a_target_that_is_no_path_is_refused() {
        assert_eq!(
            checked("*", &[("host", "a.test")]),
            Err(HeadFault::BadTarget)
        );
        assert_eq!(
            checked("admin", &[("host", "admin")]),
            Err(HeadFault::BadTarget)
        );
    }

    #[test]
    fn only_plain_chunked_framing_passes() {
        let coded = |coding| checked("/", &[("host", "a.test"), ("transfer-encoding", coding)]);
        assert!(coded("chunked").is_ok());
        for coding in ["gzip, chunked", "gzip", "chunked, identity", "xchunked"] {
            assert_eq!(coded(coding), Err(HeadFault::TransferCoding), "{coding}");
        }
        let expecting = checked("/", &[("host", "a.test"), ("expect", "y 100-continue")]);
        assert_eq!(expecting, Err(HeadFault::Expectation));
    }

    #[test]
    fn connect_and_trace_are_not_for_this_gate() {
        for method in [Method::CONNECT, Method::TRACE] {
            let headers = HeaderMap::new();
            let uri = Uri::from_static("a.test:22");
            let result = check(&method, &uri, Version::HTTP_11, &headers, false);
            assert_eq!(result, Err(HeadFault::Method));
        }
    }

    #[test]
    fn websocket_is_the_one_upgrade() {
        let ask = |upgrade: &str, version: &str| {
            let headers = [
                ("host", "a.test"),
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", upgrade),
                ("sec-websocket-version", version),
            ];
            checked("/ws", &headers).map(|head| head.websocket)
        };
        assert_eq!(ask("WebSocket", "13"), Ok(true));
        assert_eq!(ask("h2c", "13"), Ok(false));
        assert_eq!(ask("websocket", "777"), Err(HeadFault::Upgrade));
    }
}
