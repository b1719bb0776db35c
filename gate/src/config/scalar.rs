//! Readers of single values. Each says what is wrong and the mend.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderName;
use http::uri::{Authority, PathAndQuery, Uri};
use portcullis_core::path::CheckedPath;
use toml::de::DeValue;

use super::{Upstream, UpstreamProtocol};

type Read<T> = Result<T, String>;

/// A value's type, with its article, for people.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn wrong<T>(value: &DeValue<'_>, expected: &str) -> Read<T> {
    Err(format!("must be {expected}, not {}", kind(value)))
}

/// Text in quotes, not empty.
pub(super) fn text<'a>(value: &'a DeValue<'_>) -> Read<&'a str> {
    match value.as_str() {
        Some("") => Err("must not be empty; write a value or remove the key".to_owned()),
        Some(text) => Ok(text),
        None => wrong(value, "text in quotes"),
    }
}

pub(super) fn flag(value: &DeValue<'_>) -> Read<bool> {
    value
        .as_bool()
        .map_or_else(|| wrong(value, "true or false (without quotes)"), Ok)
}

/// A whole number from `least` to `most`.
pub(super) fn whole(value: &DeValue<'_>, least: usize, most: usize) -> Read<usize> {
    let expected = format!("a whole number from {least} to {most}");
    let Some(integer) = value.as_integer() else {
        return wrong(value, &expected);
    };
    let number = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be {expected}, not {integer}"))
}

/// One of a few words.
pub(super) fn word<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Read<T> {
    let expected = || {
        let list: Vec<_> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        format!("one of {}", list.join(", "))
    };
    let Some(given) = value.as_str() else {
        return wrong(value, &expected());
    };
    words
        .iter()
        .find(|(word, _)| *word == given)
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| format!("must be {}, not {given:?}", expected()))
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// A duration such as `"15s"` or `"1m 30s"`, from `least` to a week.
pub(super) fn duration(value: &DeValue<'_>, least: Duration) -> Read<Duration> {
    duration_within(value, least, WEEK)
}

/// A duration from `least` to `most`.
pub(super) fn duration_within(
    value: &DeValue<'_>,
    least: Duration,
    most: Duration,
) -> Read<Duration> {
    let expected = "a duration with its unit in quotes, such as \"15s\", \"500ms\" or \"2m\"";
    let Some(given) = value.as_str() else {
        return wrong(value, expected);
    };
    let read = humantime::parse_duration(given)
        .map_err(|_| format!("must be {expected}, not {given:?}"))?;
    if (least..=most).contains(&read) {
        return Ok(read);
    }
    Err(format!(
        "must be from {} to {}, not {given:?}",
        humantime::format_duration(least),
        in_days(most),
    ))
}

/// humantime speaks of months, which differ in length.
fn in_days(duration: Duration) -> String {
    format!("{}days", duration.as_secs() / (24 * 3600))
}

/// An address to listen on.
pub(super) fn address(value: &DeValue<'_>) -> Read<SocketAddr> {
    let given = text(value)?;
    given.parse().map_err(|_| {
        format!(
            "{given:?} is not an IP address with a port; write one such as \"127.0.0.1:8080\" or \"[::]:8080\""
        )
    })
}

/// `http://HOST[:PORT]` or `h2c://HOST[:PORT]`.
pub(super) fn upstream(value: &DeValue<'_>) -> Read<Upstream> {
    let given = text(value)?;
    if has_userinfo(given) {
        return Err(
            "has a user name in it, and the gate does not sign in to upstreams; remove what stands before the '@'"
                .to_owned(),
        );
    }
    let bad = |what: &str| format!("{given:?} {what}; write one such as \"http://127.0.0.1:9000\"");
    let uri: Uri = given.parse().map_err(|_| bad("is not a URL"))?;
    let protocol = match uri.scheme_str() {
        Some("http") => UpstreamProtocol::Http1,
        Some("h2c") => UpstreamProtocol::Http2,
        Some("https") => {
            return Err(
                "TLS to upstreams is not built yet; use http:// over a network that you trust"
                    .to_owned(),
            );
        }
        Some(_) | None => return Err(bad("does not begin with http:// or h2c://")),
    };
    if uri.path() != "/" || uri.query().is_some() {
        return Err(bad(
            "has a path; requests keep the path that the client sent",
        ));
    }
    let authority: &Authority = uri.authority().ok_or_else(|| bad("has no host"))?;
    let port_is_fine = authority.as_str() == authority.host()
        || authority.port_u16().is_some_and(|port| port != 0);
    if authority.host().is_empty() || !port_is_fine {
        return Err(bad("has no usable host and port"));
    }
    Ok(Upstream {
        protocol,
        authority: authority.clone(),
    })
}

/// Whether a URL holds a user's name, and so perhaps a password. Asked before all
/// else: what is wrong with it is told, and it must not be.
pub(super) fn has_userinfo(url: &str) -> bool {
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = behind_scheme.split(['/', '?', '#']).next();
    authority.is_some_and(|authority| authority.contains('@'))
}

/// A path of the tenant's own host, with a query or without.
pub(super) fn path_and_query(value: &DeValue<'_>) -> Read<PathAndQuery> {
    let given = text(value)?;
    let bad = |what: &str| {
        format!("{given:?} is not a path of the app: {what}; write one such as \"/login\"")
    };
    // A browser reads "//host" and "/\host" as another site.
    if given.starts_with("//") {
        return Err(bad(
            "it begins with '//', which browsers take for another site",
        ));
    }
    if !given.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad(
            "it holds white space or characters outside ASCII (percent-encode them)",
        ));
    }
    let path = given.split('?').next().unwrap_or_default();
    let checked = CheckedPath::parse(path).map_err(|error| bad(&error.to_string()))?;
    if checked.is_reserved() {
        return Err(bad("/.portcullis/ is the gate's own"));
    }
    given.parse().map_err(|_| bad("it does not parse"))
}

/// The path of a route, without a query.
pub(super) fn route(value: &DeValue<'_>) -> Read<CheckedPath> {
    let given = path_and_query(value)?;
    if given.query().is_some() {
        return Err(format!(
            "{:?} has a query; routes are told apart by the path alone",
            given.as_str()
        ));
    }
    CheckedPath::parse(given.path()).map_err(|error| error.to_string())
}

/// A header that apps and gate may use.
pub(super) fn header(value: &DeValue<'_>) -> Read<HeaderName> {
    let text = text(value)?;
    let name: HeaderName = text
        .parse()
        .map_err(|_| format!("{text:?} is not a header name; write one such as \"X-API-Key\""))?;
    if name.as_str().starts_with("x-portcullis-") {
        return Err(format!(
            "{text:?} is dropped from requests, as all X-Portcullis-* headers are; use another name"
        ));
    }
    Ok(name)
}

/// The name of a cookie (a token, RFC 6265 §4.1.1).
pub(super) fn cookie_name(value: &DeValue<'_>) -> Read<String> {
    let given = text(value)?;
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    if given.bytes().all(fits) {
        Ok(given.to_owned())
    } else {
        Err(format!(
            "{given:?} is not a cookie name; write the name alone, such as \"sessionid\""
        ))
    }
}
