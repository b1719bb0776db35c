//! From what an administrator asks to the event that does it, or to the finding
//! that nothing is to be done. Pure: the caller appends what comes out.

mod undo;

pub use undo::{Step, Undo, undo};

use crate::ids::HoldName;
use crate::ledger::{Event, Role, SessionName};
use crate::lift::Lifting;
use crate::limits;
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
    #[error("the hold would end before it starts, or as it starts")]
    EndsBeforeStart,
    #[error("the hold would end in the past, or this very moment")]
    EndsInThePast,
    #[error("the user has {} holds already", limits::HOLDS_PER_USER_MAX)]
    TooManyHolds,
    #[error(
        "{} holds of the user have yet to begin already",
        limits::HOLDS_WAITING_MAX
    )]
    TooManyWaiting,
    /// To suspend is never a way in: only restoring is.
    #[error("the hold '{hold}' is in force, and this would {how}")]
    WouldLetIn { hold: HoldName, how: Weaker },
    #[error("the hold '{hold}' is lifted by {}; this role may neither lift nor replace it", roles(.lifted_by))]
    MayNotLift {
        hold: HoldName,
        lifted_by: Vec<Role>,
    },
}

/// In what a hold would keep the user out less than the one whose place it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weaker {
    StartsLater,
    EndsSooner,
    /// To look, at least.
    LetsLook,
    FreesApiKeys,
}

impl std::fmt::Display for Weaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StartsLater => "start it later",
            Self::EndsSooner => "end it sooner",
            Self::LetsLook => "let the user look",
            Self::FreesApiKeys => "let the user's API keys work",
        })
    }
}

/// Places `hold`, or finds that one of the same name and effect is there. A start
/// that has passed is now: who asks late means the user out, not the past changed.
pub fn suspend(user: &User, hold: Hold, now: Timestamp) -> Result<Plan, PlanError> {
    still_there(user)?;
    let hold = Hold {
        starts_at: hold.starts_at.max(now),
        ..hold
    };
    if let Some(end) = hold.ends_at {
        if end <= now {
            return Err(PlanError::EndsInThePast);
        }
        if end <= hold.starts_at {
            return Err(PlanError::EndsBeforeStart);
        }
    }
    let waits = hold.starts_at > now;
    let waiting = user.holds.iter().filter(|hold| !hold.begun);
    let old = user.hold(&hold.name);
    if waits && old.is_none_or(|old| old.begun) && waiting.count() >= limits::HOLDS_WAITING_MAX {
        return Err(PlanError::TooManyWaiting);
    }
    let Some(old) = old else {
        return if user.holds.len() < limits::HOLDS_PER_USER_MAX {
            Ok(Plan::Append(Event::HoldPlaced { hold }))
        } else {
            Err(PlanError::TooManyHolds)
        };
    };
    let in_force = old.in_force(now);
    if let Some(how) = weaker(old, &hold, now).filter(|_| in_force) {
        let hold = hold.name;
        return Err(PlanError::WouldLetIn { hold, how });
    }
    let starts_alike = old.starts_at == hold.starts_at || (in_force && hold.in_force(now));
    Ok(if starts_alike && old.same_effect(&hold) {
        Plan::Nothing
    } else {
        Plan::Append(Event::HoldPlaced { hold })
    })
}

/// In what `new` would keep a user out less than `old`, which is in force.
fn weaker(old: &Hold, new: &Hold, now: Timestamp) -> Option<Weaker> {
    let sooner = match (old.ends_at, new.ends_at) {
        (None, Some(_)) => true,
        (Some(old), Some(new)) => new < old,
        (_, None) => false,
    };
    if new.starts_at > now {
        Some(Weaker::StartsLater)
    } else if sooner {
        Some(Weaker::EndsSooner)
    } else if new.access > old.access {
        Some(Weaker::LetsLook)
    } else if old.disables_api_keys && !new.disables_api_keys {
        Some(Weaker::FreesApiKeys)
    } else {
        None
    }
}

