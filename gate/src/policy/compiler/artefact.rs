//! Compiled code, from the compiler to the engine: the one file with `unsafe` in it.
//!
//! The engine believes what it is given as compiled code, and whoever chooses those
//! bytes chooses what the gate does. So an [`Artefact`] comes from two places only:
//! from the compiler's own process, which is this very executable, or from a file
//! whose seal this gate made.
//!
//! The seal is an HMAC under a key that lies in the same folder, for its owner alone.
//! It holds off whatever may happen to a file by itself (cut off, rotten, of another
//! module, gate or version, put back from somebody else's backup) and whoever can
//! place files and not read them. It does not hold off who may read and write as the
//! gate's user: that one has the ledger, the tokens and the gate's own executable, and
//! so the gate, without this.

#![allow(unsafe_code)]

use aws_lc_rs::hmac;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What is sealed besides the code, so that a seal says one thing.
const PURPOSE: &[u8] = b"portcullis compiled policy 1\0";

/// Bytes of the seal, at the head of a file.
pub(super) const SEAL_BYTES: usize = 32;

/// What a compiler made; nobody else can have written it.
pub(super) struct Artefact(Vec<u8>);

impl Artefact {
    /// What the compiler's process gave out, once it has ended well: for `child` alone.
    pub(super) fn made(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// Takes the code out of a file, if this gate wrote the file under this name.
    pub(super) fn unseal(key: &hmac::Key, name: &str, mut file: Vec<u8>) -> Option<Self> {
        let (seal, code) = file.split_at_checked(SEAL_BYTES)?;
        let expected = seal_of(key, name, code);
        // In constant time: a seal is not to be guessed byte by byte.
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref(), seal).ok()?;
        file.drain(..SEAL_BYTES);
        Some(Self(file))
    }

    /// The seal, and the code that follows it in the file.
    pub(super) fn sealed(&self, key: &hmac::Key, name: &str) -> (hmac::Tag, &[u8]) {
        (seal_of(key, name, &self.0), &self.0)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The component, ready for the engine.
    pub(super) fn revive(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the engine asks that the bytes are what `precompile_component` gave
        // out, whole and unchanged, in an engine of a like configuration.
        // - Whose they are: the field is private, and filled by `made` and `unseal`
        //   alone. `made` is called in one place, with what this gate's executable
        //   wrote as the compiler before it ended well; `unseal` checks the seal over
        //   all of them, which was made of such bytes.
        // - Unchanged: they are in this process's memory since they were checked, and
        //   the engine copies them from there. No file is mapped, which somebody
        //   could write to afterwards.
        // - Which engine: its mark is part of the name that is sealed, and the
        //   compiler makes nothing for another one (`inside`). The engine looks at
        //   its version, target and settings once more, and refuses by an error.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

fn seal_of(key: &hmac::Key, name: &str, code: &[u8]) -> hmac::Tag {
    let mut seal = hmac::Context::with_key(key);
    seal.update(PURPOSE);
    // A name has no zero in it, so that it ends in one place.
    seal.update(name.as_bytes());
    seal.update(&[0]);
    seal.update(code);
    seal.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn file(name: &str) -> Vec<u8> {
        let artefact = Artefact::made(b"code".to_vec());
        let key = key(1);
        let (seal, code) = artefact.sealed(&key, name);
        [seal.as_ref(), code].concat()
    }

    #[test]
    fn what_was_sealed_comes_out_as_it_was() {
        let out = Artefact::unseal(&key(1), "a", file("a"));
        assert_eq!(out.map(|artefact| artefact.0), Some(b"code".to_vec()));
    }

    #[test]
    fn what_was_changed_anywhere_is_not_taken() {
        let whole = file("a");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(
                Artefact::unseal(&key(1), "a", changed).is_none(),
                "byte {at}"
            );
            let cut = whole[..at].to_vec();
            assert!(Artefact::unseal(&key(1), "a", cut).is_none(), "cut at {at}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert!(Artefact::unseal(&key(1), "a", longer).is_none());
    }

    #[test]
    fn what_another_gate_wrote_or_another_name_bears_is_not_taken() {
        assert!(Artefact::unseal(&key(2), "a", file("a")).is_none());
        assert!(Artefact::unseal(&key(1), "b", file("a")).is_none());
    }
}
