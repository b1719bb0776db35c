//! Tokens in the query of the target (RFC 6750 §2.3). Every occurrence is taken
//! that any app might read: names are decoded and folded as the most lenient of
//! them would, and both `&` and `;` part them.

use std::borrow::Cow;

use super::scheme::token68;
use super::{Credential, Sources, TokenPlace};
use crate::login::fields::alike;

/// The tokens in `query`, the whole text behind the `?`.
pub fn query_tokens(query: &str, sources: &Sources) -> Vec<Credential> {
    let mut found = Vec::new();
    for (source, place) in sources.tokens.iter().enumerate() {
        let TokenPlace::Query(wanted) = place else {
            continue;
        };
        for pair in query.split(['&', ';']) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Nobody's, and no reader makes a token of it.
            if value.is_empty() {
                continue;
            }
            if alike(&decoded(name), wanted) {
                let text = token68(decoded(value).as_bytes());
                found.push(Credential::Token { source, text });
            }
        }
    }
    found
}

/// With `+` as a space and each escape undone; one that is none stays, and makes
/// the text one that nothing verifies.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
    Cow::Owned(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(query: &str) -> Vec<String> {
        let sources = Sources {
            tokens: vec![TokenPlace::Bearer, TokenPlace::Query("access_token".into())],
            ..Sources::default()
        };
        let taken = query_tokens(query, &sources);
        let text = |credential| match credential {
            Credential::Token { source: 1, text } => text,
            other @ (Credential::Token { .. }
            | Credential::Session { .. }
            | Credential::ApiKey { .. }) => panic!("{other:?}"),
        };
        taken.into_iter().map(text).collect()
    }

    #[test]
    fn every_occurrence_is_taken_in_any_spelling() {
        for query in [
            "access_token=a.b.c",
            "x=1&access_token=a.b.c",
            "x=1;access_token=a.b.c",
            "%61ccess_token=a.b.c",
            "Access_Token=a.b.c",
            "access.token=a.b.c",
            "access+token=a.b.c",
            "access_token%00x=a.b.c",
            "access_token[]=a.b.c",
            "access_token[0]=a.b.c",
            "access_token=a%2Eb.c",
        ] {
            assert_eq!(tokens(query), ["a.b.c"], "{query}");
        }
        assert_eq!(tokens("access_token=a&access_token=b"), ["a", "b"]);
        assert!(tokens("token=a&x=access_token&access_token=&access_token").is_empty());
    }

    #[test]
    fn a_value_with_two_readings_verifies_nowhere() {
        for odd in [
            "access_token=a+b",
            "access_token=a%zz",
            "access_token=a%20",
            "access_token=%ff",
            "access_token=a%3Bb",
        ] {
            assert_eq!(tokens(odd), [""], "{odd}");
        }
    }
}
