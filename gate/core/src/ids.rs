//! Names that are parsed once: whoever holds one of these types holds a valid one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::names::{self, NameError, NameRule};

/// Longest user id in bytes, before and after canonicalisation.
pub const USER_ID_BYTES_MAX: usize = 256;

/// Why a text is not the id it was meant to be. The message names the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("a tenant id is 1 to 63 of a-z, 0-9 and '-', beginning with a letter")]
    Tenant,
    #[error(
        "a reason key is camelCase: a lower-case letter, then up to 63 letters or digits (like suspiciousUserNoGood)"
    )]
    Reason,
    #[error("a hold name is 1 to 64 of a-z, 0-9, '-', '_' and '.'")]
    Hold,
    #[error("a batch id is 1 to 64 of A-Z, a-z, 0-9, '-' and '_', as a bulk call answered it")]
    Batch,
    #[error(
        "an API key's hash is \"sha256:\" and 64 hexadecimal digits; make it with: printf %s KEY | sha256sum"
    )]
    ApiKey,
    #[error(transparent)]
    Name(#[from] NameError),
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }
    };
}

text_id! {
    /// One customer or app.
    TenantId
}

impl TenantId {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let mut bytes = text.bytes();
        let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let goes_on_well = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if starts_well && goes_on_well && text.len() <= 63 {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Tenant)
        }
    }
}

text_id! {
    /// A camelCase key such as `suspiciousUserNoGood`, mapped to words by the policy.
    ReasonKey
}

impl ReasonKey {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let mut bytes = text.bytes();
        let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        if starts_well && bytes.all(|b| b.is_ascii_alphanumeric()) && text.len() <= 64 {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Reason)
        }
    }
}

text_id! {
    /// What the changes of one bulk call have in common, and are undone by.
    BatchId
}

impl BatchId {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Batch)
        }
    }
}

text_id! {
    /// The name of a hold, unique per user. `admin` where nobody names one.
    HoldName
}

impl HoldName {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Hold)
        }
    }

    /// The hold that an administrator places without naming one.
    pub fn admin() -> Self {
        Self("admin".into())
    }
}

text_id! {
    /// A user's id in canonical form (see [`crate::names`]).
    UserId
}

impl UserId {
    /// Canonicalises `text` by the tenant's rule.
    pub fn canonical(text: &str, rule: NameRule) -> Result<Self, IdError> {
        Ok(Self(names::canonical(text, rule)?.into()))
    }

    /// Takes a text that is canonical already (from the ledger or the store).
    pub fn parse(text: &str) -> Result<Self, IdError> {
        names::check(text)?;
        Ok(Self(text.into()))
    }
}

/// SHA-256 of an API key, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKeyHash(pub [u8; 32]);

impl ApiKeyHash {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("sha256:").ok_or(IdError::ApiKey)?;
        let all_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if digits.len() != 64 || !all_hex {
            return Err(IdError::ApiKey);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| IdError::ApiKey)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| IdError::ApiKey)?;
        }
        Ok(Self(hash))
    }

    /// As it is parsed.
    pub fn text(&self) -> String {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        format!("sha256:{}", digits.collect::<String>())
    }
}

impl fmt::Debug for ApiKeyHash {
    /// Not the hash: that of a guessable key is as good as the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:***")
    }
}

impl From<ApiKeyHash> for String {
    fn from(hash: ApiKeyHash) -> Self {
        hash.text()
    }
}

impl TryFrom<String> for ApiKeyHash {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

/// One user of one tenant: the key of everything that is known about a user.
///
/// Held as one string so that a look-up on the data path hashes once and a copy
/// is a counter. A tenant id has no `/`, so the parts can't run into each other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey(Arc<str>);

impl UserKey {
    pub fn new(tenant: &TenantId, user: &UserId) -> Self {
        Self(format!("{tenant}/{user}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn tenant(&self) -> &str {
        self.0.split_once('/').map_or("", |(tenant, _)| tenant)
    }

    pub fn user(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, user)| user)
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in the ledger. Entries are numbered from 1; 0 is "before everything".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reason_keys_are_camel_case() {
        for good in ["a", "suspiciousUserNoGood", "violatedTrustByeBye", "x1"] {
            assert!(ReasonKey::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            "Upper",
            "has space",
            "snake_case",
            "kebab-case",
            "1x",
            "é",
            &long,
        ] {
            assert_eq!(ReasonKey::parse(bad), Err(IdError::Reason), "{bad}");
        }
    }

    #[test]
    fn a_hash_of_a_key_is_read_as_it_is_written_and_not_shown() {
        let text = format!("sha256:{}", "0aF1".repeat(16));
        let hash = ApiKeyHash::parse(&text).unwrap();
        assert_eq!(hash.text(), text.to_lowercase());
        assert_eq!(format!("{hash:?}"), "sha256:***");
        for bad in [
            "",
            "sha256:",
            "0aF1",
            &text[..70],
            &format!("{text}0"),
            &text.replace('F', "+"),
            &text.replace("sha256", "sha1"),
        ] {
            assert_eq!(ApiKeyHash::parse(bad), Err(IdError::ApiKey), "{bad}");
        }
    }

    #[test]
    fn tenants_are_dns_like_labels() {
        assert!(TenantId::parse("acme-2").is_ok());
        for bad in ["", "Acme", "2x", "a/b", "a.b", &"a".repeat(64)] {
            assert_eq!(TenantId::parse(bad), Err(IdError::Tenant), "{bad}");
        }
    }

    #[test]
    fn a_user_key_keeps_tenant_and_user_apart_whatever_the_user_id_holds() {
        let tenant = TenantId::parse("acme").unwrap();
        let user = UserId::parse("a/b/c").unwrap();
        let key = UserKey::new(&tenant, &user);
        assert_eq!((key.tenant(), key.user()), ("acme", "a/b/c"));
    }
}
