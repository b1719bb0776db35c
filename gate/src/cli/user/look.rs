//! `portcullis user show` and `user list`.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::{Common, path, tell_json, with_query};
use crate::cli::client::AdminApi;
use crate::cli::{Failure, Surroundings, words};

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The user's id, email, phone, username or employee id
    id: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[command(mut_arg("tenant", |tenant| tenant.help("Whose users; needless with a tenant's own token, or where there is one tenant")))]
pub(in crate::cli) struct List {
    /// Which users, such as 'suspension_status=="permanent"'
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// The beginning of an id, email, username, phone or employee id
    #[arg(long, short, value_name = "PREFIX")]
    query: Option<String>,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn show(show: &Show, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let api = AdminApi::require(surroundings)?;
    let what = format!("show {}", show.id);
    let user = api.call(&what, Method::GET, &path(&show.id, "", &show.common)?, None)?;
    if show.common.json {
        return tell_json(&user, surroundings);
    }
    let sessions = path(&show.id, "/sessions", &show.common)?;
    // What is known of the user is worth showing without them.
    let sessions = match api.call(&what, Method::GET, &sessions, None) {
        Ok(sessions) => count(&sessions.json),
        Err(failure) => format!("not known: {failure}"),
    };
    let profile = words::Profile {
        user: user.json.get("user").unwrap_or(&user.json),
        sessions,
    };
    Ok(profile.print(surroundings.out, surroundings.terminal.width)?)
}

/// "3, of which 1 is alive"
fn count(sessions: &Value) -> String {
    let listed = words::list(sessions, "sessions");
    let is_alive = |session: &&Value| session.get("alive") == Some(&Value::Bool(true));
    let alive = listed.iter().filter(is_alive).count();
    let total = sessions.get("total").and_then(Value::as_u64);
    match total.unwrap_or_default() {
        0 => "none".to_owned(),
        total if total > listed.len() as u64 => format!("{total}"),
        total => format!("{total}, of which {alive} alive"),
    }
}

pub(super) fn list(list: &List, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let api = AdminApi::require(surroundings)?;
    let parameters = [
        ("tenant", list.common.tenant.clone()),
        ("filter", list.filter.clone()),
        ("q", list.query.clone()),
        ("limit", list.limit.map(|limit| limit.to_string())),
        ("cursor", list.cursor.clone()),
    ];
    let path = with_query("/api/v1/users", &parameters);
    let answer = api.call("list users", Method::GET, &path, None)?;
    if list.common.json {
        return tell_json(&answer, surroundings);
    }
    let width = surroundings.terminal.width;
    Ok(words::page(surroundings.out, &answer.json, width)?)
}
