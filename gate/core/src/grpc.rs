//! What gRPC clients understand (gRPC over HTTP/2, "Responses" and "HTTP to gRPC
//! status code mapping"): HTTP 200 whatever happened, and what happened in
//! `grpc-status`. A refusal is a "trailers-only" answer: one head, no body.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub const UNKNOWN: u8 = 2;
pub const PERMISSION_DENIED: u8 = 7;
pub const UNIMPLEMENTED: u8 = 12;
pub const INTERNAL: u8 = 13;
pub const UNAVAILABLE: u8 = 14;
pub const UNAUTHENTICATED: u8 = 16;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a message with these headers is of a gRPC call: `application/grpc`,
/// with a suffix such as `+proto` or `-web`, or without.
pub fn is_call(headers: &HeaderMap) -> bool {
    const MEDIA_TYPE: &[u8] = b"application/grpc";
    let given = headers.get(http::header::CONTENT_TYPE);
    let given = given.map_or(&[][..], HeaderValue::as_bytes);
    given
        .get(..MEDIA_TYPE.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(MEDIA_TYPE))
        && matches!(
            given.get(MEDIA_TYPE.len()),
            None | Some(b'+' | b'-' | b';' | b' ')
        )
}

/// The status for an answer that HTTP would give with `status`.
pub fn status_of(status: StatusCode) -> u8 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// What ends a call: its status, and words for people.
pub fn trailers(status: u8, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, HeaderValue::from(u16::from(status)));
    if let Ok(message) = HeaderValue::from_str(&encode(message)) {
        trailers.insert(MESSAGE, message);
    }
    trailers
}

/// Printable ASCII stays, but for `%`; every other byte is percent-encoded.
fn encode(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a string can't fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_media_type() {
        let is = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            is_call(&HeaderMap::from_iter([(http::header::CONTENT_TYPE, value)]))
        };
        for call in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC; x=y",
            "application/grpc-web+proto",
        ] {
            assert!(is(call), "{call}");
        }
        for other in ["application/json", "application/grpcx", "text/plain", ""] {
            assert!(!is(other), "{other}");
        }
    }

    #[test]
    fn words_of_any_language_fit_into_a_header() {
        let trailers = trailers(PERMISSION_DENIED, "100 % zu: für\nimmer");
        assert_eq!(trailers["grpc-status"], "7");
        assert_eq!(trailers["grpc-message"], "100 %25 zu: f%C3%BCr%0Aimmer");
    }

    #[test]
    fn http_statuses_become_those_of_the_mapping() {
        let of = |status| status_of(StatusCode::from_u16(status).unwrap_or_default());
        assert_eq!([of(401), of(403), of(503), of(421)], [16, 7, 14, 2]);
    }
}
