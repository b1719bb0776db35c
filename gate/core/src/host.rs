//! The host that a request is for (RFC 9110 §7.2), parsed once.

use std::fmt;

/// A host name in one spelling: lower case, no trailing dot, no port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name with an optional port")]
pub struct HostError;

impl HostName {
    /// Parses `host[:port]`. Anything that two readers could take for different
    /// hosts (user info, white space, an empty or wordy port) is an error.
    pub fn parse(authority: &str) -> Result<Self, HostError> {
        let (host, port) = split_port(authority)?;
        if let Some(port) = port {
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            if !digits || port.parse::<u16>().is_err() {
                return Err(HostError);
            }
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let in_brackets = name.starts_with('[');
        let fits = |b: u8| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'-' | b'.' | b'_')
                || (in_brackets && matches!(b, b'[' | b']' | b':'))
        };
        let dots = name.contains("..") || name.ends_with('.');
        if name.is_empty() || name.len() > 253 || dots || !name.bytes().all(fits) {
            return Err(HostError);
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), HostError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(HostError)? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(HostError),
        };
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spellings_of_one_host_come_out_as_one() {
        for text in ["a.test", "A.TEST", "a.test.", "a.test:443", "A.test.:80"] {
            assert_eq!(HostName::parse(text).unwrap().as_str(), "a.test", "{text}");
        }
        assert_eq!(HostName::parse("[::1]:8080").unwrap().as_str(), "[::1]");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let bad = [
            "",
            ".",
            ":80",
            "a.test:",
            "a.test:x",
            "a.test:99999",
            "user@a.test",
            "a test",
            "a.test,b.test",
            "a..test",
            "a.test..",
            "a.test/x",
            "[::1",
            "[::1]x",
            "a\ttest",
            "a.test:80:80",
        ];
        for text in bad {
            assert_eq!(HostName::parse(text), Err(HostError), "{text:?}");
        }
    }
}
