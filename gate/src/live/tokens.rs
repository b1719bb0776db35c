//! Verifies tokens (JWT, RFC 7519) with the tenant's keys, once: a verified token
//! is remembered by its hash until it expires.
//!
//! After RFC 8725: the algorithm is the tenant's choice and never the token's; a
//! key in the token's own header is ignored; `exp` is required.

use std::sync::Arc;

use aws_lc_rs::digest;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use moka::sync::Cache;
use portcullis_core::limits;
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value};

use super::keys::Keys;
use crate::config::{JwtConfig, KeySet, KeySource, SetKey};

pub struct TokenVerifier {
    config: JwtConfig,
    /// Where the keys are a set that changes.
    keys: Option<Arc<Keys>>,
    validation: Validation,
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    /// Of the key set that verified it: a key that is withdrawn takes its tokens
    /// along.
    generation: u64,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user, as the token spells it.
    pub user: String,
    pub issued_at: Option<Timestamp>,
    expires_at: Timestamp,
}

impl Claims {
    /// `expires_at`: `None` where the token's server sets no end.
    pub fn new(user: String, issued_at: Option<Timestamp>, expires_at: Option<Timestamp>) -> Self {
        Self {
            user,
            issued_at,
            expires_at: expires_at.unwrap_or(Timestamp(u64::MAX)),
        }
    }

    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// In words that are fit to be sent to the client.
    Invalid(&'static str),
    /// It names a key that the set does not hold.
    UnknownKey,
    /// No set has come yet.
    NoKeys,
}

impl TokenVerifier {
    pub fn new(config: &JwtConfig) -> Self {
        let mut validation = Validation::new(config.algorithms[0]);
        validation.algorithms.clone_from(&config.algorithms);
        validation.leeway = config.leeway.as_secs();
        validation.validate_nbf = true;
        match &config.audience {
            Some(audience) => validation.set_audience(&[audience]),
            None => validation.validate_aud = false,
        }
        let mut required = vec!["exp"];
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if config.audience.is_some() {
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let keys = match &config.keys {
            KeySource::Fixed(_) => None,
            source @ (KeySource::File { .. } | KeySource::Url(_)) => {
                Some(Arc::new(Keys::new(source.clone())))
            }
        };
        Self {
            config: config.clone(),
            keys,
            validation,
            verified: Cache::new(limits::TOKEN_CACHE_ENTRIES_MAX),
        }
    }

    /// The set of keys, where it is one that changes.
    pub fn keys(&self) -> Option<&Arc<Keys>> {
        self.keys.as_ref()
    }

    /// What of the tenant's algorithms the keys are read for.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.config.algorithms
    }

    /// The token's claims, by the keys that are at hand.
    ///
    /// # Errors
    /// Where they do not verify it.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, Unverified> {
        let set = match &self.keys {
            None => None,
            Some(keys) => Some(keys.current().ok_or(Unverified::NoKeys)?),
        };
        let generation = set.as_ref().map_or(0, |set| set.generation);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if let Some(known) = self.verified.get(&hash)
            && known.generation == generation
        {
            let leeway = self.config.leeway.as_secs();
            let expires = known.claims.expires_at.seconds().saturating_add(leeway);
            return if expires > now.seconds() {
                Ok(known.claims)
            } else {
                Err(Unverified::Invalid("it has expired"))
            };
        }
        let claims = match (&self.config.keys, &set) {
            (KeySource::Fixed(key), _) => self.decode(token, key, &self.config.algorithms),
            (KeySource::File { .. } | KeySource::Url(_), Some(set)) => {
                self.decode_by_set(token, &set.set)
            }
            (KeySource::File { .. } | KeySource::Url(_), None) => Err(Unverified::NoKeys),
        };
        let claims = Arc::new(claims?);
        let verified = Verified {
            claims: Arc::clone(&claims),
            generation,
        };
        self.verified.insert(hash, verified);
        Ok(claims)
    }

