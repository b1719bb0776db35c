//! HTTP Basic (RFC 7617): a name and a password with every request, and no proof
//! until the app has looked.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::scheme::behind;

/// What `Authorization: Basic` holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Basic {
    /// `user` is the text before the first colon; `pair` all of it, decoded.
    Pair { user: String, pair: Vec<u8> },
    /// Readers would disagree on who this is: base64 that is not exact (RFC 4648
    /// §4, with its padding), no UTF-8, or no colon.
    Odd,
}

/// The pair must not be printed: it holds a password.
impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pair { user, .. } => write!(f, "Pair {{ user: {user:?}, pair: *** }}"),
            Self::Odd => f.write_str("Odd"),
        }
    }
}

/// The Basic credentials of a request, if it carries any. (More than one
/// `Authorization` is refused with the head.)
pub fn basic(headers: &HeaderMap) -> Option<Basic> {
    let text = headers
        .get(AUTHORIZATION)
        .and_then(|value| behind(value, "basic"))?;
    Some(read(&text).unwrap_or(Basic::Odd))
}

fn read(text: &str) -> Option<Basic> {
    let pair = decode(text.as_bytes())?;
    let text = std::str::from_utf8(&pair).ok()?;
    let (user, _) = text.split_once(':')?;
    Some(Basic::Pair {
        user: user.to_owned(),
        pair,
    })
}

/// Exact base64: padded, and with no bit to spare.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    if padding > 2 {
        return None;
    }
    let digits = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | sextet(*digit)?;
        }
        bits <<= 6 * (4 - group.len());
        let [_, whole @ ..] = bits.to_be_bytes();
        let count = group.len() - 1;
        if whole[count..].iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&whole[..count]);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::HeaderValue;

    fn of(value: &[u8]) -> Option<Basic> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        basic(&headers)
    }

    fn pair(user: &str, pair: &str) -> Option<Basic> {
        Some(Basic::Pair {
            user: user.into(),
            pair: pair.into(),
        })
    }

    #[test]
    fn the_user_is_what_stands_before_the_first_colon() {
        // The example of RFC 7617 §2, and §2.1 with UTF-8.
        let aladdin = b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(of(aladdin), pair("Aladdin", "Aladdin:open sesame"));
        assert_eq!(of(b"bAsIc dGVzdDoxMjPCow=="), pair("test", "test:123£"));
        assert_eq!(of(b"Basic YTpiOmM="), pair("a", "a:b:c"));
        assert_eq!(of(b"Basic YTpi"), pair("a", "a:b"));
        assert_eq!(of(b"Bearer YTpi"), None);
    }

    #[test]
    fn what_readers_could_take_for_different_users_is_odd() {
        for odd in [
            &b"Basic"[..],
            b"Basic ",
            b"Basic YTpiOmM",
            b"Basic YTpiOmM==",
            b"Basic YTpi\tOmM=",
            b"Basic YT piOmM=",
            b"Basic YTpi-_==",
            // The same bytes with a stray bit.
            b"Basic YTpiOmN=",
            // No colon, no UTF-8.
            b"Basic Ym9i",
            b"Basic /zph",
            b"\xa0Basic YTpi",
        ] {
            assert_eq!(of(odd), Some(Basic::Odd), "{odd:?}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let text = format!("{:?}", of(b"Basic YTpzZWNyZXQ=").unwrap());
        assert_eq!(text, "Pair { user: \"a\", pair: *** }");
    }
}
