//! `DELETE /api/v1/users/{id}`: a user out for good, and forgotten.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::schema::Words;
use super::view::Outcome;
use super::{body, suspension};
use crate::control::command::Note;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteFields {
    /// Why. Like the other texts it stays on record, so it may not tell of the user.
    #[schemars(with = "Option<Words>")]
    reason: Option<String>,
    #[schemars(with = "Option<Words>")]
    approver: Option<String>,
    #[schemars(with = "Option<Words>")]
    ticket: Option<String>,
    #[schemars(with = "Option<Words>")]
    comment: Option<String>,
    /// Tells what would happen, and does nothing.
    dry_run: Option<bool>,
}

pub(super) async fn delete(ask: Ask, fields: DeleteFields) -> Result<Answer<Outcome>, Problem> {
    let key = ask.user_key()?;
    let note = Note {
        comment: body::words(("reason", fields.reason), ("comment", fields.comment))?,
        ..suspension::note(fields.approver, fields.ticket, None)?
    };
    let terms = ask.terms(fields.dry_run.unwrap_or(false))?;
    let commander = &ask.api.state.commander;
    let done = commander.delete(&ask.caller, &key, &note, terms).await?;
    if !done.dry_run {
        ask.forget_answers(&key);
    }
    let mut outcome = Outcome::of(&ask.api.state, &done);
    outcome.status = Some("SUCCESS");
    Ok(Answer::ok(&outcome)?.at(done.user.revision))
}
