//! What keeps the personal half of the ledger shut, and opens it: a key for each
//! user, which a deletion forgets, and a secret of the store's own for what must be
//! recognised without being kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use portcullis_core::ids::{Revision, UserKey};
use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::fault::Fault;
use super::fresh::Newest;
use crate::control::ledger::IdempotencyKey;
use crate::live::forgotten::Pseudonyms;

const SECRET: &str = "pseudonyms";

/// What a store has beside its tables, shared by who writes and who reads.
pub(super) struct Vault {
    pub(super) pseudonyms: Pseudonyms,
    secret: hmac::Key,
    farewells: Mutex<BTreeMap<Revision, Vec<UserKey>>>,
    scrub_due: AtomicBool,
    pub(super) newest: Newest,
}

impl Vault {
    /// The vault of the store that `tx` writes to; made with it.
    pub(super) fn open(tx: &Connection) -> Result<Self, Fault> {
        let kept: Option<Vec<u8>> = tx
            .prepare_cached("SELECT value FROM secrets WHERE name = ?")?
            .query_row([SECRET], |row| row.get(0))
            .optional()?;
        let secret = match kept {
            Some(kept) => <[u8; 32]>::try_from(kept)
                .map_err(|_| Fault::garbled("the secret of pseudonyms", "it is not 32 bytes"))?,
            None => {
                let fresh = random()?;
                tx.prepare_cached("INSERT INTO secrets VALUES (?, ?)")?
                    .execute(params![SECRET, fresh])?;
                fresh
            }
        };
        Ok(Self {
            pseudonyms: Pseudonyms::new(&secret),
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            farewells: Mutex::default(),
            scrub_due: AtomicBool::new(false),
            newest: Newest::default(),
        })
    }

    /// A client's idempotency key, and the request that it was sent with, as they are
    /// kept: recognised again, and telling nothing of what the client wrote.
    pub(super) fn retry(&self, key: &IdempotencyKey) -> Retry {
        self.retry_as_kept(key.as_str(), key.request_hash())
    }

    pub(super) fn retry_as_kept(&self, key: &str, request_hash: &[u8; 32]) -> Retry {
        // No pseudonym is made of what begins so: no tenant does.
        let of = |kind: &[u8], what: &[u8]| {
            let tag = hmac::sign(&self.secret, &[b"\0", kind, b"\0", what].concat());
            let mut kept = [0; 32];
            kept.iter_mut()
                .zip(tag.as_ref())
                .for_each(|(to, from)| *to = *from);
            kept
        };
        Retry {
            key: of(b"key", key.as_bytes()),
            request: of(b"request", request_hash),
        }
    }

    /// The names that the deletion at `seq` made the store forget, for who has to end
    /// what goes on under them. Should the entry not be written after all, another
    /// deletion takes its place, and its farewell.
    pub(super) fn leave_farewell(&self, seq: Revision, names: Vec<UserKey>) {
        self.farewells().insert(seq, names);
    }

    /// Takes the farewell of the deletion at `seq`, and drops those before it. Empty
    /// where the store has been opened since.
    pub(super) fn take_farewell(&self, seq: Revision) -> Vec<UserKey> {
        let mut farewells = self.farewells();
        let later = farewells.split_off(&Revision(seq.0 + 1));
        let earlier = std::mem::replace(&mut *farewells, later);
        earlier
            .into_iter()
            .find_map(|(at, names)| (at == seq).then_some(names))
            .unwrap_or_default()
    }

    fn farewells(&self) -> std::sync::MutexGuard<'_, BTreeMap<Revision, Vec<UserKey>>> {
        self.farewells
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What was removed still stands in the write-ahead log.
    pub(super) fn demand_scrub(&self) {
        self.scrub_due.store(true, Ordering::Release);
    }

    pub(super) fn is_scrub_due(&self) -> bool {
        self.scrub_due.load(Ordering::Acquire)
    }

    pub(super) fn scrubbed(&self) {
        self.scrub_due.store(false, Ordering::Release);
    }
}

/// An [`IdempotencyKey`] as the store keeps it.
pub(super) struct Retry {
    pub(super) key: [u8; 32],
    pub(super) request: [u8; 32],
}

/// The key of one user's entries.
#[derive(Clone)]
pub(super) struct Seal([u8; 32]);

impl Seal {
    /// What a deletion leaves.
    pub(super) fn is_forgotten(&self) -> bool {
        self.0 == [0; 32]
    }

    pub(super) fn fresh() -> Result<Self, Fault> {
        Ok(Self(random()?))
    }

    /// Shuts `plain`, which is about the user of that number.
    pub(super) fn shut(&self, number: u64, plain: &str) -> Result<Vec<u8>, Fault> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        let mut text = plain.as_bytes().to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(number.to_be_bytes()),
                &mut text,
            )
            .map_err(|_| Fault::garbled("a new entry", "it could not be sealed"))?;
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// What was shut; `None`: not by this key, or not about that user.
    pub(super) fn open(&self, number: u64, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let cipher = self.cipher().ok()?;
        let about = Aad::from(number.to_be_bytes());
        let length = cipher.open_in_place(nonce, about, &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn cipher(&self) -> Result<LessSafeKey, Fault> {
        let key = UnboundKey::new(&AES_256_GCM, &self.0);
        key.map(LessSafeKey::new)
            .map_err(|_| Fault::garbled("a user's key", "it is none"))
    }
}

impl ToSql for Seal {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Seal {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

fn random() -> Result<[u8; 32], Fault> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(bytes)
}

fn fill(bytes: &mut [u8]) -> Result<(), Fault> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| Fault::garbled("the system's randomness", "it gives none"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_shut_opens_for_its_own_key_and_user_alone() {
        let (one, other) = (Seal::fresh().unwrap(), Seal::fresh().unwrap());
        let shut = one.shut(7, "bob's").unwrap();
        assert_eq!(one.open(7, &shut).unwrap(), b"bob's");
        assert_ne!(shut, one.shut(7, "bob's").unwrap(), "never twice the same");
        assert!(one.open(8, &shut).is_none(), "another user's entry");
        assert!(other.open(7, &shut).is_none());
        for at in 0..shut.len() {
            let mut changed = shut.clone();
            changed[at] ^= 1;
            assert!(one.open(7, &changed).is_none(), "byte {at}");
        }
        for short in 0..NONCE_LEN + 2 {
            assert!(one.open(7, &shut[..short]).is_none());
        }
    }
}
