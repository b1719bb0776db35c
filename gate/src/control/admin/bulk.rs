//! `POST /api/v1/bulk` and `POST /api/v1/bulk/{batch}/undo`: many users changed by
//! one call, which tells as it goes, a line of JSON at a time.

mod fields;
mod lines;

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SecureRandom;
use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use portcullis_core::ids::{BatchId, Revision, UserKey};
use tokio::sync::mpsc;

use self::fields::Action;
use super::ask::{Ask, bad_key, internal};
use super::places::Place;
use super::problem::Problem;
use super::scope::Scope;
use super::{audit, body, filter, suspension};
use crate::control::bulk::{Bulk, Deed, Retry, Seen, Source, Target};
use crate::control::command::Note;
use crate::control::ledger::IdempotencyKey;
use crate::control::store::UserQuery;
use crate::live::forgotten::Pseudonyms;

pub(super) use fields::{BulkFields, UndoFields};
pub(super) use lines::AnswerLine;

/// What a call comes to before it begins.
struct Work {
    action: &'static str,
    deed: Deed,
    note: Note,
    batch: Option<BatchId>,
    filter: Option<crate::control::store::UserFilter>,
    source: Source,
    total: Option<u64>,
    dry_run: bool,
    /// The fields: what a retry has to say again.
    request: Vec<u8>,
}

pub(super) async fn run(ask: Ask, body: Body) -> Result<Response, Problem> {
    let scope = admit(&ask)?;
    // Not a place for calls: a body may take its time.
    let reading = ask.api.bulk_bodies.take(&ask.caller).ok_or_else(busy)?;
    let (form, bytes) = body::read_bulk(&ask.headers, body).await?;
    let place = place(&ask)?;
    drop(reading);
    let fields = fields::read(form, bytes).await?;
    let work = bulk_work(&ask, &scope, fields)?;
    begin(ask, work, place)
}

pub(super) async fn undo(ask: Ask, body: Body) -> Result<Response, Problem> {
    let scope = admit(&ask)?;
    let undone = audit::batch_id(&ask.id)?;
    let bytes = body::read(&ask.headers, body).await?;
    let place = place(&ask)?;
    let fields: UndoFields = body::parse(&bytes)?;
    let request = serde_json::to_vec(&fields).map_err(|_| internal())?;
    let batch = fields.batch.as_deref().map(audit::batch_id).transpose()?;
    if batch.as_ref() == Some(&undone) {
        return Err(
            Problem::field("batch", "it is the batch that is to be undone")
                .mend("give the undoing an id of its own, or none"),
        );
    }
    let (tenant, wanted) = (scope.tenant.clone(), undone.clone());
    let look = move |store: &crate::control::store::SqliteStore| {
        store.batch_users(&tenant, &wanted, Revision(0), 1)
    };
    if ask.api.read(look).await?.is_empty() {
        let what = format!(
            "no bulk call of tenant {} has the id {undone}",
            scope.tenant
        );
        return Err(Problem::not_found(what)
            .mend("look for `batch` in the audit, or in the call's own answer"));
    }
    let mut note = suspension::note(fields.approver, fields.ticket, fields.comment)?;
    note.comment = note.comment.or_else(|| Some(format!("undo of {undone}")));
    let work = Work {
        action: "undo",
        deed: Deed::Undo(undone.clone()),
        note,
        batch,
        filter: None,
        source: Source::Batch {
            tenant: scope.tenant,
            batch: undone,
            after: Revision(0),
        },
        total: None,
        dry_run: fields.dry_run.unwrap_or(false),
        request,
    };
    begin(ask, work, place)
}

fn admit(ask: &Ask) -> Result<Scope, Problem> {
    if ask.headers.contains_key(header::IF_MATCH) {
        let what = "a bulk call is about many users, each with a revision of its own";
        return Err(Problem::field("If-Match", what).mend("leave it out"));
    }
    ask.scope()
}

/// One of the few places for bulk calls.
fn place(ask: &Ask) -> Result<Place, Problem> {
    ask.api.bulks.take(&ask.caller).ok_or_else(busy)
}

fn busy() -> Problem {
    let what =
        "this token, its tenant or all together have as many bulk calls under way as they may";
    Problem::unavailable("busy", what).mend("wait for one of them to end")
}

