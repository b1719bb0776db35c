//! All who may know the tokens of one place: keys, and servers that are asked.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_core::limits;
use portcullis_core::time::Timestamp;

use super::introspection::{Answer, Introspection};
use super::tokens::{Claims, TokenVerifier, Unverified};
use crate::config::TenantConfig;

/// A token at a place is good if anyone there knows it, and names everyone whom
/// they say it names.
pub struct Judges {
    pub verifiers: Vec<TokenVerifier>,
    pub introspections: Vec<Arc<Introspection>>,
}

/// Why nobody takes a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// In words that are fit to be sent to the client.
    Invalid(&'static str),
    /// Somebody who might know it can't tell now.
    Unknowable(&'static str),
}

impl Judges {
    pub(super) fn of(config: &TenantConfig) -> Vec<Self> {
        let at = |place| Self {
            verifiers: config
                .jwts
                .iter()
                .filter(|jwt| jwt.place == place)
                .map(TokenVerifier::new)
                .collect(),
            introspections: config
                .introspections
                .iter()
                .filter(|entry| entry.place == place)
                .map(|entry| Arc::new(Introspection::new(entry.clone())))
                .collect(),
        };
        (0..config.sources.tokens.len()).map(at).collect()
    }

    /// Whether nobody judges the tokens of this place.
    pub const fn is_empty(&self) -> bool {
        self.verifiers.is_empty() && self.introspections.is_empty()
    }

    /// What the token says, by each who knows it. `from`: the address that it came
    /// from.
    ///
    /// # Errors
    /// Where nobody knows it.
    pub async fn judge(
        &self,
        token: &str,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Vec<Arc<Claims>>, Untaken> {
        if token.is_empty() {
            return Err(Untaken::Invalid("it is no token"));
        }
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(Untaken::Invalid("it is too long"));
        }
        let mut known = Vec::new();
        let mut why_not = None;
        let mut lacking = Vec::new();
        for verifier in &self.verifiers {
            match verifier.verify(token, now) {
                Ok(claims) => known.push(claims),
                Err(Unverified::Invalid(reason)) => {
                    why_not = why_not.or(Some(Untaken::Invalid(reason)));
                }
                Err(Unverified::UnknownKey | Unverified::NoKeys) => lacking.push(verifier),
            }
        }
        if !known.is_empty() {
            return Ok(known);
        }
        for verifier in lacking {
            match verifier.verify_renewed(token, now).await {
                Ok(claims) => known.push(claims),
                Err(Unverified::Invalid(reason)) => {
                    why_not = why_not.or(Some(Untaken::Invalid(reason)));
                }
                Err(Unverified::UnknownKey) => {
                    let reason = "it is signed by a key that is not known";
                    why_not = why_not.or(Some(Untaken::Invalid(reason)));
                }
                Err(Unverified::NoKeys) => {
                    why_not = Some(Untaken::Unknowable("the keys of its issuer"));
                }
            }
        }
        if !known.is_empty() {
            return Ok(known);
        }
        for introspection in &self.introspections {
            match introspection.ask(token, from, now).await {
                Ok(Answer::Active(claims)) => known.push(claims),
                Ok(Answer::Inactive) => {
                    why_not = why_not.or(Some(Untaken::Invalid("it is not active")));
                }
                Err(_) => why_not = Some(Untaken::Unknowable("the server that gave it out")),
            }
        }
        if known.is_empty() {
            return Err(why_not.unwrap_or(Untaken::Invalid("it can't be verified")));
        }
        Ok(known)
    }
}
