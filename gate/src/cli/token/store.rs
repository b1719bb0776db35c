//! Admin tokens on the store of a gate that is not running, in the shape in which
//! the admin API answers.

use std::time::Duration;

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::{Create, List, Rotate};
use crate::app::{CreatedToken, StoredToken, StoredTokens, TokenRequest};
use crate::cli::Failure;
use crate::config::{Config, TenantConfig};

pub(super) fn create(create: &Create) -> Result<Value, Failure> {
    let config = Config::load(&create.file.path)?;
    if let Some(tenant) = &create.tenant {
        find(&config, "--tenant", tenant)?;
    }
    let request = TokenRequest {
        role: create.role,
        tenant: create.tenant.clone(),
        user: user(&config, create)?,
        name: create.name.clone().unwrap_or_default(),
        expires: create.expires.as_ref().map(|expires| expires.duration),
    };
    let tokens = StoredTokens::open(&config).map_err(Failure::failed)?;
    let created = tokens.create(request).map_err(Failure::failed)?;
    Ok(with_secret(&created))
}

fn find<'a>(
    config: &'a Config,
    option: &str,
    tenant: &TenantId,
) -> Result<&'a TenantConfig, Failure> {
    let found = config.tenants.iter().find(|known| known.id == *tenant);
    found.ok_or_else(|| {
        let known = config.tenants.iter().map(|known| known.id.as_str());
        let known: Vec<_> = known.collect();
        Failure::usage(format!(
            "{option}: {tenant} is not in {}; use one of {}",
            config.file.display(),
            known.join(", ")
        ))
    })
}

/// The user in the spelling of its tenant, which is the token's where it has one.
fn user(config: &Config, create: &Create) -> Result<Option<(TenantId, UserId)>, Failure> {
    let Some(name) = &create.user else {
        return Ok(None);
    };
    let named = create.tenant.as_ref().or(create.user_tenant.as_ref());
    let tenant = match (named, config.tenants.as_slice()) {
        (Some(named), _) => find(config, "--user-tenant", named)?,
        (None, [only]) => only,
        (None, _) => {
            let text = "--user-tenant is missing: there are several tenants; say whose user it is";
            return Err(Failure::usage(text));
        }
    };
    let user = UserId::canonical(name, tenant.names);
    let user = user.map_err(|error| Failure::usage(format!("--user: {error}")))?;
    Ok(Some((tenant.id.clone(), user)))
}

pub(super) fn list(list: &List) -> Result<Vec<Value>, Failure> {
    let tokens = open(&list.file.path)?;
    let fits = |token: &StoredToken| {
        let tenant = token.tenant.as_ref();
        let user = token.user.as_ref().map(UserKey::user);
        (list.tenant.is_none() || tenant.map(TenantId::as_str) == list.tenant.as_deref())
            && (list.user.is_none() || user == list.user.as_deref())
            && list.role.is_none_or(|role| token.role == role)
            && (!list.in_force || token.in_force)
    };
    let all = tokens.list();
    let fitting = all.iter().filter(|token| fits(token));
    Ok(fitting.map(|token| Value::Object(view(token))).collect())
}

pub(super) fn revoke(file: &std::path::Path, id: &str) -> Result<Value, Failure> {
    let changed = open(file)?.revoke(id).map_err(Failure::failed)?;
    Ok(json!({ "id": id, "revoked": true, "changed": changed }))
}

pub(super) fn rotate(rotate: &Rotate) -> Result<Value, Failure> {
    let expires = rotate.expires.as_ref().map(|expires| expires.duration);
    let grace = rotate.grace.as_ref().map(|grace| grace.duration);
    let tokens = open(&rotate.file.path)?;
    let made = tokens.rotate(&rotate.id, expires, grace.unwrap_or_default());
    Ok(with_secret(&made.map_err(Failure::failed)?))
}

fn open(file: &std::path::Path) -> Result<StoredTokens, Failure> {
    StoredTokens::open(&Config::load(file)?).map_err(Failure::failed)
}

fn with_secret(created: &CreatedToken) -> Value {
    let mut view = view(&created.token);
    for key in ["created_at", "revoked_at", "last_used_at", "in_force"] {
        view.remove(key);
    }
    view.insert("token".to_owned(), json!(created.secret.expose_text()));
    if let Some(until) = created.old_works_until {
        view.insert("old_works_until".to_owned(), time(Some(until)));
    }
    Value::Object(view)
}

fn view(token: &StoredToken) -> Map<String, Value> {
    let members = [
        ("id", json!(token.id)),
        ("role", json!(token.role.as_str())),
        ("tenant", json!(token.tenant.as_ref().map(TenantId::as_str))),
        ("user", json!(token.user.as_ref().map(UserKey::user))),
        (
            "user_tenant",
            json!(token.user.as_ref().map(UserKey::tenant)),
        ),
        ("name", json!(token.name)),
        ("created_at", time(Some(token.created_at))),
        ("expires_at", time(token.expires_at)),
        ("revoked_at", time(token.revoked_at)),
        ("last_used_at", time(token.last_used_at)),
        ("in_force", json!(token.in_force)),
    ];
    let members = members.into_iter();
    members
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn time(at: Option<Timestamp>) -> Value {
    let instant = at.and_then(|at| {
        let since_epoch = Duration::from_millis(at.0);
        std::time::UNIX_EPOCH.checked_add(since_epoch)
    });
    json!(instant.map(|instant| humantime::format_rfc3339_millis(instant).to_string()))
}