/// Lifts the hold named, or all that may be lifted.
pub fn restore(user: &User, lifting: &Lifting<'_>) -> Result<Plan, PlanError> {
    still_there(user)?;
    let holds = lifting.of(user)?;
    let restores_api_keys = lifting.restores_api_keys;
    // With none to lift, those that stay may go on disabling the keys.
    let mut staying = user.holds.iter();
    let by_holds = staying.any(|hold| hold.begun && hold.disables_api_keys);
    let withheld = user.api_keys_withheld || (user.api_keys_disabled && !by_holds);
    let gives_keys_back = restores_api_keys && withheld;
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

/// For who is deleted already it is an error, like everything else: it is final.
pub fn delete(user: &User) -> Result<Plan, PlanError> {
    still_there(user)?;
    Ok(Plan::Append(Event::Deleted))
}

pub fn hand_out(user: &User) -> Result<Plan, PlanError> {
    still_there(user)?;
    Ok(Plan::Append(Event::Exported))
}

/// What time has brought about and nobody has recorded: a hold that began comes
/// before those that ended, and one that did both unseen has begun first.
pub fn due(user: &User, now: Timestamp) -> Option<Event> {
    let mut holds = user.holds.iter();
    let begun = holds.find(|hold| !hold.begun && hold.starts_at <= now);
    if let Some(hold) = begun {
        return Some(Event::HoldStarted {
            hold: hold.name.clone(),
        });
    }
    let mut holds = user.holds.iter();
    let ended = holds.find(|hold| hold.begun && hold.ends_at.is_some_and(|end| end <= now));
    ended.map(|hold| Event::HoldEnded {
        hold: hold.name.clone(),
    })
}

/// When [`due`] is to be asked next, by what it will find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    /// A hold begins, which keeps somebody out.
    pub begins: Option<Timestamp>,
    pub ends: Option<Timestamp>,
}

