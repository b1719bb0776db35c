//! Admin tokens, by hash, each made, rotated and revoked together with its entry
//! in the ledger. When one was last used is no entry: it is noted in batches.

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::ledger::{Draft, Entry, Event, Role};
use portcullis_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, Row, params};

use super::SqliteStore;
use super::append::{Refused, append, appended_before};
use super::columns::Number;
use super::fault::Fault;
use super::people;
use super::vault::Vault;
use crate::control::ledger::{AppendError, Expect, IdempotencyKey, ReadError};

/// An admin token. The token itself is shown once, to its maker, and never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Public name of the token, as the ledger and the list show it.
    pub id: String,
    /// Hash of the token.
    pub hash: [u8; 32],
    pub role: Role,
    /// `None`: for all tenants.
    pub tenant: Option<TenantId>,
    /// Whose it is; a token for all tenants may be of any tenant's user.
    pub user: Option<UserKey>,
    /// What it is for, in its maker's words.
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    /// The secret before the last rotation.
    pub old: Option<OldSecret>,
}

/// A secret that works for a while beside the one that took its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OldSecret {
    pub hash: [u8; 32],
    /// It works until just before here.
    pub until: Timestamp,
}

impl std::fmt::Debug for TokenRow {
    /// Without the hashes: nobody who reads a log has a use for them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenRow({})", self.id)
    }
}

/// What a rotation changes.
#[derive(Clone)]
pub struct Rotation {
    pub id: String,
    /// The hash that the token must still have.
    pub from: [u8; 32],
    pub to: [u8; 32],
    pub expires_at: Option<Timestamp>,
    pub old: Option<OldSecret>,
}

impl SqliteStore {
    /// Stores a token and appends `draft`, both or neither. What was done under the
    /// idempotency key before is not done again.
    pub async fn create_token(
        &self,
        token: TokenRow,
        draft: Draft,
        retry: Option<IdempotencyKey>,
    ) -> Result<Entry, AppendError> {
        self.write(move |tx, vault| {
            not_shown(tx, vault, retry.as_ref())?;
            if let Some(user) = &token.user
                && people::forgotten(tx, vault, user)?.is_some()
            {
                return Err(AppendError::UserDeleted.into());
            }
            let sql = "INSERT INTO tokens (id, hash, role, tenant, name, created_at, expires_at,
                                           revoked_at, user_tenant, user)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let inserted = tx.prepare_cached(sql)?.execute(params![
                token.id,
                token.hash,
                token.role.as_str(),
                token.tenant.as_ref().map(|tenant| tenant.as_str()),
                token.name,
                Number(token.created_at.0),
                token.expires_at.map(|end| Number(end.0)),
                token.revoked_at.map(|at| Number(at.0)),
                token.user.as_ref().map(UserKey::tenant),
                token.user.as_ref().map(UserKey::user),
            ]);
            match inserted {
                Ok(_) => Ok(append(tx, vault, draft, Expect::Any, retry.as_ref())?.entry),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    Err(AppendError::TokenTaken.into())
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Revokes the token `id` and appends `draft`, both or neither. `None`: there
    /// is no such token, or it was revoked before; nothing is written then.
    pub async fn revoke_token(
        &self,
        id: &str,
        at: Timestamp,
        draft: Draft,
    ) -> Result<Option<Entry>, AppendError> {
        let id = id.to_owned();
        self.write(move |tx, vault| {
            let sql = "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
            match tx.prepare_cached(sql)?.execute(params![Number(at.0), id])? {
                0 => Ok::<_, Refused>(None),
                _ => Ok(Some(append(tx, vault, draft, Expect::Any, None)?.entry)),
            }
        })
        .await
    }

    /// Gives a token another secret and appends `draft`, both or neither. `None`:
    /// it has another secret by now, or was revoked; nothing is written then. What was
    /// done under the idempotency key before is not done again.
    pub async fn rotate_token(
        &self,
        rotation: Rotation,
        draft: Draft,
        retry: Option<IdempotencyKey>,
    ) -> Result<Option<Entry>, AppendError> {
        self.write(move |tx, vault| {
            not_shown(tx, vault, retry.as_ref())?;
            let sql = "UPDATE tokens SET hash = ?, expires_at = ?, old_hash = ?, old_until = ?
                       WHERE id = ? AND hash = ? AND revoked_at IS NULL";
            let changed = tx.prepare_cached(sql)?.execute(params![
                rotation.to,
                rotation.expires_at.map(|end| Number(end.0)),
                rotation.old.map(|old| old.hash),
                rotation.old.map(|old| Number(old.until.0)),
                rotation.id,
                rotation.from,
            ])?;
            match changed {
                0 => Ok::<_, Refused>(None),
                _ => Ok(Some(
                    append(tx, vault, draft, Expect::Any, retry.as_ref())?.entry,
                )),
            }
        })
        .await
    }

    /// Notes when tokens, by id, were last used.
    pub async fn note_tokens_used(
        &self,
        used: Vec<(String, Timestamp)>,
    ) -> Result<(), AppendError> {
        if used.is_empty() {
            return Ok(());
        }
        self.write(move |tx, _| {
            let mut note = tx.prepare_cached("UPDATE tokens SET last_used_at = ? WHERE id = ?")?;
            for (id, at) in used {
                note.execute(params![Number(at.0), id])?;
            }
            Ok::<_, Refused>(())
        })
        .await
    }

    /// Hands every token to `take`, revoked and expired ones included, the oldest
    /// first. Blocks on the disk.
    pub fn load_tokens(&self, mut take: impl FnMut(TokenRow)) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let sql = "SELECT id, hash, role, tenant, name, created_at, expires_at, revoked_at,
                              user_tenant, user, last_used_at, old_hash, old_until
                       FROM tokens ORDER BY created_at, id";
            let mut all = reader.prepare(sql)?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                take(token(row)?);
            }
            Ok(())
        })
    }
}

