//! Admin tokens: made once, shown once, kept as hashes.
//!
//! A token is 32 random bytes, so a plain SHA-256 is enough: there is nothing to
//! guess. Looking it up by its hash compares nothing secret byte by byte: what a
//! caller could learn from the time it takes is about hashes of its own guesses,
//! and no hash leads back to a token.
//!
//! A token may belong to a user. It is in force only while that user is active,
//! and the user of the last administrator's token can't be put out.

mod secret;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::ledger::{Draft, Event, Role};
use portcullis_core::limits;
use portcullis_core::standing::Verdict;
use portcullis_core::time::Timestamp;
use portcullis_core::user::Source;
use tokio::sync::{Mutex, MutexGuard, watch};

use self::table::{Table, in_force};
use super::command::Caller;
use super::ledger::{AppendError, IdempotencyKey, ReadError};
use super::store::{OldSecret, Rotation, SqliteStore, TokenRow};
use crate::live::Reader;

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
    /// Whose it is; of `tenant`, where there is one.
    pub user: Option<UserKey>,
    pub name: String,
    pub expires_at: Option<Timestamp>,
}

/// How a token is to get its new secret.
#[derive(Clone, Copy, Debug, Default)]
pub struct RotateAsk {
    /// `None`: as before.
    pub expires_at: Option<Timestamp>,
    /// How long the old secret works as well.
    pub grace: Duration,
}

/// Why a secret opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Unknown, expired or revoked.
    Unknown,
    /// The user whom the token belongs to is suspended or deleted.
    UserOut,
    /// How that user stands can't be told now.
    CannotKnow,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the system has no randomness to make a token from")]
    Randomness,
    #[error("a token of the role {role} names its tenant; only a global-admin may be without", role = .0.as_str())]
    NeedsTenant(Role),
    #[error("a global-admin token is for all tenants; leave the tenant out or choose another role")]
    NeedsNoTenant,
    #[error("a token of one tenant belongs to a user of that tenant")]
    UserOfAnother,
    #[error("the user is deleted, which is final")]
    UserDeleted,
    #[error("a token can't be called {0:?}: in the audit it would look like something else")]
    MisleadingName(String),
    #[error("the expiry lies in the past")]
    ExpiresInThePast,
    #[error("there is no token '{0}'")]
    NoSuchToken(String),
    #[error("the token is expired or revoked; make a new one")]
    Ended,
    #[error("the token was rotated or revoked meanwhile; look at it again")]
    Changed,
    #[error("this would leave the tenant without a tenant-admin")]
    LastAdministrator,
    #[error("this would leave no global-admin's token in force")]
    LastGlobalAdmin,
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Who holds an administrator's token in force: the users whom one belongs to, and
/// the names that they have.
#[derive(Clone, Debug, Default)]
pub struct Admins {
    users: HashSet<UserKey>,
    names: HashSet<(Option<TenantId>, String)>,
}

impl Admins {
    /// Whether an administrator's token belongs to the user.
    pub fn owns(&self, key: &UserKey) -> bool {
        self.users.contains(key)
    }

    /// Whether the user seems to be an administrator, by a token's user or name.
    pub fn has(&self, key: &UserKey) -> bool {
        let named = |tenant| self.names.contains(&(tenant, key.user().to_owned()));
        self.owns(key) || named(None) || named(TenantId::parse(key.tenant()).ok())
    }
}

/// The tokens that this gate knows.
pub struct Tokens {
    store: Arc<SqliteStore>,
    table: RwLock<Table>,
    /// How users stand; `None` on the store of a gate that is not running.
    live: Option<Reader>,
    /// Held while somebody may stop being an administrator: of two who ask to put
    /// each other out at once, the second finds the other gone.
    administrators: Mutex<()>,
}

impl Tokens {
    pub fn load(store: Arc<SqliteStore>) -> Result<Self, ReadError> {
        let mut table = Table::default();
        store.load_tokens(|row| table.put(row))?;
        Ok(Self {
            store,
            table: RwLock::new(table),
            live: None,
            administrators: Mutex::new(()),
        })
    }

