//! What a bulk call does to each of its users.

use portcullis_core::ids::{BatchId, HoldName, UserKey};
use portcullis_core::ledger::Event;
use portcullis_core::plan::{self, Plan};
use portcullis_core::time::Timestamp;
use portcullis_core::user::User;

use super::source::Target;
use crate::control::command::{
    Caller, CommandError, Note, Receipt, Restore, Suspend, refuse_oneself,
};

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
    pub(super) changed_since: Vec<HoldName>,
    pub(super) over: Vec<HoldName>,
    /// Of a dry run, where something would be changed.
    pub(super) forecast: Option<Receipt>,
}

impl Deed {
    /// The event that does it, if one is needed.
    pub(super) fn decide(
        &self,
        by: &Caller,
        note: &Note,
        key: &UserKey,
        user: &User,
        target: &Target,
        now: Timestamp,
    ) -> (Option<Event>, Decided) {
        let mut decided = Decided::default();
        let event = match self {
            Self::Suspend(ask) => suspend(by, note, key, user, ask, now),
            Self::Restore(ask) => {
                let plan = plan::restore(user, ask.hold.as_ref(), ask.restore_api_keys);
                plan.map(event_of).map_err(CommandError::from)
            }
            Self::Undo(_) => undo(by, key, user, target, now, &mut decided),
        };
        match event {
            Ok(event) => (event, decided),
            Err(error) => {
                decided.refused = Some(error);
                (None, decided)
            }
        }
    }
}

fn suspend(
    by: &Caller,
    note: &Note,
    key: &UserKey,
    user: &User,
    ask: &Suspend,
    now: Timestamp,
) -> Result<Option<Event>, CommandError> {
    refuse_oneself(by, key)?;
    Ok(event_of(plan::suspend(user, ask.hold(by, note, now), now)?))
}

fn undo(
    by: &Caller,
    key: &UserKey,
    user: &User,
    target: &Target,
    now: Timestamp,
    decided: &mut Decided,
) -> Result<Option<Event>, CommandError> {
    let undo = plan::undo(user, &target.steps, now)?;
    (decided.changed_since, decided.over) = (undo.changed_since, undo.over);
    // To put a hold back is to suspend.
    let places = undo
        .event
        .as_ref()
        .is_some_and(|event| !event.placed().is_empty());
    if places {
        refuse_oneself(by, key)?;
    }
    Ok(undo.event)
}

fn event_of(plan: Plan) -> Option<Event> {
    match plan {
        Plan::Append(event) => Some(event),
        Plan::Nothing => None,
    }
}
