//! `POST` and `GET /api/v1/tokens`, `DELETE /api/v1/tokens/{id}` and
//! `POST /api/v1/tokens/{id}/rotate`.
//!
//! A tenant-admin's reach ends at its own tenant: other tokens are not there for
//! it, and it makes no global-admin.

use std::time::Duration;

use axum::http::StatusCode;
use portcullis_core::ids::{TenantId, UserKey};
use portcullis_core::ledger::Role;
use portcullis_core::limits;
use portcullis_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Ask};
use super::parameter::{CURSOR, LIMIT, Parameter, Shape, TENANT};
use super::problem::Problem;
use super::schema::{GraceText, Moment, NameText, RoleWord, TenantText, Time, Words};
use super::scope::Scope;
use super::{body, times};
use crate::control::store::TokenRow;
use crate::control::tokens::{NewToken, RotateAsk, TokenAsk, Tokens};

pub(super) const PARAMETERS: &[Parameter] = &[
    TENANT,
    Parameter::new("user", Shape::Name, "Those of one user, by id or alias"),
    Parameter::new("role", Shape::OneOf(&ROLES), "Those of one role"),
    Parameter::new(
        "in_force",
        Shape::OneOf(&["true", "false"]),
        "Those that work, or those that do not",
    ),
    LIMIT,
    CURSOR,
];