    /// As [`Self::verify`], and where the keys are missing, once more when newer
    /// ones have been fetched.
    ///
    /// # Errors
    /// Where neither verify it.
    pub async fn verify_renewed(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Claims>, Unverified> {
        match (self.verify(token, now), &self.keys) {
            (Err(Unverified::UnknownKey | Unverified::NoKeys), Some(keys)) => {
                keys.renew().await;
                self.verify(token, now)
            }
            (verified, _) => verified,
        }
    }

    /// Tries the keys that the token may mean: that of its `kid`, else those
    /// without a name. Its `alg` only narrows the choice: what a key may verify
    /// was settled when it was read.
    fn decode_by_set(&self, token: &str, set: &KeySet) -> Result<Claims, Unverified> {
        /// A token that does not say which key it means is tried with so many.
        const TRIED_MAX: usize = 4;
        let header = jsonwebtoken::decode_header(token)
            .map_err(|error| Unverified::Invalid(plain_reason(error.kind())))?;
        if !self.config.algorithms.contains(&header.alg) {
            return Err(Unverified::Invalid("its algorithm is not allowed here"));
        }
        let fits = |key: &&SetKey| key.algorithms.contains(&header.alg);
        let all = || set.keys.iter().filter(fits);
        let mut meant: Vec<&SetKey> = match &header.kid {
            Some(_) => all().filter(|key| key.kid == header.kid).collect(),
            None => all().collect(),
        };
        let by_name = header.kid.is_some() && !meant.is_empty();
        if !by_name && header.kid.is_some() {
            meant = all().filter(|key| key.kid.is_none()).collect();
        }
        if meant.is_empty() {
            return Err(Unverified::UnknownKey);
        }
        if meant.len() > TRIED_MAX {
            return Err(Unverified::Invalid("it does not say which key it means"));
        }
        let mut outcome = Err(Unverified::UnknownKey);
        for key in meant {
            outcome = self.decode(token, &key.key, &key.algorithms);
            if outcome.is_ok() {
                break;
            }
        }
        // Without names, a new key shows only in that the old ones do not fit.
        if !by_name && outcome == Err(Unverified::Invalid(NOT_VERIFIED)) {
            return Err(Unverified::UnknownKey);
        }
        outcome
    }

    fn decode(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithms: &[Algorithm],
    ) -> Result<Claims, Unverified> {
        let mut validation = self.validation.clone();
        validation.algorithms = algorithms.to_vec();
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation)
            .map_err(|error| Unverified::Invalid(plain_reason(error.kind())))?;
        self.read(&decoded.claims).map_err(Unverified::Invalid)
    }

    fn read(&self, claims: &Map<String, Value>) -> Result<Claims, &'static str> {
        let user = user_of(claims, &self.config.user_claim).ok_or("it names no user")?;
        let issued_at = match claims.get("iat") {
            None => None,
            Some(value) => Some(numeric_date(value).ok_or("its iat is not a time")?),
        };
        let expires_at = claims.get("exp").and_then(numeric_date);
        let expires_at = expires_at.ok_or("its exp is not a time")?;
        Ok(Claims::new(user, issued_at, Some(expires_at)))
    }
}

/// The user whom a claim names: text, or a whole number.
pub fn user_of(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    match claims.get(claim) {
        Some(Value::String(user)) if !user.is_empty() => Some(user.clone()),
        Some(Value::Number(number)) if number.is_u64() => Some(number.to_string()),
        Some(_) | None => None,
    }
}

const NOT_VERIFIED: &str = "it can't be verified";

/// Why a token is not valid, in words that give nothing away.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's list is open; whatever else it says, it is no token"
)]
fn plain_reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "it is from another issuer",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "a required claim is missing",
        ErrorKind::InvalidAlgorithm => "its algorithm is not allowed here",
        _ => NOT_VERIFIED,
    }
}

