//! Keys of each kind, made for the occasion, and tokens really signed with them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A private key with its public half in the forms that a gate is given.
pub struct Signer {
    pub algorithm: Algorithm,
    key: EncodingKey,
    /// `-----BEGIN PUBLIC KEY-----`
    pub public_pem: String,
    /// The members of the key's JWK (RFC 7517), without `kid`, `alg` and `use`.
    jwk: Value,
    pub kid: Option<String>,
}

impl Signer {
    /// RS256, with 2048 bits.
    pub fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let private: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
        let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        Self {
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes())
                .unwrap(),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
            jwk: json!({"kty": "RSA", "n": url(&parts.n), "e": url(&parts.e)}),
            kid: None,
        }
    }

    /// ES256, on P-256.
    pub fn ec() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("an EC key");
        let private = pair.to_pkcs8v1().expect("PKCS #8");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        Self {
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_der(private.as_ref()),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
            jwk: json!({"kty": "EC", "crv": "P-256", "x": url(x), "y": url(y)}),
            kid: None,
        }
    }

    /// EdDSA, on Ed25519.
    pub fn ed() -> Self {
        let pair = Ed25519KeyPair::generate().expect("an Ed25519 key");
        let private = pair.to_pkcs8v1().expect("PKCS #8");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
        Self {
            algorithm: Algorithm::EdDSA,
            key: EncodingKey::from_ed_der(private.as_ref()),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": url(pair.public_key().as_ref())}),
            kid: None,
        }
    }

    /// The same key under a name, which its tokens then carry.
    #[must_use]
    pub fn named(mut self, kid: &str) -> Self {
        self.kid = Some(kid.to_owned());
        self
    }

    /// The name of the algorithm, as a configuration has it.
    pub fn algorithm_name(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    /// The public key as a JWK, with `kid` where it has one.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm_name().into();
        if let Some(kid) = &self.kid {
            jwk["kid"] = kid.as_str().into();
        }
        jwk
    }

    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.kid);
        encode(&header, claims, &self.key).expect("a token")
    }

    /// A token of `user`'s that is good for ten minutes from now.
    pub fn token(&self, user: &str) -> String {
        self.sign(&json!({"sub": user, "iat": now(), "exp": now() + 600}))
    }
}

/// The time, in seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a time after 1970").as_secs()
}

/// A JWK set (RFC 7517 §5) of these keys.
pub fn key_set(signers: &[&Signer]) -> Value {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
