//! What a bulk call does to each of its users.

use portcullis_core::ids::{BatchId, HoldName, UserKey};
use portcullis_core::ledger::Event;
use portcullis_core::lift;
use portcullis_core::plan::{self, Plan};
use portcullis_core::time::Timestamp;
use portcullis_core::user::User;

use super::source::Target;
use super::{Bulk, Kept};
use crate::control::command::{CommandError, Receipt, Restore, Suspend, refuse_oneself, replaced};

#[derive(Clone, Debug)]
pub enum Deed {
    Suspend(Suspend),
    Restore(Restore),
    /// Takes back what the batch did.
    Undo(BatchId),
}

/// What was found about a user.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) refused: Option<CommandError>,
    pub(super) passed: bool,
    pub(super) left: Vec<HoldName>,
    pub(super) kept: Vec<Kept>,
    pub(super) stays_out: bool,
    pub(super) replaces: bool,
    /// What would be placed begins later.
    pub(super) waits: bool,
    pub(super) changed_since: Vec<HoldName>,
    pub(super) over: Vec<HoldName>,
    /// Of a dry run, where something would be changed.
    pub(super) forecast: Option<Receipt>,
}

impl Deed {
    /// Whether it may put somebody out.
    pub(super) const fn puts_out(&self) -> bool {
        match self {
            Self::Suspend(_) | Self::Undo(_) => true,
            Self::Restore(_) => false,
        }
    }
}

impl Bulk {
    /// The event that does the deed to a user, if one is needed. `last`: to put the
    /// user out would leave nobody to administer.
    pub(super) fn plan(
        &self,
        key: &UserKey,
        user: &User,
        target: &Target,
        last: bool,
        now: Timestamp,
    ) -> (Option<Event>, Decided) {
        let mut decided = Decided::default();
        let planned = match &self.deed {
            Deed::Suspend(ask) => {
                let plan = self.commander.suspension(&self.by, key, ask, &self.note);
                let plan = plan(user).map_err(CommandError::from);
                plan.map(|plan| {
                    decided.replaces = replaced(user, &plan, now).is_some();
                    let event = event_of(plan);
                    let mut placed = event.iter().flat_map(Event::placed);
                    // By its own time: it is planned later than the lot began.
                    decided.waits = placed.any(|hold| !hold.in_force(now.max(hold.placed_at)));
                    event
                })
            }
            Deed::Restore(ask) => self.restore((key, user), ask, now, &mut decided),
            Deed::Undo(_) => self.undo(key, user, target, now, &mut decided),
        };
        let planned = planned.and_then(|event| {
            self.may(key, event.as_ref(), last)?;
            Ok(event)
        });
        match planned {
            Ok(event) => (event, decided),
            Err(error) => {
                decided.refused = Some(error);
                (None, decided)
            }
        }
    }

    /// Nobody puts out itself, nor the last administrator.
    fn may(&self, key: &UserKey, event: Option<&Event>, last: bool) -> Result<(), CommandError> {
        let puts_out = event.is_some_and(|event| !event.placed().is_empty());
        if puts_out || matches!(self.deed, Deed::Suspend(_)) {
            refuse_oneself(&self.by, key)?;
        }
        if puts_out && last {
            return Err(CommandError::LastAdministrator);
        }
        Ok(())
    }

    fn restore(
        &self,
        (key, user): (&UserKey, &User),
        ask: &Restore,
        now: Timestamp,
        decided: &mut Decided,
    ) -> Result<Option<Event>, CommandError> {
        let plan = self.commander.restoration(&self.by, key, ask);
        let event = event_of(plan(user)?);
        let lifted: &[HoldName] = match &event {
            Some(Event::HoldsLifted { holds, .. }) => holds,
            Some(_) | None => &[],
        };
        let left = user.holds.iter();
        let left: Vec<_> = left.filter(|hold| !lifted.contains(&hold.name)).collect();
        decided.stays_out = left.iter().any(|hold| hold.in_force(now));
        let (rules, role) = (self.commander.lift_rules(key), self.by.role);
        let kept = left.iter().filter(|hold| !rules.may_lift(role, &hold.name));
        let kept = kept.map(|hold| Kept {
            lifted_by: rules.lifters(&hold.name),
            name: hold.name.clone(),
        });
        decided.kept = kept.collect();
        decided.left = left.iter().map(|hold| hold.name.clone()).collect();
        Ok(event)
    }

    fn undo(
        &self,
        key: &UserKey,
        user: &User,
        target: &Target,
        now: Timestamp,
        decided: &mut Decided,
    ) -> Result<Option<Event>, CommandError> {
        let undo = plan::undo(user, &target.steps, now)?;
        if let Some(event) = &undo.event {
            let rules = self.commander.lift_rules(key);
            lift::put_back(event, user, self.by.role, &rules, now)?;
        }
        (decided.changed_since, decided.over) = (undo.changed_since, undo.over);
        Ok(undo.event)
    }
}

fn event_of(plan: Plan) -> Option<Event> {
    match plan {
        Plan::Append(event) => Some(event),
        Plan::Nothing => None,
    }
}
