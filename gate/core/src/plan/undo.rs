//! Undoing what a batch did to one user: back to how things were, as far as they
//! are still as the batch left them. What somebody changed since is theirs.

use super::{PlanError, still_there};
use crate::ids::HoldName;
use crate::ledger::Event;
use crate::limits;
use crate::time::Timestamp;
use crate::user::{Hold, User};

/// The user before and after one entry of the batch.
#[derive(Clone, Debug)]
pub struct Step {
    pub before: User,
    pub after: User,
}

impl Step {
    /// A hold of `user`, who is the one before or after the step, as it was by the clock
    /// then: the end of one that was over may have been on record or not, and so may
    /// the beginning of another.
    fn hold(&self, user: &User, name: &HoldName) -> Option<Hold> {
        let at = self.after.updated_at;
        let hold = user.hold(name).filter(|hold| lasts(hold, at))?;
        Some(Hold {
            begun: hold.begun || hold.starts_at <= at,
            ..hold.clone()
        })
    }
}

/// What became of one thing through the steps.
struct Course<T> {
    /// Before them; or before the last of them, where somebody else changed it in
    /// between: what the batch took from them is theirs.
    was: T,
    left: T,
}

/// `None`: the steps did not touch it.
fn course<T>(
    steps: &[Step],
    thing: impl Fn(&Step, &User) -> T,
    alike: impl Fn(&T, &T) -> bool,
) -> Option<Course<T>> {
    steps.iter().fold(None, |course: Option<Course<T>>, step| {
        let (before, left) = (thing(step, &step.before), thing(step, &step.after));
        if alike(&before, &left) {
            return course;
        }
        let was = match course {
            Some(course) if alike(&course.left, &before) => course.was,
            Some(_) | None => before,
        };
        Some(Course { was, left })
    })
}

/// What is to be done for it, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undo {
    /// `None`: things are as they were, or others have changed them.
    pub event: Option<Event>,
    /// Left alone: these holds are not as the batch left them.
    pub changed_since: Vec<HoldName>,
    /// Not placed again: their end has passed meanwhile.
    pub over: Vec<HoldName>,
}

/// `steps`: the batch's entries about the user, in their order.
pub fn undo(now: &User, steps: &[Step], at: Timestamp) -> Result<Undo, PlanError> {
    still_there(now)?;
    let mut undo = Undo::default();
    let (mut lifted, mut placed) = (Vec::new(), Vec::new());
    for name in names(steps) {
        let hold = |step: &Step, user: &User| step.hold(user, name);
        let course = course(steps, hold, |one, other| {
            alike(one.as_ref(), other.as_ref())
        });
        let Some(Course { was, left }) = course else {
            continue;
        };
        let stands = now.hold(name).filter(|hold| lasts(hold, at));
        if alike(stands, was.as_ref()) {
            continue;
        }
        if !alike(stands, left.as_ref()) {
            undo.changed_since.push(name.clone());
            continue;
        }
        match was {
            // One that had begun stays begun, wherever the clock has gone.
            Some(hold) if lasts(&hold, at) => placed.push(hold),
            was => {
                undo.over.extend(was.map(|hold| hold.name));
                lifted.extend(stands.map(|hold| hold.name.clone()));
            }
        }
    }
    let new = placed.iter().filter(|hold| now.hold(&hold.name).is_none());
    if now.holds.len() + new.count() > limits::HOLDS_PER_USER_MAX + lifted.len() {
        return Err(PlanError::TooManyHolds);
    }
    let waits = |hold: &&Hold| !hold.begun && hold.starts_at > at;
    let stays = |hold: &&Hold| {
        !lifted.contains(&hold.name) && !placed.iter().any(|placed| placed.name == hold.name)
    };
    let new = placed.iter().filter(waits).count();
    let old = now.holds.iter().filter(stays).filter(waits).count();
    if new > 0 && old + new > limits::HOLDS_WAITING_MAX {
        return Err(PlanError::TooManyWaiting);
    }
    let api_keys_withheld = withheld(now, steps);
    let changes = api_keys_withheld != now.api_keys_withheld;
    undo.event =
        (changes || !lifted.is_empty() || !placed.is_empty()).then_some(Event::HoldsPutBack {
            lifted,
            placed,
            api_keys_withheld,
        });
    Ok(undo)
}

