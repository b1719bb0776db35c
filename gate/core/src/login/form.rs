//! Form bodies (`application/x-www-form-urlencoded`, WHATWG URL §5.1).

use super::LoginFault;

/// The pairs of a form, decoded. Strict where the usual decoders are lenient.
pub fn pairs(body: &[u8]) -> Result<Vec<(String, String)>, LoginFault> {
    // Some split at ';' as well; browsers write it as %3B.
    if body.contains(&b';') {
        return Err(UNREADABLE);
    }
    let mut pairs = Vec::new();
    for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let name = unescape(halves.next().unwrap_or_default())?;
        let value = unescape(halves.next().unwrap_or_default())?;
        if names_another_charset(&name, &value) {
            return Err(UNREADABLE);
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

const UNREADABLE: LoginFault = LoginFault::Unreadable("a form");

/// HTML's `_charset_` says how the rest is encoded, and some apps believe it.
pub(super) fn names_another_charset(name: &str, value: &str) -> bool {
    name.trim().eq_ignore_ascii_case("_charset_") && !value.trim().eq_ignore_ascii_case("utf-8")
}

/// An escape that is none, or bytes that are not UTF-8, would be replaced by one
/// reader and kept by another.
fn unescape(text: &[u8]) -> Result<String, LoginFault> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|b| if *b == b'+' { b' ' } else { *b })
        .collect();
    let mut escapes = spaced
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'%')
        .map(|(at, _)| spaced.get(at + 1..at + 3));
    let whole =
        escapes.all(|digits| digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    if !whole {
        return Err(UNREADABLE);
    }
    let decoded: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
    String::from_utf8(decoded).map_err(|_| UNREADABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::fields::one_user;

    fn read(body: &str) -> Result<String, LoginFault> {
        one_user(pairs(body.as_bytes())?, &["username"])
    }

    #[test]
    fn the_user_is_read_as_the_app_reads_it() {
        assert_eq!(read("username=bob&password=x"), Ok("bob".into()));
        assert_eq!(read("password=x&%75sername=b%6Fb"), Ok("bob".into()));
        assert_eq!(read("&&username=a+b&_charset_=UTF-8"), Ok("a b".into()));
    }

    #[test]
    fn a_body_with_two_readings_is_refused() {
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
            "username=alice&username[]=bob",
            "username=alice&username%5B0%5D=bob",
            "Username=bob",
            "username=bob&_charset_=utf-7",
        ] {
            assert!(
                matches!(
                    read(odd),
                    Err(LoginFault::ManyUsers(_) | LoginFault::Unreadable(_))
                ),
                "{odd}"
            );
        }
        assert_eq!(read("username=%zz"), Err(UNREADABLE));
        assert_eq!(read("username=%ff"), Err(UNREADABLE));
    }
}