    /// From here on a token is out while its user is.
    #[must_use]
    pub fn judged_by(mut self, live: Reader) -> Self {
        self.live = Some(live);
        self
    }

    /// Who is calling with `secret`.
    pub fn authenticate(&self, secret: &str, now: Timestamp) -> Result<Caller, Denied> {
        let table = self.table();
        let known = table.of_secret(&secret::hash(secret), now);
        let known = known.ok_or(Denied::Unknown)?;
        self.judge_user(&known.row, now)?;
        known.note_use(now);
        let user = known.row.user.clone().map(|user| self.resolve(user));
        Ok(Caller::by_token(&known.row, user))
    }

    /// Whether the token `id` would still be taken: what goes on for long asks now
    /// and then.
    pub fn in_force(&self, id: &str, now: Timestamp) -> bool {
        let table = self.table();
        table
            .find(id)
            .is_some_and(|known| self.stands(&known.row, now))
    }

    fn stands(&self, row: &TokenRow, now: Timestamp) -> bool {
        in_force(row, now) && self.judge_user(row, now).is_ok()
    }

    fn judge_user(&self, row: &TokenRow, now: Timestamp) -> Result<(), Denied> {
        let (Some(live), Some(user)) = (&self.live, &row.user) else {
            return Ok(());
        };
        if live.is_blind() {
            return Err(Denied::CannotKnow);
        }
        let standing = live.standing(&live.resolve(user.clone()));
        if matches!(standing.judge(now), Verdict::Active) {
            Ok(())
        } else {
            Err(Denied::UserOut)
        }
    }

    /// Makes a token; durable, and on record, when this returns.
    pub async fn create(
        &self,
        ask: TokenAsk,
        by: &Caller,
        now: Timestamp,
        retry: Option<IdempotencyKey>,
    ) -> Result<NewToken, TokenError> {
        let made = secret::make(ask, now)?;
        if let (Some(live), Some(user)) = (&self.live, &made.row.user)
            && live.standing(&live.resolve(user.clone())).deleted
        {
            return Err(TokenError::UserDeleted);
        }
        let event = Event::TokenCreated {
            token_id: made.row.id.clone(),
            role: made.row.role,
            expires_at: made.row.expires_at,
        };
        let draft = draft(&made.row, by, now, event);
        self.store
            .create_token(made.row.clone(), draft, retry)
            .await?;
        self.table_mut().put(made.row.clone());
        Ok(made)
    }

    /// Revokes a token at once. `false`: it was revoked before.
    pub async fn revoke(&self, id: &str, by: &Caller, now: Timestamp) -> Result<bool, TokenError> {
        let _one_at_a_time = self.administrators().await;
        let row = self.row(id)?;
        self.keep_one_administrator(&row, by, now)?;
        let event = Event::TokenRevoked {
            token_id: row.id.clone(),
        };
        let draft = draft(&row, by, now, event);
        let revoked = self.store.revoke_token(id, now, draft).await?;
        self.table_mut().revoke(id, now);
        Ok(revoked.is_some())
    }

