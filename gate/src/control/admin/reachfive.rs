//! The same users in the dialect of ReachFive: its paths, its field names and
//! its profile.

use portcullis_core::ids::UserKey;
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Source, Status, User};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::{body, suspension, times, users};
use crate::control::command::{Caller, Done, Note, Restore, Suspend};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuspendFields {
    allow_password_reset: Option<bool>,
    suspension_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

/// ReachFive leaves out what is not set.
#[derive(Debug, Serialize)]
struct Profile {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    suspended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspension_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspension_information: Option<SuspensionInformation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct SuspensionInformation {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Profile {
    fn of(key: &UserKey, user: &User, now: Timestamp) -> Self {
        let suspended = user.status(now) == Status::Suspended;
        let hold = user.leading_hold(now).filter(|_| suspended);
        let known = |at: Timestamp| (at.0 > 0).then(|| times::text(at));
        let profile = user.profile.clone();
        Self {
            id: key.user().to_owned(),
            email: profile.email,
            phone_number: profile.phone,
            custom_identifier: profile.username,
            external_id: profile.employee_id,
            locale: profile.locale,
            suspended,
            suspension_status: hold.map(|hold| hold.kind.as_str()),
            suspension_information: hold.map(|hold| SuspensionInformation {
                status: hold.kind.as_str(),
                reason: hold.reason.clone().map(String::from),
            }),
            created_at: known(user.created_at),
            updated_at: known(user.updated_at),
        }
    }
}

pub(super) async fn suspend(ask: Ask) -> Result<Answer, Problem> {
    ask.query.refuse_unknown(&["tenant"])?;
    let key = ask.user_key()?;
    let fields: SuspendFields = body::parse(&ask.body)?;
    let reason = fields
        .suspension_reason
        .map(|key| body::reason_key("suspension_reason", &key));
    let wanted = Suspend {
        kind: suspension::kind(None, fields.allow_password_reset)?,
        reason: reason.transpose()?,
        ..Suspend::default()
    };
    let terms = ask.terms("suspend", false)?;
    let commander = &ask.api.state.commander;
    let done = commander
        .suspend(&caller(&ask), &key, &wanted, &Note::default(), terms)
        .await?;
    profile(&ask, &done)
}

pub(super) async fn unsuspend(ask: Ask) -> Result<Answer, Problem> {
    ask.query.refuse_unknown(&["tenant"])?;
    let key = ask.user_key()?;
    let NoFields {} = body::parse(&ask.body)?;
    let wanted = Restore {
        hold: None,
        whole: true,
        restore_api_keys: true,
    };
    let terms = ask.terms("unsuspend", false)?;
    let commander = &ask.api.state.commander;
    let done = commander
        .restore(&caller(&ask), &key, &wanted, &Note::default(), terms)
        .await?;
    profile(&ask, &done)
}

pub(super) async fn show(ask: Ask) -> Result<Answer, Problem> {
    ask.query.refuse_unknown(&["tenant"])?;
    let (key, user) = ask.user().await?;
    let profile = Profile::of(&key, &user, ask.api.state.commander.now());
    Ok(Answer::ok(&profile)?.at(user.revision))
}

pub(super) async fn list(ask: Ask) -> Result<Answer, Problem> {
    let (page, next) = users::find(&ask).await?;
    let now = ask.api.state.commander.now();
    let items: Vec<Profile> = page
        .users
        .iter()
        .map(|(key, user)| Profile::of(key, user, now))
        .collect();
    Answer::ok(&json!({ "items": items, "next_cursor": next }))
}

fn caller(ask: &Ask) -> Caller {
    Caller {
        source: Source::ReachFive,
        ..ask.caller.clone()
    }
}

fn profile(ask: &Ask, done: &Done) -> Result<Answer, Problem> {
    let now = ask.api.state.commander.now();
    let profile = Profile::of(&done.key, &done.user, now);
    Ok(Answer::ok(&profile)?.at(done.user.revision))
}
