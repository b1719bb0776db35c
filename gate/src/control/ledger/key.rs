//! Idempotency keys: how a retry is told from a second request.

use std::fmt;

use aws_lc_rs::digest;

/// Longest key that a client may choose, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Why a text cannot be an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to {KEY_BYTES_MAX} printable ASCII characters")]
pub struct KeyError;

/// A client's key, bound to the request that it was sent with.
///
/// The binding is to the request as the client sent it and not to the entry: an
/// entry holds the time, so that an honest retry never has the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    text: String,
    request: [u8; 32],
}

impl IdempotencyKey {
    /// `scope` keeps the keys of different callers apart (tenant and actor, say);
    /// `request` is what must be the same for the request to count as repeated
    /// (method, path and body, say).
    pub fn new(scope: &str, key: &str, request: &[u8]) -> Result<Self, KeyError> {
        let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable {
            return Err(KeyError);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, request).as_ref());
        // A key has no line feed, so scope and key can't run into each other.
        Ok(Self {
            text: format!("{scope}\n{key}"),
            request: hash,
        })
    }

    /// Scope and key in one: what must be unique.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the request.
    pub const fn request_hash(&self) -> &[u8; 32] {
        &self.request
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_short_printable_texts() {
        for good in ["1", "a b", &"k".repeat(255)] {
            assert!(IdempotencyKey::new("acme", good, b"").is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "é", &"k".repeat(256)] {
            assert_eq!(
                IdempotencyKey::new("acme", bad, b""),
                Err(KeyError),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_same_key_of_two_scopes_is_two_keys() {
        let one = IdempotencyKey::new("acme\nops", "1", b"x").unwrap();
        let two = IdempotencyKey::new("globex\nops", "1", b"x").unwrap();
        assert_ne!(one.as_str(), two.as_str());
        assert_eq!(one.request_hash(), two.request_hash());
    }
}
