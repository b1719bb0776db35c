//! The path of a request. Rules are matched on one canonical reading of it; a
//! path that servers are known to read in two ways is refused, so that the
//! reading judged is the reading of the app.

/// A path that passed the rules. Its raw bytes are forwarded as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPath {
    canonical: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not begin with '/'")]
    NotAbsolute,
    #[error("the path has a '.' or '..' segment")]
    DotSegment,
    #[error("the path has a backslash")]
    HiddenSeparator,
    #[error("the path has a control character or a NUL")]
    Control,
    #[error("the path has a '%' that is not followed by two hexadecimal digits")]
    BadEncoding,
    #[error("the path has a '#'")]
    Fragment,
}

/// The prefix that is the gate's own and never forwarded.
pub const RESERVED_PREFIX: &str = "/.portcullis/";

impl CheckedPath {
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let decoded = decode(raw)?;
        let mut canonical = String::with_capacity(decoded.len());
        for segment in decoded.split('/') {
            // Servers of the servlet family drop ";…" before they look at dots.
            let bare = segment.split(';').next().unwrap_or("");
            if bare == "." || bare == ".." {
                return Err(PathError::DotSegment);
            }
            if !bare.is_empty() {
                canonical.push('/');
                canonical.push_str(bare);
            }
        }
        if canonical.is_empty() || decoded.ends_with('/') {
            canonical.push('/');
        }
        canonical.make_ascii_lowercase();
        Ok(Self { canonical })
    }

    /// Whether this is the route `path` names. Wider than equality on purpose
    /// (case, doubled and trailing slashes, `;` parameters): a route of the gate
    /// only ever judges more, so a spelling too many is harmless and one too few
    /// is a way around.
    pub fn is_route(&self, path: &Self) -> bool {
        self.canonical.trim_end_matches('/') == path.canonical.trim_end_matches('/')
    }

    pub fn is_reserved(&self) -> bool {
        self.canonical.starts_with(RESERVED_PREFIX)
            || self.canonical == RESERVED_PREFIX.trim_end_matches('/')
    }
}

/// Percent-decoding, once. An encoded '/' is read as one: apps differ in that, and
/// a route that the gate judges too often is harmless, so it need not be refused
/// (npm asks for `/@scope%2fname`). It goes on as it came.
fn decode(raw: &str) -> Result<String, PathError> {
    let mut bytes = raw.bytes();
    let mut out = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        let plain = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(PathError::BadEncoding);
            };
            u8::try_from(high * 16 + low).map_err(|_| PathError::BadEncoding)?
        } else {
            byte
        };
        match plain {
            b'\\' => return Err(PathError::HiddenSeparator),
            0..=0x1f | 0x7f => return Err(PathError::Control),
            b'#' if byte != b'%' => return Err(PathError::Fragment),
            _ => out.push(plain),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn path(raw: &str) -> CheckedPath {
        CheckedPath::parse(raw).unwrap()
    }

    #[test]
    fn spellings_of_a_route_are_the_route() {
        let login = path("/login");
        for raw in [
            "/login",
            "/login/",
            "//login",
            "/LOGIN",
            "/%6cogin",
            "/login;x=1",
            "/login//",
            "/%2flogin",
        ] {
            assert!(path(raw).is_route(&login), "{raw}");
        }
        for raw in ["/", "/loginx", "/x/login", "/login/x", "/%256cogin"] {
            assert!(!path(raw).is_route(&login), "{raw}");
        }
    }

    #[test]
    fn paths_that_servers_read_in_two_ways_are_refused() {
        let cases = [
            ("/public/../admin", PathError::DotSegment),
            ("/public/%2e%2e/admin", PathError::DotSegment),
            ("/public/.%2E/admin", PathError::DotSegment),
            ("/public/..;/admin", PathError::DotSegment),
            ("/admin/.", PathError::DotSegment),
            ("/./admin", PathError::DotSegment),
            ("/public/%2e%2e%2fadmin", PathError::DotSegment),
            ("/public%2F..%2Fadmin", PathError::DotSegment),
            ("/public%2f.", PathError::DotSegment),
            ("/public\\admin", PathError::HiddenSeparator),
            ("/public/%5c..%5cadmin", PathError::HiddenSeparator),
            ("/admin%00.png", PathError::Control),
            ("/admin%0d%0a", PathError::Control),
            ("/admin#x", PathError::Fragment),
            ("/a%zz", PathError::BadEncoding),
            ("/a%2", PathError::BadEncoding),
            ("admin", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
        ];
        for (raw, error) in cases {
            assert_eq!(CheckedPath::parse(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn the_reserved_prefix_is_found_in_every_spelling() {
        for raw in [
            "/.portcullis/x",
            "/.PORTCULLIS/",
            "//.portcullis/x",
            "/%2eportcullis/x",
            "/.portcullis",
            "/.portcullis%2fx",
            "/%2F.portcullis/x",
        ] {
            assert!(path(raw).is_reserved(), "{raw}");
        }
        assert!(!path("/portcullis/").is_reserved());
        assert!(!path("/x/.portcullis/").is_reserved());
    }
}
