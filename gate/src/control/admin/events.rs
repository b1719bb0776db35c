//! `GET /api/v1/events`: the ledger as it is written, as server-sent events. The
//! reader pulls, so that a slow one costs nobody memory, and it can go on where it
//! was: every event carries its place in the ledger.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use portcullis_core::ids::{Revision, TenantId};
use portcullis_core::ledger::Entry;
use portcullis_core::limits;
use tokio::sync::watch;
use tokio::time::Instant;

use super::access::{Call, permits};
use super::ask::{Api, Ask};
use super::parameter::{Parameter, Shape, TENANT};
use super::places::Place;
use super::problem::Problem;
use super::view::EntryView;
use crate::control::ledger::Ledger;
use crate::control::store::AuditQuery;
use crate::secret::Secret;

pub(super) const PARAMETERS: &[Parameter] = &[
    TENANT,
    Parameter::new(
        "after",
        Shape::Pattern("^[0-9]{1,18}$"),
        "The entry to begin behind; from now on where it is left out",
    ),
];

/// How soon a client that lost the stream is to come back, in milliseconds.
const OPENING: &str = "retry: 2000\n\n";
const BEAT: &str = ": still here\n\n";

pub(super) async fn follow(ask: Ask, _: Body) -> Result<Response, Problem> {
    // Who acts on all tenants may follow all at once, and what concerns none.
    let tenant = ask.named_scope()?.map(|scope| scope.tenant);
    let head = ask.api.state.commander.store().watch_head();
    let newest = *head.borrow();
    let after = place(&ask)?.unwrap_or(newest);
    if after > newest {
        let what = format!("the newest entry is {newest}, and this lies after it");
        return Err(Problem::field("after", what)
            .mend("begin anew without it: the ledger is another, or an older copy"));
    }
    let place = ask.api.streams.take(&ask.caller).ok_or_else(|| {
        let what = "this token, its tenant or all together have as many streams open as they may";
        Problem::unavailable("busy", what).mend("close one of them, or come back later")
    })?;
    let follower = Follower {
        stopping: ask.api.state.stopping.clone(),
        api: ask.api,
        secret: ask.secret,
        tenant,
        after,
        head,
        beat: Instant::now(),
        opened: false,
        _place: place,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((Ok::<Bytes, Infallible>(next), follower))
    });
    let mut response = Body::from_stream(events).into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// After which entry to begin. A browser that comes back asks for the same address
/// as before, so that its header is the newer word.
fn place(ask: &Ask) -> Result<Option<Revision>, Problem> {
    let read = |field: &str, text: Option<&str>| {
        let seq = text.and_then(|text| text.parse().ok());
        seq.map(Revision).ok_or_else(|| {
            Problem::field(field, "it is not the number of an entry")
                .mend("send the `id` of the last event that you have, as it is")
        })
    };
    let header = ask.headers.get("last-event-id");
    if let Some(value) = header.filter(|value| !value.is_empty()) {
        return read("Last-Event-ID", value.to_str().ok()).map(Some);
    }
    let after = ask.query.find("after");
    after.map(|after| read("after", Some(after))).transpose()
}

struct Follower {
    api: Arc<Api>,
    secret: Secret,
    tenant: Option<TenantId>,
    after: Revision,
    head: watch::Receiver<Revision>,
    stopping: watch::Receiver<bool>,
    /// When something was last sent.
    beat: Instant,
    opened: bool,
    _place: Place,
}

impl Follower {
    /// What is to be sent next; `None`: the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if *self.stopping.borrow() || !self.may_go_on() {
                return None;
            }
            if !self.opened {
                self.opened = true;
                return Some(Bytes::from_static(OPENING.as_bytes()));
            }
            let head = *self.head.borrow_and_update();
            if head > self.after {
                let Some(events) = self.read(head).await else {
                    continue;
                };
                self.beat = Instant::now();
                return Some(events);
            }
            let look = Instant::now() + limits::EVENT_TOKEN_LOOK_EVERY;
            let beat = self.beat + limits::EVENT_BEAT_EVERY;
            tokio::select! {
                changed = self.head.changed() => changed.ok()?,
                () = stopped(&mut self.stopping) => return None,
                () = tokio::time::sleep_until(look.min(beat)) => {}
            }
            if Instant::now() >= beat {
                self.beat = Instant::now();
                return Some(Bytes::from_static(BEAT.as_bytes()));
            }
        }
    }

    /// Tokens expire, are revoked, and lose their rights while a stream is open.
    fn may_go_on(&self) -> bool {
        let state = &self.api.state;
        let secret = self.secret.expose_text().unwrap_or_default();
        let caller = state.tokens.authenticate(secret, state.commander.now());
        caller.is_ok_and(|caller| {
            let reaches = caller.tenant.is_none() || caller.tenant == self.tenant;
            reaches && permits(caller.role, Call::Events)
        })
    }

    /// The next events, and on to the place after them. Looks through a bounded
    /// part of the ledger at a time, however few of its entries are wanted.
    async fn read(&mut self, head: Revision) -> Option<Bytes> {
        let end = head.0.min(self.after.0 + limits::EVENT_WINDOW_ENTRIES);
        let query = AuditQuery {
            tenant: self.tenant.clone(),
            after: Some(self.after),
            before: Some(Revision(end + 1)),
            limit: limits::EVENT_PAGE_ENTRIES,
            ..AuditQuery::default()
        };
        let page = match self.api.read(move |store| store.audit(&query)).await {
            Ok(page) => page,
            Err(problem) => {
                tracing::warn!(
                    detail = problem.detail(),
                    "a stream of events waits for the store"
                );
                tokio::time::sleep(limits::EVENT_TOKEN_LOOK_EVERY).await;
                return None;
            }
        };
        self.after = page.next.unwrap_or(Revision(end));
        let mut text = Vec::new();
        for entry in page.entries {
            write(&mut text, entry);
        }
        (!text.is_empty()).then(|| text.into())
    }
}

fn write(text: &mut Vec<u8>, entry: Entry) {
    let (seq, action) = (entry.seq, entry.draft.event.action());
    // JSON has no line ends outside of its texts, and none inside that are not escaped.
    if let Ok(data) = serde_json::to_string(&EntryView::of(entry)) {
        text.extend_from_slice(format!("id: {seq}\nevent: {action}\ndata: {data}\n\n").as_bytes());
    }
}

/// Done when the gate stops; never, where nobody could say so.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}
