//! Admin tokens on the store of a gate that is not running: how the first one
//! comes to be, and how one is taken back when nobody can reach the gate.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::ledger::Role;
use portcullis_core::time::Timestamp;

use super::{StartError, wall_clock};
use crate::config::Config;
use crate::control::command::Caller;
use crate::control::store::{SqliteStore, TokenRow};
use crate::control::tokens::{NewToken, RotateAsk, TokenAsk, TokenError, Tokens};
use crate::secret::Secret;

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    pub role: Role,
    pub tenant: Option<TenantId>,
    /// Whose it is to be.
    pub user: Option<(TenantId, UserId)>,
    pub name: String,
    pub expires: Option<Duration>,
}

/// What is known of a token; not its secret.
#[derive(Clone, Debug)]
pub struct StoredToken {
    pub id: String,
    pub role: Role,
    pub tenant: Option<TenantId>,
    pub user: Option<UserKey>,
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    /// Neither revoked nor expired. How its user stands, only a gate can tell.
    pub in_force: bool,
}

/// A token with its secret, shown this once.
#[derive(Debug)]
pub struct CreatedToken {
    pub token: StoredToken,
    pub secret: Secret,
    /// Until when the secret before the rotation works as well.
    pub old_works_until: Option<Timestamp>,
}

/// The tokens of the store that `config` names, for this process alone.
pub struct StoredTokens {
    tokens: Tokens,
    runtime: tokio::runtime::Runtime,
}

impl StoredTokens {
    /// # Errors
    /// Where the store can't be opened, by a gate that runs on it among others.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let store = Arc::new(SqliteStore::open(&config.store_folder)?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let tokens = Tokens::load(store)?;
        Ok(Self { tokens, runtime })
    }

    /// # Errors
    /// Where it can't be made so, or not be written.
    pub fn create(&self, request: TokenRequest) -> Result<CreatedToken, TokenError> {
        let now = wall_clock();
        let user = request.user.as_ref();
        let ask = TokenAsk {
            role: request.role,
            tenant: request.tenant,
            user: user.map(|(tenant, user)| UserKey::new(tenant, user)),
            name: request.name,
            expires_at: request.expires.map(|life| after(now, life)),
        };
        let by = Caller::command_line();
        let made = self
            .runtime
            .block_on(self.tokens.create(ask, &by, now, None))?;
        Ok(self.shown(made, now))
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<StoredToken> {
        let now = wall_clock();
        let rows = self.tokens.list().into_iter();
        rows.map(|row| self.view(row, now)).collect()
    }

    /// `false`: it was revoked before.
    ///
    /// # Errors
    /// Where there is none, or it can't be written.
    pub fn revoke(&self, id: &str) -> Result<bool, TokenError> {
        let by = Caller::command_line();
        let revoke = self.tokens.revoke(id, &by, wall_clock());
        self.runtime.block_on(revoke)
    }

    /// # Errors
    /// Where it is none in force, or it can't be written.
    pub fn rotate(
        &self,
        id: &str,
        expires: Option<Duration>,
        grace: Duration,
    ) -> Result<CreatedToken, TokenError> {
        let now = wall_clock();
        let ask = RotateAsk {
            expires_at: expires.map(|life| after(now, life)),
            grace,
        };
        let by = Caller::command_line();
        let rotate = self.tokens.rotate(id, ask, &by, now, None);
        let made = self.runtime.block_on(rotate)?;
        Ok(self.shown(made, now))
    }

    fn shown(&self, made: NewToken, now: Timestamp) -> CreatedToken {
        CreatedToken {
            old_works_until: made.row.old.map(|old| old.until),
            secret: Secret::new(made.secret),
            token: self.view(made.row, now),
        }
    }

    fn view(&self, row: TokenRow, now: Timestamp) -> StoredToken {
        StoredToken {
            in_force: self.tokens.works(&row, now),
            id: row.id,
            role: row.role,
            tenant: row.tenant,
            user: row.user,
            name: row.name,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        }
    }
}

fn after(now: Timestamp, life: Duration) -> Timestamp {
    let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    Timestamp(now.0.saturating_add(millis))
}
