//! The same users in the dialect of ReachFive: its paths, its field names and
//! its profile.

use portcullis_core::ids::UserKey;
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Source, Status, User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::schema::ReasonKeyText;
use super::{body, suspension, times, users};
use crate::control::command::{Caller, Done, Note, Restore, Suspend};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ReachFiveSuspendFields")]
pub(super) struct SuspendFields {
    /// False unless said otherwise.
    allow_password_reset: Option<bool>,
    #[schemars(with = "Option<ReasonKeyText>")]
    suspension_reason: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFields {}

/// ReachFive leaves out what is not set.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReachFiveProfile")]
pub(super) struct Profile {
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

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReachFiveSuspensionInformation")]
struct SuspensionInformation {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReachFiveProfileList")]
pub(super) struct ProfileList {
    items: Vec<Profile>,
    /// `null`: there are no more.
    next_cursor: Option<String>,
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

pub(super) async fn suspend(ask: Ask, fields: SuspendFields) -> Result<Answer<Profile>, Problem> {
    let key = ask.user_key()?;
    let reason = fields
        .suspension_reason
        .map(|key| body::reason_key("suspension_reason", &key));
    let wanted = Suspend {
        kind: suspension::kind(None, fields.allow_password_reset)?,
        reason: reason.transpose()?,
        ..Suspend::default()
    };
    let terms = ask.terms(false)?;
    let commander = &ask.api.state.commander;
    let done = commander
        .suspend(&caller(&ask), &key, &wanted, &Note::default(), terms)
        .await?;
    profile(&ask, &done)
}

pub(super) async fn unsuspend(ask: Ask, NoFields {}: NoFields) -> Result<Answer<Profile>, Problem> {
    let key = ask.user_key()?;
    let wanted = Restore {
        hold: None,
        whole: true,
        restore_api_keys: true,
    };
    let terms = ask.terms(false)?;
    let commander = &ask.api.state.commander;
    let done = commander
        .restore(&caller(&ask), &key, &wanted, &Note::default(), terms)
        .await?;
    profile(&ask, &done)
}

pub(super) async fn show(ask: Ask) -> Result<Answer<Profile>, Problem> {
    let (key, user) = ask.user().await?;
    let profile = Profile::of(&key, &user, ask.api.state.commander.now());
    Ok(Answer::ok(&profile)?.at(user.revision))
}

pub(super) async fn list(ask: Ask) -> Result<Answer<ProfileList>, Problem> {
    let (page, next_cursor) = users::find(&ask).await?;
    let now = ask.api.state.commander.now();
    let items = page
        .users
        .iter()
        .map(|(key, user)| Profile::of(key, user, now))
        .collect();
    Answer::ok(&ProfileList { items, next_cursor })
}

fn caller(ask: &Ask) -> Caller {
    Caller {
        source: Source::ReachFive,
        ..ask.caller.clone()
    }
}

fn profile(ask: &Ask, done: &Done) -> Result<Answer<Profile>, Problem> {
    let now = ask.api.state.commander.now();
    let profile = Profile::of(&done.key, &done.user, now);
    Ok(Answer::ok(&profile)?.at(done.user.revision))
}
