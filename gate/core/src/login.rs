//! A login attempt: whose name is in the body, and whether the app's answer says
//! that the password was right. The body is read as the app would read it; what
//! two readers could read differently is refused.

use http::{HeaderMap, Method, StatusCode, header};

use crate::path::CheckedPath;

/// How a login route's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`
    Form,
    /// `application/json`
    Json,
}

/// When a suspended user is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disclose {
    /// Only after the app itself accepted the password.
    #[default]
    AfterPassword,
    /// At once; the app never sees the attempt.
    Always,
}

/// One login route of a tenant.
#[derive(Clone, Debug)]
pub struct LoginRoute {
    pub path: CheckedPath,
    pub body: BodyFormat,
    pub user_field: String,
    pub disclose: Disclose,
    /// Statuses that mean "accepted"; empty: any below 400.
    pub success_statuses: Vec<StatusCode>,
    /// Whether "accepted" also needs a session cookie in the answer (a form that
    /// is shown again with 200 sets none).
    pub success_sets_cookie: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    #[error("this login takes {0}")]
    MediaType(&'static str),
    #[error("the login body is not readable as {0}")]
    Unreadable(&'static str),
    #[error("the login body has no field '{0}'")]
    NoUser(String),
    #[error("the login body has the field '{0}' more than once")]
    ManyUsers(String),
    #[error("the user name of a login belongs in its body, not in the query ('{0}')")]
    InQuery(String),
    #[error("the user name in the login body is not valid")]
    BadUser,
    #[error("a login is a POST with a body: this method and what it carries would be two things")]
    HiddenAttempt,
    #[error("the login body is too large")]
    TooLarge,
}

impl BodyFormat {
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

impl LoginRoute {
    /// Whether a request is an attempt on this route. Any method that may carry a
    /// body counts: apps often do not look.
    pub fn takes(&self, method: &Method, path: &CheckedPath) -> bool {
        let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        !safe && self.path.is_route(path)
    }

    /// Whether a request that is no attempt by its method could still be one to the
    /// app: a GET with a body, or one that asks to be taken for a POST.
    pub fn is_hidden_attempt(headers: &HeaderMap, has_body: bool) -> bool {
        const OVERRIDES: [&str; 3] = [
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
        ];
        has_body || OVERRIDES.iter().any(|name| headers.contains_key(*name))
    }

    /// Refuses a body that is not in the declared format: an app that also reads
    /// another one would see a user whom the gate did not.
    pub fn check_media_type(&self, headers: &HeaderMap) -> Result<(), LoginFault> {
        let expected = self.body.media_type();
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let (first, more) = (types.next(), types.next());
        let (Some(given), None) = (first.and_then(|value| value.to_str().ok()), more) else {
            return Err(LoginFault::MediaType(expected));
        };
        let mut parts = given.split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let utf8 = parts.all(|parameter| match parameter.trim().split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            Some(_) | None => true,
        });
        let plain = !headers.contains_key(header::CONTENT_ENCODING);
        if essence.eq_ignore_ascii_case(expected) && utf8 && plain {
            Ok(())
        } else {
            Err(LoginFault::MediaType(expected))
        }
    }

    /// Whether the app's answer means that it accepted the password.
    pub fn accepted(&self, status: StatusCode, sets_session: bool) -> bool {
        let fits = if self.success_statuses.is_empty() {
            status.as_u16() < 400
        } else {
            self.success_statuses.contains(&status)
        };
        fits && (sets_session || !self.success_sets_cookie)
    }
}

/// The value of `field` in a form body (WHATWG URL §5.1).
pub fn form_field(body: &[u8], field: &str) -> Result<String, LoginFault> {
    // Some split at ';' as well; browsers write it as %3B.
    if body.contains(&b';') {
        return Err(LoginFault::Unreadable("a form"));
    }
    let mut entries = Vec::new();
    for pair in body.split(|b| *b == b'&') {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let name = unescape(halves.next().unwrap_or_default())?;
        entries.push((name, unescape(halves.next().unwrap_or_default())?));
    }
    one_field(entries, field)
}

/// The one value named `field`. A name that some app would read as that field, and
/// is not it to the letter, makes the body one with two readings.
pub fn one_field<T>(
    entries: impl IntoIterator<Item = (String, T)>,
    field: &str,
) -> Result<T, LoginFault> {
    let wanted = folded(field);
    let mut alike = entries
        .into_iter()
        .filter(|(name, _)| folded(name) == wanted);
    match (alike.next(), alike.next()) {
        (None, _) => Err(LoginFault::NoUser(field.to_owned())),
        (Some((name, value)), None) if name == field => Ok(value),
        (Some(_), _) => Err(LoginFault::ManyUsers(field.to_owned())),
    }
}

/// A field's name as the most lenient of apps would read it: PHP trims, cuts at a
/// NUL and turns punctuation into `_`; Go and .NET look at no case.
pub(crate) fn folded(name: &str) -> String {
    let until_nul = name.split('\0').next().unwrap_or_default();
    let fold = |c: char| match c {
        '.' | '[' | ' ' | '+' => '_',
        other => other,
    };
    until_nul
        .trim()
        .chars()
        .map(fold)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Strict where the usual decoders are lenient: an escape that is none, or bytes
/// that are not UTF-8, would be replaced by one reader and kept by another.
fn unescape(text: &[u8]) -> Result<String, LoginFault> {
    let unreadable = LoginFault::Unreadable("a form");
    let spaced: Vec<u8> = text
        .iter()
        .map(|b| if *b == b'+' { b' ' } else { *b })
        .collect();
    let escapes_are_whole =
        spaced
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'%')
            .all(|(at, _)| {
                spaced
                    .get(at + 1..at + 3)
                    .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            });
    if !escapes_are_whole {
        return Err(unreadable);
    }
    let decoded: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
    String::from_utf8(decoded).map_err(|_| unreadable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn route(body: BodyFormat) -> LoginRoute {
        LoginRoute {
            path: CheckedPath::parse("/login").unwrap(),
            body,
            user_field: "username".into(),
            disclose: Disclose::AfterPassword,
            success_statuses: vec![],
            success_sets_cookie: true,
        }
    }

    #[test]
    fn the_user_is_read_as_the_app_reads_it() {
        let read = |body: &str| form_field(body.as_bytes(), "username");
        assert_eq!(read("username=bob&password=x"), Ok("bob".into()));
        assert_eq!(read("password=x&%75sername=b%6Fb"), Ok("bob".into()));
        assert_eq!(read("username=a+b"), Ok("a b".into()));
    }

    #[test]
    fn a_body_with_two_readings_is_refused() {
        let read = |body: &str| form_field(body.as_bytes(), "username");
        let twice = LoginFault::ManyUsers("username".into());
        assert_eq!(read("username=alice&username=bob"), Err(twice.clone()));
        assert_eq!(read("username=alice&user%6eame=bob"), Err(twice));
        assert_eq!(read("user=bob"), Err(LoginFault::NoUser("username".into())));
        for odd in [
            "username=alice;username=bob",
            "username=alice&+username=bob",
            "username=alice&%20username=bob",
            "username=alice&username%00x=bob",
            "username=alice&Username=bob",
            "Username=bob",
        ] {
            assert!(
                matches!(
                    read(odd),
                    Err(LoginFault::ManyUsers(_) | LoginFault::Unreadable(_))
                ),
                "{odd}"
            );
        }
        assert_eq!(read("username=%zz"), Err(LoginFault::Unreadable("a form")));
        assert_eq!(read("username=%ff"), Err(LoginFault::Unreadable("a form")));
    }

    #[test]
    fn another_media_type_than_the_declared_is_refused() {
        let check = |format, types: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for media_type in types {
                headers.append(
                    header::CONTENT_TYPE,
                    header::HeaderValue::from_static(media_type),
                );
            }
            route(format).check_media_type(&headers)
        };
        assert!(check(BodyFormat::Form, &["application/x-www-form-urlencoded"]).is_ok());
        assert!(check(BodyFormat::Json, &["Application/JSON; charset=UTF-8"]).is_ok());
        for bad in [
            &["multipart/form-data; boundary=x"][..],
            &["text/plain"],
            &["application/json; charset=utf-16"],
            &["application/json", "application/json"],
            &[],
        ] {
            assert!(check(BodyFormat::Json, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn success_is_a_status_and_a_session() {
        let form = route(BodyFormat::Form);
        assert!(form.accepted(StatusCode::FOUND, true));
        assert!(
            !form.accepted(StatusCode::OK, false),
            "the form shown again"
        );
        assert!(!form.accepted(StatusCode::UNAUTHORIZED, true));
    }

    #[test]
    fn every_method_with_a_body_is_an_attempt() {
        let login = route(BodyFormat::Form);
        let path = CheckedPath::parse("//Login/").unwrap();
        assert!(login.takes(&Method::POST, &path));
        assert!(login.takes(&Method::PUT, &path));
        assert!(!login.takes(&Method::GET, &path));
    }
}
