//! `POST …/suspend` and `POST …/restore`.

use portcullis_core::ids::{HoldName, ReasonKey, Revision};
use portcullis_core::ledger::Event;
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Access, Kind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::ask::{Answer, Ask};
use super::problem::Problem;
use super::schema::{AccessWord, False, HoldNameText, KindWord, Moment, ReasonKeyText, Words};
use super::view::{KeptHold, Outcome};
use super::{body, times};
use crate::control::command::{Done, Note, Restore, Suspend};
use crate::control::ledger::Ledger;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SuspendFields {
    /// A camelCase key, which the policy has words for; any other text is for administrators.
    #[schemars(with = "Option<Words>")]
    pub(super) reason: Option<String>,
    /// A key, and nothing else.
    #[schemars(with = "Option<ReasonKeyText>")]
    pub(super) suspension_reason: Option<String>,
    /// `permanent` unless said otherwise.
    #[schemars(with = "Option<KindWord>")]
    pub(super) kind: Option<Kind>,
    /// The same in other words: true is `temporary`.
    pub(super) allow_password_reset: Option<bool>,
    /// What the user may still do; `none` unless said otherwise.
    #[schemars(with = "Option<AccessWord>")]
    pub(super) access: Option<Access>,
    /// True unless said otherwise, or unless the user keeps read-only access.
    pub(super) revoke_sessions: Option<bool>,
    /// True unless said otherwise, or unless the user keeps read-only access.
    pub(super) disable_api_keys: Option<bool>,
    /// A time, or a duration from now; one that has passed is now.
    #[schemars(with = "Option<Moment>")]
    pub(super) starts_at: Option<String>,
    /// A time after the start, or how long the hold lasts.
    #[schemars(with = "Option<Moment>")]
    pub(super) ends_at: Option<String>,
    /// The name of the hold; `admin` unless said otherwise.
    #[schemars(with = "Option<HoldNameText>")]
    pub(super) hold: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) approver: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) ticket: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) comment: Option<String>,
    /// Only false is taken yet.
    #[schemars(with = "Option<False>")]
    pub(super) notify: Option<bool>,
    /// Tells what would happen, and does nothing.
    pub(super) dry_run: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreFields {
    /// The hold to lift; all that the caller may lift, unless it is named.
    #[schemars(with = "Option<HoldNameText>")]
    pub(super) hold: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) reason: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) approver: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) ticket: Option<String>,
    #[schemars(with = "Option<Words>")]
    pub(super) comment: Option<String>,
    /// True unless said otherwise.
    pub(super) restore_api_keys: Option<bool>,
    /// Tells what would happen, and does nothing.
    pub(super) dry_run: Option<bool>,
}

impl SuspendFields {
    /// What they ask for; durations count from `now`.
    pub(super) fn read(self, now: Timestamp) -> Result<(Suspend, Note), Problem> {
        if self.notify == Some(true) {
            return Err(Problem::field("notify", "notifications are not built yet")
                .mend("leave it out, or say false"));
        }
        let kind = kind(self.kind, self.allow_password_reset)?;
        let (reason, reason_text) = reasons(self.reason, self.suspension_reason)?;
        let moment = |field, text: Option<String>, from| -> Result<Option<Timestamp>, Problem> {
            text.map(|text| times::moment(field, &text, from))
                .transpose()
        };
        let starts_at = moment("starts_at", self.starts_at, now)?;
        // A duration is how long the hold lasts, whenever it starts.
        let from = starts_at.max(Some(now)).unwrap_or(now);
        let ends_at = moment("ends_at", self.ends_at, from)?;
        let access = self.access.unwrap_or_default();
        // Who may go on looking keeps what they look with, unless the caller says otherwise.
        let keeps = access == Access::ReadOnly;
        let wanted = Suspend {
            hold: body::hold_name(self.hold.as_deref())?.unwrap_or_else(HoldName::admin),
            kind,
            access,
            reason,
            reason_text,
            starts_at,
            ends_at,
            revoke_sessions: self.revoke_sessions.unwrap_or(!keeps),
            disable_api_keys: self.disable_api_keys.unwrap_or(!keeps),
        };
        Ok((wanted, note(self.approver, self.ticket, self.comment)?))
    }
}

impl RestoreFields {
    pub(super) fn read(self) -> Result<(Restore, Note), Problem> {
        let wanted = Restore {
            hold: body::hold_name(self.hold.as_deref())?,
            whole: false,
            restore_api_keys: self.restore_api_keys.unwrap_or(true),
        };
        let note = Note {
            comment: body::words(("reason", self.reason), ("comment", self.comment))?,
            ..note(self.approver, self.ticket, None)?
        };
        Ok((wanted, note))
    }
}

