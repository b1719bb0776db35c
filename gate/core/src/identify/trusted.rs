//! Headers that name the user without more: believed from the peers that the
//! tenant lists, and dropped from anyone else's requests.

use http::HeaderMap;
use http::header::HeaderName;

use crate::request::HeadFault;

/// The names that the headers of `listed` hold (those for which the request's peer
/// is listed). One that is there must have exactly one value, in UTF-8; an empty
/// one names nobody, as proxies write it for visitors.
pub fn trusted_names(headers: &HeaderMap, listed: &[HeaderName]) -> Result<Vec<String>, HeadFault> {
    let mut names = Vec::new();
    for header in listed {
        let mut values = headers.get_all(header).iter();
        let Some(value) = values.next() else {
            continue;
        };
        let text = std::str::from_utf8(value.as_bytes()).ok();
        let (Some(text), None) = (text, values.next()) else {
            return Err(HeadFault::OddTrustedHeader);
        };
        if !text.trim().is_empty() {
            names.push(text.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_trusted_header_names_one_user_or_nobody() {
        let header = HeaderName::from_static("x-auth-user");
        let names = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&header, HeaderValue::from_bytes(value).unwrap());
            }
            trusted_names(&headers, std::slice::from_ref(&header))
        };
        assert_eq!(names(&[b"bob"]), Ok(vec!["bob".into()]));
        assert_eq!(names(&["bób".as_bytes()]), Ok(vec!["bób".into()]));
        assert_eq!(names(&[]), Ok(vec![]));
        assert_eq!(names(&[b""]), Ok(vec![]));
        assert_eq!(names(&[b"bob", b"alice"]), Err(HeadFault::OddTrustedHeader));
        assert_eq!(names(&[b"bob", b"bob"]), Err(HeadFault::OddTrustedHeader));
        assert_eq!(names(&[b"b\xf3b"]), Err(HeadFault::OddTrustedHeader));
    }
}
