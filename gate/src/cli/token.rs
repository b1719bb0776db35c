//! `portcullis token …`: admin tokens, shown once.
//!
//! The first token has to be made before anyone can call the admin API, so
//! without one the command works on the store of a gate that is not running.

mod store;

use std::time::Duration;

use clap::{Args, Subcommand};
use form_urlencoded::Serializer;
use http::Method;
use percent_encoding::utf8_percent_encode;
use portcullis_core::ids::TenantId;
use portcullis_core::ledger::Role;
use portcullis_core::limits;
use serde_json::{Map, Value, json};

use super::client::AdminApi;
use super::print::{Column, Table, visible};
use super::user::SEGMENT;
use super::{ConfigFile, Failure, Surroundings, terminal, words};

const WHERE: &str = "Through the admin API where PORTCULLIS_ADMIN_URL and PORTCULLIS_TOKEN are set,\nelse on the store of a gate that is not running.\n\nExamples:";

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it, once
    #[command(
        after_help = format!("{WHERE}\n  portcullis token create --role global-admin --config portcullis.toml\n  portcullis token create --role support --tenant acme --user ann --expires 90d")
    )]
    Create(Create),
    /// List tokens: whose they are, what they may do, when they were last used
    #[command(
        after_help = format!("{WHERE}\n  portcullis token list --in-force\n  portcullis token list --tenant acme --user ann")
    )]
    List(List),
    /// Revoke a token, at once and for good: asks for its id first, unless --yes
    #[command(after_help = format!("{WHERE}\n  portcullis token revoke tok_AbCdEfGhIjKl"))]
    Revoke(Revoke),
    /// Give a token a new secret and print it, once
    #[command(
        after_help = format!("{WHERE}\n  portcullis token rotate tok_AbCdEfGhIjKl --grace 10m")
    )]
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What the token may do: global-admin, tenant-admin, support or auditor
    #[arg(long, value_parser = parse_role, value_name = "ROLE")]
    role: Role,
    /// The one tenant that it may act on
    #[arg(long, value_parser = TenantId::parse)]
    tenant: Option<TenantId>,
    /// Whose it is: it is out while that user is suspended
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// That user's tenant, for a token without a tenant
    #[arg(long, value_parser = TenantId::parse, value_name = "TENANT", requires = "user", conflicts_with = "tenant")]
    user_tenant: Option<TenantId>,
    /// What it is for; the audit shows it as the actor
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// How long it lives, such as 90d [default: until it is revoked]
    #[arg(long, value_parser = parse_expiry, value_name = "DURATION")]
    expires: Option<Lifetime>,
    /// Print the token and what is known of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Those of one tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Those of one user
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Those of one role
    #[arg(long, value_parser = parse_role, value_name = "ROLE")]
    role: Option<Role>,
    /// Those that work
    #[arg(long)]
    in_force: bool,
    /// Print {"tokens":[…]}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The token's id, as the list shows it
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The token's id, as the list shows it
    id: String,
    /// How long it lives from now on [default: as before]
    #[arg(long, value_parser = parse_expiry, value_name = "DURATION")]
    expires: Option<Lifetime>,
    /// How long the old secret works as well, such as 10m [default: not at all]
    #[arg(long, value_parser = parse_grace, value_name = "DURATION")]
    grace: Option<Lifetime>,
    /// Do not ask where it is the token that this command uses
    #[arg(long, short)]
    yes: bool,
    /// Print the token and what is known of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// A duration as it was typed, for the API, and as it was read, for the store.
#[derive(Clone, Debug)]
pub(super) struct Lifetime {
    text: String,
    duration: Duration,
}

fn parse_role(text: &str) -> Result<Role, String> {
    let all = || Role::ALL.map(Role::as_str).join(", ");
    Role::parse(text).ok_or_else(|| format!("no such role; use one of {}", all()))
}

fn parse_expiry(text: &str) -> Result<Lifetime, String> {
    let lifetime = parse_duration(text)?;
    if lifetime.duration < Duration::from_secs(60) {
        return Err("a token lives at least a minute; write a longer duration".to_owned());
    }
    Ok(lifetime)
}

fn parse_grace(text: &str) -> Result<Lifetime, String> {
    let lifetime = parse_duration(text)?;
    if lifetime.duration > limits::TOKEN_GRACE_MAX {
        return Err("an old secret works for a day at most; write a shorter duration".to_owned());
    }
    Ok(lifetime)
}

fn parse_duration(text: &str) -> Result<Lifetime, String> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|_| "not a duration; write one such as 90d or 12h")?;
    Ok(Lifetime {
        text: text.to_owned(),
        duration,
    })
}

