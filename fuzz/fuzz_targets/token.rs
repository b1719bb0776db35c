//! What an app could take for a bearer token is judged, or comes out as an empty
//! one, which nothing verifies.
#![no_main]

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use libfuzzer_sys::fuzz_target;
use portcullis_core::identify::{Credential, Sources, TokenPlace, credentials};

fuzz_target!(|data: &[u8]| {
    let sources = Sources {
        tokens: vec![TokenPlace::Bearer],
        ..Sources::default()
    };
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    let found = match credentials(&headers, &sources) {
        Ok(found) => found,
        Err(_) => return,
    };
    let texts: Vec<&str> = found
        .iter()
        .filter_map(|credential| match credential {
            Credential::Token { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    for text in &texts {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        assert!(text.bytes().all(fits), "{text:?} is no token68");
    }
    // An app that splits at white space, of any kind and any amount.
    let header = String::from_utf8_lossy(data);
    let mut words = header.split(char::is_whitespace).filter(|w| !w.is_empty());
    if let (Some(scheme), Some(token)) = (words.next(), words.next())
        && scheme.eq_ignore_ascii_case("bearer")
    {
        assert_eq!(texts.len(), 1, "{header:?} was overlooked");
        assert!(texts[0].is_empty() || texts[0] == token, "{header:?}");
    }
});
