//! Cookies that an app might read otherwise than the gate does.
//!
//! Parsers of cookies differ: some take `my.session` for `my_session`, undo octal
//! escapes, split at white space, or drop a lone quote. The gate can't know which
//! one stands behind it. So what it could not judge is not forwarded: the app gets
//! the cookies that were judged, and no other spelling of them.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

use crate::identify::{Sources, TokenPlace, canonical_cookie_value, pairs};

/// Takes out of a request what another parser could read as one of the watched
/// cookies. `is_known` says whether a session of that cookie (by index) and
/// canonical value is known, whatever it looks like: the app itself may have set
/// an odd value. Headers in which nothing is odd stay as they came, byte for byte.
pub fn drop_unjudged(
    headers: &mut HeaderMap,
    sources: &Sources,
    is_known: impl Fn(usize, &[u8]) -> bool,
) {
    let watched = watched(sources);
    if watched.is_empty() {
        return;
    }
    let hides_any = |value: &[u8]| {
        // Most values hold no '=' at all, and nothing is hidden without one.
        if !value.contains(&b'=') {
            return false;
        }
        let mut folded = watched.iter().map(|wanted| fold(wanted.as_bytes()));
        folded.any(|wanted| hides(value, &wanted))
    };
    let judged = |name: &[u8], value: &[u8]| -> bool {
        if let Some(cookie) = sources
            .session_cookies
            .iter()
            .position(|w| w.as_bytes() == name)
        {
            let plain = is_plain(value) && !hides_any(value);
            return plain || is_known(cookie, &canonical_cookie_value(value));
        }
        // A token's text is verified as it stands, and what is none may hide a session.
        if watched.iter().any(|wanted| wanted.as_bytes() == name) {
            return is_plain(value) && !hides_any(value);
        }
        !watched.iter().any(|wanted| {
            let wanted = fold(wanted.as_bytes());
            fold(name) == wanted
                || (!name.is_ascii() && has(name, &wanted))
                || hides(name, &wanted)
                || hides(value, &wanted)
        })
    };
    let all_judged = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(pairs)
        .all(|(name, value)| judged(name, value));
    if all_judged {
        return;
    }
    let kept: Vec<Vec<u8>> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(pairs)
        .filter(|(name, value)| judged(name, value))
        .map(|(name, value)| [name, b"=", value].concat())
        .collect();
    headers.remove(COOKIE);
    if let (false, Ok(value)) = (
        kept.is_empty(),
        HeaderValue::from_bytes(&kept.join(&b"; "[..])),
    ) {
        headers.insert(COOKIE, value);
    }
}

fn watched(sources: &Sources) -> Vec<&str> {
    let tokens = sources.tokens.iter().filter_map(|place| match place {
        TokenPlace::Cookie(name) => Some(name.as_str()),
        TokenPlace::Bearer | TokenPlace::Header { .. } | TokenPlace::Query(_) => None,
    });
    sources
        .session_cookies
        .iter()
        .map(String::as_str)
        .chain(tokens)
        .collect()
}

/// A value that every parser reads alike: cookie octets (RFC 6265 §4.1.1), within
/// a pair of quotes or without.
fn is_plain(value: &[u8]) -> bool {
    let bare = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value);
    bare.iter()
        .all(|b| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}

/// A cookie's name as the most lenient of parsers would see it.
fn fold(name: &[u8]) -> Vec<u8> {
    let decoded: Vec<u8> = percent_encoding::percent_decode(name).collect();
    let until_nul = decoded.split(|b| *b == 0).next().unwrap_or_default();
    let bare: Vec<u8> = until_nul.iter().copied().filter(|b| *b != b'"').collect();
    let is_blank = |b: &&u8| **b <= b' ';
    let begin = bare.iter().take_while(is_blank).count();
    let end = bare.iter().rev().take_while(is_blank).count();
    let middle = bare.get(begin..bare.len() - end).unwrap_or_default();
    middle.iter().map(|b| fold_byte(*b)).collect()
}

const fn fold_byte(byte: u8) -> u8 {
    match byte {
        b'.' | b'[' | b'+' | b' ' | b'\t' => b'_',
        other => other.to_ascii_lowercase(),
    }
}