pub(super) async fn suspend(ask: Ask, fields: SuspendFields) -> Result<Answer<Outcome>, Problem> {
    let key = ask.user_key()?;
    let commander = &ask.api.state.commander;
    let dry_run = fields.dry_run.unwrap_or(false);
    let (wanted, note) = fields.read(commander.now())?;
    let terms = ask.terms(dry_run)?;
    let done = commander
        .suspend(&ask.caller, &key, &wanted, &note, terms)
        .await?;
    Ok(Answer::ok(&Outcome::of(&ask.api.state, &done))?.at(done.user.revision))
}

pub(super) async fn restore(ask: Ask, fields: RestoreFields) -> Result<Answer<Outcome>, Problem> {
    let key = ask.user_key()?;
    let dry_run = fields.dry_run.unwrap_or(false);
    let (wanted, note) = fields.read()?;
    let terms = ask.terms(dry_run)?;
    let commander = &ask.api.state.commander;
    let before = commander.read(&key).await?;
    let done = commander
        .restore(&ask.caller, &key, &wanted, &note, terms)
        .await?;
    let mut outcome = Outcome::of(&ask.api.state, &done);
    let left: Vec<String> = names(done.user.holds.iter().map(|hold| &hold.name));
    let lifted = match lifted(&ask, &done).await? {
        Some(lifted) => lifted,
        // What has ended by itself since was not lifted.
        None if done.unchanged => Vec::new(),
        None => {
            let mut names = names(before.holds.iter().map(|hold| &hold.name));
            names.retain(|name| !left.contains(name));
            names
        }
    };
    outcome.holds_lifted = Some(lifted);
    outcome.holds_left = Some(left);
    let (rules, role) = (commander.lift_rules(&key), ask.caller.role);
    let kept = done.user.holds.iter().map(|hold| &hold.name);
    let kept = kept.filter(|name| !rules.may_lift(role, name));
    let kept = kept.map(|name| KeptHold::of(name, &rules.lifters(name)));
    outcome.holds_kept = Some(kept.collect());
    Ok(Answer::ok(&outcome)?.at(done.user.revision))
}

/// What the entry says was lifted; `None` where none was written.
async fn lifted(ask: &Ask, done: &Done) -> Result<Option<Vec<String>>, Problem> {
    if done.unchanged || done.dry_run {
        return Ok(None);
    }
    let before = Revision(done.receipt.revision.0.saturating_sub(1));
    let entries = ask.api.state.commander.store().read(before, 1).await?;
    let event = entries.into_iter().next().map(|entry| entry.draft.event);
    let Some(Event::HoldsLifted { holds, .. }) = event else {
        return Ok(None);
    };
    Ok(Some(names(holds.iter())))
}

fn names<'a>(holds: impl Iterator<Item = &'a HoldName>) -> Vec<String> {
    holds.map(|name| name.as_str().to_owned()).collect()
}

/// Who asks for nothing special lets nobody in by oversight: permanent.
pub(super) fn kind(kind: Option<Kind>, reset: Option<bool>) -> Result<Kind, Problem> {
    let by_reset = reset.map(|allowed| match allowed {
        true => Kind::Temporary,
        false => Kind::Permanent,
    });
    match (kind, by_reset) {
        (Some(kind), Some(other)) if kind != other => {
            let what = format!(
                "a {} suspension and allow_password_reset contradict each other",
                kind.as_str()
            );
            Err(Problem::field("allow_password_reset", what)
                .mend("give one of the two: a reset is allowed where the kind is temporary"))
        }
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        (None, None) => Ok(Kind::Permanent),
    }
}

/// A `reason` that reads as a key is one.
fn reasons(
    reason: Option<String>,
    key: Option<String>,
) -> Result<(Option<ReasonKey>, Option<String>), Problem> {
    let key = key
        .map(|key| body::reason_key("suspension_reason", &key))
        .transpose()?;
    let text = body::text("reason", reason)?;
    let as_key = text.as_deref().and_then(|text| ReasonKey::parse(text).ok());
    match (key, as_key) {
        (Some(key), Some(other)) if key != other => {
            let what = format!("it is the key {other}, and suspension_reason is {key}");
            Err(Problem::field("reason", what).mend("give one key"))
        }
        (Some(key), Some(_)) => Ok((Some(key), None)),
        (key @ Some(_), None) => Ok((key, text)),
        (None, as_key @ Some(_)) => Ok((as_key, None)),
        (None, None) => Ok((None, text)),
    }
}

pub(super) fn note(
    approver: Option<String>,
    ticket: Option<String>,
    comment: Option<String>,
) -> Result<Note, Problem> {
    Ok(Note {
        approver: body::text("approver", approver)?,
        ticket: body::text("ticket", ticket)?,
        comment: body::text("comment", comment)?,
        batch: None,
    })
}
