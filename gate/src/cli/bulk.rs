//! `portcullis bulk …`: many users by one call, looked at before it is done, told
//! as it goes, and taken back by its batch.

mod run;

use std::fs;

use clap::{Args, Subcommand};
use percent_encoding::utf8_percent_encode;
use portcullis_core::limits;
use serde_json::{Map, Value, json};

use self::run::Run;
use super::client::AdminApi;
use super::user::{Common, Record, RestoreTerms, SEGMENT, SuspendTerms, with_query};
use super::{Failure, Surroundings, terminal};

#[derive(Debug, Subcommand)]
pub(super) enum BulkCommand {
    /// Suspend many users
    #[command(
        after_help = "Shows what it would do, and asks, unless --yes.\n\nExamples:\n  portcullis bulk suspend --from leavers.txt --ticket HR-7 --dry-run\n  portcullis bulk suspend --from leavers.txt --ticket HR-7 --batch leavers-july\n  portcullis bulk suspend --filter 'status==\"active\"' --temporary \\\n      --reason dataBreach\n  cat ids | portcullis bulk suspend --from - --yes"
    )]
    Suspend(Suspend),
    /// Lift holds of many users
    #[command(
        after_help = "Shows what it would do, and asks, unless --yes.\n\nExamples:\n  portcullis bulk restore --filter 'suspension_reason==\"dataBreach\"' \\\n      --hold admin\n  portcullis bulk restore --from back.txt --reason \"passwords reset\" --yes"
    )]
    Restore(Restore),
    /// Take back what a batch has done; holds that others changed since are left alone
    #[command(
        after_help = "Every bulk call tells its batch, and the audit lists them.\n\nExamples:\n  portcullis bulk undo leavers-july --dry-run\n  portcullis bulk undo leavers-july --ticket HR-8"
    )]
    Undo(Undo),
}

const WHOSE: &str = "Whose users; needless with a tenant's own token, or where there is one tenant";

/// Whom a bulk call is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// A file of user ids, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<String>,
    /// Those who are so, such as 'suspension_status=="temporary"'
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
}

/// How a bulk call goes.
#[derive(Debug, Args)]
struct Manner {
    /// The batch's id, of your own choice; several calls may share one
    #[arg(long, value_name = "ID")]
    batch: Option<String>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[command(mut_arg("tenant", |tenant| tenant.help(WHOSE)))]
pub(super) struct Suspend {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    terms: SuspendTerms,
    #[command(flatten)]
    manner: Manner,
}

#[derive(Debug, Args)]
#[command(mut_arg("tenant", |tenant| tenant.help(WHOSE)))]
pub(super) struct Restore {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    terms: RestoreTerms,
    #[command(flatten)]
    manner: Manner,
}

#[derive(Debug, Args)]
#[command(mut_arg("tenant", |tenant| tenant.help("Whose batch; needless with a tenant's own token, or where there is one tenant")))]
pub(super) struct Undo {
    /// The batch to take back
    #[arg(value_name = "BATCH")]
    undone: String,
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    manner: Manner,
}

/// In which words a call is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Suspend,
    Restore,
    Undo,
}

pub(super) fn execute(
    command: BulkCommand,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    let api = AdminApi::require(surroundings)?;
    let (deed, manner, path, mut fields, users) = match &command {
        BulkCommand::Suspend(suspend) => {
            let (users, mut fields) = whom(&suspend.whom, &suspend.manner, surroundings)?;
            fields.insert("action".to_owned(), json!("suspend"));
            fields.extend(suspend.terms.fields());
            (
                Deed::Suspend,
                &suspend.manner,
                "/api/v1/bulk".to_owned(),
                fields,
                users,
            )
        }
        BulkCommand::Restore(restore) => {
            let (users, mut fields) = whom(&restore.whom, &restore.manner, surroundings)?;
            fields.insert("action".to_owned(), json!("restore"));
            fields.extend(restore.terms.fields());
            (
                Deed::Restore,
                &restore.manner,
                "/api/v1/bulk".to_owned(),
                fields,
                users,
            )
        }
        BulkCommand::Undo(undo) => {
            require_consent(&undo.manner, surroundings)?;
            let batch = utf8_percent_encode(&undo.undone, SEGMENT);
            let path = format!("/api/v1/bulk/{batch}/undo");
            (
                Deed::Undo,
                &undo.manner,
                path,
                undo.record.fields(),
                Vec::new(),
            )
        }
    };
    if let Some(batch) = &manner.batch {
        fields.insert("batch".to_owned(), json!(batch));
    }
    let run = Run {
        api: &api,
        deed,
        path: with_query(&path, &[("tenant", manner.common.tenant.clone())]),
        fields,
        users,
        json: manner.common.json,
        tenant: manner.common.tenant.clone(),
    };
    if manner.dry_run {
        return run.tell(true, None, surroundings);
    }
    if manner.yes {
        return run.tell(false, None, surroundings);
    }
    let Some(looked) = run.look(surroundings)? else {
        return run.tell(true, None, surroundings);
    };
    let question = format!("{} Go on? [y/N]", looked.words);
    terminal::confirm(surroundings, &question, &["y", "yes"], deed.name())?;
    run.tell(false, Some(looked.total), surroundings)
}

impl Deed {
    const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "bulk suspend",
            Self::Restore => "bulk restore",
            Self::Undo => "bulk undo",
        }
    }
}

/// Whether somebody can be asked is known before a long list is read.
fn require_consent(manner: &Manner, surroundings: &Surroundings<'_>) -> Result<(), Failure> {
    if manner.yes || manner.dry_run {
        return Ok(());
    }
    terminal::require_consent(surroundings, "bulk")
}

/// The list of users, where there is one, and else the filter as a field.
fn whom(
    whom: &Whom,
    manner: &Manner,
    surroundings: &mut Surroundings<'_>,
) -> Result<(Vec<String>, Map<String, Value>), Failure> {
    require_consent(manner, surroundings)?;
    let mut fields = Map::new();
    if let Some(filter) = &whom.filter {
        fields.insert("filter".to_owned(), json!(filter));
    }
    let Some(name) = &whom.from else {
        return Ok((Vec::new(), fields));
    };
    let mut bytes = Vec::new();
    let read = if name == "-" {
        surroundings.input.read_to_end(&mut bytes).map(|_| ())
    } else {
        fs::read(name).map(|read| bytes = read)
    };
    read.map_err(|error| {
        Failure::usage(format!(
            "--from: {name} cannot be read: {error}; name a file of user ids, one a line"
        ))
    })?;
    Ok((read_users(name, &bytes)?, fields))
}

fn read_users(name: &str, bytes: &[u8]) -> Result<Vec<String>, Failure> {
    let mut users = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|_| {
            let at = at + 1;
            Failure::usage(format!(
                "--from: {name}:{at}: not UTF-8; save the file as UTF-8"
            ))
        })?;
        // Programs that mark their files as UTF-8 do it before the first id.
        let line = line.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() {
            users.push(line.to_owned());
        }
    }
    let (count, limit) = (users.len(), limits::BULK_USERS_MAX);
    if count == 0 {
        return Err(Failure::usage(format!(
            "--from: {name} names nobody; write one user id a line"
        )));
    }
    if count > limit {
        return Err(Failure::usage(format!(
            "--from: {name} names {count} users, the limit is {limit}; split it, and give the parts the same --batch"
        )));
    }
    Ok(users)
}