impl Agenda {
    pub fn of(user: &User) -> Self {
        let (begun, waiting): (Vec<&Hold>, Vec<&Hold>) =
            user.holds.iter().partition(|hold| hold.begun);
        Self {
            begins: waiting.iter().map(|hold| hold.starts_at).min(),
            ends: begun.iter().filter_map(|hold| hold.ends_at).min(),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.begins.is_none() && self.ends.is_none()
    }
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
    #![allow(clippy::unwrap_used, clippy::panic)]
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
            token: None,
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
        for (starts_at, ends_at, error) in [
            (200, 150, PlanError::EndsBeforeStart),
            (200, 200, PlanError::EndsBeforeStart),
            (200, 90, PlanError::EndsInThePast),
            (100, 90, PlanError::EndsInThePast),
            (10, 90, PlanError::EndsInThePast),
            (10, 100, PlanError::EndsInThePast),
        ] {
            let upside_down = suspend(&fresh, hold("admin", starts_at, Some(ends_at)), NOW);
            assert_eq!(upside_down, Err(error), "{starts_at} to {ends_at}");
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
    fn a_hold_in_force_is_never_weakened_by_suspending_again() {
        let held = |mut old: Hold| {
            old.kind = Kind::Permanent;
            let plan = suspend(&User::default(), old, NOW).unwrap();
            after(&User::default(), NOW, plan)
        };
        let permanent = |starts_at, ends_at| {
            let mut new = hold("admin", starts_at, ends_at);
            new.kind = Kind::Permanent;
            new
        };
        let mut looks = permanent(100, None);
        looks.access = Access::ReadOnly;
        let mut frees = permanent(100, None);
        frees.disables_api_keys = false;
        let weak = [
            (permanent(500, None), Weaker::StartsLater),
            (permanent(100, Some(150)), Weaker::EndsSooner),
            (looks.clone(), Weaker::LetsLook),
            (frees, Weaker::FreesApiKeys),
        ];
        for (new, how) in weak {
            let hold = new.name.clone();
            let refused = Err(PlanError::WouldLetIn { hold, how });
            assert_eq!(
                suspend(&held(permanent(100, None)), new.clone(), NOW),
                refused
            );
            let waits = held(permanent(300, None));
            assert!(matches!(suspend(&waits, new, NOW), Ok(Plan::Append(_))));
        }
        let stricter = suspend(&held(looks), permanent(100, None), NOW);
        assert!(matches!(stricter, Ok(Plan::Append(_))));
        let longer = suspend(
            &held(permanent(100, Some(150))),
            permanent(100, Some(200)),
            NOW,
        );
        assert!(matches!(longer, Ok(Plan::Append(_))));
    }

    #[test]
    fn a_start_that_has_passed_is_now() {
        let plan = suspend(&User::default(), hold("admin", 10, None), NOW).unwrap();
        let Plan::Append(Event::HoldPlaced { hold: placed }) = &plan else {
            panic!("{plan:?}");
        };
        assert_eq!(placed.starts_at, NOW);
        let out = after(&User::default(), NOW, plan);
        let again = suspend(&out, hold("admin", 10, None), Timestamp(150));
        assert_eq!(again, Ok(Plan::Nothing));
    }

    #[test]
    fn holds_that_wait_leave_places_for_one_that_does_not() {
        let mut user = User::default();
        for n in 0..limits::HOLDS_WAITING_MAX {
            let plan = suspend(&user, hold(&format!("h{n}"), 500, None), NOW).unwrap();
            user = after(&user, NOW, plan);
        }
        let more = suspend(&user, hold("more", 500, None), NOW);
        assert_eq!(more, Err(PlanError::TooManyWaiting));
        let now = suspend(&user, hold("more", 100, None), NOW);
        assert!(matches!(now, Ok(Plan::Append(_))));
        let later = suspend(&user, hold("h0", 600, None), NOW);
        assert!(matches!(later, Ok(Plan::Append(_))));
    }

    #[test]
    fn holds_of_one_user_are_bounded() {
        let mut user = User::default();
        for n in 0..limits::HOLDS_PER_USER_MAX {
            let plan = suspend(&user, hold(&format!("h{n}"), 100, None), NOW).unwrap();
            user = after(&user, NOW, plan);
        }
        let more = suspend(&user, hold("more", 100, None), NOW);
        assert_eq!(more, Err(PlanError::TooManyHolds));
        let mut stricter = hold("h0", 100, None);
        stricter.kind = Kind::Permanent;
        assert!(matches!(suspend(&user, stricter, NOW), Ok(Plan::Append(_))));
    }

    #[test]
    fn time_brings_a_hold_about_and_ends_it_once_each() {
        let fresh = User::default();
        let plan = suspend(&fresh, hold("leave", 200, Some(300)), NOW).unwrap();
        let waiting = after(&fresh, NOW, plan);
        let agenda = |user: &User| {
            let Agenda { begins, ends } = Agenda::of(user);
            (begins.map(|at| at.0), ends.map(|at| at.0))
        };
        assert_eq!(due(&waiting, Timestamp(199)), None);
        assert_eq!(agenda(&waiting), (Some(200), None));
        let event = due(&waiting, Timestamp(200)).unwrap();
        let begun = after(&waiting, Timestamp(200), Plan::Append(event));
        assert_eq!(begun.sessions_not_before, Some(Timestamp(200)));
        assert_eq!(due(&begun, Timestamp(201)), None);
        assert_eq!(agenda(&begun), (None, Some(300)));
        assert_eq!(due(&begun, Timestamp(150)), None, "the clock was set back");
        let event = due(&begun, Timestamp(300)).unwrap();
        let ended = after(&begun, Timestamp(300), Plan::Append(event));
        assert!(ended.holds.is_empty() && !ended.api_keys_disabled);
        assert_eq!(due(&ended, Timestamp(999)), None);
        assert!(Agenda::of(&ended).is_empty());
    }

    #[test]
    fn a_hold_that_began_and_ended_unseen_does_both_on_record() {
        let fresh = User::default();
        let plan = suspend(&fresh, hold("leave", 200, Some(300)), NOW).unwrap();
        let waiting = after(&fresh, NOW, plan);
        let name = HoldName::parse("leave").unwrap();
        let began = due(&waiting, Timestamp(400)).unwrap();
        assert_eq!(began, Event::HoldStarted { hold: name.clone() });
        let begun = after(&waiting, Timestamp(400), Plan::Append(began));
        assert_eq!(begun.status(Timestamp(400)), Status::Active);
        assert_eq!(begun.sessions_revoked_at, begun.revision);
        let ended = due(&begun, Timestamp(400)).unwrap();
        assert_eq!(ended, Event::HoldEnded { hold: name });
    }
}
