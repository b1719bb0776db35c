//! Admin tokens: made once, shown once, kept as hashes.
//!
//! A token is 32 random bytes, so a plain SHA-256 is enough: there is nothing to
//! guess. Looking it up by its hash compares nothing secret byte by byte.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest;
use aws_lc_rs::rand::SecureRandom;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_core::ids::TenantId;
use portcullis_core::ledger::{Draft, Event, Role};
use portcullis_core::time::Timestamp;
use portcullis_core::user::Source;

use super::command::Caller;
use super::ledger::{AppendError, ReadError};
use super::store::{SqliteStore, TokenRow};

/// So that secret scanners can find a token that was pasted somewhere.
const PREFIX: &str = "portcullis_";

/// A token as its maker gets it, once.
#[derive(Clone)]
pub struct NewToken {
    pub row: TokenRow,
    pub secret: String,
}

/// What a token is to be.
#[derive(Clone, Debug)]
pub struct TokenAsk {
    pub role: Role,
    pub tenant: Option<TenantId>,
    pub name: String,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the system has no randomness to make a token from")]
    Randomness,
    #[error("a token of the role {role} names its tenant; only a global-admin may be without", role = .0.as_str())]
    NeedsTenant(Role),
    #[error("a global-admin token is for all tenants; leave the tenant out or choose another role")]
    NeedsNoTenant,
    #[error("the expiry lies in the past")]
    ExpiresInThePast,
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The tokens that this gate knows.
pub struct Tokens {
    store: Arc<SqliteStore>,
    by_hash: RwLock<HashMap<[u8; 32], TokenRow>>,
}

impl Tokens {
    pub fn load(store: Arc<SqliteStore>) -> Result<Self, ReadError> {
        let mut by_hash = HashMap::new();
        store.load_tokens(|row| {
            by_hash.insert(row.hash, row);
        })?;
        Ok(Self {
            store,
            by_hash: RwLock::new(by_hash),
        })
    }

    /// Who is calling with `secret`, if it is a token in force.
    pub fn authenticate(&self, secret: &str, now: Timestamp) -> Option<Caller> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let row = by_hash.get(&hash(secret))?;
        let in_force = row.revoked_at.is_none() && row.expires_at.is_none_or(|end| now < end);
        in_force.then(|| Caller {
            actor: if row.name.is_empty() {
                row.id.clone()
            } else {
                row.name.clone()
            },
            role: row.role,
            tenant: row.tenant.clone(),
            source: Source::Api,
        })
    }

    /// Makes a token; durable, and on record, when this returns.
    pub async fn create(
        &self,
        ask: TokenAsk,
        actor: &str,
        source: Source,
        now: Timestamp,
    ) -> Result<NewToken, TokenError> {
        let made = make(ask, now)?;
        let event = Event::TokenCreated {
            token_id: made.row.id.clone(),
            role: made.row.role,
            expires_at: made.row.expires_at,
        };
        let draft = draft(&made.row, actor, source, now, event);
        self.store.create_token(made.row.clone(), draft).await?;
        let mut by_hash = self.by_hash.write().unwrap_or_else(PoisonError::into_inner);
        by_hash.insert(made.row.hash, made.row.clone());
        Ok(made)
    }

    /// Revokes a token at once. `false`: there is none of that id in force.
    pub async fn revoke(
        &self,
        id: &str,
        actor: &str,
        source: Source,
        now: Timestamp,
    ) -> Result<bool, TokenError> {
        let Some(row) = self.list().into_iter().find(|row| row.id == id) else {
            return Ok(false);
        };
        let event = Event::TokenRevoked {
            token_id: row.id.clone(),
        };
        let revoked = self
            .store
            .revoke_token(id, now, draft(&row, actor, source, now, event))
            .await?;
        let mut by_hash = self.by_hash.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = by_hash.get_mut(&row.hash) {
            row.revoked_at = row.revoked_at.or(Some(now));
        }
        Ok(revoked.is_some())
    }

