//! A session that a browser would keep is one that the gate learns, by the value
//! that comes back.
#![no_main]

use cookie::Cookie;
use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};
use libfuzzer_sys::fuzz_target;
use portcullis_core::identify::{Sources, canonical_cookie_value, set_cookies};

fuzz_target!(|data: &[u8]| {
    let sources = Sources {
        session_cookies: vec!["sid".into()],
        ..Sources::default()
    };
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(SET_COOKIE, value);
    let learnt = set_cookies(&headers, &sources);
    let Some(kept) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| Cookie::parse(text.to_owned()).ok())
    else {
        return;
    };
    if kept.name() != "sid" {
        assert!(learnt.is_empty(), "{kept} was learnt");
        return;
    }
    assert_eq!(learnt.len(), 1, "{kept} was not learnt");
    let value = canonical_cookie_value(kept.value().as_bytes());
    assert_eq!(learnt[0].value, value, "{kept}");
});