pub(super) fn execute(
    command: TokenCommand,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let api = AdminApi::find(surroundings)?;
    match command {
        TokenCommand::Create(create) => {
            check_scope(&create, api.is_some())?;
            let made = match &api {
                Some(api) => create_by_api(api, &create)?,
                None => store::create(&create)?,
            };
            show_secret(&made, create.json, surroundings)
        }
        TokenCommand::List(list) => {
            let tokens = match &api {
                Some(api) => list_by_api(api, &list.parameters())?,
                None => store::list(&list)?,
            };
            if list.json {
                return Ok(writeln!(
                    surroundings.out,
                    "{}",
                    json!({ "tokens": tokens })
                )?);
            }
            Ok(print_list(surroundings, &tokens)?)
        }
        TokenCommand::Revoke(revoke) => {
            let (what, path) = (format!("revoke {}", revoke.id), path(&revoke.id, "")?);
            if !revoke.yes {
                confirm_revocation(&revoke.id, &what, surroundings)?;
            }
            let answer = match &api {
                Some(api) => api.call(&what, Method::DELETE, &path, None)?.json,
                None => store::revoke(&revoke.file.path, &revoke.id)?,
            };
            Ok(print_revoked(surroundings, &answer, revoke.json)?)
        }
        TokenCommand::Rotate(rotate) => {
            if let Some(api) = api
                .as_ref()
                .filter(|_| !rotate.yes && rotate.grace.is_none())
            {
                confirm_rotation(api, &rotate.id, surroundings)?;
            }
            let made = match &api {
                Some(api) => rotate_by_api(api, &rotate)?,
                None => store::rotate(&rotate)?,
            };
            show_secret(&made, rotate.json, surroundings)
        }
    }
}

fn confirm_revocation(
    id: &str,
    what: &str,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let shown = visible(id);
    let question = format!(
        "Revoking is final: whatever uses {shown} is locked out at once.\nType {shown} to go on:"
    );
    terminal::confirm(surroundings, &question, &[id], what)
}

/// Who gives a new secret to the token in use, and loses it, is locked out.
fn confirm_rotation(
    api: &AdminApi,
    id: &str,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let in_force = [("in_force", Some("true".to_owned()))];
    let tokens = list_by_api(api, &in_force)?;
    let mine = |token: &&Value| token.get("own") == Some(&Value::Bool(true));
    let own = tokens.iter().find(mine).map(|own| words::text(own, "id"));
    if own.as_deref() != Some(id) {
        return Ok(());
    }
    let question = format!(
        "{} is the token that this command uses: its secret is dead at once, and the new one is shown this once. (--grace 10m lets both work for a while.) Go on? [y/N]",
        visible(id)
    );
    let what = format!("rotate {id}");
    terminal::confirm(surroundings, &question, &["y", "yes"], &what)
}

/// Of which tenant a tenant's own token makes tokens, the API knows.
fn check_scope(create: &Create, by_api: bool) -> Result<(), Failure> {
    match (create.role, &create.tenant) {
        (Role::GlobalAdmin, Some(_)) => Err(Failure::usage(
            "--tenant: a global-admin acts on every tenant; leave --tenant out, or use --role tenant-admin",
        )),
        (Role::TenantAdmin | Role::Support | Role::Auditor, None) if by_api => Ok(()),
        (Role::TenantAdmin | Role::Support | Role::Auditor, None) => Err(Failure::usage(format!(
            "--tenant is missing: a token of the role {} is of one tenant; add --tenant ID",
            create.role.as_str()
        ))),
        (Role::GlobalAdmin, None)
        | (Role::TenantAdmin | Role::Support | Role::Auditor, Some(_)) => Ok(()),
    }
}

/// The token alone on standard output, so that a script can take it.
fn show_secret(
    made: &Value,
    json: bool,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    if json {
        return Ok(writeln!(surroundings.out, "{made}")?);
    }
    let text = |key| words::text(made, key);
    writeln!(surroundings.out, "{}", text("token"))?;
    let (expires, old) = (text("expires_at"), text("old_works_until"));
    let until = if expires.is_empty() {
        "it is revoked".to_owned()
    } else {
        expires
    };
    let old = if old.is_empty() {
        old
    } else {
        format!(" The one before works until {old}.")
    };
    writeln!(
        surroundings.err,
        "Token {} ({}) is good until {until}.{old} It is shown this once: keep it safe; commands read it from PORTCULLIS_TOKEN.",
        text("id"),
        text("role"),
    )?;
    Ok(())
}

fn create_by_api(api: &AdminApi, create: &Create) -> Result<Value, Failure> {
    let text = |id: &TenantId| id.as_str().to_owned();
    let body = members(&[
        ("role", Some(create.role.as_str().to_owned())),
        ("tenant", create.tenant.as_ref().map(text)),
        ("user", create.user.clone()),
        ("user_tenant", create.user_tenant.as_ref().map(text)),
        ("name", create.name.clone()),
        ("expires", typed(create.expires.as_ref())),
    ]);
    let path = "/api/v1/tokens";
    let answer = api.call("create a token", Method::POST, path, Some(&body))?;
    Ok(answer.json)
}