const ROLES: [&str; 4] = [
    Role::GlobalAdmin.as_str(),
    Role::TenantAdmin.as_str(),
    Role::Support.as_str(),
    Role::Auditor.as_str(),
];

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateFields {
    #[schemars(with = "RoleWord")]
    role: Role,
    #[schemars(with = "Option<TenantText>")]
    tenant: Option<String>,
    /// Whose it is: out when the user is.
    #[schemars(with = "Option<NameText>")]
    user: Option<String>,
    /// That user's tenant, where the token is for all tenants.
    #[schemars(with = "Option<TenantText>")]
    user_tenant: Option<String>,
    /// A duration from now, or a time.
    #[schemars(with = "Option<Moment>")]
    expires: Option<String>,
    /// What the audit shows as the actor.
    #[schemars(with = "Option<Words>")]
    name: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateFields {
    /// As before, where it is left out.
    #[schemars(with = "Option<Moment>")]
    expires: Option<String>,
    /// How long the old secret works as well; not at all, where it is left out.
    #[schemars(with = "Option<GraceText>")]
    grace: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokenView {
    id: String,
    #[schemars(with = "RoleWord")]
    role: &'static str,
    tenant: Option<String>,
    user: Option<String>,
    user_tenant: Option<String>,
    name: String,
    #[schemars(with = "Time")]
    created_at: String,
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    #[schemars(with = "Option<Time>")]
    revoked_at: Option<String>,
    #[schemars(with = "Option<Time>")]
    last_used_at: Option<String>,
    in_force: bool,
    /// There, and true, where the call was made with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    own: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokenList {
    tokens: Vec<TokenView>,
    next_cursor: Option<String>,
}

/// A token's secret, this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SecretView {
    id: String,
    token: String,
    #[schemars(with = "RoleWord")]
    role: &'static str,
    tenant: Option<String>,
    user: Option<String>,
    user_tenant: Option<String>,
    name: String,
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    /// Of a rotation with a grace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    old_works_until: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RevokedToken {
    id: String,
    revoked: bool,
    /// False: it was revoked before.
    changed: bool,
}

impl TokenView {
    pub(super) fn of(tokens: &Tokens, row: TokenRow, now: Timestamp) -> Self {
        let (user, user_tenant) = names(row.user.as_ref());
        Self {
            own: false,
            in_force: tokens.works(&row, now),
            id: row.id,
            role: row.role.as_str(),
            tenant: row.tenant.map(String::from),
            user,
            user_tenant,
            name: row.name,
            created_at: times::text(row.created_at),
            expires_at: row.expires_at.map(times::text),
            revoked_at: row.revoked_at.map(times::text),
            last_used_at: row.last_used_at.map(times::text),
        }
    }
}

impl SecretView {
    fn of(made: NewToken) -> Self {
        let row = made.row;
        let (user, user_tenant) = names(row.user.as_ref());
        Self {
            id: row.id,
            token: made.secret,
            role: row.role.as_str(),
            tenant: row.tenant.map(String::from),
            user,
            user_tenant,
            name: row.name,
            expires_at: row.expires_at.map(times::text),
            old_works_until: row.old.map(|old| times::text(old.until)),
        }
    }
}

fn names(user: Option<&UserKey>) -> (Option<String>, Option<String>) {
    let name = user.map(|user| user.user().to_owned());
    (name, user.map(|user| user.tenant().to_owned()))
}

pub(super) async fn create(ask: Ask, fields: CreateFields) -> Result<Answer<SecretView>, Problem> {
    let scope = match (fields.tenant, fields.role) {
        // As for any other call: the only tenant need not be named.
        (None, Role::TenantAdmin | Role::Support) => Some(ask.scope()?),
        (named, Role::GlobalAdmin | Role::Auditor | Role::TenantAdmin | Role::Support) => {
            tenant(&ask, "tenant", named)?
        }
    };
    if ask.caller.tenant.is_some() && fields.role == Role::GlobalAdmin {
        let what = "a token of one tenant makes no token for all of them";
        return Err(
            Problem::new(StatusCode::FORBIDDEN, "insufficient_role", what)
                .of("role")
                .mend("choose tenant-admin, support or auditor"),
        );
    }
    let user = user(&ask, scope.as_ref(), fields.user, fields.user_tenant)?;
    let now = ask.api.state.commander.now();
    let wanted = TokenAsk {
        role: fields.role,
        tenant: scope.map(|scope| scope.tenant),
        user,
        name: body::text("name", fields.name)?.unwrap_or_default(),
        expires_at: moment(fields.expires, now)?,
    };
    let tokens = &ask.api.state.tokens;
    let retry = ask.terms(false)?.idempotency;
    let made = tokens.create(wanted, &ask.caller, now, retry).await?;
    Answer::new(StatusCode::CREATED, &SecretView::of(made))
}

fn moment(text: Option<String>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    text.map(|text| times::moment("expires", &text, now))
        .transpose()
}

/// The tenant that a field names, or that of the call.
fn tenant(ask: &Ask, field: &str, named: Option<String>) -> Result<Option<Scope>, Problem> {
    let scope = ask.named_scope()?;
    let Some(named) = named else {
        return Ok(scope);
    };
    let mut known = ask.tenants().into_iter();
    let found = known.find(|known| known.tenant.as_str() == named);
    let other = scope.is_some_and(|scope| scope.tenant.as_str() != named);
    match found {
        Some(found) if !other => Ok(Some(found)),
        Some(_) | None => {
            let what = format!("there is no tenant {named:?} that this token acts on");
            Err(Problem::not_found(what).of(field))
        }
    }
}

/// The user whom the token is to belong to, by the tenant's own rule for names.
fn user(
    ask: &Ask,
    scope: Option<&Scope>,
    named: Option<String>,
    tenant_named: Option<String>,
) -> Result<Option<UserKey>, Problem> {
    let Some(named) = named else {
        return match tenant_named {
            None => Ok(None),
            Some(_) => Err(Problem::field("user_tenant", "it stands without a user")
                .mend("add `user`, or leave it out")),
        };
    };
    let tenant = match (scope, tenant_named) {
        (Some(scope), None) => Some(scope.clone()),
        (_, tenant_named) => tenant(ask, "user_tenant", tenant_named)?,
    };
    let known = ask.tenants();
    let scope = match (&tenant, known.as_slice()) {
        (Some(scope), _) | (None, [scope]) => scope,
        (None, _) => {
            let what = "of which tenant the user is, is not said";
            return Err(Problem::field("user_tenant", what).mend("name the user's tenant"));
        }
    };
    ask.resolve(scope, "user", &named).map(Some)
}

pub(super) async fn list(ask: Ask) -> Result<Answer<TokenList>, Problem> {
    let (limit, wanted) = (ask.query.limit()?, Wanted::of(&ask)?);
    let (tokens, now) = (&ask.api.state.tokens, ask.api.state.commander.now());
    let mut rows = tokens.list();
    if let Some(cursor) = ask.query.find("cursor") {
        let at = rows.iter().position(|row| row.id == cursor);
        let at = at.ok_or_else(|| {
            Problem::field("cursor", "it is none that a list gave out")
                .mend("send `next_cursor` of the page before, or none for the first page")
        })?;
        rows.drain(..=at);
    }
    let fitting = rows.into_iter().filter(|row| wanted.fits(row));
    let own = ask.caller.token.as_ref();
    let views = fitting.map(|row| TokenView {
        own: own == Some(&row.id),
        ..TokenView::of(tokens, row, now)
    });
    let mut page: Vec<TokenView> = views
        .filter(|view| wanted.in_force.is_none_or(|wanted| view.in_force == wanted))
        .take(limit + 1)
        .collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().map(|view| view.id.clone());
    Answer::ok(&TokenList {
        tokens: page,
        next_cursor: last.filter(|_| more),
    })
}

/// Which tokens a list is to have.
struct Wanted {
    tenant: Option<TenantId>,
    user: Option<UserKey>,
    role: Option<Role>,
    in_force: Option<bool>,
}

impl Wanted {
    fn of(ask: &Ask) -> Result<Self, Problem> {
        let role = ask.query.find("role").map(|text| {
            Role::parse(text).ok_or_else(|| {
                let all = Role::ALL.map(Role::as_str).join(", ");
                Problem::field("role", format!("there is no role {text:?}"))
                    .mend(format!("name one of {all}"))
            })
        });
        let in_force = ask.query.find("in_force").map(|text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Problem::field("in_force", "it is neither true nor false")
                .mend("say true, false, or leave it out")),
        });
        let user = ask.query.find("user").map(|name| {
            let key = ask.resolve(&ask.scope()?, "user", name);
            key.map(|key| ask.api.state.tokens.resolve(key))
        });
        Ok(Self {
            tenant: ask.named_scope()?.map(|scope| scope.tenant),
            user: user.transpose()?,
            role: role.transpose()?,
            in_force: in_force.transpose()?,
        })
    }

    /// With a user, the tokens for all tenants that are the user's are among them,
    /// for who may see those.
    fn fits(&self, row: &TokenRow) -> bool {
        let tenant = self.tenant.is_none() || row.tenant == self.tenant;
        let user = self.user.is_none() || row.user == self.user;
        tenant && user && self.role.is_none_or(|role| row.role == role)
    }
}

