//! `portcullis user sessions`.

use clap::Args;
use http::Method;
use percent_encoding::utf8_percent_encode;

use super::{Common, Record, SEGMENT, path, tell, tell_json, with_dry_run};
use crate::cli::client::AdminApi;
use crate::cli::print::visible;
use crate::cli::{Failure, Surroundings, terminal, words};

#[derive(Debug, Args)]
pub(in crate::cli) struct Sessions {
    /// The user's id, email, phone, username or employee id
    id: String,
    /// End this one, for good; the list shows the ids
    #[arg(long, value_name = "SESSION", conflicts_with = "revoke_all")]
    revoke: Option<String>,
    /// End all of them; the user stays active, and may log in anew
    #[arg(long)]
    revoke_all: bool,
    /// List at most this many
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["revoke", "revoke_all"])]
    limit: Option<u32>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    common: Common,
}

impl Sessions {
    pub(super) fn execute(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        if self.revoke.is_none() && !self.revoke_all {
            self.check_list()?;
            return self.list(surroundings);
        }
        let api = AdminApi::require(surroundings)?;
        let (what, deed) = match &self.revoke {
            Some(session) if session.is_empty() => {
                return Err(Failure::usage(
                    "--revoke: the session's id is empty; `portcullis user sessions` lists the ids",
                ));
            }
            Some(session) => (
                format!("end a session of {}", self.id),
                format!("/sessions/{}", utf8_percent_encode(session, SEGMENT)),
            ),
            None => (
                format!("end the sessions of {}", self.id),
                "/sessions".to_owned(),
            ),
        };
        let path = path(&self.id, &deed, &self.common)?;
        if self.revoke_all && !self.yes && !self.dry_run {
            terminal::require_consent(surroundings, &what)?;
            let question = format!(
                "All sessions of {} end, for good, and what is open in them is cut. Go on? [y/N]",
                visible(&self.id)
            );
            terminal::confirm(surroundings, &question, &["y", "yes"], &what)?;
        }
        let body = with_dry_run(self.record.fields(), self.dry_run);
        let answer = api.call(&what, Method::DELETE, &path, Some(&body))?;
        let words = words::revocation(&answer.json, self.dry_run);
        tell(&answer, &self.common, &words, surroundings)
    }

    /// What belongs to a revocation says that one was meant.
    fn check_list(&self) -> Result<(), Failure> {
        if self.yes || self.dry_run || !self.record.fields().is_empty() {
            return Err(Failure::usage(
                "--dry-run, --yes, --approver, --ticket and --comment belong to a revocation; add --revoke SESSION or --revoke-all, or leave them out",
            ));
        }
        Ok(())
    }

    fn list(&self, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
        let api = AdminApi::require(surroundings)?;
        let mut path = path(&self.id, "/sessions", &self.common)?;
        if let Some(limit) = self.limit {
            let join = if path.contains('?') { '&' } else { '?' };
            path = format!("{path}{join}limit={limit}");
        }
        let what = format!("list the sessions of {}", self.id);
        let answer = api.call(&what, Method::GET, &path, None)?;
        if self.common.json {
            return tell_json(&answer, surroundings);
        }
        let width = surroundings.terminal.width;
        Ok(words::sessions(surroundings.out, &answer.json, width)?)
    }
}