    /// Gives a token a new secret, shown this once; all else about it stays.
    pub async fn rotate(
        &self,
        id: &str,
        ask: RotateAsk,
        by: &Caller,
        now: Timestamp,
        retry: Option<IdempotencyKey>,
    ) -> Result<NewToken, TokenError> {
        let _one_at_a_time = self.administrators().await;
        let mut row = self.row(id)?;
        if !in_force(&row, now) {
            return Err(TokenError::Ended);
        }
        let expires_at = ask.expires_at.or(row.expires_at);
        if expires_at.is_some_and(|end| end <= now) {
            return Err(TokenError::ExpiresInThePast);
        }
        let last = |end: Option<Timestamp>| end.map_or(u64::MAX, |end| end.0);
        if last(expires_at) < last(row.expires_at) {
            self.keep_one_administrator(&row, by, now)?;
        }
        let fresh = secret::fresh()?;
        let grace = u64::try_from(ask.grace.as_millis()).unwrap_or(u64::MAX);
        let old = (grace > 0).then(|| OldSecret {
            hash: row.hash,
            until: Timestamp(now.0.saturating_add(grace)),
        });
        let rotation = Rotation {
            id: row.id.clone(),
            from: row.hash,
            to: secret::hash(&fresh),
            expires_at,
            old,
        };
        let event = Event::TokenRotated {
            token_id: row.id.clone(),
            expires_at,
            old_until: old.map(|old| old.until),
        };
        let draft = draft(&row, by, now, event);
        let rotated = self.store.rotate_token(rotation.clone(), draft, retry);
        let rotated = rotated.await?;
        if rotated.is_none() {
            // An attempt whose outcome nobody learnt may have gone through.
            self.read_again().await?;
            return Err(TokenError::Changed);
        }
        (row.hash, row.expires_at, row.old) = (rotation.to, expires_at, old);
        self.table_mut().put(row.clone());
        Ok(NewToken { row, secret: fresh })
    }

