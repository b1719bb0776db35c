//! Undoing a batch: what it did to a person goes back to how it was, as far as it is
//! still as the batch left it.

use super::caller::By;
use super::hold::{Hold, Second};
use super::person::{MAY_NOT_LIFT, Outcome, Person, Upshot};

/// One change of a batch: what can be undone, before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub batch: String,
    pub before: Keep,
    pub after: Keep,
}

/// What an undo can put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    holds: Vec<Hold>,
    keys_withheld: bool,
}

impl Keep {
    fn hold(&self, name: &str) -> Option<Hold> {
        self.holds.iter().find(|hold| hold.name == name).cloned()
    }
}

/// What became of one thing through a batch.
struct Course<T> {
    /// Before the batch; or before its last calls, where somebody else changed it in
    /// between.
    was: T,
    left: T,
}

impl<T> Course<T> {
    /// `None`: the batch did not touch it.
    fn of(
        steps: &[Step],
        thing: impl Fn(&Keep) -> T,
        alike: impl Fn(&T, &T) -> bool,
    ) -> Option<Self> {
        let mut course: Option<Self> = None;
        for step in steps {
            let (before, after) = (thing(&step.before), thing(&step.after));
            if alike(&before, &after) {
                continue;
            }
            let was = match course {
                Some(course) if alike(&course.left, &before) => course.was,
                Some(_) | None => before,
            };
            course = Some(Self { was, left: after });
        }
        course
    }
}

/// What is to be done about the holds.
#[derive(Default)]
struct Plan {
    lifted: Vec<&'static str>,
    placed: Vec<Hold>,
    changed_since: Vec<&'static str>,
    over: Vec<&'static str>,
}

impl Person {
    /// As it is by the clock, whether or not that is on record.
    pub fn kept(&self, now: Second) -> Keep {
        let holds = self.holds.iter().filter(|hold| !hold.is_over(now));
        let holds = holds.map(|hold| Hold {
            begun: hold.begun || hold.starts <= now,
            ..hold.clone()
        });
        Keep {
            holds: holds.collect(),
            keys_withheld: self.keys_withheld,
        }
    }

    pub fn is_in(&self, batch: &str) -> bool {
        self.trail.iter().any(|step| step.batch == batch)
    }

    pub(super) fn undo(&mut self, batch: &str, by: &By, now: Second) -> Upshot {
        let steps = self.trail.iter().filter(|step| step.batch == batch);
        let steps: Vec<Step> = steps.cloned().collect();
        let plan = self.plan(&steps, now);
        let keys = Course::of(&steps, |keep| keep.keys_withheld, bool::eq);
        let keys = keys.filter(|keys| keys.left == self.keys_withheld);
        let placed = plan.placed.iter().map(|hold| hold.name);
        let gone = |name: &&str| self.hold(name).is_some_and(|hold| !hold.is_over(now));
        let mut going = plan.lifted.iter().copied().chain(placed).filter(gone);
        let outcome = if going.any(|name| !by.may_lift(name)) {
            return Outcome::Refused(MAY_NOT_LIFT).into();
        } else if plan.lifted.is_empty() && plan.placed.is_empty() && keys.is_none() {
            Outcome::Unchanged
        } else {
            Outcome::Changed
        };
        let mut upshot = Upshot {
            changed_since: plan.changed_since,
            over: plan.over,
            ..outcome.into()
        };
        if upshot.outcome == Outcome::Changed {
            self.keys_withheld = keys.map_or(self.keys_withheld, |keys| keys.was);
            upshot.waits = self.put_back(&plan.lifted, plan.placed, by, now);
        }
        upshot
    }

    fn plan(&self, steps: &[Step], now: Second) -> Plan {
        let mut plan = Plan::default();
        let holds = steps
            .iter()
            .flat_map(|step| step.before.holds.iter().chain(&step.after.holds));
        let mut names: Vec<&str> = holds.map(|hold| hold.name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let thing = |keep: &Keep| keep.hold(name);
            let course = Course::of(steps, thing, |one, other| {
                Hold::alike(one.as_ref(), other.as_ref())
            });
            let Some(Course { was, left }) = course else {
                continue;
            };
            let stands = self.hold(name).filter(|hold| !hold.is_over(now));
            if Hold::alike(stands, was.as_ref()) {
                continue;
            }
            if !Hold::alike(stands, left.as_ref()) {
                plan.changed_since.push(name);
                continue;
            }
            match was {
                Some(hold) if !hold.is_over(now) => plan.placed.push(hold),
                was => {
                    plan.over.extend(was.map(|hold| hold.name));
                    plan.lifted.extend(stands.map(|hold| hold.name));
                }
            }
        }
        plan
    }

    /// In one step, with what each hold does as it comes into force; whether one has
    /// yet to.
    fn put_back(
        &mut self,
        lifted: &[&'static str],
        placed: Vec<Hold>,
        by: &By,
        now: Second,
    ) -> bool {
        for name in lifted {
            self.take_away(name, now);
        }
        let (mut waits, mut names) = (false, Vec::new());
        for hold in placed {
            let (name, begins) = (hold.name, hold.in_force(now));
            self.take_away(name, now);
            self.holds.push(hold);
            if begins {
                self.begin(name, now);
            }
            waits |= !begins;
            names.push(name);
        }
        names.sort_unstable();
        let what = format!(
            "holds_put_back -{} +{}",
            lifted.join(" -"),
            names.join(" +")
        );
        self.write(&what, by, now);
        waits
    }
}
