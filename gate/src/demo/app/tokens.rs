//! What scripts carry in place of a session: signed tokens (RFC 7519, HS256)
//! and fixed API keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use super::sessions::mint_secret;

/// How long a token is good for.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The header of an API key; its value is this prefix and the user's name.
const API_KEY_HEADER: &str = "x-api-key";
const API_KEY_PREFIX: &str = "demo-key-";

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970, as `exp`.
    iat: u64,
    exp: u64,
    /// Tells two tokens of one second apart (RFC 7519 §4.1.7).
    #[serde(default)]
    jti: String,
}

/// The keys that sign and check tokens.
pub(super) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

impl Tokens {
    pub(super) fn new(secret: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["sub", "exp"]);
        // One clock writes and reads them: no allowance is needed.
        validation.leeway = 0;
        Self {
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            validation,
        }
    }

    /// A token for the user, good from `now` for [`TOKEN_LIFETIME`].
    pub(super) fn issue(
        &self,
        user: &str,
        now: SystemTime,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let iat = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let claims = Claims {
            sub: user.to_owned(),
            iat,
            exp: iat + TOKEN_LIFETIME.as_secs(),
            // Not secret: without randomness it is merely not unique.
            jti: mint_secret().unwrap_or_default(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
    }

    /// The name in the request's `Authorization: Bearer` token, if the token is
    /// ours and in time.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Option<String> {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        decode::<Claims>(token.trim(), &self.checking, &self.validation)
            .ok()
            .map(|token| token.claims.sub)
    }
}

/// The name in the request's API key.
pub(super) fn api_key(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(API_KEY_HEADER)?
        .to_str()
        .ok()?
        .strip_prefix(API_KEY_PREFIX)
}
