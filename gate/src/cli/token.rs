//! `portcullis token …`: admin tokens, shown once.
//!
//! The first token has to be made before anyone can call the admin API, so
//! without one the command works on the store of a gate that is not running.

use std::time::Duration;

use clap::Subcommand;
use http::Method;
use portcullis_core::ids::TenantId;
use portcullis_core::ledger::Role;
use serde_json::{Map, Value, json};

use super::client::AdminApi;
use super::{ConfigFile, Failure, Surroundings, words};
use crate::app::{self, TokenRequest};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it, once
    #[command(
        after_help = "Through the admin API where PORTCULLIS_ADMIN_URL and PORTCULLIS_TOKEN are set,\nelse on the store of a gate that is not running.\n\nExamples:\n  portcullis token create --role global-admin --config portcullis.toml\n  portcullis token create --role support --tenant acme --expires 90d"
    )]
    Create {
        /// What the token may do
        #[arg(long, value_parser = parse_role, value_name = "global-admin|tenant-admin|support|auditor")]
        role: Role,
        /// The one tenant that it may act on
        #[arg(long, value_parser = TenantId::parse)]
        tenant: Option<TenantId>,
        /// How long it lives, such as 90d [default: until it is revoked]
        #[arg(long, value_parser = parse_expiry, value_name = "DURATION")]
        expires: Option<Expiry>,
        /// Print {"id","token","role","tenant","expires_at"}
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// A duration as it was typed, for the API, and as it was read, for the store.
#[derive(Clone, Debug)]
pub(super) struct Expiry {
    text: String,
    duration: Duration,
}

fn parse_role(text: &str) -> Result<Role, String> {
    let all = || Role::ALL.map(Role::as_str).join(", ");
    Role::parse(text).ok_or_else(|| format!("no such role; use one of {}", all()))
}

fn parse_expiry(text: &str) -> Result<Expiry, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_secs(60) => Ok(Expiry {
            text: text.to_owned(),
            duration,
        }),
        Ok(_) => Err("a token lives at least a minute; write a longer duration".to_owned()),
        Err(_) => Err("not a duration; write one such as 90d or 12h".to_owned()),
    }
}

pub(super) fn execute(
    command: TokenCommand,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let TokenCommand::Create {
        role,
        tenant,
        expires,
        json,
        file,
    } = command;
    check_scope(role, tenant.as_ref())?;
    let created = match AdminApi::find(surroundings)? {
        Some(api) => create_by_api(&api, role, tenant.as_ref(), expires.as_ref())?,
        None => create_on_store(&Config::load(&file.path)?, role, tenant, expires)?,
    };
    if json {
        writeln!(surroundings.out, "{created}")?;
        return Ok(());
    }
    let (id, token) = (words::text(&created, "id"), words::text(&created, "token"));
    writeln!(surroundings.out, "{token}")?;
    let expires = words::text(&created, "expires_at");
    let until = if expires.is_empty() {
        "it is revoked".to_owned()
    } else {
        expires
    };
    writeln!(
        surroundings.err,
        "Token {id} ({}) is good until {until}. It is shown this once: keep it safe; commands read it from PORTCULLIS_TOKEN.",
        role.as_str()
    )?;
    Ok(())
}

fn check_scope(role: Role, tenant: Option<&TenantId>) -> Result<(), Failure> {
    match (role, tenant) {
        (Role::GlobalAdmin, Some(_)) => Err(Failure::usage(
            "--tenant: a global-admin acts on every tenant; leave --tenant out, or use --role tenant-admin",
        )),
        (Role::TenantAdmin | Role::Support | Role::Auditor, None) => Err(Failure::usage(format!(
            "--tenant is missing: a token of the role {} is of one tenant; add --tenant ID",
            role.as_str()
        ))),
        (Role::GlobalAdmin, None)
        | (Role::TenantAdmin | Role::Support | Role::Auditor, Some(_)) => Ok(()),
    }
}

fn create_by_api(
    api: &AdminApi,
    role: Role,
    tenant: Option<&TenantId>,
    expires: Option<&Expiry>,
) -> Result<Value, Failure> {
    let mut body = Map::from_iter([("role".to_owned(), json!(role.as_str()))]);
    if let Some(tenant) = tenant {
        body.insert("tenant".to_owned(), json!(tenant.as_str()));
    }
    if let Some(expires) = expires {
        body.insert("expires".to_owned(), json!(expires.text));
    }
    let body = Value::Object(body);
    Ok(api
        .call(
            "create a token",
            Method::POST,
            "/api/v1/tokens",
            Some(&body),
        )?
        .json)
}

fn create_on_store(
    config: &Config,
    role: Role,
    tenant: Option<TenantId>,
    expires: Option<Expiry>,
) -> Result<Value, Failure> {
    if let Some(tenant) = &tenant
        && !config.tenants.iter().any(|known| known.id == *tenant)
    {
        let known: Vec<_> = config
            .tenants
            .iter()
            .map(|tenant| tenant.id.as_str())
            .collect();
        return Err(Failure::usage(format!(
            "--tenant: {tenant} is not in {}; use one of {}",
            config.file.display(),
            known.join(", ")
        )));
    }
    let expires = expires.map(|expires| expires.duration);
    let request = TokenRequest {
        role,
        tenant,
        expires,
    };
    let created = app::create_token_on_store(config, request).map_err(Failure::failed)?;
    let expires_at = created.expires_at.and_then(|at| {
        let instant = std::time::UNIX_EPOCH.checked_add(Duration::from_millis(at.0))?;
        Some(humantime::format_rfc3339_seconds(instant).to_string())
    });
    Ok(json!({
        "id": created.id,
        "token": created.token.expose_text(),
        "role": created.role.as_str(),
        "tenant": created.tenant.map(String::from),
        "expires_at": expires_at,
    }))
}