    async fn read_again(&self) -> Result<(), ReadError> {
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || {
            let mut rows = Vec::new();
            store.load_tokens(|row| rows.push(row)).map(|()| rows)
        });
        let rows = read.await.map_err(|_| ReadError::Closed)??;
        let mut table = self.table_mut();
        rows.into_iter().for_each(|row| table.put(row));
        Ok(())
    }

    /// The ids of the user's tokens.
    pub fn owned_by(&self, user: &UserKey) -> Vec<String> {
        let table = self.table();
        let theirs = table.rows().filter(|row| self.belongs_to(row, user));
        theirs.map(|row| row.id.clone()).collect()
    }

    /// Forgets whose these tokens were, as the store has done: they are dead.
    pub fn forget_owner(&self, tokens: &[String], at: Timestamp) {
        let mut table = self.table_mut();
        for id in tokens {
            let Some(row) = table.find(id).map(table::Known::row) else {
                continue;
            };
            table.put(TokenRow {
                user: None,
                name: String::new(),
                revoked_at: row.revoked_at.or(Some(at)),
                ..row
            });
        }
    }

    /// All tokens, the oldest first; their secrets are known to nobody here.
    pub fn list(&self) -> Vec<TokenRow> {
        self.table().list()
    }

    /// The token `id`, in force or not.
    pub fn find(&self, id: &str) -> Option<TokenRow> {
        self.table().find(id).map(table::Known::row)
    }

    /// Whether the list should show the token as one that works.
    pub fn works(&self, row: &TokenRow, now: Timestamp) -> bool {
        self.stands(row, now)
    }

    fn row(&self, id: &str) -> Result<TokenRow, TokenError> {
        self.find(id)
            .ok_or_else(|| TokenError::NoSuchToken(id.to_owned()))
    }

    /// For who is about to put an administrator out: held until that is in force.
    pub async fn administrators(&self) -> MutexGuard<'_, ()> {
        self.administrators.lock().await
    }

    /// Who is an administrator now.
    pub fn admins(&self, now: Timestamp) -> Admins {
        let table = self.table();
        let mut admins = Admins::default();
        let rows = table.rows().filter(|row| is_admins(row));
        for row in rows.filter(|row| self.stands(row, now)) {
            let user = row.user.clone().map(|user| self.resolve(user));
            admins.users.extend(user);
            admins.names.insert((row.tenant.clone(), row.name.clone()));
        }
        admins
    }

    /// Whether nobody would be left who may administer, were `user` put out: of the
    /// tenant, or of all tenants.
    pub fn is_last_administrator(&self, user: &UserKey, now: Timestamp) -> bool {
        let table = self.table();
        self.administered_by(&table, user, now)
            .any(|row| !self.has_other(&table, row, Some(user), now))
    }

    fn administered_by<'a>(
        &'a self,
        table: &'a Table,
        user: &'a UserKey,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a TokenRow> {
        let mine = move |row: &&TokenRow| self.belongs_to(row, user) && self.stands(row, now);
        table.rows().filter(|row| is_admins(row)).filter(mine)
    }

    /// Whether another token does what `row` does, of another user than `user`.
    /// One whose own user has a hold, or will, is not to be counted on.
    fn has_other(
        &self,
        table: &Table,
        row: &TokenRow,
        user: Option<&UserKey>,
        now: Timestamp,
    ) -> bool {
        table.rows().any(|other| {
            other.id != row.id
                && (other.role, &other.tenant) == (row.role, &row.tenant)
                && user.is_none_or(|user| !self.belongs_to(other, user))
                && self.stands(other, now)
                && !self.user_has_holds(other)
        })
    }

    fn belongs_to(&self, row: &TokenRow, user: &UserKey) -> bool {
        let owner = row.user.clone().map(|owner| self.resolve(owner));
        owner.as_ref() == Some(user)
    }

    fn user_has_holds(&self, row: &TokenRow) -> bool {
        let (Some(live), Some(user)) = (&self.live, &row.user) else {
            return false;
        };
        !live.standing(&live.resolve(user.clone())).holds.is_empty()
    }

    /// The user whom a name means by now.
    pub fn resolve(&self, name: UserKey) -> UserKey {
        match &self.live {
            Some(live) => live.resolve(name),
            None => name,
        }
    }

    /// A tenant keeps a tenant-admin, unless who is above it says otherwise; and the
    /// gate a global-admin, unless somebody has the store in their hands.
    fn keep_one_administrator(
        &self,
        row: &TokenRow,
        by: &Caller,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let error = match row.role {
            Role::TenantAdmin if by.role != Role::GlobalAdmin => TokenError::LastAdministrator,
            Role::GlobalAdmin if by.source != Source::Command => TokenError::LastGlobalAdmin,
            Role::TenantAdmin | Role::GlobalAdmin | Role::Support | Role::Auditor => return Ok(()),
        };
        if self.stands(row, now) && !self.has_other(&self.table(), row, None, now) {
            return Err(error);
        }
        Ok(())
    }

    /// Writes down when tokens were last used, as far as that is not written yet.
    pub async fn note_use(&self) -> Result<(), AppendError> {
        let used = self.table().used();
        self.store.note_tokens_used(used.clone()).await?;
        self.table().noted(&used);
        Ok(())
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever holds one of these can make more of them.
fn is_admins(row: &TokenRow) -> bool {
    match row.role {
        Role::GlobalAdmin | Role::TenantAdmin => true,
        Role::Support | Role::Auditor => false,
    }
}

/// Notes the last use of tokens until `stopping`, and once more then. A crash
/// loses what was used since the round before.
pub async fn upkeep(tokens: Arc<Tokens>, mut stopping: watch::Receiver<bool>) {
    loop {
        let stops = tokio::select! {
            () = tokio::time::sleep(limits::TOKENS_UPKEEP_EVERY) => false,
            _ = stopping.wait_for(|stopping| *stopping) => true,
        };
        if let Err(error) = tokens.note_use().await {
            tracing::warn!(%error, "when admin tokens were last used could not be noted; trying again later");
        }
        if stops {
            return;
        }
    }
}

/// An entry about a token of a user is one about the user.
fn draft(row: &TokenRow, by: &Caller, now: Timestamp, event: Event) -> Draft {
    let user = row.user.as_ref();
    let of_user = user.and_then(|user| TenantId::parse(user.tenant()).ok());
    Draft {
        at: now,
        tenant: of_user.or_else(|| row.tenant.clone()),
        user: user.and_then(|user| UserId::parse(user.user()).ok()),
        actor: by.actor.clone(),
        token: by.token.clone(),
        source: by.source,
        approver: None,
        ticket: None,
        comment: None,
        batch: None,
        event,
    }
}
