//! `GET /api/v1/audit`: the ledger, newest first.

use portcullis_core::ids::{BatchId, Revision};
use portcullis_core::ledger::ACTIONS;
use portcullis_core::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::{Answer, Ask};
use super::parameter::{LIMIT, Parameter, Shape, TENANT};
use super::problem::Problem;
use super::view::EntryView;
use super::{body, times};
use crate::control::store::AuditQuery;

pub(super) const PARAMETERS: &[Parameter] = &[
    TENANT,
    Parameter::new("user", Shape::Name, "The user's id or alias"),
    Parameter::new("actor", Shape::Text, "Who acted"),
    Parameter::new("action", Shape::OneOf(&ACTIONS), "What was done"),
    Parameter::new(
        "batch",
        Shape::Pattern("^[A-Za-z0-9_-]{1,64}$"),
        "The bulk call that the entries are part of",
    ),
    Parameter::new(
        "ticket",
        Shape::Text,
        "The ticket that the entries belong to",
    ),
    Parameter::new("since", Shape::Time, "At or after"),
    Parameter::new("until", Shape::Time, "Before"),
    LIMIT,
    Parameter::new(
        "cursor",
        Shape::Pattern("^[0-9]{1,18}$"),
        "`next_cursor` of the page before, as it is",
    ),
];

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EntryList {
    /// The newest first.
    entries: Vec<EntryView>,
    /// `null`: there are no more.
    next_cursor: Option<String>,
}

pub(super) async fn list(ask: Ask) -> Result<Answer<EntryList>, Problem> {
    // Whoever acts on all tenants may read of all at once, and of what concerns
    // none (tokens for all tenants). A user is one tenant's.
    let user = match ask.query.find("user") {
        None => None,
        Some(name) => Some(ask.resolve(&ask.scope()?, "user", name)?),
    };
    let scope = match &user {
        Some(_) => Some(ask.scope()?),
        None => ask.named_scope()?,
    };
    let time = |field| -> Result<Option<Timestamp>, Problem> {
        let text = ask.query.find(field);
        text.map(|text| times::time(field, text)).transpose()
    };
    let action = ask.query.find("action").map(check_action).transpose()?;
    let query = AuditQuery {
        tenant: scope.map(|scope| scope.tenant),
        user,
        actor: body::text("actor", ask.query.find("actor").map(str::to_owned))?,
        action,
        batch: ask.query.find("batch").map(batch_id).transpose()?,
        ticket: body::text("ticket", ask.query.find("ticket").map(str::to_owned))?,
        since: time("since")?,
        until: time("until")?,
        before: ask.query.find("cursor").map(read_cursor).transpose()?,
        after: None,
        limit: ask.query.limit()?,
    };
    let page = ask.api.read(move |store| store.audit(&query)).await?;
    let next_cursor = page.next.map(|seq| seq.to_string());
    let entries = page.entries.into_iter().map(EntryView::of).collect();
    Answer::ok(&EntryList {
        entries,
        next_cursor,
    })
}

pub(super) fn batch_id(text: &str) -> Result<BatchId, Problem> {
    BatchId::parse(text).map_err(|error| Problem::field("batch", error.to_string()))
}

fn check_action(text: &str) -> Result<String, Problem> {
    if ACTIONS.contains(&text) {
        return Ok(text.to_owned());
    }
    let what = format!("{text:?} is no action");
    Err(Problem::field("action", what).mend(format!("use one of {}", ACTIONS.join(", "))))
}

fn read_cursor(text: &str) -> Result<Revision, Problem> {
    let seq = text.parse().map(Revision);
    seq.map_err(|_| {
        Problem::field("cursor", "it is not one that this API gave out")
            .mend("send the next_cursor of the page before, as it is")
    })
}
