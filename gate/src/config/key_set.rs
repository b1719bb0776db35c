//! Sets of public keys (JWKS, RFC 7517), read for a tenant's algorithms. A key that
//! does not fit them is left out: what an identity provider publishes is not what
//! the tenant allows.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};

/// More keys than this are no set of keys that a provider signs with.
const KEYS_MAX: usize = 100;
/// A modulus of 2048 bits; shorter keys are refused when verifying.
const RSA_BYTES_MIN: usize = 256;

/// The usable keys of a set; at least one.
#[derive(Clone, Debug)]
pub struct KeySet {
    pub keys: Vec<SetKey>,
    /// Hash of all that was taken from the set: equal where nothing changed.
    pub digest: [u8; 32],
}

#[derive(Clone, Debug)]
pub struct SetKey {
    /// The name that tokens call it by.
    pub kid: Option<String>,
    /// What of the tenant's algorithms it may verify; at least one.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

/// Whether a key can be used with an algorithm at all.
type Fits = fn(Algorithm) -> bool;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    #[error("is no JWK set: it must be JSON, {{\"keys\": [ … ]}}")]
    NoSet,
    #[error("holds more than {KEYS_MAX} keys")]
    ManyKeys,
    #[error(
        "holds no key that the algorithms can use: public RSA keys of 2048 bits or more, P-256, P-384 or Ed25519 keys for signatures"
    )]
    NoKey,
}

impl KeySet {
    /// Reads `text` for the tenant's `algorithms`.
    ///
    /// # Errors
    /// Where it is no set, or none of its keys can be used.
    pub fn parse(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeySetFault> {
        let set: Map<String, Value> =
            serde_json::from_slice(text).map_err(|_| KeySetFault::NoSet)?;
        let Some(Value::Array(listed)) = set.get("keys") else {
            return Err(KeySetFault::NoSet);
        };
        if listed.len() > KEYS_MAX {
            return Err(KeySetFault::ManyKeys);
        }
        let mut digest = Context::new(&SHA256);
        let mut keys = Vec::new();
        for jwk in listed.iter().filter_map(Value::as_object) {
            if let Some(key) = read_key(jwk, algorithms) {
                digest.update(Value::Object(jwk.clone()).to_string().as_bytes());
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(KeySetFault::NoKey);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.finish().as_ref());
        Ok(Self { keys, digest: hash })
    }
}

/// The key of one JWK, if it is a public key for signatures that fits.
fn read_key(jwk: &Map<String, Value>, allowed: &[Algorithm]) -> Option<SetKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let for_signatures = jwk.get("use").is_none_or(|usage| usage == "sig");
    let verifies = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|one| one == "verify"),
        Some(_) => false,
    };
    // A key whose private half is published is anybody's key.
    if !for_signatures || !verifies || jwk.contains_key("d") {
        return None;
    }
    let (key, fits): (DecodingKey, Fits) = match text("kty")? {
        "RSA" => {
            let (n, e) = (text("n")?, text("e")?);
            let modulus = BASE64_URL_SAFE_NO_PAD.decode(n).ok()?;
            let length = modulus.iter().skip_while(|byte| **byte == 0).count();
            let key = DecodingKey::from_rsa_components(n, e).ok();
            let key = key.filter(|_| length >= RSA_BYTES_MIN)?;
            (key, |algorithm| algorithm.family() == AlgorithmFamily::Rsa)
        }
        "EC" => read_point(text("crv")?, text("x")?, text("y")?)?,
        "OKP" if text("crv") == Some("Ed25519") => {
            let x = text("x").filter(|x| decoded_length(x) == Some(32))?;
            let key = DecodingKey::from_ed_components(x).ok()?;
            (key, |algorithm| algorithm == Algorithm::EdDSA)
        }
        // A secret ("oct") has no place in a set, and other curves no algorithm.
        _ => return None,
    };
    let named = |algorithm: &Algorithm| match jwk.get("alg") {
        None => true,
        Some(name) => *name == format!("{algorithm:?}"),
    };
    let algorithms: Vec<Algorithm> = allowed
        .iter()
        .copied()
        .filter(|algorithm| fits(*algorithm) && named(algorithm))
        .collect();
    (!algorithms.is_empty()).then(|| SetKey {
        kid: text("kid").map(str::to_owned),
        algorithms,
        key,
    })
}

fn read_point(curve: &str, x: &str, y: &str) -> Option<(DecodingKey, Fits)> {
    let (bytes, fits): (usize, Fits) = match curve {
        "P-256" => (32, |algorithm| algorithm == Algorithm::ES256),
        "P-384" => (48, |algorithm| algorithm == Algorithm::ES384),
        _ => return None,
    };
    let whole = [x, y]
        .iter()
        .all(|part| decoded_length(part) == Some(bytes));
    let key = DecodingKey::from_ec_components(x, y).ok();
    key.filter(|_| whole).map(|key| (key, fits))
}

fn decoded_length(text: &str) -> Option<usize> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn p256(more: Value) -> Value {
        let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "one"});
        for (name, value) in more.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    }

    fn read(keys: Value, algorithms: &[Algorithm]) -> Result<KeySet, KeySetFault> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), algorithms)
    }

    #[test]
    fn a_key_verifies_what_the_tenant_allows_and_it_fits() {
        let both = [Algorithm::ES256, Algorithm::RS256];
        let set = read(json!([p256(json!({"use": "sig"}))]), &both).unwrap();
        assert_eq!(set.keys[0].kid.as_deref(), Some("one"));
        assert_eq!(set.keys[0].algorithms, [Algorithm::ES256]);
        let same = read(json!([p256(json!({"use": "sig"}))]), &both).unwrap();
        assert_eq!(set.digest, same.digest);
        let other = read(json!([p256(json!({"kid": "two"}))]), &both).unwrap();
        assert_ne!(set.digest, other.digest);
    }

    #[test]
    fn keys_that_are_not_for_this_are_left_out() {
        let short = BASE64_URL_SAFE_NO_PAD.encode([0xff; 128]);
        let bad = [
            p256(json!({"use": "enc"})),
            p256(json!({"key_ops": ["sign"]})),
            p256(json!({"alg": "RS256"})),
            p256(json!({"alg": 5})),
            p256(json!({"d": "AAAA"})),
            p256(json!({"crv": "P-384"})),
            p256(json!({"crv": "secp256k1"})),
            p256(json!({"x": "AAAA"})),
            json!({"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U", "kid": "one"}),
            json!({"kty": "RSA", "n": short, "e": "AQAB"}),
            json!({"kty": "OKP", "crv": "X25519", "x": X}),
            json!("key"),
        ];
        let algorithms = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];
        for jwk in bad {
            let found = read(json!([jwk]), &algorithms).map(|set| set.keys.len());
            assert_eq!(found, Err(KeySetFault::NoKey), "{jwk}");
            let beside = read(json!([jwk, p256(json!({}))]), &algorithms).unwrap();
            assert_eq!(beside.keys.len(), 1, "{jwk}");
        }
    }

    #[test]
    fn what_is_no_set_is_told_apart() {
        for bad in ["", "[]", "<html>", "{\"keys\":{}}", "{}"] {
            let found = KeySet::parse(bad.as_bytes(), &[Algorithm::ES256]);
            assert_eq!(found.err(), Some(KeySetFault::NoSet), "{bad}");
        }
        let many = vec![p256(json!({})); KEYS_MAX + 1];
        let found = read(many.into(), &[Algorithm::ES256]);
        assert_eq!(found.err(), Some(KeySetFault::ManyKeys));
    }
}
