//! `portcullis user …`: what an administrator does with users, through the
//! admin API.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::client::{AdminApi, Answer};
use super::{Failure, Surroundings, words};

/// What stands for itself in a path. The dot does not: `..` could be resolved away.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Suspend a user: out at once, live connections and sessions included
    #[command(
        after_help = "Examples:\n  portcullis user suspend bob\n  portcullis user suspend bob --temporary --reason suspiciousUserNoGood --ends-at 24h\n  portcullis user suspend bob --read-only --starts-at 2030-01-01T00:00:00Z --ends-at 90d\n  portcullis user suspend bob --approver alice --ticket SEC-42 --dry-run"
    )]
    Suspend(Suspend),
    /// Lift holds; the user is let back in when none is left
    #[command(
        after_help = "Examples:\n  portcullis user restore bob\n  portcullis user restore bob --hold fraud --reason \"false alarm\" --ticket SEC-42"
    )]
    Restore(Restore),
    /// Show what is known about a user
    Show {
        /// The user's id, email, phone, username or employee id
        id: String,
        #[command(flatten)]
        call: Call,
    },
    /// List users
    #[command(
        after_help = "Examples:\n  portcullis user list --query bob\n  portcullis user list --filter 'suspension_status==\"permanent\"'"
    )]
    List(List),
}

/// What every call takes.
#[derive(Debug, Args)]
pub(super) struct Call {
    /// Whose user; needless with a tenant's own token, or where there is one tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Print the API's JSON as it is
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Suspend {
    /// The user's id
    id: String,
    /// A key such as suspiciousUserNoGood, which the policy has words for, or free text
    #[arg(long, value_name = "KEY_OR_TEXT")]
    reason: Option<String>,
    /// The user may come back by a password reset
    #[arg(long, conflicts_with = "permanent")]
    temporary: bool,
    /// Only an administrator may lift it (the default)
    #[arg(long)]
    permanent: bool,
    /// The name of the hold [default: admin]
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
    /// Who approved it
    #[arg(long, value_name = "WHO")]
    approver: Option<String>,
    /// The ticket that it belongs to
    #[arg(long)]
    ticket: Option<String>,
    /// For the audit alone
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// The user may go on looking (GET, HEAD and OPTIONS), log in and log out; sessions
    /// and API keys are left alive for that
    #[arg(long)]
    read_only: bool,
    /// When it starts: a time (RFC 3339) or a duration from now such as 2h [default: now]
    #[arg(long, value_name = "TIME")]
    starts_at: Option<String>,
    /// When it ends by itself: a time (RFC 3339), or how long it lasts, such as 24h
    #[arg(long, value_name = "TIME")]
    ends_at: Option<String>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave sessions alive for when the user is let back in
    #[arg(long)]
    no_revoke_sessions: bool,
    /// Leave the user's API keys working
    #[arg(long)]
    keep_api_keys: bool,
    #[command(flatten)]
    call: Call,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The user's id
    id: String,
    /// The hold to lift [default: all that the token may lift]
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who approved it
    #[arg(long, value_name = "WHO")]
    approver: Option<String>,
    /// The ticket that it belongs to
    #[arg(long)]
    ticket: Option<String>,
    #[command(flatten)]
    call: Call,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Which users, such as 'suspension_status=="permanent"'
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// The beginning of an id, email, username, phone or employee id
    #[arg(long, short, value_name = "PREFIX")]
    query: Option<String>,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    call: Call,
}

pub(super) fn execute(
    command: UserCommand,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let api = AdminApi::require(surroundings)?;
    match command {
        UserCommand::Suspend(suspend) => {
            let path = path(&suspend.id, "/suspend", suspend.call.tenant.as_deref())?;
            let what = format!("suspend {}", suspend.id);
            let answer = api.call(&what, Method::POST, &path, Some(&suspend.body()))?;
            let words = words::suspension(&answer.json, suspend.dry_run);
            print_outcome(&answer, &suspend.call, &words, surroundings)
        }
        UserCommand::Restore(restore) => {
            let path = path(&restore.id, "/restore", restore.call.tenant.as_deref())?;
            let what = format!("restore {}", restore.id);
            let answer = api.call(&what, Method::POST, &path, Some(&restore.body()))?;
            let words = words::restoration(&answer.json, &restore.id);
            print_outcome(&answer, &restore.call, &words, surroundings)
        }
        UserCommand::Show { id, call } => {
            let path = path(&id, "", call.tenant.as_deref())?;
            let answer = api.call(&format!("show {id}"), Method::GET, &path, None)?;
            if call.json {
                return print_json(&answer, surroundings);
            }
            let user = answer.json.get("user").unwrap_or(&answer.json);
            Ok(words::profile(surroundings.out, user)?)
        }
        UserCommand::List(list) => {
            let answer = api.call("list users", Method::GET, &list.path(), None)?;
            if list.call.json {
                return print_json(&answer, surroundings);
            }
            Ok(words::page(surroundings.out, &answer.json)?)
        }
    }
}

impl Suspend {
    /// Only what was asked for: the defaults are the API's.
    fn body(&self) -> Value {
        let mut body = fields(&[
            ("reason", &self.reason),
            ("hold", &self.hold),
            ("approver", &self.approver),
            ("ticket", &self.ticket),
            ("comment", &self.comment),
            ("starts_at", &self.starts_at),
            ("ends_at", &self.ends_at),
        ]);
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        if self.temporary {
            set("kind", json!("temporary"));
        }
        if self.permanent {
            set("kind", json!("permanent"));
        }
        if self.read_only {
            set("access", json!("read-only"));
        }
        if self.dry_run {
            set("dry_run", json!(true));
        }
        if self.no_revoke_sessions {
            set("revoke_sessions", json!(false));
        }
        if self.keep_api_keys {
            set("disable_api_keys", json!(false));
        }
        Value::Object(body)
    }
}

impl Restore {
    fn body(&self) -> Value {
        Value::Object(fields(&[
            ("hold", &self.hold),
            ("reason", &self.reason),
            ("approver", &self.approver),
            ("ticket", &self.ticket),
        ]))
    }
}

impl List {
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let limit = self.limit.map(|limit| limit.to_string());
        let parameters = [
            ("tenant", &self.call.tenant),
            ("filter", &self.filter),
            ("q", &self.query),
            ("limit", &limit),
            ("cursor", &self.cursor),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() {
            "/api/v1/users".to_owned()
        } else {
            format!("/api/v1/users?{query}")
        }
    }
}

fn fields(given: &[(&str, &Option<String>)]) -> Map<String, Value> {
    let given = given
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_ref()?)));
    given
        .map(|(key, value)| (key.to_owned(), Value::String(value.clone())))
        .collect()
}

fn path(id: &str, deed: &str, tenant: Option<&str>) -> Result<String, Failure> {
    if id.is_empty() {
        return Err(Failure::usage(
            "the user's id is empty; write it after the command",
        ));
    }
    let id = utf8_percent_encode(id, SEGMENT);
    let tenant = tenant.map(|tenant| format!("?tenant={}", utf8_percent_encode(tenant, SEGMENT)));
    Ok(format!(
        "/api/v1/users/{id}{deed}{}",
        tenant.unwrap_or_default()
    ))
}

fn print_outcome(
    answer: &Answer,
    call: &Call,
    words: &str,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    if call.json {
        return print_json(answer, surroundings);
    }
    Ok(writeln!(surroundings.out, "{words}")?)
}

fn print_json(answer: &Answer, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    Ok(writeln!(surroundings.out, "{}", answer.text.trim_end())?)
}