fn bulk_work(ask: &Ask, scope: &Scope, mut fields: BulkFields) -> Result<Work, Problem> {
    let request = serde_json::to_vec(&fields).map_err(|_| internal())?;
    let now = ask.api.state.commander.now();
    let filter = fields.filter.take();
    let filter = filter.map(|text| filter::parse(&text)).transpose()?;
    let batch = fields.batch.take();
    let batch = batch.map(|text| audit::batch_id(&text)).transpose()?;
    let dry_run = fields.dry_run.unwrap_or(false);
    let (source, total) = match (fields.users.take(), &filter) {
        (Some(_), Some(_)) => {
            return Err(
                Problem::field("filter", "`users` and `filter` both say who is meant")
                    .mend("give one of them"),
            );
        }
        (None, None) => {
            return Err(Problem::field("users", "it is not said who is meant")
                .mend("list `users`, or give a `filter`"));
        }
        (Some(users), None) => {
            let total = users.0.len() as u64;
            (Source::List(targets(ask, scope, users.0)), Some(total))
        }
        (None, Some(filter)) => {
            let query = UserQuery {
                tenant: Some(scope.tenant.clone()),
                prefix: None,
                filter: filter.clone(),
                now,
                limit: 0,
                after: None,
            };
            (Source::Found(Some(query)), None)
        }
    };
    let action = fields.action.as_str();
    let (deed, note) = match fields.action {
        Action::Suspend => {
            let (wanted, note) = fields.suspend()?.read(now)?;
            (Deed::Suspend(wanted), note)
        }
        Action::Restore => {
            let (wanted, note) = fields.restore()?.read()?;
            (Deed::Restore(wanted), note)
        }
    };
    Ok(Work {
        action,
        deed,
        note,
        batch,
        filter,
        source,
        total,
        dry_run,
        request,
    })
}

/// The users that the names mean, each looked up when its turn comes.
fn targets(
    ask: &Ask,
    scope: &Scope,
    names: Vec<String>,
) -> Box<dyn Iterator<Item = Target> + Send> {
    let (live, scope) = (ask.api.state.live.clone(), scope.clone());
    Box::new(names.into_iter().map(move |name| {
        let key = scope.key(&live, &name).map_err(|error| error.to_string());
        Target::new(name, key)
    }))
}

fn begin(ask: Ask, work: Work, place: Place) -> Result<Response, Problem> {
    let retries = Retries::of(&ask, work.request)?;
    let batch = match (work.batch, &retries) {
        (Some(batch), _) => batch,
        // The retry goes on with the batch that the first attempt began.
        (None, Some(retries)) => retries.batch()?,
        (None, None) => fresh_batch()?,
    };
    let state = &ask.api.state;
    let pseudonyms = state.commander.store().pseudonyms();
    let bulk = Bulk {
        commander: Arc::clone(&state.commander),
        by: ask.caller.clone(),
        deed: work.deed,
        note: Note {
            batch: Some(batch.clone()),
            ..work.note
        },
        filter: work.filter,
        retry: retries.map(|retries| retries.into_retry(pseudonyms)),
        dry_run: work.dry_run,
        admins: state.tokens.admins(state.commander.now()),
        seen: Seen::default(),
    };
    let (sender, receiver) = mpsc::channel(1);
    let run = Arc::new(bulk).run(work.source, state.stopping.clone(), sender);
    tokio::spawn(async move {
        run.await;
        drop(place);
    });
    let tally = lines::Tally::new(work.action, batch, work.total, work.dry_run);
    Ok(lines::response(tally, receiver))
}

/// What makes the change of each user recognisable as the retry of another.
struct Retries {
    scope: String,
    key: String,
    /// Nobody who has the store alone can tell by it whose change a key is of.
    salt: hmac::Key,
    request: Vec<u8>,
}

impl Retries {
    fn of(ask: &Ask, fields: Vec<u8>) -> Result<Option<Self>, Problem> {
        let Some(key) = ask.retry_key()? else {
            return Ok(None);
        };
        let scope = format!("{}/bulk", ask.retry_scope());
        let request = ask.fingerprint(&axum::http::Method::POST, &fields);
        IdempotencyKey::new(&scope, &key, &request).map_err(|error| bad_key(&error.to_string()))?;
        let secret = [b"bulk retries of ", ask.secret.expose_bytes()].concat();
        Ok(Some(Self {
            scope,
            key,
            salt: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            request,
        }))
    }

    fn sign(&self, what: &str) -> String {
        // A key has no line feed, so the parts can't run into each other.
        let text = format!("{}\n{what}", self.key);
        let tag = hmac::sign(&self.salt, text.as_bytes());
        hex(tag.as_ref().iter().take(16))
    }

    fn batch(&self) -> Result<BatchId, Problem> {
        let id = format!("bulk-{}", self.sign("batch"));
        BatchId::parse(&id).map_err(|_| internal())
    }

    /// Who has been deleted since is recognised as well.
    fn into_retry(self, pseudonyms: Pseudonyms) -> Retry {
        Arc::new(move |user: &UserKey| {
            let user = pseudonyms.lasting(user)?;
            let key = self.sign(&format!("user {}", user.as_str()));
            IdempotencyKey::new(&self.scope, &key, &self.request).ok()
        })
    }
}

fn fresh_batch() -> Result<BatchId, Problem> {
    let mut random = [0; 10];
    aws_lc_rs::rand::SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| internal())?;
    BatchId::parse(&format!("bulk-{}", hex(random.iter()))).map_err(|_| internal())
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}