/// Whether a name with bytes beyond ASCII has the wanted one in it: some trim white
/// space of all Unicode, or of Latin-1, around it, and some drop what they can't read.
fn has(name: &[u8], wanted: &[u8]) -> bool {
    let plain: Vec<u8> = name
        .iter()
        .filter(|b| b.is_ascii())
        .map(|b| fold_byte(*b))
        .collect();
    plain
        .windows(wanted.len().max(1))
        .any(|part| part == wanted)
}

/// Whether `NAME=` stands inside `text` where a parser that also splits at other
/// characters than `;` would begin a new cookie.
fn hides(text: &[u8], wanted: &[u8]) -> bool {
    let begins = |at: usize| {
        let before = text[..at].last();
        before
            .is_some_and(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%')))
    };
    let names = |at: usize| {
        let rest = &text[at..];
        rest.len() > wanted.len()
            && rest.iter().zip(wanted).all(|(b, w)| fold_byte(*b) == *w)
            && is_followed_by_equals(&rest[wanted.len()..])
    };
    // A name that ends the pair's own name is followed by the pair's '='.
    let ends = |at: usize| {
        text.len() - at == wanted.len()
            && text[at..]
                .iter()
                .zip(wanted)
                .all(|(b, w)| fold_byte(*b) == *w)
    };
    // The beginning of a value counts: white space before it is gone by now.
    names(0) || (1..text.len()).any(|at| begins(at) && (names(at) || ends(at)))
}

/// With nothing before the `=` that some parser would keep as a part of the name.
fn is_followed_by_equals(rest: &[u8]) -> bool {
    let blank = rest.iter().take_while(|b| !b.is_ascii_graphic()).count();
    rest.get(blank) == Some(&b'=')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn forwarded(cookie: &str) -> String {
        let sources = Sources {
            session_cookies: vec!["my_session".into()],
            tokens: vec![TokenPlace::Cookie("jwt".into())],
            ..Sources::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
        drop_unjudged(&mut headers, &sources, |_, value| value == b"a\\054b");
        headers
            .get(COOKIE)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default()
    }

    #[test]
    fn what_another_parser_could_read_as_the_session_is_not_forwarded() {
        for odd in [
            "my_session=\"\\141bc\"",
            "my_session=\"\\abc\"",
            "my_session=\"abc?",
            "my_session=a b",
            "a=b my_session=abc",
            "a=b\tmy_session=abc",
            "a=b, my_session=abc",
            "a=\"x my_session = abc\"",
            "a= my_session=abc",
            "jwt=x my_session=abc",
            "my_session= my_session=abc",
            "b my_session=abc",
            "my.session=abc",
            "my session=abc",
            "my[session=abc",
            "My_Session=abc",
            "%0Bmy_session=abc",
            "my%5Fsession=abc",
            "\"my_session\"=abc",
            "JWT=abc",
            "jwt= my_session=abc",
            "my_session= jwt=abc",
            "my_session\u{a0}=abc",
            "my_session\u{85}=abc",
            "\u{feff}my_session=abc",
            "my_session\u{3000}\u{2003}=abc",
            "my_\u{200b}session=abc",
            "jwt\u{a0}=abc",
            "a=b my_session\u{a0}=abc",
        ] {
            assert_eq!(forwarded(&format!("x=1; {odd}")), "x=1", "{odd}");
        }
    }

    #[test]
    fn white_space_of_latin_1_around_a_name_hides_nothing() {
        let sources = Sources {
            session_cookies: vec!["sid".into()],
            ..Sources::default()
        };
        for odd in [
            &b"sid\xa0=abc"[..],
            b"sid\x85=abc",
            b"\xa0sid=abc",
            b"x=1,sid\xa0=abc",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_bytes(odd).unwrap());
            drop_unjudged(&mut headers, &sources, |_, _| false);
            assert!(headers.is_empty(), "{odd:?}");
        }
    }

    #[test]
    fn ordinary_cookies_pass_byte_for_byte() {
        for plain in [
            "my_session=abc;x=1",
            "my_session=\"a.b:c/d=\"; jwt=x.y.z",
            "prefs={\"theme\":\"dark\",\"n\":[1,2]}; my_session=abc",
            "not_my_session=abc; my_session_hint=1; ref=my_session",
            // Odd, but known: the app itself set it.
            "my_session=\"a\\054b\"",
        ] {
            assert_eq!(forwarded(plain), plain);
        }
    }
}
