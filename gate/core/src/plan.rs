//! From what an administrator asks to the event that does it, or to the finding
//! that nothing is to be done. Pure: the caller appends what comes out.

use crate::ids::HoldName;
use crate::ledger::Event;
use crate::time::Timestamp;
use crate::user::{Hold, Profile, User};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Append(Event),
    /// Things are as asked already.
    Nothing,
}

/// Why an ask can't be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the user is deleted, which is final")]
    Deleted,
    #[error("the user has no hold named '{0}'")]
    NoSuchHold(HoldName),
    #[error("the hold would end before it starts")]
    EndsBeforeStart,
    #[error("the hold would end in the past")]
    EndsInThePast,
}

/// Places `hold`, or finds that one of the same name and effect is there.
pub fn suspend(user: &User, hold: Hold, now: Timestamp) -> Result<Plan, PlanError> {
    still_there(user)?;
    if let Some(end) = hold.ends_at {
        if end <= hold.starts_at {
            return Err(PlanError::EndsBeforeStart);
        }
        if end <= now {
            return Err(PlanError::EndsInThePast);
        }
    }
    let standing_already = user.hold(&hold.name).is_some_and(|other| {
        let starts_alike =
            other.starts_at == hold.starts_at || (other.in_force(now) && hold.in_force(now));
        starts_alike && other.same_effect(&hold)
    });
    Ok(if standing_already { Plan::Nothing } else { Plan::Append(Event::HoldPlaced { hold }) })
}

/// Lifts the hold named, or all.
pub fn restore(
    user: &User,
    name: Option<&HoldName>,
    restores_api_keys: bool,
) -> Result<Plan, PlanError> {
    still_there(user)?;
    let holds: Vec<HoldName> = match name {
        Some(name) if user.hold(name).is_some() => vec![name.clone()],
        Some(name) => return Err(PlanError::NoSuchHold(name.clone())),
        None => user.holds.iter().map(|hold| hold.name.clone()).collect(),
    };
    let gives_keys_back = restores_api_keys && user.api_keys_disabled;
    Ok(if holds.is_empty() && !gives_keys_back {
        Plan::Nothing
    } else {
        Plan::Append(Event::HoldsLifted { holds, restores_api_keys })
    })
}

pub fn change_profile(user: &User, profile: Profile) -> Result<Plan, PlanError> {
    still_there(user)?;
    Ok(if user.profile == profile {
        Plan::Nothing
    } else {
        Plan::Append(Event::ProfileChanged { profile })
    })
}

pub fn revoke_sessions(user: &User) -> Result<Plan, PlanError> {
    still_there(user)?;
    Ok(Plan::Append(Event::SessionsRevoked))
}

/// What time has brought about and nobody has recorded: the first hold that began
/// or ended without its effects.
pub fn due(user: &User, now: Timestamp) -> Option<Event> {
    if user.deleted_at.is_some() {
        return None;
    }
    user.holds.iter().find_map(|hold| {
        if hold.ends_at.is_some_and(|end| end <= now) {
            return Some(Event::HoldEnded { hold: hold.name.clone() });
        }
        let begins_later = hold.starts_at > hold.placed_at;
        let unrecorded = begins_later && hold.in_force(now) && user.updated_at < hold.starts_at;
        unrecorded.then(|| Event::HoldStarted { hold: hold.name.clone() })
    })
}

/// When [`due`] is to be asked again.
pub fn next_due(user: &User, now: Timestamp) -> Option<Timestamp> {
    let starts = user.holds.iter().map(|hold| hold.starts_at);
    let ends = user.holds.iter().filter_map(|hold| hold.ends_at);
    starts.chain(ends).filter(|at| *at > now).min()
}

fn still_there(user: &User) -> Result<(), PlanError> {
    if user.deleted_at.is_some() { Err(PlanError::Deleted) } else { Ok(()) }
}
