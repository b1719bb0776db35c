//! Admin tokens, by hash, each made and revoked together with its entry in the ledger.

use portcullis_core::ids::TenantId;
use portcullis_core::ledger::{Draft, Entry, Role};
use portcullis_core::time::Timestamp;
use rusqlite::{ErrorCode, Row, params};

use super::SqliteStore;
use super::append::{Refused, append};
use super::columns::Number;
use super::fault::Fault;
use crate::control::ledger::{AppendError, Expect, ReadError};

/// An admin token. The token itself is shown once, to its maker, and never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Public name of the token, as the ledger and the list show it.
    pub id: String,
    /// Hash of the token.
    pub hash: [u8; 32],
    pub role: Role,
    /// `None`: for all tenants.
    pub tenant: Option<TenantId>,
    /// What it is for, in its maker's words.
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl SqliteStore {
    /// Stores a token and appends `draft`, both or neither.
    pub async fn create_token(&self, token: TokenRow, draft: Draft) -> Result<Entry, AppendError> {
        self.write(move |tx| {
            let sql = "INSERT INTO tokens
                           (id, hash, role, tenant, name, created_at, expires_at, revoked_at)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
            let inserted = tx.prepare_cached(sql)?.execute(params![
                token.id,
                token.hash,
                token.role.as_str(),
                token.tenant.as_ref().map(|tenant| tenant.as_str()),
                token.name,
                Number(token.created_at.0),
                token.expires_at.map(|end| Number(end.0)),
                token.revoked_at.map(|at| Number(at.0)),
            ]);
            match inserted {
                Ok(_) => Ok(append(tx, draft, Expect::Any, None)?.entry),
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
        self.write(move |tx| {
            let sql = "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
            match tx.prepare_cached(sql)?.execute(params![Number(at.0), id])? {
                0 => Ok::<_, Refused>(None),
                _ => Ok(Some(append(tx, draft, Expect::Any, None)?.entry)),
            }
        })
        .await
    }

    /// Hands every token to `take`, revoked and expired ones included, the oldest
    /// first. Blocks on the disk.
    pub fn load_tokens(&self, mut take: impl FnMut(TokenRow)) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let sql = "SELECT id, hash, role, tenant, name, created_at, expires_at, revoked_at
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

fn token(row: &Row<'_>) -> Result<TokenRow, Fault> {
    let id: String = row.get(0)?;
    let place = || format!("admin token {id:?}");
    let role: String = row.get(2)?;
    let role = Role::parse(&role)
        .ok_or_else(|| Fault::garbled(place(), format!("unknown role {role:?}")))?;
    let tenant = row
        .get::<_, Option<String>>(3)?
        .map(|tenant| TenantId::parse(&tenant))
        .transpose()
        .map_err(|error| Fault::garbled(place(), error))?;
    Ok(TokenRow {
        hash: row.get(1)?,
        role,
        tenant,
        name: row.get(4)?,
        created_at: Timestamp(row.get::<_, Number>(5)?.0),
        expires_at: row.get::<_, Option<Number>>(6)?.map(|end| Timestamp(end.0)),
        revoked_at: row.get::<_, Option<Number>>(7)?.map(|at| Timestamp(at.0)),
        id,
    })
}
