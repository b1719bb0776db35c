//! From what an administrator asks to the event that does it, or to the finding
//! that nothing is to be done. Pure: the caller appends what comes out.

use crate::ids::HoldName;
use crate::ledger::{Event, Role, SessionName};
use crate::lift::Lifting;
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
    #[error(
        "the hold '{0}' is in force, and this would start it later or end it sooner; restore it first, or name another hold"
    )]
    WouldLetIn(HoldName),
    #[error("the hold '{hold}' is lifted by {}; this role may neither lift nor replace it", roles(.lifted_by))]
    MayNotLift {
        hold: HoldName,
        lifted_by: Vec<Role>,
    },
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
    // To suspend is never a way in: only restoring is.
    if let Some(old) = user.hold(&hold.name).filter(|old| old.in_force(now)) {
        let sooner = match (old.ends_at, hold.ends_at) {
            (None, Some(_)) => true,
            (Some(old), Some(new)) => new < old,
            (_, None) => false,
        };
        if sooner || hold.starts_at > now {
            return Err(PlanError::WouldLetIn(hold.name));
        }
    }
    let standing_already = user.hold(&hold.name).is_some_and(|other| {
        let starts_alike =
            other.starts_at == hold.starts_at || (other.in_force(now) && hold.in_force(now));
        starts_alike && other.same_effect(&hold)
    });
    Ok(if standing_already {
        Plan::Nothing
    } else {
        Plan::Append(Event::HoldPlaced { hold })
    })
}

