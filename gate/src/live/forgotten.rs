//! What is left of the names of deleted users: enough to refuse whoever comes under
//! one of them, and too little to tell whom it was.
//!
//! A name is kept as a pseudonym, an HMAC-SHA-256 under a key that is this store's
//! own. Who has the store can find out whether a name that they know is among them;
//! who has only the ledger's entries, or an export of them, can't.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::standing::Standing;

use super::sharded::Sharded;

/// 128 bits: nobody finds another name with the same.
pub const PSEUDONYM_BYTES: usize = 16;
const PREFIX: &str = "deleted-";

/// Makes pseudonyms.
#[derive(Clone)]
pub struct Pseudonyms(hmac::Key);

/// A name that leads nowhere, but for who has the name and the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pseudonym(pub [u8; PSEUDONYM_BYTES]);

impl Pseudonyms {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub fn of(&self, name: &UserKey) -> Pseudonym {
        let tag = hmac::sign(&self.0, name.as_str().as_bytes());
        let mut short = [0; PSEUDONYM_BYTES];
        short
            .iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        Pseudonym(short)
    }

    /// What a user can be recognised by before the deletion and after it: the pseudonym,
    /// which is what a deleted user is called.
    pub fn lasting(&self, user: &UserKey) -> Option<UserKey> {
        if is_pseudonym(user) {
            Some(user.clone())
        } else {
            self.key(user)
        }
    }

    /// What a deleted user is called from then on.
    pub fn key(&self, user: &UserKey) -> Option<UserKey> {
        let hex = self.of(user).0.map(|byte| format!("{byte:02x}")).concat();
        let tenant = TenantId::parse(user.tenant()).ok()?;
        let id = UserId::parse(&format!("{PREFIX}{hex}")).ok()?;
        Some(UserKey::new(&tenant, &id))
    }
}

/// Whether it is what a deleted user is called.
pub fn is_pseudonym(user: &UserKey) -> bool {
    let left = user.user().strip_prefix(PREFIX);
    left.is_some_and(|hex| {
        hex.len() == 2 * PSEUDONYM_BYTES && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// Whom a forgotten name meant.
#[derive(Clone)]
pub(super) struct Remains {
    /// By the pseudonym.
    pub(super) user: UserKey,
    pub(super) standing: Arc<Standing>,
}

#[derive(Default)]
pub(super) struct Forgotten {
    /// The store's; none of its names is here before it is known.
    pseudonyms: OnceLock<Pseudonyms>,
    names: Sharded<Pseudonym, Remains>,
    /// Mostly none, and then nobody need make a pseudonym to look.
    count: AtomicUsize,
}

impl Forgotten {
    pub(super) fn know(&self, pseudonyms: Pseudonyms) {
        // The store has one for all its life.
        let _ = self.pseudonyms.set(pseudonyms);
    }

    pub(super) fn find(&self, name: &UserKey) -> Option<Remains> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let pseudonym = self.pseudonyms.get()?.of(name);
        self.names.read(&pseudonym).get(&pseudonym).cloned()
    }

    pub(super) fn insert(&self, name: Pseudonym, remains: Remains) {
        let before = self.names.write(&name).insert(name, remains);
        if before.is_none() {
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    /// Forgets the name itself.
    pub(super) fn forget(&self, name: &UserKey, remains: Remains) {
        if let Some(pseudonyms) = self.pseudonyms.get() {
            self.insert(pseudonyms.of(name), remains);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(name: &str) -> UserKey {
        let tenant = TenantId::parse("acme").unwrap();
        UserKey::new(&tenant, &UserId::parse(name).unwrap())
    }

    #[test]
    fn a_forgotten_name_is_found_by_who_has_it_and_shown_to_nobody() {
        let pseudonyms = Pseudonyms::new(&[7; 32]);
        let user = pseudonyms.key(&key("bob")).unwrap();
        assert!(user.user().starts_with(PREFIX) && !user.user().contains("bob"));
        assert_eq!(pseudonyms.lasting(&key("bob")).as_ref(), Some(&user));
        assert_eq!(pseudonyms.lasting(&user).as_ref(), Some(&user));
        let forgotten = Forgotten::default();
        assert!(forgotten.find(&key("bob")).is_none());
        forgotten.know(pseudonyms);
        let remains = Remains {
            user: user.clone(),
            standing: Arc::default(),
        };
        for name in ["bob", "+33612345678"] {
            forgotten.forget(&key(name), remains.clone());
        }
        for name in ["bob", "+33612345678"] {
            assert_eq!(forgotten.find(&key(name)).unwrap().user, user, "{name}");
        }
        assert!(forgotten.find(&key("bobby")).is_none());
    }

    #[test]
    fn pseudonyms_of_two_stores_or_two_tenants_have_nothing_in_common() {
        let (one, two) = (Pseudonyms::new(&[1; 32]), Pseudonyms::new(&[2; 32]));
        assert_ne!(one.of(&key("bob")), two.of(&key("bob")));
        let other = TenantId::parse("globex").unwrap();
        let other = UserKey::new(&other, &UserId::parse("bob").unwrap());
        assert_ne!(one.of(&key("bob")), one.of(&other));
    }
}