fn rotate_by_api(api: &AdminApi, rotate: &Rotate) -> Result<Value, Failure> {
    let body = members(&[
        ("expires", typed(rotate.expires.as_ref())),
        ("grace", typed(rotate.grace.as_ref())),
    ]);
    let (what, path) = (
        format!("rotate {}", rotate.id),
        path(&rotate.id, "/rotate")?,
    );
    Ok(api.call(&what, Method::POST, &path, Some(&body))?.json)
}

impl List {
    fn parameters(&self) -> [(&'static str, Option<String>); 4] {
        [
            ("tenant", self.tenant.clone()),
            ("user", self.user.clone()),
            ("role", self.role.map(|role| role.as_str().to_owned())),
            ("in_force", self.in_force.then(|| "true".to_owned())),
        ]
    }
}

/// Page by page, to the end.
fn list_by_api(api: &AdminApi, which: &[(&str, Option<String>)]) -> Result<Vec<Value>, Failure> {
    let mut tokens = Vec::new();
    let mut cursor = None;
    loop {
        let page = [
            ("limit", Some(limits::PAGE_ROWS_MAX.to_string())),
            ("cursor", cursor),
        ];
        let mut query = Serializer::new(String::new());
        for (name, value) in which.iter().chain(&page) {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let path = format!("/api/v1/tokens?{}", query.finish());
        let page = api.call("list tokens", Method::GET, &path, None)?.json;
        let rows = page.get("tokens").and_then(Value::as_array);
        tokens.extend(rows.into_iter().flatten().cloned());
        let next = page.get("next_cursor").and_then(Value::as_str);
        match next {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(tokens),
        }
    }
}

fn typed(lifetime: Option<&Lifetime>) -> Option<String> {
    lifetime.map(|lifetime| lifetime.text.clone())
}

fn members(given: &[(&str, Option<String>)]) -> Value {
    let given = given.iter();
    let given = given.filter_map(|(key, value)| Some(((*key).to_owned(), json!(value.as_ref()?))));
    Value::Object(given.collect::<Map<_, _>>())
}

fn path(id: &str, deed: &str) -> Result<String, Failure> {
    if id.is_empty() {
        let text = "the token's id is empty; `portcullis token list` shows the ids";
        return Err(Failure::usage(text));
    }
    let id = utf8_percent_encode(id, SEGMENT);
    Ok(format!("/api/v1/tokens/{id}{deed}"))
}

fn print_list(surroundings: &mut Surroundings<'_>, tokens: &[Value]) -> std::io::Result<()> {
    if tokens.is_empty() {
        return writeln!(surroundings.out, "No such tokens.");
    }
    let cells = |token: &Value| {
        let text = |key| words::text(token, key);
        let state = match (text("in_force").as_str(), text("revoked_at").as_str()) {
            ("true", _) => "in force",
            (_, "") if text("user").is_empty() => "expired",
            (_, "") => "expired, or its user is out",
            (_, _) => "revoked",
        };
        let tenant = match text("tenant") {
            all if all.is_empty() => "(all)".to_owned(),
            one => one,
        };
        let keys = ["user", "name", "created_at", "expires_at", "last_used_at"];
        let [user, name, created, expires, used] = keys.map(text).map(words::moment);
        let (id, role) = (text("id"), text("role"));
        [
            id,
            role,
            tenant,
            user,
            name,
            state.to_owned(),
            created,
            expires,
            used,
        ]
    };
    let mut table = Table::new(&[
        Column::whole("TOKEN"),
        Column::whole("ROLE"),
        Column::whole("TENANT"),
        Column::whole("USER"),
        Column::words("NAME"),
        Column::words("STATE"),
        Column::whole("CREATED").spare(1),
        Column::whole("EXPIRES"),
        Column::whole("LAST USED").spare(2),
    ]);
    tokens.iter().for_each(|token| table.row(cells(token)));
    table.print(surroundings.out, surroundings.terminal.width)
}

fn print_revoked(
    surroundings: &mut Surroundings<'_>,
    answer: &Value,
    json: bool,
) -> std::io::Result<()> {
    if json {
        return writeln!(surroundings.out, "{answer}");
    }
    let id = words::text(answer, "id");
    if words::text(answer, "changed") == "true" {
        writeln!(
            surroundings.out,
            "Token {id} is revoked: it opens nothing any more."
        )
    } else {
        writeln!(
            surroundings.out,
            "Token {id} was revoked before: nothing was changed."
        )
    }
}
