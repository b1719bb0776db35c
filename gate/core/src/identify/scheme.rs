//! A credential behind the name of a scheme, as `Authorization` carries it
//! (RFC 9110 §11.4).

use http::HeaderValue;

/// What is behind `scheme` in `value`, the scheme in any case; `None` where the
/// value begins with no such scheme. What an app might take for the scheme's
/// credential and is none by the grammar (`token68`) comes out empty: nothing
/// verifies that.
pub(super) fn behind(value: &HeaderValue, scheme: &str) -> Option<String> {
    let bytes = value.as_bytes();
    let start = bytes.iter().position(u8::is_ascii_alphanumeric)?;
    let (given, rest) = bytes[start..].split_at_checked(scheme.len())?;
    if !given.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    let spaces = rest.iter().take_while(|b| **b == b' ').count();
    let token = rest[spaces..].trim_ascii_end();
    let exact = start == 0 && spaces > 0;
    Some(token68(if exact { token } else { &[] }))
}

/// The text itself where it is a `token68` (RFC 9110 §11.2), else nothing.
pub(super) fn token68(text: &[u8]) -> String {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
    let text = if text.iter().all(fits) { text } else { &[] };
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_that_is_none_by_the_grammar_is_not_overlooked() {
        let text = |value: &[u8]| behind(&HeaderValue::from_bytes(value).unwrap(), "bearer");
        assert_eq!(text(b"Bearer  a.b.c"), Some("a.b.c".into()));
        for odd in [
            &b"Bearer\ta.b.c"[..],
            b"Bearer a.b.c \xa0",
            b"Bearer \xa0a",
            b"bearer\xa0a",
            b"\xa0Bearer a",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer",
        ] {
            assert_eq!(text(odd), Some(String::new()), "{odd:?}");
        }
        assert_eq!(text(b"Basic abc"), None);
        assert_eq!(text(b""), None);
    }

    #[test]
    fn schemes_of_apps_are_told_apart() {
        let value = HeaderValue::from_static("JWT a.b.c");
        assert_eq!(behind(&value, "jwt"), Some("a.b.c".into()));
        assert_eq!(behind(&value, "Token"), None);
    }
}
