//! Users, receipts and entries as the API shows them.

use portcullis_core::ids::{ApiKeyHash, HoldName, UserKey};
use portcullis_core::ledger::{Entry, Event, Role};
use portcullis_core::standing::{Reach, Standing};
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Hold, Profile, Status, User};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::schema::{AccessWord, KindWord, RoleWord, StatusWord, Time};
use super::sessions::logins;
use super::{AdminState, times};
use crate::control::command::{Done, Receipt};
use crate::live::Reader;
use crate::live::sessions::id_of;

/// A user, in the words of the admin API.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub(super) struct UserView {
    tenant: String,
    id: String,
    #[schemars(with = "StatusWord")]
    status: &'static str,
    email: Option<String>,
    phone: Option<String>,
    username: Option<String>,
    employee_id: Option<String>,
    locale: Option<String>,
    /// Given to the user by this API, by the hash of each.
    api_keys: Vec<String>,
    #[schemars(with = "Option<KindWord>")]
    suspension_status: Option<&'static str>,
    suspension_information: Option<SuspensionView>,
    holds: Vec<HoldView>,
    /// They stay so where a restore did not give them back.
    api_keys_disabled: bool,
    #[schemars(with = "Option<Time>")]
    sessions_not_before: Option<String>,
    #[schemars(with = "Option<Time>")]
    last_seen_at: Option<String>,
    revision: u64,
    #[schemars(with = "Option<Time>")]
    created_at: Option<String>,
    #[schemars(with = "Option<Time>")]
    updated_at: Option<String>,
}

/// The hold that speaks for the suspension.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Suspension")]
struct SuspensionView {
    #[schemars(with = "KindWord")]
    status: &'static str,
    #[schemars(with = "AccessWord")]
    access: &'static str,
    reason: Option<String>,
    reason_text: Option<String>,
    #[schemars(with = "Time")]
    since: String,
    #[schemars(with = "Option<Time>")]
    until: Option<String>,
    by: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub(super) struct HoldView {
    name: String,
    #[schemars(with = "KindWord")]
    kind: &'static str,
    #[schemars(with = "AccessWord")]
    access: &'static str,
    reason: Option<String>,
    reason_text: Option<String>,
    source: &'static str,
    actor: String,
    approver: Option<String>,
    ticket: Option<String>,
    comment: Option<String>,
    #[schemars(with = "Time")]
    placed_at: String,
    #[schemars(with = "Time")]
    starts_at: String,
    #[schemars(with = "Option<Time>")]
    ends_at: Option<String>,
    disable_api_keys: bool,
    revoke_sessions: bool,
    /// Of a user as it stands now: false where the hold waits for its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_force: Option<bool>,
}

impl UserView {
    pub(super) fn of(state: &AdminState, key: &UserKey, user: &User) -> Self {
        let now = state.commander.now();
        let status = user.status(now);
        let hold = user
            .leading_hold(now)
            .filter(|_| status == Status::Suspended);
        let profile = user.profile.clone();
        let known = |at: Timestamp| (at.0 > 0).then(|| times::text(at));
        Self {
            tenant: key.tenant().to_owned(),
            id: key.user().to_owned(),
            status: status.as_str(),
            email: profile.email,
            phone: profile.phone,
            username: profile.username,
            employee_id: profile.employee_id,
            locale: profile.locale,
            api_keys: profile.api_keys.iter().map(ApiKeyHash::text).collect(),
            suspension_status: hold.map(|hold| hold.kind.as_str()),
            suspension_information: hold.map(SuspensionView::of),
            holds: user
                .holds
                .iter()
                .map(|hold| HoldView::at(hold, now))
                .collect(),
            api_keys_disabled: Standing::of(user).leeway(now).api_keys == Reach::Nothing,
            sessions_not_before: user.sessions_not_before.map(times::text),
            last_seen_at: last_seen(&state.live, key, user).map(times::text),
            revision: user.revision.0,
            created_at: known(user.created_at),
            updated_at: known(user.updated_at),
        }
    }
}

/// When one of the user's sessions was last used.
fn last_seen(live: &Reader, key: &UserKey, user: &User) -> Option<Timestamp> {
    let names = logins(key, user);
    let sessions = names.iter().flat_map(|name| live.sessions().of(name));
    sessions.map(|session| session.last_seen()).max()
}

impl SuspensionView {
    fn of(hold: &Hold) -> Self {
        Self {
            status: hold.kind.as_str(),
            access: hold.access.as_str(),
            reason: hold.reason.clone().map(String::from),
            reason_text: hold.reason_text.clone(),
            since: times::text(hold.starts_at),
            until: hold.ends_at.map(times::text),
            by: hold.actor.clone(),
        }
    }
}

impl HoldView {
    fn at(hold: &Hold, now: Timestamp) -> Self {
        Self {
            in_force: Some(hold.in_force(now)),
            ..Self::of(hold)
        }
    }

