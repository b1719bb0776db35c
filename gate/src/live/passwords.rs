//! Basic credentials that the app was seen to accept, by keyed hash. Only they earn
//! a word about a suspension: to anyone else the account looks like any other.
//!
//! In memory alone: after a restart nobody has been seen yet, and less is told.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use moka::sync::Cache;
use portcullis_core::ids::TenantId;
use portcullis_core::limits;

/// HMAC-SHA-256 of tenant and credentials, under a key of this run of the gate.
pub type PasswordHash = [u8; 32];

pub struct Passwords {
    /// `None` where the system has no randomness: then nothing is remembered.
    key: Option<hmac::Key>,
    seen: Cache<PasswordHash, ()>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            seen: Cache::new(limits::PASSWORDS_SEEN_MAX),
        }
    }
}

impl Passwords {
    /// Of `pair`, the decoded `user:password`.
    pub fn hash(&self, tenant: &TenantId, pair: &[u8]) -> Option<PasswordHash> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        context.update(tenant.as_str().as_bytes());
        context.update(&[0]);
        context.update(pair);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        Some(hash)
    }

    pub fn was_accepted(&self, hash: &PasswordHash) -> bool {
        self.seen.contains_key(hash)
    }

    pub fn remember(&self, hash: PasswordHash) {
        if !self.was_accepted(&hash) {
            self.seen.insert(hash, ());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_very_credentials_of_the_very_tenant_are_known() {
        let passwords = Passwords::default();
        let (acme, globex) = (
            TenantId::parse("acme").unwrap(),
            TenantId::parse("globex").unwrap(),
        );
        let hash = |tenant, pair: &[u8]| passwords.hash(tenant, pair).unwrap();
        passwords.remember(hash(&acme, b"bob:demo"));
        assert!(passwords.was_accepted(&hash(&acme, b"bob:demo")));
        assert!(!passwords.was_accepted(&hash(&acme, b"bob:Demo")));
        assert!(!passwords.was_accepted(&hash(&globex, b"bob:demo")));
        let other = Passwords::default();
        assert_ne!(
            other.hash(&acme, b"bob:demo"),
            Some(hash(&acme, b"bob:demo"))
        );
    }
}
