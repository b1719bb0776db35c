//! `GET` and `DELETE /api/v1/users/{id}/sessions`, and one of them.

use std::sync::Arc;

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::standing::Standing;
use portcullis_core::user::User;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::schema::Words;
use super::view::Outcome;
use super::{suspension, times};
use crate::live::sessions::Session;

#[derive(Debug, Serialize, JsonSchema)]
struct SessionView {
    /// The beginning of the cookie's hash: enough to tell two apart, too little
    /// to be of use to anyone.
    id: String,
    cookie: String,
    first_seen: String,
    last_seen: String,
    /// Where the login came from, and what the client called itself.
    address: Option<String>,
    agent: Option<String>,
    /// The name that logged in.
    login: String,
    /// Whether nothing has ended it; a suspended user's is refused all the same.
    alive: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionList {
    /// The last used first.
    sessions: Vec<SessionView>,
    /// How many there are, those behind the limit included.
    total: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeFields {
    #[schemars(with = "Option<Words>")]
    approver: Option<String>,
    #[schemars(with = "Option<Words>")]
    ticket: Option<String>,
    #[schemars(with = "Option<Words>")]
    comment: Option<String>,
    dry_run: Option<bool>,
}

pub(super) async fn list(ask: Ask) -> Result<Answer<SessionList>, Problem> {
    let limit = ask.query.limit()?;
    let key = ask.user_key()?;
    let user = still_there(ask.api.state.commander.read(&key).await?)?;
    // Also those who were never changed have sessions: no 404 here.
    let mut found = known(&ask, &key, &user);
    found.sort_by_key(|session| std::cmp::Reverse((session.last_seen(), session.hash)));
    let total = found.len();
    found.truncate(limit);
    let standing = Standing::of(&user);
    let view = |session: &Arc<Session>| SessionView {
        id: session.id(),
        cookie: session.place.name.clone(),
        first_seen: times::text(session.first_seen),
        last_seen: times::text(session.last_seen()),
        address: session.address.map(|address| address.to_string()),
        agent: session.agent.as_deref().map(str::to_owned),
        login: session.user.user().to_owned(),
        alive: session.ended().is_none() && !standing.killed_session(session.learnt_at),
    };
    let sessions = found.iter().map(view).collect();
    Answer::ok(&SessionList { sessions, total })
}

fn still_there(user: User) -> Result<User, Problem> {
    if user.deleted_at.is_some() {
        Err(Problem::deleted())
    } else {
        Ok(user)
    }
}

pub(super) async fn revoke(ask: Ask, fields: RevokeFields) -> Result<Answer<Outcome>, Problem> {
    let key = ask.user_key()?;
    let note = suspension::note(fields.approver, fields.ticket, fields.comment)?;
    let terms = ask.terms(fields.dry_run.unwrap_or(false))?;
    let commander = &ask.api.state.commander;
    let done = commander
        .revoke_sessions(&ask.caller, &key, &note, terms)
        .await?;
    Ok(Answer::ok(&Outcome::of(&ask.api.state, &done))?.at(done.user.revision))
}

pub(super) async fn revoke_one(ask: Ask, fields: RevokeFields) -> Result<Answer<Outcome>, Problem> {
    let key = ask.user_key()?;
    let note = suspension::note(fields.approver, fields.ticket, fields.comment)?;
    let terms = ask.terms(fields.dry_run.unwrap_or(false))?;
    let commander = &ask.api.state.commander;
    let user = still_there(commander.read(&key).await?)?;
    let found = known(&ask, &key, &user)
        .into_iter()
        .find(|session| session.id() == ask.session);
    let Some(session) = found else {
        let what = format!(
            "{} has no session {} that could be ended",
            key.user(),
            ask.session
        );
        return Err(Problem::not_found(what).mend("list the user's sessions for their ids"));
    };
    let done = commander
        .revoke_session(&ask.caller, &key, session.hash, &note, terms)
        .await?;
    Ok(Answer::ok(&Outcome::of(&ask.api.state, &done))?.at(done.user.revision))
}

/// The user's sessions that have not ended, under every name.
fn known(ask: &Ask, key: &UserKey, user: &User) -> Vec<Arc<Session>> {
    let live = &ask.api.state.live;
    let names = logins(key, user);
    names
        .iter()
        .flat_map(|name| live.sessions().of(name))
        .collect()
}

/// The names that the user may have logged in under, each once.
pub(super) fn logins(key: &UserKey, user: &User) -> Vec<UserKey> {
    let mut names = vec![key.clone()];
    if let Ok(tenant) = TenantId::parse(key.tenant()) {
        let aliases = user
            .profile
            .aliases()
            .filter_map(|alias| UserId::parse(alias).ok());
        names.extend(aliases.map(|alias| UserKey::new(&tenant, &alias)));
    }
    names.sort_unstable();
    names.dedup();
    names
}
