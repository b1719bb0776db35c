//! Verifies tokens (JWT, RFC 7519) with the tenant's keys, once: a verified token
//! is remembered by its hash until it expires.
//!
//! After RFC 8725: the algorithm is the tenant's choice and never the token's; a
//! key in the token's own header is ignored; `exp` is required.

use std::sync::Arc;

use aws_lc_rs::digest;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use moka::sync::Cache;
use portcullis_core::limits;
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value};

use crate::config::JwtConfig;

pub struct TokenVerifier {
    config: JwtConfig,
    validation: Validation,
    verified: Cache<[u8; 32], Arc<Claims>>,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user, as the token spells it.
    pub user: String,
    pub issued_at: Option<Timestamp>,
    expires_at: Timestamp,
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
        let verified = Cache::new(limits::TOKEN_CACHE_ENTRIES_MAX);
        Self {
            config: config.clone(),
            validation,
            verified,
        }
    }

    /// The token's claims, or why it is not valid (fit to be sent to the client).
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, &'static str> {
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err("it is too long");
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if let Some(claims) = self.verified.get(&hash) {
            let leeway = self.config.leeway.as_secs();
            let expires = claims.expires_at.seconds().saturating_add(leeway);
            return if expires > now.seconds() {
                Ok(claims)
            } else {
                Err("it has expired")
            };
        }
        let claims = Arc::new(self.read(token)?);
        self.verified.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }

    fn read(&self, token: &str) -> Result<Claims, &'static str> {
        let decoded =
            jsonwebtoken::decode::<Map<String, Value>>(token, &self.config.key, &self.validation);
        let claims = match decoded {
            Ok(decoded) => decoded.claims,
            Err(error) => {
                return Err(plain_reason(error.kind()));
            }
        };
        let user = match claims.get(&self.config.user_claim) {
            Some(Value::String(user)) if !user.is_empty() => user.clone(),
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            Some(_) | None => return Err("it names no user"),
        };
        let issued_at = match claims.get("iat") {
            None => None,
            Some(value) => Some(numeric_date(value).ok_or("its iat is not a time")?),
        };
        let expires_at = claims
            .get("exp")
            .and_then(numeric_date)
            .ok_or("its exp is not a time")?;
        Ok(Claims {
            user,
            issued_at,
            expires_at,
        })
    }
}

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
        _ => "it can't be verified",
    }
}

/// A NumericDate (RFC 7519 §2) from 1970 to the year 2500.
fn numeric_date(value: &Value) -> Option<Timestamp> {
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

    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
    use serde_json::json;

    use super::*;

    const KEY: &[u8] = b"a key of at least thirty-two bytes!";

    fn now() -> Timestamp {
        Timestamp::from_seconds(jsonwebtoken::get_current_timestamp())
    }

    fn verifier(issuer: Option<&str>) -> TokenVerifier {
        TokenVerifier::new(&JwtConfig {
            algorithms: vec![Algorithm::HS256],
            key: DecodingKey::from_secret(KEY),
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
            Err("it has expired"),
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
            "x".repeat(limits::TOKEN_BYTES_MAX + 1),
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
