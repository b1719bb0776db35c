//! Seals on cookies of apps that write the session itself into the cookie, anew
//! with each answer. To remember each value would cost a stored session an answer.
//! Instead the gate ties the values to the login that they come from: it appends
//! which session it is, with a message authentication code over both, when the
//! cookie goes out, and takes that off again when it comes back.
//!
//! `VALUE~SEAL`: SEAL is base64url (RFC 4648 §5) of 16 bytes of session id and the
//! first 16 of HMAC-SHA-256 (RFC 2104) over tenant, cookie name, value and id. A
//! session id of zeros is a visitor's. A value without a good seal was not given
//! out by this gate.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_core::ids::TenantId;

use super::sessions::{self, SessionHash};

const ID_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const SEAL_CHARS: usize = 43;

/// Which session a sealed cookie belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealId([u8; ID_BYTES]);

impl SealId {
    /// Nobody's.
    pub const VISITOR: Self = Self([0; ID_BYTES]);

    /// A new one; `None`: the system gives no random bytes.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; ID_BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// What the session is remembered by.
    pub fn hash(&self, tenant: &TenantId, cookie: &str) -> SessionHash {
        let value = [&b"~"[..], &self.0].concat();
        sessions::hash(tenant, cookie, &value)
    }
}

/// Makes seals and tells good ones from bad.
pub struct Seals(hmac::Key);

impl Seals {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// `value` as it goes out.
    pub fn seal(&self, tenant: &TenantId, cookie: &str, value: &[u8], id: SealId) -> Vec<u8> {
        let tag = self.tag(tenant, cookie, value, id);
        let seal = [&id.0[..], &tag.as_ref()[..TAG_BYTES]].concat();
        let mut sealed = value.to_vec();
        sealed.push(b'~');
        sealed.extend_from_slice(BASE64_URL_SAFE_NO_PAD.encode(seal).as_bytes());
        sealed
    }

    /// The value without its seal, and whose it is; `None`: this gate did not seal it.
    pub fn open<'a>(
        &self,
        tenant: &TenantId,
        cookie: &str,
        sealed: &'a [u8],
    ) -> Option<(&'a [u8], SealId)> {
        let at = sealed.len().checked_sub(SEAL_CHARS + 1)?;
        let (value, seal) = sealed.split_at(at);
        let seal = seal.strip_prefix(b"~")?;
        let seal = BASE64_URL_SAFE_NO_PAD.decode(seal).ok()?;
        let (id, tag) = seal.split_at_checked(ID_BYTES)?;
        let id = SealId(id.try_into().ok()?);
        let expected = self.tag(tenant, cookie, value, id);
        let good =
            aws_lc_rs::constant_time::verify_slices_are_equal(tag, &expected.as_ref()[..TAG_BYTES]);
        good.ok().map(|()| (value, id))
    }

    fn tag(&self, tenant: &TenantId, cookie: &str, value: &[u8], id: SealId) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [tenant.as_str().as_bytes(), cookie.as_bytes()] {
            context.update(part);
            context.update(&[0]);
        }
        context.update(&id.0);
        context.update(value);
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BOBS: SealId = SealId([7; ID_BYTES]);

    fn acme() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    #[test]
    fn a_sealed_value_comes_back_as_it_was() {
        let seals = Seals::new(&[1; 32]);
        for value in [&b""[..], b"eyJhIjoxfQ.sig", b"\"a~b\"", b"a%7Eb"] {
            for id in [BOBS, SealId::VISITOR] {
                let sealed = seals.seal(&acme(), "session", value, id);
                assert!(sealed.len() == value.len() + 1 + SEAL_CHARS);
                assert_eq!(seals.open(&acme(), "session", &sealed), Some((value, id)));
            }
        }
    }

    #[test]
    fn whatever_is_changed_the_seal_breaks() {
        let seals = Seals::new(&[1; 32]);
        let sealed = seals.seal(&acme(), "session", b"value", BOBS);
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(seals.open(&acme(), "session", &other), None, "byte {at}");
            assert_eq!(seals.open(&acme(), "session", &sealed[..at]), None);
        }
        assert_eq!(seals.open(&acme(), "other", &sealed), None);
        let globex = TenantId::parse("globex").unwrap();
        assert_eq!(seals.open(&globex, "session", &sealed), None);
        assert_eq!(Seals::new(&[2; 32]).open(&acme(), "session", &sealed), None);
        assert_eq!(seals.open(&acme(), "session", b"value"), None);
        // The seal of one value does not fit another.
        let swapped = [b"other".as_slice(), &sealed[5..]].concat();
        assert_eq!(seals.open(&acme(), "session", &swapped), None);
    }
}