    /// All tokens, the oldest first; their secrets are known to nobody here.
    pub fn list(&self) -> Vec<TokenRow> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<TokenRow> = by_hash.values().cloned().collect();
        rows.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        rows
    }
}

fn make(ask: TokenAsk, now: Timestamp) -> Result<NewToken, TokenError> {
    match (ask.role, &ask.tenant) {
        (Role::GlobalAdmin, Some(_)) => return Err(TokenError::NeedsNoTenant),
        (Role::TenantAdmin | Role::Support, None) => return Err(TokenError::NeedsTenant(ask.role)),
        (Role::GlobalAdmin | Role::Auditor, None)
        | (Role::TenantAdmin | Role::Support | Role::Auditor, Some(_)) => {}
    }
    if ask.expires_at.is_some_and(|end| end <= now) {
        return Err(TokenError::ExpiresInThePast);
    }
    let random = aws_lc_rs::rand::SystemRandom::new();
    let (mut id, mut key) = ([0; 9], [0; 32]);
    random.fill(&mut id).map_err(|_| TokenError::Randomness)?;
    random.fill(&mut key).map_err(|_| TokenError::Randomness)?;
    let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(key));
    let row = TokenRow {
        id: format!("tok_{}", BASE64_URL_SAFE_NO_PAD.encode(id)),
        hash: hash(&secret),
        role: ask.role,
        tenant: ask.tenant,
        name: ask.name,
        created_at: now,
        expires_at: ask.expires_at,
        revoked_at: None,
    };
    Ok(NewToken { row, secret })
}

fn draft(row: &TokenRow, actor: &str, source: Source, now: Timestamp, event: Event) -> Draft {
    Draft {
        at: now,
        tenant: row.tenant.clone(),
        user: None,
        actor: actor.to_owned(),
        source,
        approver: None,
        ticket: None,
        comment: None,
        batch: None,
        event,
    }
}

fn hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(role: Role, tenant: Option<&str>) -> TokenAsk {
        let tenant = tenant.map(|id| TenantId::parse(id).unwrap());
        TokenAsk {
            role,
            tenant,
            name: "ops".into(),
            expires_at: Some(Timestamp(1_000)),
        }
    }

    #[tokio::test]
    async fn a_token_works_until_it_expires_or_is_revoked_and_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let secret = {
            let tokens = Tokens::load(Arc::new(SqliteStore::open(folder.path()).unwrap())).unwrap();
            let asked = ask(Role::Support, Some("acme"));
            tokens
                .create(asked, "root", Source::Command, Timestamp(1))
                .await
                .unwrap()
                .secret
        };
        let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let tokens = Tokens::load(Arc::clone(&store)).unwrap();
        let caller = tokens.authenticate(&secret, Timestamp(999)).unwrap();
        assert_eq!((caller.role, caller.actor.as_str()), (Role::Support, "ops"));
        assert!(
            tokens.authenticate(&secret, Timestamp(1_000)).is_none(),
            "expired"
        );
        assert!(
            tokens
                .authenticate("portcullis_guess", Timestamp(2))
                .is_none()
        );
        let id = tokens.list()[0].id.clone();
        assert!(
            tokens
                .revoke(&id, "root", Source::Api, Timestamp(3))
                .await
                .unwrap()
        );
        assert!(
            tokens.authenticate(&secret, Timestamp(4)).is_none(),
            "revoked"
        );
    }

    #[test]
    fn roles_and_tenants_must_fit() {
        let fits = |role, tenant| make(ask(role, tenant), Timestamp(1)).is_ok();
        assert!(fits(Role::GlobalAdmin, None) && fits(Role::Auditor, None));
        assert!(fits(Role::TenantAdmin, Some("acme")) && fits(Role::Support, Some("acme")));
        assert!(!fits(Role::GlobalAdmin, Some("acme")));
        assert!(!fits(Role::TenantAdmin, None) && !fits(Role::Support, None));
    }
}
