//! How the answer to a change is judged.

use serde_json::json;

use super::answer::{
    Difference, same, see_counts, see_force, see_forecast, see_outcome, see_refusal,
};
use super::call::{Call, Dialect};
use super::cast::with_later;
use super::command::{Change, Deed};
use super::hold::Second;
use super::person::{DELETED, Outcome, Person, Refusal, Upshot, WRONG_ROLE, Wish};
use crate::client::Answer;

const STALE: Refusal = Refusal {
    status: 412,
    code: "stale_revision",
    field: Some("If-Match"),
};

/// A change that was asked for, and how the answer to it is judged.
pub struct Asked<'a> {
    pub change: &'a Change,
    pub call: &'a Call,
    pub wish: Wish,
    pub now: Second,
}

impl Asked<'_> {
    /// The state after it, and what comes of it.
    pub fn done(&self, before: &Person) -> (Person, Upshot) {
        let mut after = before.clone();
        if !self.change.by().may_ask_for(&self.wish) {
            return (after, Outcome::Refused(WRONG_ROLE).into());
        }
        let fresh = |revision| !before.revision.unseen && before.revision.least == revision;
        if self.call.if_match.is_some_and(|revision| !fresh(revision)) {
            return (after, Outcome::Refused(STALE).into());
        }
        if self.was_done(before) {
            return (after, Outcome::Unchanged.into());
        }
        let upshot = after.grant(&self.wish, &self.change.by(), self.now);
        if self.change.is_rehearsal() {
            return (before.clone(), upshot);
        }
        if let (Outcome::Changed, Some(key)) = (&upshot.outcome, &self.call.idempotency_key) {
            after.done.push((key.clone(), None));
        }
        (after, upshot)
    }

    fn was_done(&self, before: &Person) -> bool {
        let key = self.call.idempotency_key.as_ref();
        key.is_some_and(|key| before.has_done(key))
    }

    pub fn judge(&self, before: Person, answer: &Answer) -> Vec<Result<Person, Difference>> {
        if self.was_done(&before) {
            return vec![self.judge_retry(before, answer)];
        }
        let (after, upshot) = self.done(&before);
        match upshot.outcome {
            Outcome::Refused(refusal) => vec![see_refusal(answer, refusal).map(|()| before)],
            Outcome::Changed | Outcome::Unchanged if answer.status != 200 => {
                vec![Err(format!("refused, and by the rules {upshot:?}"))]
            }
            Outcome::Changed if self.change.is_rehearsal() => {
                vec![self.judge_rehearsal(before, &upshot, answer)]
            }
            Outcome::Changed | Outcome::Unchanged => {
                let states = with_later(vec![after.clone()]).into_iter();
                let judged = states.enumerate().map(|(later, state)| {
                    let judge = Judged {
                        before: &before,
                        after: &after,
                        later: later > 0,
                    };
                    self.judge_done(&judge, state, &upshot, answer)
                });
                judged.collect()
            }
        }
    }

    /// Long after, or after a restart: it is not done twice, and the answer is how
    /// things stand; of who is deleted since, nothing is told.
    fn judge_retry(&self, mut before: Person, answer: &Answer) -> Result<Person, Difference> {
        if before.deleted && !matches!(self.change.deed, Deed::Delete) {
            return see_refusal(answer, DELETED).map(|()| before);
        }
        same("the status of a retry", answer.status, 200)?;
        match self.change.dialect() {
            Dialect::Own => before.see(&answer.json()["user"], self.now)?,
            Dialect::ReachFive => before.see_profile(&answer.json(), self.now)?,
        }
        Ok(before)
    }

    fn judge_rehearsal(
        &self,
        before: Person,
        upshot: &Upshot,
        answer: &Answer,
    ) -> Result<Person, Difference> {
        let answer = answer.json();
        let (by, mut after) = (self.change.by(), before.clone());
        after.grant(&self.wish, &by, self.now);
        after.see_facts(&answer["user"], self.now)?;
        see_outcome(&answer, upshot, true)?;
        if self.change.tells_holds() {
            after.see_lifting(&answer, &upshot.lifted, &by)?;
        }
        see_forecast(&answer["receipt"], &before, &after)?;
        see_force(&answer["receipt"], false)?;
        Ok(before)
    }

    fn judge_done(
        &self,
        judged: &Judged<'_>,
        mut state: Person,
        upshot: &Upshot,
        answer: &Answer,
    ) -> Result<Person, Difference> {
        let answer = answer.json();
        if self.change.dialect() == Dialect::ReachFive {
            state.see_profile(&answer, self.now)?;
            return Ok(state);
        }
        state.see(&answer["user"], self.now)?;
        see_outcome(&answer, upshot, self.change.is_rehearsal())?;
        if self.change.tells_holds() {
            state.see_lifting(&answer, &upshot.lifted, &self.change.by())?;
        }
        if self.change.is_circularo() {
            same("Circularo's word", &answer["status"], &json!("SUCCESS"))?;
        }
        if upshot.outcome == Outcome::Unchanged {
            return Ok(state);
        }
        let receipt = &answer["receipt"];
        see_counts(receipt, judged.before, judged.after)?;
        see_force(receipt, !upshot.waits)?;
        let own = receipt["revision"].as_u64().unwrap_or(0);
        let (shown, least) = (state.revision.least, judged.after.revision.least);
        if own < least || own > shown || (own != shown && !judged.later) {
            return Err(format!(
                "the receipt's revision {own}, of {least} to {shown}"
            ));
        }
        Ok(state)
    }
}

/// The states around a change.
struct Judged<'a> {
    before: &'a Person,
    after: &'a Person,
    /// What is shown has more on record than the change.
    later: bool,
}