    fn of(hold: &Hold) -> Self {
        Self {
            name: hold.name.clone().into(),
            kind: hold.kind.as_str(),
            access: hold.access.as_str(),
            reason: hold.reason.clone().map(String::from),
            reason_text: hold.reason_text.clone(),
            source: hold.source.as_str(),
            actor: hold.actor.clone(),
            approver: hold.approver.clone(),
            ticket: hold.ticket.clone(),
            comment: hold.comment.clone(),
            placed_at: times::text(hold.placed_at),
            starts_at: times::text(hold.starts_at),
            ends_at: hold.ends_at.map(times::text),
            disable_api_keys: hold.disables_api_keys,
            revoke_sessions: hold.revokes_sessions,
            in_force: None,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Receipt")]
pub(super) struct ReceiptView {
    revision: u64,
    sessions_revoked: u64,
    connections_cut: u64,
    api_keys_disabled: u64,
    notifications_queued: u64,
    gates: GatesView,
    #[schemars(with = "Option<Time>")]
    in_force_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Gates")]
struct GatesView {
    total: u64,
    in_force: u64,
}

impl ReceiptView {
    pub(super) fn of(receipt: &Receipt) -> Self {
        Self {
            revision: receipt.revision.0,
            sessions_revoked: receipt.sessions_revoked,
            connections_cut: receipt.connections_cut,
            api_keys_disabled: receipt.api_keys_disabled,
            notifications_queued: receipt.notifications_queued,
            gates: GatesView {
                total: receipt.gates_total,
                in_force: receipt.gates_in_force,
            },
            in_force_at: receipt.in_force_at.map(times::text),
        }
    }
}

/// What a change came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Outcome {
    /// Circularo's word of success, where its call was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
    pub(super) user: UserView,
    pub(super) receipt: ReceiptView,
    /// Whether the call changed anything (a dry run: would have).
    pub(super) changed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) unchanged: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holds_lifted: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holds_left: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holds_kept: Option<Vec<KeptHold>>,
    /// Of a suspension: the hold that stood under this name, as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<HoldView>,
}

/// A hold that the caller may not lift, and who may.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeptHold {
    name: String,
    #[schemars(with = "Vec<RoleWord>")]
    lifted_by: Vec<&'static str>,
}

impl KeptHold {
    pub(super) fn of(name: &HoldName, lifted_by: &[Role]) -> Self {
        Self {
            name: name.as_str().to_owned(),
            lifted_by: lifted_by.iter().map(|role| role.as_str()).collect(),
        }
    }
}

impl Outcome {
    pub(super) fn of(state: &AdminState, done: &Done) -> Self {
        Self {
            status: None,
            user: UserView::of(state, &done.key, &done.user),
            receipt: ReceiptView::of(&done.receipt),
            changed: !done.unchanged,
            unchanged: done.unchanged,
            dry_run: done.dry_run,
            holds_lifted: None,
            holds_left: None,
            holds_kept: None,
            replaced: done.replaced.as_ref().map(HoldView::of),
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Entry")]
pub(super) struct EntryView {
    seq: u64,
    #[schemars(with = "Time")]
    at: String,
    tenant: Option<String>,
    user: Option<String>,
    actor: String,
    /// The id of the token that the actor came with; null for the gate itself and the
    /// command line on a stopped gate's store.
    token_id: Option<String>,
    source: &'static str,
    action: &'static str,
    approver: Option<String>,
    ticket: Option<String>,
    comment: Option<String>,
    batch: Option<String>,
    detail: Value,
}

impl EntryView {
    pub(super) fn of(entry: Entry) -> Self {
        let draft = entry.draft;
        Self {
            seq: entry.seq.0,
            at: times::text(draft.at),
            tenant: draft.tenant.map(String::from),
            user: draft.user.map(String::from),
            actor: draft.actor,
            token_id: draft.token,
            source: draft.source.as_str(),
            action: draft.event.action(),
            approver: draft.approver,
            ticket: draft.ticket,
            comment: draft.comment,
            batch: draft.batch.map(String::from),
            detail: detail(&draft.event),
        }
    }
}

/// The fields of the event itself.
fn detail(event: &Event) -> Value {
    match event {
        Event::HoldPlaced { hold } => json!({ "hold": HoldView::of(hold) }),
        Event::HoldStarted { hold } | Event::HoldEnded { hold } => json!({ "hold": hold }),
        Event::HoldsLifted {
            holds,
            restores_api_keys,
        } => json!({ "holds": holds, "restore_api_keys": restores_api_keys }),
        Event::HoldsPutBack {
            lifted,
            placed,
            api_keys_withheld,
        } => {
            let placed: Vec<HoldView> = placed.iter().map(HoldView::of).collect();
            json!({ "lifted": lifted, "placed": placed, "api_keys_withheld": api_keys_withheld })
        }
        Event::ProfileChanged { profile } => json!({ "profile": profile_view(profile) }),
        Event::SessionsRevoked | Event::Deleted | Event::Exported => json!({}),
        Event::Forgotten { .. } => json!({ "forgotten": true }),
        Event::SessionRevoked { session } => json!({ "session": id_of(&session.0) }),
        Event::TokenCreated {
            token_id,
            role,
            expires_at,
        } => {
            json!({ "token_id": token_id, "role": role, "expires_at": expires_at.map(times::text) })
        }
        Event::TokenRotated {
            token_id,
            expires_at,
            old_until,
        } => json!({
            "token_id": token_id,
            "expires_at": expires_at.map(times::text),
            "old_works_until": old_until.map(times::text),
        }),
        Event::TokenRevoked { token_id } => json!({ "token_id": token_id }),
        Event::PolicyChanged {
            step,
            generation,
            policy,
            was,
        } => json!({ "step": step, "generation": generation, "policy": policy, "was": was }),
        Event::Refused {
            error_id,
            code,
            policy,
        } => json!({ "error_id": error_id, "code": code, "policy": policy }),
    }
}

fn profile_view(profile: &Profile) -> Value {
    json!({
        "email": profile.email,
        "phone": profile.phone,
        "username": profile.username,
        "employee_id": profile.employee_id,
        "locale": profile.locale,
        "api_keys": profile.api_keys,
    })
}
