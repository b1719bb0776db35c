//! `portcullis audit …`: what was done, by whom, and what is being done now.

mod follow;

use std::time::SystemTime;

use clap::{Args, Subcommand};
use http::Method;

use super::client::AdminApi;
use super::user::{Common, tell_json, with_query};
use super::{Failure, Surroundings, words};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List what was done, the newest first
    #[command(
        after_help = "Examples:\n  portcullis audit list --user bob\n  portcullis audit list --user bob --action refused          what bob saw\n  portcullis audit list --ticket SEC-42 --action hold_placed\n  portcullis audit list --actor ops --since 7d\n  portcullis audit list --batch leavers-july --json"
    )]
    List(List),
    /// Print what is done as it is done, until interrupted; goes on after a cut
    #[command(
        after_help = "Examples:\n  portcullis audit follow\n  portcullis audit follow --tenant acme --json\n  portcullis audit follow --after 0          from the very beginning"
    )]
    Follow(follow::Follow),
}

/// Of `list` and `follow`.
const WHOSE: &str = "Entries of this tenant alone [default: of every one that the token may read]";

#[derive(Debug, Args)]
#[command(mut_arg("tenant", |tenant| tenant.help(WHOSE)))]
pub(super) struct List {
    /// About this user: an id, email, phone, username or employee id
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Done by this one, as the audit names them
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// Of this kind, such as hold_placed, holds_lifted or refused
    #[arg(long)]
    action: Option<String>,
    /// Belonging to this ticket
    #[arg(long)]
    ticket: Option<String>,
    /// Part of this bulk call
    #[arg(long, value_name = "ID")]
    batch: Option<String>,
    /// At or after: a time (RFC 3339), or so long ago, such as 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before: a time (RFC 3339), or so long ago, such as 24h
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn execute(
    command: AuditCommand,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), Failure> {
    match command {
        AuditCommand::List(list) => list.execute(surroundings),
        AuditCommand::Follow(follow) => follow.execute(surroundings),
    }
}

impl List {
    fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let now = SystemTime::now();
        let parameters = [
            ("tenant", self.common.tenant.clone()),
            ("user", self.user.clone()),
            ("actor", self.actor.clone()),
            ("action", self.action.clone()),
            ("ticket", self.ticket.clone()),
            ("batch", self.batch.clone()),
            ("since", time("--since", self.since.as_deref(), now)?),
            ("until", time("--until", self.until.as_deref(), now)?),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        let path = with_query("/api/v1/audit", &parameters);
        let answer = api.call("list the audit", Method::GET, &path, None)?;
        if self.common.json {
            return tell_json(&answer, surroundings);
        }
        let width = surroundings.terminal.width;
        Ok(words::entries(surroundings.out, &answer.json, width)?)
    }
}

/// A time as the API takes it: a duration counts back from now.
fn time(flag: &str, text: Option<&str>, now: SystemTime) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let Ok(ago) = humantime::parse_duration(text) else {
        // The gate reads it, and says what is wrong with it.
        return Ok(Some(text.to_owned()));
    };
    let at = now
        .checked_sub(ago)
        .filter(|at| *at >= SystemTime::UNIX_EPOCH);
    let at = at.ok_or_else(|| {
        Failure::usage(format!(
            "{flag}: {text} is too long ago; leave it out for all that there is"
        ))
    })?;
    Ok(Some(humantime::format_rfc3339_millis(at).to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_duration_counts_back_and_a_time_is_left_to_the_gate() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(48);
        let time = |text| time("--since", Some(text), now);
        assert_eq!(time("1d").unwrap().unwrap(), "1970-01-02T00:00:00.000Z");
        assert_eq!(time("yesterday").unwrap().unwrap(), "yesterday");
        let failure = time("3d").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(
            failure
                .to_string()
                .starts_with("--since: 3d is too long ago; ")
        );
    }
}
