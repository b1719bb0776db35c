//! `GET` and `DELETE /api/v1/users/{id}/sessions`.

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::standing::Standing;
use portcullis_core::user::User;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::view::Outcome;
use super::{body, suspension, times};
use crate::control::store::SessionRow;

#[derive(Debug, Serialize)]
struct SessionView {
    /// The beginning of the cookie's hash: enough to tell two apart, too little
    /// to be of use to anyone.
    id: String,
    first_seen: String,
    /// The name that logged in.
    login: String,
    expires_at: Option<String>,
    /// Whether nothing has ended it; a suspended user's is refused all the same.
    alive: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeFields {
    approver: Option<String>,
    ticket: Option<String>,
    comment: Option<String>,
    dry_run: Option<bool>,
}

pub(super) async fn list(ask: Ask) -> Result<Answer, Problem> {
    ask.query.refuse_unknown(&["tenant", "limit"])?;
    let limit = ask.query.limit()?;
    let key = ask.user_key()?;
    let user = ask.api.state.commander.read(&key).await?;
    let names = logins(&key, &user);
    // Also those who were never changed have sessions: no 404 here.
    let found = ask.api.read(move |store| {
        let mut total = 0;
        let mut rows: Vec<SessionRow> = Vec::new();
        for name in &names {
            total += store.session_count(name)?;
            rows.extend(store.sessions_of(name, limit)?);
        }
        Ok((total, rows))
    });
    let (total, mut rows) = found.await?;
    rows.sort_by_key(|row| std::cmp::Reverse((row.learnt_at, row.hash)));
    rows.truncate(limit);
    let (standing, now) = (Standing::of(&user), ask.api.state.commander.now());
    let view = |row: &SessionRow| SessionView {
        id: row
            .hash
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        first_seen: times::text(row.learnt_at),
        login: row.user.as_str().to_owned(),
        expires_at: row.expires_at.map(times::text),
        alive: !standing.deleted
            && !standing.killed_session(row.learnt_at_revision)
            && row.expires_at.is_none_or(|end| now < end),
    };
    let sessions: Vec<SessionView> = rows.iter().map(view).collect();
    Answer::ok(&json!({ "sessions": sessions, "total": total }))
}

pub(super) async fn revoke(ask: Ask) -> Result<Answer, Problem> {
    ask.query.refuse_unknown(&["tenant"])?;
    let key = ask.user_key()?;
    let fields: RevokeFields = body::parse(&ask.body)?;
    let note = suspension::note(fields.approver, fields.ticket, fields.comment)?;
    let terms = ask.terms("revoke-sessions", fields.dry_run.unwrap_or(false))?;
    let commander = &ask.api.state.commander;
    let done = commander
        .revoke_sessions(&ask.caller, &key, &note, terms)
        .await?;
    Ok(Answer::ok(&Outcome::of(&done, commander.now()))?.at(done.user.revision))
}

/// The names that the user may have logged in under, each once.
fn logins(key: &UserKey, user: &User) -> Vec<UserKey> {
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