/// A NumericDate (RFC 7519 §2) from 1970 to the year 2500.
pub fn numeric_date(value: &Value) -> Option<Timestamp> {
    const LATEST: f64 = 16_725_225_600.0;
    let seconds = value
        .as_f64()
        .filter(|seconds| (0.0..LATEST).contains(seconds))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked just above"
    )]
    Some(Timestamp((seconds * 1000.0) as u64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;

    const KEY: &[u8] = b"a key of at least thirty-two bytes!";

    fn now() -> Timestamp {
        Timestamp::from_seconds(jsonwebtoken::get_current_timestamp())
    }

    fn verifier(issuer: Option<&str>) -> TokenVerifier {
        TokenVerifier::new(&JwtConfig {
            place: 0,
            algorithms: vec![Algorithm::HS256],
            keys: KeySource::Fixed(DecodingKey::from_secret(KEY)),
            user_claim: "sub".into(),
            issuer: issuer.map(str::to_owned),
            audience: None,
            leeway: Duration::ZERO,
        })
    }

    fn token(algorithm: Algorithm, key: &[u8], claims: &Value) -> String {
        jsonwebtoken::encode(
            &Header::new(algorithm),
            claims,
            &EncodingKey::from_secret(key),
        )
        .unwrap()
    }

    #[test]
    fn a_good_token_says_who_and_since_when() {
        let exp = now().seconds() + 60;
        let text = token(
            Algorithm::HS256,
            KEY,
            &json!({"sub": "bob", "iat": 5, "exp": exp}),
        );
        let verifier = verifier(None);
        for _ in 0..2 {
            let claims = verifier.verify(&text, now()).unwrap();
            assert_eq!(
                (claims.user.as_str(), claims.issued_at),
                ("bob", Some(Timestamp(5_000)))
            );
        }
        let later = Timestamp::from_seconds(exp + 1);
        assert_eq!(
            verifier.verify(&text, later),
            Err(Unverified::Invalid("it has expired")),
            "remembered or not"
        );
    }

    #[test]
    fn tokens_that_are_not_what_they_claim_are_refused() {
        let exp = now().seconds() + 60;
        let good = json!({"sub": "bob", "exp": exp});
        let unsigned = {
            let parts: Vec<String> = token(Algorithm::HS256, KEY, &good)
                .split('.')
                .map(str::to_owned)
                .collect();
            // {"alg":"none","typ":"JWT"}
            format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1])
        };
        let cases = [
            unsigned,
            token(
                Algorithm::HS256,
                b"another key of thirty-two bytes!!!",
                &good,
            ),
            token(Algorithm::HS512, KEY, &good),
            token(Algorithm::HS256, KEY, &json!({"sub": "bob"})),
            token(
                Algorithm::HS256,
                KEY,
                &json!({"sub": "bob", "exp": "9999999999"}),
            ),
            token(Algorithm::HS256, KEY, &json!({"sub": "bob", "exp": -1})),
            token(
                Algorithm::HS256,
                KEY,
                &json!({"sub": "bob", "exp": exp, "nbf": exp}),
            ),
            token(
                Algorithm::HS256,
                KEY,
                &json!({"sub": "bob", "exp": exp, "iat": "5"}),
            ),
            token(Algorithm::HS256, KEY, &json!({"sub": "", "exp": exp})),
            token(Algorithm::HS256, KEY, &json!({"sub": ["bob"], "exp": exp})),
            token(Algorithm::HS256, KEY, &json!({"exp": exp})),
            "not.a.token".into(),
            String::new(),
        ];
        let verifier = verifier(None);
        for text in cases {
            assert!(verifier.verify(&text, now()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_issuer_is_required_where_one_is_set() {
        let exp = now().seconds() + 60;
        let with = |claims: Value| token(Algorithm::HS256, KEY, &claims);
        let verifier = verifier(Some("https://idp.test"));
        let right = with(json!({"sub": "bob", "exp": exp, "iss": "https://idp.test"}));
        assert!(verifier.verify(&right, now()).is_ok());
        assert!(
            verifier
                .verify(&with(json!({"sub": "bob", "exp": exp, "iss": "x"})), now())
                .is_err()
        );
        assert!(
            verifier
                .verify(&with(json!({"sub": "bob", "exp": exp})), now())
                .is_err()
        );
    }
}
