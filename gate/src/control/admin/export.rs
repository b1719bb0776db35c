//! `GET /api/v1/users/{id}/export`: all that the gate holds about a user, as one JSON
//! object. That it was handed out is on record before the first byte goes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use portcullis_core::user::User;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::{Api, Ask, internal};
use super::problem::Problem;
use super::schema::Time;
use super::tokens::TokenView;
use super::view::{EntryView, UserView};
use super::{AdminState, times};
use crate::control::command::Terms;
use crate::control::store::{AuditQuery, Names, SqliteStore};
use crate::live::sessions::{End, Learnt, id_of};

/// All that is held. `history` is last, because it is written as it is read.
#[derive(Serialize, JsonSchema)]
pub(super) struct Export {
    #[schemars(with = "Time")]
    exported_at: String,
    tenant: String,
    id: String,
    /// `null`: only others of these are known.
    user: Option<UserView>,
    /// Every name that means the user now, the id included.
    names: Vec<String>,
    /// Names that meant the user before, and mean nobody else.
    former_names: Vec<String>,
    /// Those that have ended included.
    sessions: Vec<SessionView>,
    /// Admin tokens that are the user's.
    tokens: Vec<TokenView>,
    /// Every entry of the ledger about the user, the oldest first.
    history: Vec<EntryView>,
}

/// A session with all that is kept of it; the cookie itself is not.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportedSession")]
struct SessionView {
    id: String,
    login: String,
    cookie: String,
    path: Option<String>,
    domain: Option<String>,
    #[schemars(with = "Time")]
    first_seen: String,
    /// Written down every ten minutes.
    #[schemars(with = "Time")]
    last_seen: String,
    address: Option<String>,
    agent: Option<String>,
    /// What ended it; `null` where nothing has.
    ended_by: Option<&'static str>,
}

impl SessionView {
    fn of(session: Learnt) -> Self {
        Self {
            id: id_of(&session.hash),
            login: session.user.user().to_owned(),
            cookie: session.place.name,
            path: session.place.path,
            domain: session.place.domain,
            first_seen: times::text(session.first_seen),
            last_seen: times::text(session.last_seen),
            address: session.address.map(|address| address.to_string()),
            agent: session.agent,
            ended_by: session.ended.map(End::as_str),
        }
    }
}

/// What the store has, but for the history.
struct Held {
    user: Option<User>,
    names: Names,
    sessions: Vec<Learnt>,
}

impl Held {
    fn read(store: &SqliteStore, key: &UserKey) -> Result<Self, crate::control::ledger::ReadError> {
        let names = store.names_of(key)?;
        let all: Vec<UserKey> = names.keys(key).collect();
        Ok(Self {
            user: store.user(key)?,
            sessions: store.sessions_of(&all)?,
            names,
        })
    }

    fn head(self, state: &AdminState, key: &UserKey) -> Export {
        let now = state.commander.now();
        let tokens = state.tokens.owned_by(key).into_iter();
        let tokens = tokens.filter_map(|id| state.tokens.find(&id));
        Export {
            exported_at: times::text(now),
            tenant: key.tenant().to_owned(),
            id: key.user().to_owned(),
            user: self.user.map(|user| UserView::of(state, key, &user)),
            names: self.names.now,
            former_names: self.names.former,
            sessions: self.sessions.into_iter().map(SessionView::of).collect(),
            tokens: tokens
                .map(|row| TokenView::of(&state.tokens, row, now))
                .collect(),
            history: Vec::new(),
        }
    }
}

pub(super) async fn export(ask: Ask, _: Body) -> Result<Response, Problem> {
    let key = ask.user_key()?;
    let state = &ask.api.state;
    let wanted = key.clone();
    let held = ask
        .api
        .read(move |store| Held::read(store, &wanted))
        .await?;
    let theirs = state.tokens.owned_by(&key);
    if held.user.is_none() && held.sessions.is_empty() && theirs.is_empty() {
        return Err(ask.unknown(&key));
    }
    let terms = Terms::default();
    let done = state.commander.hand_out(&ask.caller, &key, terms).await?;
    let head = serde_json::to_string(&held.head(state, &key)).map_err(|_| internal())?;
    // `…,"history":[]}` is opened again for the entries.
    let opening = head.strip_suffix("]}").ok_or_else(internal)?.to_owned();
    let history = History {
        api: Arc::clone(&ask.api),
        user: key,
        after: Some(Revision(0)),
        until: done.receipt.revision,
        seen: Revision(0),
    };
    let opening = stream::once(async { Ok(Bytes::from(opening)) });
    let body = Body::from_stream(opening.chain(stream::unfold(history, History::next)));
    let mut response = body.into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// The entries that are still to be written.
struct History {
    api: Arc<Api>,
    user: UserKey,
    /// `None`: all is written, and the object closed.
    after: Option<Revision>,
    /// The entry that says that they are handed out: the last that has to come.
    until: Revision,
    seen: Revision,
}

/// What breaks an answer off, so that nobody takes a part for the whole.
type Broken = std::io::Error;

impl History {
    async fn next(mut self) -> Option<(Result<Bytes, Broken>, Self)> {
        let query = AuditQuery {
            user: Some(self.user.clone()),
            after: Some(self.after?),
            limit: limits::EXPORT_PAGE_ENTRIES,
            ..AuditQuery::default()
        };
        let page = match self.api.read(move |store| store.audit(&query)).await {
            Ok(page) => page,
            Err(problem) => {
                tracing::warn!(detail = problem.detail(), "an export broke off");
                self.after = None;
                return Some((Err(Broken::other("the store can't be read")), self));
            }
        };
        let mut text = Vec::new();
        for entry in page.entries {
            if self.seen > Revision(0) {
                text.push(b',');
            }
            self.seen = entry.seq;
            if serde_json::to_writer(&mut text, &EntryView::of(entry)).is_err() {
                self.after = None;
                return Some((Err(Broken::other("an entry can't be written")), self));
            }
        }
        self.after = page.next;
        if self.after.is_none() {
            if self.seen < self.until {
                // Deleted meanwhile: what is left is not all.
                return Some((Err(Broken::other("the user has been deleted")), self));
            }
            text.extend_from_slice(b"]}");
        }
        Some((Ok(text.into()), self))
    }
}
