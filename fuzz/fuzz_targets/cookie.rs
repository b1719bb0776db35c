//! No app finds a session in what is forwarded that was not judged.
#![no_main]

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};
use libfuzzer_sys::fuzz_target;
use portcullis_core::cookies::drop_unjudged;
use portcullis_core::identify::{
    Credential, Sources, TokenPlace, canonical_cookie_value, credentials,
};
use portcullis_fuzz::cookies::{decoded, raw};

const SESSION: &str = "my_session";
const TOKEN: &str = "jwt";

fn unquoted(value: Vec<u8>) -> Vec<u8> {
    let bare = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    bare.map_or(value.clone(), <[u8]>::to_vec)
}

fuzz_target!(|data: &[u8]| {
    let sources = Sources {
        session_cookies: vec![SESSION.into()],
        tokens: vec![TokenPlace::Cookie(TOKEN.into())],
        ..Sources::default()
    };
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n').take(3) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let Ok(judged) = credentials(&headers, &sources) else {
        return;
    };
    let mut forwarded = headers.clone();
    drop_unjudged(&mut forwarded, &sources, |_, _| false);

    let sessions = judged.iter().filter_map(|credential| match credential {
        Credential::Session { value, .. } => Some(value),
        _ => None,
    });
    let sessions: Vec<_> = sessions.collect();
    for line in forwarded.get_all(COOKIE) {
        let text = String::from_utf8_lossy(line.as_bytes());
        let raw = raw(&text).into_iter();
        let raw = raw.map(|(name, value)| (name, canonical_cookie_value(value.trim_ascii())));
        // Only a session whose very id is in quotes would be another one.
        let decoded = decoded(&text).into_iter();
        let decoded = decoded.map(|(name, value)| (name, unquoted(value)));
        for (name, value) in raw.chain(decoded) {
            if name == SESSION && !value.is_empty() {
                assert!(
                    sessions.contains(&&value),
                    "{text:?} holds the session {:?}, judged were {judged:?}",
                    String::from_utf8_lossy(&value)
                );
            }
        }
    }

    // What was cleaned once stays as it is, and names nobody new.
    let mut again = forwarded.clone();
    drop_unjudged(&mut again, &sources, |_, _| false);
    assert_eq!(again, forwarded);
    for found in credentials(&forwarded, &sources).unwrap_or_default() {
        assert!(judged.contains(&found), "{found:?} is new");
    }
});
