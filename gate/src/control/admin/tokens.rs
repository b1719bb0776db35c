//! `POST` and `GET /api/v1/tokens`, `DELETE /api/v1/tokens/{id}`.
//!
//! A tenant-admin's reach ends at its own tenant: other tokens are not there for
//! it, and it makes no global-admin.

use axum::http::StatusCode;
use portcullis_core::ids::TenantId;
use portcullis_core::ledger::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::schema::{Moment, RoleWord, TenantText, Time, Words};
use super::{body, times};
use crate::control::command::Caller;
use crate::control::store::TokenRow;
use crate::control::tokens::TokenAsk;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateFields {
    #[schemars(with = "RoleWord")]
    role: Role,
    #[schemars(with = "Option<TenantText>")]
    tenant: Option<String>,
    /// A duration from now, or a time.
    #[schemars(with = "Option<Moment>")]
    expires: Option<String>,
    /// What the audit shows as the actor.
    #[schemars(with = "Option<Words>")]
    name: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct TokenView {
    id: String,
    #[schemars(with = "RoleWord")]
    role: &'static str,
    tenant: Option<String>,
    name: String,
    #[schemars(with = "Time")]
    created_at: String,
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    #[schemars(with = "Option<Time>")]
    revoked_at: Option<String>,
    in_force: bool,
}

/// A token, with its secret: shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NewTokenView {
    id: String,
    token: String,
    #[schemars(with = "RoleWord")]
    role: &'static str,
    tenant: Option<String>,
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokenList {
    tokens: Vec<TokenView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RevokedToken {
    id: String,
    revoked: bool,
    /// False: it was revoked before.
    changed: bool,
}

pub(super) async fn create(
    ask: Ask,
    fields: CreateFields,
) -> Result<Answer<NewTokenView>, Problem> {
    let tenant = tenant(&ask, fields.role, fields.tenant)?;
    if ask.caller.tenant.is_some() && fields.role == Role::GlobalAdmin {
        let what = "a token of one tenant makes no token for all of them";
        return Err(
            Problem::new(StatusCode::FORBIDDEN, "insufficient-role", what)
                .of("role")
                .mend("choose tenant-admin, support or auditor"),
        );
    }
    let commander = &ask.api.state.commander;
    let now = commander.now();
    let expires = fields.expires.as_deref();
    let wanted = TokenAsk {
        role: fields.role,
        tenant,
        name: body::text("name", fields.name)?.unwrap_or_default(),
        expires_at: expires
            .map(|text| times::moment("expires", text, now))
            .transpose()?,
    };
    let tokens = &ask.api.state.tokens;
    let made = tokens
        .create(wanted, &ask.caller.actor, ask.caller.source, now)
        .await?;
    let body = NewTokenView {
        id: made.row.id,
        token: made.secret,
        role: made.row.role.as_str(),
        tenant: made.row.tenant.map(String::from),
        expires_at: made.row.expires_at.map(times::text),
    };
    Answer::new(StatusCode::CREATED, &body)
}

/// The tenant of the new token: of the body, or as for any other call.
fn tenant(ask: &Ask, role: Role, named: Option<String>) -> Result<Option<TenantId>, Problem> {
    let scope = ask.named_scope()?;
    let Some(named) = named else {
        let scope = match (scope, role) {
            // As for any other call: the only tenant need not be named.
            (None, Role::TenantAdmin | Role::Support) => Some(ask.scope()?),
            (scope, Role::GlobalAdmin | Role::Auditor | Role::TenantAdmin | Role::Support) => scope,
        };
        return Ok(scope.map(|scope| scope.tenant));
    };
    let known = ask.tenants();
    let found = known.iter().find(|known| known.tenant.as_str() == named);
    let other = scope.is_some_and(|scope| scope.tenant.as_str() != named);
    match found {
        Some(found) if !other => Ok(Some(found.tenant.clone())),
        Some(_) | None => {
            let what = format!("there is no tenant {named:?} that this token acts on");
            Err(Problem::not_found(what).of("tenant"))
        }
    }
}

pub(super) async fn list(ask: Ask) -> Result<Answer<TokenList>, Problem> {
    let scope = ask.named_scope()?;
    let now = ask.api.state.commander.now();
    let view = |row: TokenRow| TokenView {
        in_force: row.revoked_at.is_none() && row.expires_at.is_none_or(|end| now < end),
        id: row.id,
        role: row.role.as_str(),
        tenant: row.tenant.map(String::from),
        name: row.name,
        created_at: times::text(row.created_at),
        expires_at: row.expires_at.map(times::text),
        revoked_at: row.revoked_at.map(times::text),
    };
    let rows = ask.api.state.tokens.list().into_iter();
    let rows = rows.filter(|row| {
        let wanted = scope.as_ref().map(|scope| &scope.tenant);
        wanted.is_none() || row.tenant.as_ref() == wanted
    });
    let tokens = rows.map(view).collect();
    Answer::ok(&TokenList { tokens })
}

pub(super) async fn revoke(ask: Ask) -> Result<Answer<RevokedToken>, Problem> {
    let scope = ask.named_scope()?;
    let tokens = &ask.api.state.tokens;
    let row = tokens.list().into_iter().find(|row| row.id == ask.id);
    let within = |row: &TokenRow| {
        let wanted = scope.as_ref().map(|scope| &scope.tenant);
        wanted.is_none() || row.tenant.as_ref() == wanted
    };
    if !row.as_ref().is_some_and(within) {
        let what = format!("there is no token {:?} that this one may revoke", ask.id);
        return Err(Problem::not_found(what).mend("look at GET /api/v1/tokens"));
    }
    let Caller { actor, source, .. } = &ask.caller;
    let now = ask.api.state.commander.now();
    let changed = tokens.revoke(&ask.id, actor, *source, now).await?;
    Answer::ok(&RevokedToken {
        id: ask.id,
        revoked: true,
        changed,
    })
}