pub(super) async fn revoke(ask: Ask) -> Result<Answer<RevokedToken>, Problem> {
    within_reach(&ask)?;
    let now = ask.api.state.commander.now();
    let tokens = &ask.api.state.tokens;
    let changed = tokens.revoke(&ask.id, &ask.caller, now).await?;
    Answer::ok(&RevokedToken {
        id: ask.id,
        revoked: true,
        changed,
    })
}

pub(super) async fn rotate(ask: Ask, fields: RotateFields) -> Result<Answer<SecretView>, Problem> {
    within_reach(&ask)?;
    let now = ask.api.state.commander.now();
    let wanted = RotateAsk {
        expires_at: moment(fields.expires, now)?,
        grace: fields.grace.as_deref().map_or(Ok(Duration::ZERO), grace)?,
    };
    let tokens = &ask.api.state.tokens;
    let retry = ask.terms(false)?.idempotency;
    let made = tokens.rotate(&ask.id, wanted, &ask.caller, now, retry);
    let made = made.await?;
    Answer::ok(&SecretView::of(made))
}

fn grace(text: &str) -> Result<Duration, Problem> {
    let duration = humantime::parse_duration(text).ok();
    let duration = duration.filter(|duration| *duration <= limits::TOKEN_GRACE_MAX);
    duration.ok_or_else(|| {
        Problem::field("grace", format!("{text:?} is no duration of at most a day"))
            .mend("write one such as 10m or 24h, or leave it out: the old secret is dead at once")
    })
}

/// One that is not there and one that is another's look alike.
fn within_reach(ask: &Ask) -> Result<(), Problem> {
    let scope = ask.named_scope()?;
    let row = ask.api.state.tokens.find(&ask.id);
    let within = |row: &TokenRow| {
        let wanted = scope.as_ref().map(|scope| &scope.tenant);
        wanted.is_none() || row.tenant.as_ref() == wanted
    };
    if row.as_ref().is_some_and(within) {
        Ok(())
    } else {
        let what = format!("there is no token {:?} that this one acts on", ask.id);
        Err(Problem::not_found(what).mend("look at GET /api/v1/tokens"))
    }
}
