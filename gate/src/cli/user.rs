//! `portcullis user …`: what an administrator does with users, through the
//! admin API.

mod change;
mod export;
mod look;
mod sessions;
mod terms;

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::client::{AdminApi, Answer};
use super::{Failure, Surroundings, words};

pub(super) use terms::{Record, RestoreTerms, SuspendTerms};

/// What stands for itself in a path. The dot does not: `..` could be resolved away.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Show what is known about a user: who suspended them, when, why and until when
    #[command(
        after_help = "Examples:\n  portcullis user show bob\n  portcullis user show bob@acme.test --tenant acme\n  portcullis user show bob --json"
    )]
    Show(look::Show),
    /// List users
    #[command(
        after_help = "Examples:\n  portcullis user list --query bob\n  portcullis user list --filter 'suspension_status==\"permanent\"'\n  portcullis user list --limit 200 \\\n      --filter 'status==\"suspended\" and suspension_reason==\"dataBreach\"'"
    )]
    List(look::List),
    /// Suspend a user: out at once, live connections and sessions included
    #[command(
        after_help = "Examples:\n  portcullis user suspend bob\n  portcullis user suspend bob --temporary --reason suspiciousUserNoGood \\\n      --ends-at 24h\n  portcullis user suspend bob --reason \"called in, phone stolen\" \\\n      --reason-key stolenPhone\n  portcullis user suspend bob --read-only --starts-at 2030-01-01T00:00:00Z \\\n      --ends-at 90d\n  portcullis user suspend bob --approver alice --ticket SEC-42 --dry-run"
    )]
    Suspend(Suspend),
    /// Lift holds; the user is let back in when none is left
    #[command(
        after_help = "Examples:\n  portcullis user restore bob\n  portcullis user restore bob --hold fraud --reason \"false alarm\" \\\n      --ticket SEC-42\n  portcullis user restore bob --keep-api-keys-disabled --dry-run"
    )]
    Restore(Restore),
    /// Set what is known about a user: email, phone, username, employee id, locale
    #[command(
        after_help = "Examples:\n  portcullis user set bob --email bob@acme.test --locale de\n  portcullis user set bob --phone +4930123456 --clear employee-id"
    )]
    Set(change::Set),
    /// List a user's sessions, or end some without suspending
    #[command(
        after_help = "Examples:\n  portcullis user sessions bob\n  portcullis user sessions bob --revoke 1f2e3d4c5b6a7988 --ticket SEC-42\n  portcullis user sessions bob --revoke-all"
    )]
    Sessions(sessions::Sessions),
    /// Write down all that is held about a user
    #[command(
        after_help = "Examples:\n  portcullis user export bob --output bob.json\n  portcullis user export bob | jq .history"
    )]
    Export(export::Export),
    /// Delete a user for good, and forget whom it was: asks for the id first, unless --yes
    #[command(
        after_help = "Examples:\n  portcullis user export bob --output bob.json     before, as is their right\n  portcullis user delete bob --dry-run\n  portcullis user delete bob --reason \"asked to be forgotten\" --ticket DPO-7\n  portcullis user delete bob --yes"
    )]
    Delete(change::Delete),
}

/// What every call takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Whose user; needless with a tenant's own token, or where there is one tenant
    #[arg(long)]
    pub(super) tenant: Option<String>,
    /// Print the API's JSON as it is
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Suspend {
    /// The user's id, email, phone, username or employee id
    id: String,
    #[command(flatten)]
    terms: SuspendTerms,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The user's id, email, phone, username or employee id
    id: String,
    #[command(flatten)]
    terms: RestoreTerms,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn execute(
    command: UserCommand,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    match command {
        UserCommand::Show(show) => look::show(&show, surroundings),
        UserCommand::List(list) => look::list(&list, surroundings),
        UserCommand::Suspend(suspend) => suspend.execute(surroundings),
        UserCommand::Restore(restore) => restore.execute(surroundings),
        UserCommand::Set(set) => set.execute(surroundings),
        UserCommand::Sessions(sessions) => sessions.execute(surroundings),
        UserCommand::Export(export) => export.execute(surroundings),
        UserCommand::Delete(delete) => delete.execute(surroundings),
    }
}

impl Suspend {
    fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let path = path(&self.id, "/suspend", &self.common)?;
        let what = format!("suspend {}", self.id);
        let body = with_dry_run(self.terms.fields(), self.dry_run);
        let answer = api.call(&what, Method::POST, &path, Some(&body))?;
        let words = words::suspension(&answer.json, self.dry_run);
        tell(&answer, &self.common, &words, surroundings)
    }
}

impl Restore {
    fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let path = path(&self.id, "/restore", &self.common)?;
        let what = format!("restore {}", self.id);
        let body = with_dry_run(self.terms.fields(), self.dry_run);
        let answer = api.call(&what, Method::POST, &path, Some(&body))?;
        let words = words::restoration(&answer.json, &self.id, self.dry_run);
        tell(&answer, &self.common, &words, surroundings)
    }
}

fn with_dry_run(mut fields: Map<String, Value>, dry_run: bool) -> Value {
    if dry_run {
        fields.insert("dry_run".to_owned(), Value::Bool(true));
    }
    Value::Object(fields)
}

fn path(id: &str, deed: &str, common: &Common) -> Result<String, Failure> {
    if id.is_empty() {
        return Err(Failure::usage(
            "the user's id is empty; write it after the command",
        ));
    }
    let id = utf8_percent_encode(id, SEGMENT);
    let path = format!("/api/v1/users/{id}{deed}");
    Ok(with_query(&path, &[("tenant", common.tenant.clone())]))
}

/// The path with those of the parameters that are given.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        none if none.is_empty() => path.to_owned(),
        some => format!("{path}?{some}"),
    }
}

fn tell(
    answer: &Answer,
    common: &Common,
    words: &str,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    if common.json {
        return tell_json(answer, surroundings);
    }
    Ok(writeln!(surroundings.out, "{words}")?)
}

pub(super) fn tell_json(
    answer: &Answer,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    Ok(writeln!(surroundings.out, "{}", answer.text.trim_end())?)
}