/// As it was, unless somebody has said otherwise since.
fn withheld(now: &User, steps: &[Step]) -> bool {
    let course = course(steps, |_, user| user.api_keys_withheld, bool::eq);
    let course = course.filter(|course| course.left == now.api_keys_withheld);
    course.map_or(now.api_keys_withheld, |course| course.was)
}

/// The names of all holds around the steps, each once.
fn names(steps: &[Step]) -> Vec<&HoldName> {
    let mut names: Vec<&HoldName> = Vec::new();
    for step in steps {
        for hold in step.before.holds.iter().chain(&step.after.holds) {
            if !names.contains(&&hold.name) {
                names.push(&hold.name);
            }
        }
    }
    names
}

/// Whether its end is still to come.
fn lasts(hold: &Hold, at: Timestamp) -> bool {
    hold.ends_at.is_none_or(|end| at < end)
}

/// The same hold, whether or not its time has come meanwhile.
fn alike(one: Option<&Hold>, other: Option<&Hold>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let begun = one.begun;
            *one == Hold {
                begun,
                ..other.clone()
            }
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{Revision, TenantId, UserId};
    use crate::ledger::{Draft, Entry, Role, apply};
    use crate::lift::{LiftRules, Lifting};
    use crate::plan::{Plan, restore, suspend};
    use crate::user::{Access, Kind, Source, Status};

    fn name(text: &str) -> HoldName {
        HoldName::parse(text).unwrap()
    }

    fn hold(text: &str, at: u64, ends_at: Option<u64>) -> Hold {
        Hold {
            name: name(text),
            kind: Kind::Temporary,
            access: Access::None,
            reason: None,
            reason_text: None,
            source: Source::Api,
            actor: "ops".into(),
            approver: None,
            ticket: None,
            comment: None,
            placed_at: Timestamp(at),
            starts_at: Timestamp(at),
            ends_at: ends_at.map(Timestamp),
            disables_api_keys: true,
            revokes_sessions: true,
            begun: false,
        }
    }

    fn after(user: &User, at: u64, event: Event) -> User {
        let draft = Draft {
            at: Timestamp(at),
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
        let seq = Revision(user.revision.0 + 1);
        apply(user, &Entry { seq, draft })
    }

    fn suspended(user: &User, at: u64, hold: Hold) -> User {
        match suspend(user, hold, Timestamp(at)).unwrap() {
            Plan::Append(event) => after(user, at, event),
            Plan::Nothing => user.clone(),
        }
    }

    fn restored(user: &User, at: u64, hold: Option<&str>, keys: bool) -> User {
        let name = hold.map(name);
        let lifting = Lifting {
            hold: name.as_ref(),
            whole: false,
            restores_api_keys: keys,
            role: Role::GlobalAdmin,
            rules: &LiftRules::default(),
        };
        match restore(user, &lifting).unwrap() {
            Plan::Append(event) => after(user, at, event),
            Plan::Nothing => user.clone(),
        }
    }

    fn step(before: &User, after: &User) -> Step {
        Step {
            before: before.clone(),
            after: after.clone(),
        }
    }

    fn undone(now: &User, steps: &[Step], at: u64) -> (User, Undo) {
        let undo = undo(now, steps, Timestamp(at)).unwrap();
        let user = match &undo.event {
            Some(event) => after(now, at, event.clone()),
            None => now.clone(),
        };
        (user, undo)
    }

    #[test]
    fn a_suspension_is_taken_back_once() {
        let fresh = User::default();
        let out = suspended(&fresh, 100, hold("admin", 100, None));
        let steps = [step(&fresh, &out)];
        let (back, _) = undone(&out, &steps, 200);
        assert_eq!(back.status(Timestamp(200)), Status::Active);
        assert!(!back.api_keys_disabled);
        assert_eq!(back.sessions_revoked_at, Revision(1), "sessions stay dead");
        assert_eq!(undone(&back, &steps, 300).1, Undo::default());
    }

    #[test]
    fn what_was_lifted_or_replaced_comes_back_as_it_was() {
        let fresh = User::default();
        let mut old = hold("admin", 100, Some(900));
        old.ticket = Some("T-1".into());
        let one = suspended(&fresh, 100, old);
        let two = suspended(&one, 110, hold("hr", 110, None));
        let lifted = restored(&two, 200, None, true);
        let (back, _) = undone(&lifted, &[step(&two, &lifted)], 300);
        for name in [name("admin"), name("hr")] {
            assert!(alike(back.hold(&name), two.hold(&name)), "{name}");
        }
        assert!(back.api_keys_disabled);
        assert_eq!(
            back.sessions_revoked_at, back.revision,
            "out again, at once"
        );
        let replaced = suspended(&two, 200, hold("admin", 200, None));
        let (back, _) = undone(&replaced, &[step(&two, &replaced)], 300);
        let admin = back.hold(&name("admin")).unwrap();
        assert_eq!(
            (admin.ticket.as_deref(), admin.ends_at),
            (Some("T-1"), Some(Timestamp(900)))
        );
        assert_eq!(back.holds.len(), 2);
    }

    #[test]
    fn what_others_changed_since_is_theirs() {
        let fresh = User::default();
        let out = suspended(&fresh, 100, hold("admin", 100, None));
        let steps = [step(&fresh, &out)];
        let mut longer = hold("admin", 150, None);
        longer.kind = Kind::Permanent;
        let stricter = suspended(&out, 150, longer);
        let (same, undo) = undone(&stricter, &steps, 200);
        assert_eq!((same, undo.changed_since), (stricter, vec![name("admin")]));
        let withheld = restored(&out, 150, None, false);
        assert_eq!(
            undone(&withheld, &steps, 200).1,
            Undo::default(),
            "keys stay withheld"
        );
        let other = suspended(&out, 150, hold("hr", 150, None));
        let (back, _) = undone(&other, &steps, 200);
        assert_eq!(back.status(Timestamp(200)), Status::Suspended);
        assert!(back.api_keys_disabled, "the other hold says so");
    }

    #[test]
    fn a_hold_whose_end_has_passed_is_not_placed_again() {
        let fresh = User::default();
        let out = suspended(&fresh, 100, hold("admin", 100, Some(250)));
        let lifted = restored(&out, 200, None, true);
        let (same, undo) = undone(&lifted, &[step(&out, &lifted)], 250);
        assert_eq!((same, undo.over), (lifted.clone(), vec![name("admin")]));
        let (back, _) = undone(&lifted, &[step(&out, &lifted)], 249);
        assert_eq!(back.status(Timestamp(249)), Status::Suspended);
    }

    #[test]
    fn it_takes_no_place_that_a_hold_may_need_now() {
        let places = |user: &User, kind: &str, count: usize| {
            (0..count).fold(user.clone(), |user, n| {
                suspended(&user, 100, hold(&format!("{kind}{n}"), 500, None))
            })
        };
        let waiting = places(&User::default(), "a", limits::HOLDS_WAITING_MAX);
        let lifted = restored(&waiting, 200, None, true);
        let steps = [step(&waiting, &lifted)];
        let one_more = places(&lifted, "b", 1);
        let refused = undo(&one_more, &steps, Timestamp(300));
        assert_eq!(refused, Err(PlanError::TooManyWaiting));
        assert_eq!(
            undone(&lifted, &steps, 300).0.holds.len(),
            waiting.holds.len()
        );
    }

    #[test]
    fn a_hold_that_has_yet_to_begin_still_has() {
        let fresh = User::default();
        let waiting = suspended(&fresh, 100, hold("leave", 500, Some(900)));
        let lifted = restored(&waiting, 200, None, true);
        let (back, _) = undone(&lifted, &[step(&waiting, &lifted)], 300);
        assert_eq!(back.status(Timestamp(300)), Status::Active);
        assert_eq!(back.status(Timestamp(500)), Status::Suspended);
        assert_eq!(back.sessions_revoked_at, Revision(0));
        let begun = after(
            &waiting,
            500,
            Event::HoldStarted {
                hold: name("leave"),
            },
        );
        let (gone, _) = undone(&begun, &[step(&fresh, &waiting)], 600);
        assert!(
            gone.holds.is_empty(),
            "that its time came is no change of anybody's"
        );
    }

    #[test]
    fn several_steps_of_one_batch_are_undone_as_one() {
        let fresh = User::default();
        let one = suspended(&fresh, 100, hold("admin", 100, Some(900)));
        let other = suspended(&one, 105, hold("hr", 105, None));
        let two = suspended(&other, 110, hold("admin", 110, None));
        let steps = [step(&fresh, &one), step(&other, &two)];
        let (back, _) = undone(&two, &steps, 200);
        assert_eq!(back.holds.len(), 1, "the other's hold stays");
        assert!(back.hold(&name("hr")).is_some());
    }

    #[test]
    fn what_somebody_changed_between_two_calls_of_the_batch_comes_back() {
        let fresh = User::default();
        let one = suspended(&fresh, 100, hold("admin", 100, None));
        let mut theirs = hold("admin", 110, None);
        theirs.kind = Kind::Permanent;
        let other = suspended(&one, 110, theirs);
        let two = restored(&other, 120, None, true);
        let (back, _) = undone(&two, &[step(&fresh, &one), step(&other, &two)], 200);
        let name = name("admin");
        assert!(alike(back.hold(&name), other.hold(&name)), "{back:?}");
    }

    #[test]
    fn a_hold_that_had_begun_is_in_force_again_wherever_the_clock_is() {
        let fresh = User::default();
        let out = suspended(&fresh, 100, hold("admin", 100, None));
        let lifted = restored(&out, 110, None, true);
        let (back, _) = undone(&lifted, &[step(&out, &lifted)], 50);
        assert_eq!(back.status(Timestamp(50)), Status::Suspended);
        assert_eq!(back.sessions_revoked_at, back.revision);
        // Nor does it matter whether anybody had seen it begin.
        let waiting = suspended(&fresh, 100, hold("leave", 105, None));
        let lifted = restored(&waiting, 110, None, true);
        let (back, _) = undone(&lifted, &[step(&waiting, &lifted)], 50);
        assert_eq!(back.status(Timestamp(50)), Status::Suspended);
    }

    #[test]
    fn a_hold_that_is_over_is_gone_whether_or_not_that_is_on_record() {
        let fresh = User::default();
        let out = suspended(&fresh, 100, hold("admin", 100, Some(250)));
        let ended = Event::HoldEnded {
            hold: name("admin"),
        };
        let recorded = after(&out, 250, ended);
        for now in [&out, &recorded] {
            assert_eq!(undone(now, &[step(&fresh, &out)], 300).1, Undo::default());
        }
        let mut planned = hold("admin", 500, None);
        planned.kind = Kind::Permanent;
        let planned = suspended(&fresh, 50, planned);
        let replaced = suspended(&planned, 100, hold("admin", 100, Some(250)));
        let undo = undone(&replaced, &[step(&planned, &replaced)], 300).1;
        assert_eq!(
            (undo.event, undo.changed_since),
            (None, vec![name("admin")])
        );
    }

    #[test]
    fn keys_go_back_to_how_they_were_whatever_became_of_the_holds() {
        let fresh = User::default();
        let out = suspended(&fresh, 100, hold("admin", 100, None));
        let withheld = restored(&out, 110, None, false);
        let again = suspended(&withheld, 120, hold("admin", 120, Some(900)));
        let given = restored(&again, 200, None, true);
        let mut free = hold("admin", 210, None);
        free.disables_api_keys = false;
        let since = suspended(&given, 210, free);
        let (back, undo) = undone(&since, &[step(&again, &given)], 300);
        assert!(back.api_keys_disabled);
        assert_eq!(undo.changed_since, vec![name("admin")]);
        let (back, undo) = undone(&given, &[step(&again, &given)], 950);
        assert!(back.api_keys_disabled);
        assert_eq!(undo.over, vec![name("admin")]);
    }

    #[test]
    fn keys_that_had_been_withheld_are_withheld_again() {
        let fresh = User::default();
        let out = suspended(&fresh, 100, hold("admin", 100, None));
        let withheld = restored(&out, 110, None, false);
        let given = restored(&withheld, 200, None, true);
        let steps = [step(&withheld, &given)];
        let (back, _) = undone(&given, &steps, 300);
        assert!(back.api_keys_disabled);
        assert_eq!(undone(&back, &steps, 400).1, Undo::default());
    }

    #[test]
    fn the_deleted_stay_deleted() {
        let gone = User {
            deleted_at: Some(Timestamp(1)),
            ..User::default()
        };
        assert_eq!(undo(&gone, &[], Timestamp(2)), Err(PlanError::Deleted));
    }
}