/// Lifts the hold named, or all that may be lifted.
pub fn restore(user: &User, lifting: &Lifting<'_>) -> Result<Plan, PlanError> {
    still_there(user)?;
    let holds = lifting.of(user)?;
    let restores_api_keys = lifting.restores_api_keys;
    let kept_disabled = user
        .holds
        .iter()
        .any(|hold| hold.disables_api_keys && !holds.contains(&hold.name));
    let gives_keys_back = restores_api_keys && user.api_keys_disabled && !kept_disabled;
    Ok(if holds.is_empty() && !gives_keys_back {
        Plan::Nothing
    } else {
        Plan::Append(Event::HoldsLifted {
            holds,
            restores_api_keys,
        })
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

pub fn revoke_session(user: &User, session: SessionName) -> Result<Plan, PlanError> {
    still_there(user)?;
    Ok(Plan::Append(Event::SessionRevoked { session }))
}

/// What time has brought about and nobody has recorded: the first hold that began
/// or ended without its effects.
pub fn due(user: &User, now: Timestamp) -> Option<Event> {
    if user.deleted_at.is_some() {
        return None;
    }
    user.holds.iter().find_map(|hold| {
        if hold.ends_at.is_some_and(|end| end <= now) {
            return Some(Event::HoldEnded {
                hold: hold.name.clone(),
            });
        }
        let unrecorded = hold.in_force(now) && !hold.begun;
        unrecorded.then(|| Event::HoldStarted {
            hold: hold.name.clone(),
        })
    })
}

/// When [`due`] is to be asked again.
pub fn next_due(user: &User, now: Timestamp) -> Option<Timestamp> {
    let starts = user.holds.iter().map(|hold| hold.starts_at);
    let ends = user.holds.iter().filter_map(|hold| hold.ends_at);
    starts.chain(ends).filter(|at| *at > now).min()
}

/// "global-admin or tenant-admin"
fn roles(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    names.join(" or ")
}

fn still_there(user: &User) -> Result<(), PlanError> {
    if user.deleted_at.is_some() {
        Err(PlanError::Deleted)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{Revision, TenantId, UserId};
    use crate::ledger::{Draft, Entry, apply};
    use crate::lift::LiftRules;
    use crate::user::{Access, Kind, Source, Status};

    const NOW: Timestamp = Timestamp(100);

    /// As one who may lift everything.
    fn restore(
        user: &User,
        hold: Option<&HoldName>,
        restores_api_keys: bool,
    ) -> Result<Plan, PlanError> {
        let (role, rules) = (Role::GlobalAdmin, &LiftRules::default());
        let lifting = Lifting {
            hold,
            whole: false,
            restores_api_keys,
            role,
            rules,
        };
        super::restore(user, &lifting)
    }

    fn hold(name: &str, starts_at: u64, ends_at: Option<u64>) -> Hold {
        Hold {
            name: HoldName::parse(name).unwrap(),
            kind: Kind::Temporary,
            access: Access::None,
            reason: None,
            reason_text: None,
            source: Source::Api,
            actor: "ops".into(),
            approver: None,
            ticket: None,
            comment: None,
            placed_at: NOW,
            starts_at: Timestamp(starts_at),
            ends_at: ends_at.map(Timestamp),
            disables_api_keys: true,
            revokes_sessions: true,
            begun: false,
        }
    }

    fn after(user: &User, at: Timestamp, plan: Plan) -> User {
        let Plan::Append(event) = plan else {
            return user.clone();
        };
        let draft = Draft {
            at,
            tenant: Some(TenantId::parse("acme").unwrap()),
            user: Some(UserId::parse("bob").unwrap()),
            actor: "ops".into(),
            source: Source::Api,
            approver: None,
            ticket: None,
            comment: None,
            batch: None,
            event,
        };
        apply(
            user,
            &Entry {
                seq: Revision(user.revision.0 + 1),
                draft,
            },
        )
    }

    #[test]
    fn asking_for_what_is_so_already_changes_nothing() {
        let fresh = User::default();
        assert_eq!(restore(&fresh, None, true), Ok(Plan::Nothing));
        let out = after(
            &fresh,
            NOW,
            suspend(&fresh, hold("admin", 100, None), NOW).unwrap(),
        );
        assert_eq!(out.status(NOW), Status::Suspended);
        let again = suspend(&out, hold("admin", 150, None), Timestamp(150));
        assert_eq!(again, Ok(Plan::Nothing), "a second ask a moment later");
        let mut stricter = hold("admin", 150, None);
        stricter.kind = Kind::Permanent;
        assert!(matches!(
            suspend(&out, stricter, Timestamp(150)),
            Ok(Plan::Append(_))
        ));
        let back = after(&out, NOW, restore(&out, None, true).unwrap());
        assert_eq!(back.status(NOW), Status::Active);
        assert_eq!(restore(&back, None, true), Ok(Plan::Nothing));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let fresh = User::default();
        let ends_early = suspend(&fresh, hold("admin", 100, Some(90)), NOW);
        assert_eq!(ends_early, Err(PlanError::EndsBeforeStart));
        let over = suspend(&fresh, hold("admin", 10, Some(90)), NOW);
        assert_eq!(over, Err(PlanError::EndsInThePast));
        let held = after(
            &fresh,
            NOW,
            suspend(&fresh, hold("admin", 100, None), NOW).unwrap(),
        );
        for weaker in [hold("admin", 500, None), hold("admin", 100, Some(150))] {
            let name = HoldName::parse("admin").unwrap();
            assert_eq!(
                suspend(&held, weaker, NOW),
                Err(PlanError::WouldLetIn(name))
            );
        }
        let name = HoldName::parse("hr").unwrap();
        assert_eq!(
            restore(&fresh, Some(&name), true),
            Err(PlanError::NoSuchHold(name))
        );
        let gone = User {
            deleted_at: Some(NOW),
            ..User::default()
        };
        assert_eq!(
            suspend(&gone, hold("admin", 100, None), NOW),
            Err(PlanError::Deleted)
        );
        assert_eq!(restore(&gone, None, true), Err(PlanError::Deleted));
    }

    #[test]
    fn time_brings_a_hold_about_and_ends_it_once_each() {
        let fresh = User::default();
        let plan = suspend(&fresh, hold("leave", 200, Some(300)), NOW).unwrap();
        let waiting = after(&fresh, NOW, plan);
        assert_eq!(
            (due(&waiting, Timestamp(199)), next_due(&waiting, NOW)),
            (None, Some(Timestamp(200)))
        );
        let event = due(&waiting, Timestamp(200)).unwrap();
        let begun = after(&waiting, Timestamp(200), Plan::Append(event));
        assert_eq!(begun.sessions_not_before, Some(Timestamp(200)));
        assert_eq!(
            (
                due(&begun, Timestamp(201)),
                next_due(&begun, Timestamp(201))
            ),
            (None, Some(Timestamp(300)))
        );
        let event = due(&begun, Timestamp(300)).unwrap();
        let ended = after(&begun, Timestamp(300), Plan::Append(event));
        assert!(ended.holds.is_empty() && !ended.api_keys_disabled);
        assert_eq!(due(&ended, Timestamp(999)), None);
    }

    #[test]
    fn a_hold_that_began_and_ended_unseen_still_ends() {
        let fresh = User::default();
        let plan = suspend(&fresh, hold("leave", 200, Some(300)), NOW).unwrap();
        let waiting = after(&fresh, NOW, plan);
        assert!(matches!(
            due(&waiting, Timestamp(400)),
            Some(Event::HoldEnded { .. })
        ));
    }
}
