//! `GET /api/v1/users` and `GET /api/v1/users/{id}`.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_core::ids::UserId;
use portcullis_core::names::NameRule;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::{Answer, Ask};
use super::parameter::{CURSOR, LIMIT, Parameter, Shape, TENANT};
use super::problem::Problem;
use super::view::UserView;
use super::{circularo, filter};
use crate::control::store::{UserFilter, UserPage, UserQuery};

/// What a list of users may be asked for.
pub(super) const PARAMETERS: &[Parameter] = &[
    TENANT,
    Parameter::new(
        "filter",
        Shape::Pattern(filter::PATTERN),
        "Conditions as `status==\"suspended\"`, joined with `and`",
    ),
    Parameter::new(
        "q",
        Shape::Name,
        "The beginning of an id, email, phone, username or employee id",
    ),
    LIMIT,
    CURSOR,
];

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UserList {
    users: Vec<UserView>,
    /// `null`: there are no more.
    next_cursor: Option<String>,
}

pub(super) async fn show(ask: Ask) -> Result<Answer<UserView>, Problem> {
    let (key, user) = ask.user().await?;
    let view = UserView::of(&ask.api.state, &key, &user);
    Ok(Answer::ok(&view)?.at(user.revision))
}

pub(super) async fn list(ask: Ask) -> Result<Answer<UserList>, Problem> {
    let (page, next_cursor) = find(&ask).await?;
    let users = page
        .users
        .iter()
        .map(|(key, user)| UserView::of(&ask.api.state, key, user))
        .collect();
    Answer::ok(&UserList { users, next_cursor })
}

/// The page that the query asks for, and the cursor to the next.
pub(super) async fn find(ask: &Ask) -> Result<(UserPage, Option<String>), Problem> {
    let scope = ask.scope()?;
    let filter = ask.query.find("filter").map(filter::parse).transpose()?;
    let cursor = ask.query.find("cursor").map(read_cursor).transpose()?;
    let q = ask.query.find("q");
    let query = UserQuery {
        tenant: Some(scope.tenant),
        prefix: q.map(|q| prefix(q, scope.names)).transpose()?,
        filter: filter.unwrap_or_else(UserFilter::default),
        now: ask.api.state.commander.now(),
        limit: ask.query.limit()?,
        after: cursor,
    };
    let page = ask.api.read(move |store| store.users(&query)).await?;
    let next = page
        .next
        .as_ref()
        .map(|place| BASE64_URL_SAFE_NO_PAD.encode(place));
    Ok((page, next))
}

/// In the spelling that names are kept in.
fn prefix(q: &str, rule: NameRule) -> Result<String, Problem> {
    // A `+` that was not percent-encoded has become a space.
    let phone = q
        .trim_start()
        .starts_with('+')
        .then(|| circularo::phone(q))
        .flatten();
    let text = phone.as_deref().unwrap_or(q);
    let prefix = UserId::canonical(text, rule);
    prefix
        .map(|prefix| prefix.as_str().to_owned())
        .map_err(|error| Problem::field("q", error.to_string()))
}

fn read_cursor(text: &str) -> Result<String, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    place.filter(|place| place.contains('/')).ok_or_else(|| {
        Problem::field("cursor", "it is not one that this API gave out")
            .mend("send the next_cursor of the page before, as it is")
    })
}