/// A secret is shown once: a retry whose first attempt went through gets none, and a
/// second token that nobody asked for is not made.
fn not_shown(
    tx: &Connection,
    vault: &Vault,
    retry: Option<&IdempotencyKey>,
) -> Result<(), Refused> {
    let Some(key) = retry else {
        return Ok(());
    };
    match appended_before(tx, vault, key)?.map(|entry| entry.draft.event) {
        None => Ok(()),
        Some(Event::TokenCreated { token_id, .. } | Event::TokenRotated { token_id, .. }) => {
            Err(AppendError::SecretShown(token_id).into())
        }
        Some(_) => Err(AppendError::KeyReused.into()),
    }
}

/// Ends the tokens of a deleted user for good, and forgets whose they were. `names`:
/// the id, and every other name that the user had.
pub(super) fn forget_user(tx: &Connection, names: &[UserKey], at: Timestamp) -> Result<(), Fault> {
    let sql = "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?), name = '', user = NULL,
                                 user_tenant = NULL
               WHERE user_tenant = ? AND user = ?";
    let mut forget = tx.prepare_cached(sql)?;
    for name in names {
        forget.execute(params![Number(at.0), name.tenant(), name.user()])?;
    }
    Ok(())
}

fn token(row: &Row<'_>) -> Result<TokenRow, Fault> {
    let id: String = row.get(0)?;
    let place = || format!("admin token {id:?}");
    let role: String = row.get(2)?;
    let role = Role::parse(&role)
        .ok_or_else(|| Fault::garbled(place(), format!("unknown role {role:?}")))?;
    let tenant = |column: usize| -> Result<Option<TenantId>, Fault> {
        let text: Option<String> = row.get(column)?;
        let tenant = text.map(|text| TenantId::parse(&text)).transpose();
        tenant.map_err(|error| Fault::garbled(place(), error))
    };
    let time = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
        let number: Option<Number> = row.get(column)?;
        Ok(number.map(|number| Timestamp(number.0)))
    };
    let user: Option<String> = row.get(9)?;
    let user = user.map(|text| UserId::parse(&text)).transpose();
    let user = user.map_err(|error| Fault::garbled(place(), error))?;
    let old_hash: Option<[u8; 32]> = row.get(11)?;
    Ok(TokenRow {
        hash: row.get(1)?,
        role,
        tenant: tenant(3)?,
        name: row.get(4)?,
        created_at: time(5)?.unwrap_or_default(),
        expires_at: time(6)?,
        revoked_at: time(7)?,
        user: tenant(8)?
            .zip(user)
            .map(|(tenant, user)| UserKey::new(&tenant, &user)),
        last_used_at: time(10)?,
        old: old_hash
            .zip(time(12)?)
            .map(|(hash, until)| OldSecret { hash, until }),
        id,
    })
}
