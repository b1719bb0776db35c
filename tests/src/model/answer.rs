//! What the gate is to answer, by the model, beside what it did answer.

use serde_json::{Value, json};

use super::call::{other_name, time};
use super::caller::{By, lifters};
use super::cast::with_later;
use super::hold::{Hold, Second};
use super::person::{Outcome, Person, Refusal, Upshot};
use crate::client::Answer;

/// Why an answer is not the one that the model would give.
pub type Difference = String;

/// The facts of a user that the model speaks of.
const FACTS: [&str; 8] = [
    "status",
    "username",
    "suspension_status",
    "holds",
    "api_keys_disabled",
    "sessions_not_before",
    "created_at",
    "updated_at",
];
const FACTS_OF_SUSPENSION: [&str; 5] = ["status", "access", "reason", "since", "until"];
const FACTS_OF_HOLD: [&str; 12] = [
    "name",
    "kind",
    "access",
    "reason",
    "ticket",
    "actor",
    "source",
    "placed_at",
    "starts_at",
    "ends_at",
    "disable_api_keys",
    "revoke_sessions",
];

/// A fact that is as it should be.
///
/// # Errors
/// Where it is not.
pub fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    right: T,
) -> Result<(), Difference> {
    if found == right {
        Ok(())
    } else {
        Err(format!("{what}: {found:?}, and by the rules {right:?}"))
    }
}

impl Person {
    /// Sees the user as an answer shows it, and learns its revision from it.
    ///
    /// # Errors
    /// Where it is shown otherwise than it should be.
    pub fn see(&mut self, shown: &Value, now: Second) -> Result<(), Difference> {
        self.see_facts(shown, now)?;
        let revision = shown["revision"].as_u64();
        let revision = revision.ok_or_else(|| format!("no revision: {shown}"))?;
        let fits = if self.revision.unseen {
            revision >= self.revision.least
        } else {
            revision == self.revision.least
        };
        if !fits {
            return Err(format!("revision {revision}, after {:?}", self.revision));
        }
        self.revision.least = revision;
        self.revision.unseen = false;
        Ok(())
    }

    /// The same without the revision: a rehearsal's.
    ///
    /// # Errors
    /// As [`Person::see`].
    pub fn see_facts(&self, shown: &Value, now: Second) -> Result<(), Difference> {
        let mut found = facts(&FACTS, shown);
        let holds = found["holds"].as_array_mut().into_iter().flatten();
        holds.for_each(|hold| *hold = facts(&FACTS_OF_HOLD, hold));
        sort_by_name(&mut found["holds"]);
        same("the user", found.to_string(), self.facts(now).to_string())?;
        let said = &shown["suspension_information"];
        let found = if said.is_object() {
            facts(&FACTS_OF_SUSPENSION, said)
        } else {
            Value::Null
        };
        let right = self.leading(now).map_or(Value::Null, facts_of_suspension);
        same("the suspension", found.to_string(), right.to_string())
    }

    fn facts(&self, now: Second) -> Value {
        let mut holds: Value = self.holds.iter().map(facts_of_hold).collect();
        sort_by_name(&mut holds);
        json!({
            "status": self.status(now),
            "username": self.other_name.map(|other| other_name(&self.name, other)),
            "suspension_status": self.leading(now).map(|hold| hold.kind.word()),
            "holds": holds,
            "api_keys_disabled": self.keys_are_out(now),
            "sessions_not_before": self.tokens_dead_until.map(time),
            "created_at": self.written.map(|(first, _)| time(first)),
            "updated_at": self.written.map(|(_, last)| time(last)),
        })
    }

    pub fn status(&self, now: Second) -> &'static str {
        if self.deleted {
            "deleted"
        } else if self.is_suspended(now) {
            "suspended"
        } else {
            "active"
        }
    }

    /// Sees ReachFive's profile.
    ///
    /// # Errors
    /// Where it is shown otherwise than it should be.
    pub fn see_profile(&self, shown: &Value, now: Second) -> Result<(), Difference> {
        same(
            "suspended",
            &shown["suspended"],
            &json!(self.is_suspended(now)),
        )?;
        let leading = self.leading(now);
        let right = leading.map_or(Value::Null, |hold| json!(hold.kind.word()));
        same("suspension_status", &shown["suspension_status"], &right)?;
        let right = leading.and_then(|hold| hold.reason);
        let found = &shown["suspension_information"]["reason"];
        same("its reason", found, &json!(right))
    }

    /// Sees what a restore tells of the holds: those that it lifted, those that stay,
    /// and of these whom to ask about what `by` may not lift.
    ///
    /// # Errors
    /// Where it tells something else.
    pub fn see_lifting(&self, told: &Value, lifted: &[&str], by: &By) -> Result<(), Difference> {
        see_names(told, "holds_lifted", lifted)?;
        let left: Vec<&str> = self.holds.iter().map(|hold| hold.name).collect();
        see_names(told, "holds_left", &left)?;
        let kept = left.iter().filter(|name| !by.may_lift(name));
        let kept = kept.map(|name| json!({ "name": name, "lifted_by": lifters(name) }));
        let (mut right, mut found) = (kept.collect(), told["holds_kept"].clone());
        sort_by_name(&mut right);
        sort_by_name(&mut found);
        same("holds_kept", found, right)
    }

    /// What worked before and does not after, counted as a receipt does.
    fn loses(&self, after: &Self) -> Value {
        let alive = |person: &Self| person.sessions.iter().filter(|one| one.alive).count();
        let keys = !self.keys_are_out_on_record() && after.keys_are_out_on_record();
        json!({
            "sessions_revoked": alive(self).saturating_sub(alive(after)),
            "api_keys_disabled": u8::from(keys),
        })
    }
}

/// A refusal as the admin API tells it.
///
/// # Errors
/// Where it is another.
pub fn see_refusal(answer: &Answer, right: Refusal) -> Result<(), Difference> {
    same("the status", answer.status, right.status)?;
    let problem = answer.json();
    same("the code", &problem["code"], &json!(right.code))?;
    match right.field {
        Some(field) => same("the field", &problem["field"], &json!(field)),
        None => Ok(()),
    }
}

/// What the answer to a change says of it, apart from the user.
///
/// # Errors
/// Where it says something else.
pub fn see_outcome(answer: &Value, upshot: &Upshot, is_rehearsal: bool) -> Result<(), Difference> {
    let flag = |name: &str| answer[name].as_bool().unwrap_or(false);
    let changed = match upshot.outcome {
        Outcome::Changed => true,
        Outcome::Unchanged => false,
        Outcome::Refused(refusal) => return Err(format!("it was done; by the rules {refusal:?}")),
    };
    same("changed", flag("changed"), changed)?;
    same("unchanged", flag("unchanged"), !changed)?;
    same("dry_run", flag("dry_run"), is_rehearsal)
}

/// What a receipt counts. What the gate puts on record by itself and a change beside it
/// may come into force together, and are then counted with the first of the two.
///
/// # Errors
/// Where it says something else.
pub fn see_counts(receipt: &Value, before: &Person, after: &Person) -> Result<(), Difference> {
    let counted = |state: &Person| before.loses(state);
    let mut counts: Vec<Value> = with_later(vec![after.clone()])
        .iter()
        .map(counted)
        .collect();
    if before.is_unwaited() {
        counts.push(before.loses(before));
    }
    let found = json!({
        "sessions_revoked": receipt["sessions_revoked"],
        "api_keys_disabled": receipt["api_keys_disabled"],
    });
    if counts.contains(&found) {
        Ok(())
    } else {
        same("the counts", found, counted(after))
    }
}

/// What the receipt of a rehearsal counts.
///
/// # Errors
/// Where it says something else.
pub fn see_forecast(receipt: &Value, before: &Person, after: &Person) -> Result<(), Difference> {
    let right = before.loses(after);
    for what in ["sessions_revoked", "api_keys_disabled"] {
        same(what, &receipt[what], &right[what])?;
    }
    Ok(())
}

/// # Errors
/// Where it says something else.
pub fn see_force(receipt: &Value, is_in_force: bool) -> Result<(), Difference> {
    let found = &receipt["gates"]["in_force"];
    same("gates in force", found, &json!(u8::from(is_in_force)))?;
    same(
        "in_force_at",
        receipt["in_force_at"].is_string(),
        is_in_force,
    )
}

/// The names of holds, where they are told at all.
///
/// # Errors
/// Where they are others.
pub fn see_names(answer: &Value, what: &str, right: &[&str]) -> Result<(), Difference> {
    same(what, sorted(&answer[what]), names(right.to_vec()))
}

fn names(mut names: Vec<&str>) -> Vec<String> {
    names.sort_unstable();
    names.into_iter().map(str::to_owned).collect()
}

fn sorted(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    names(list.filter_map(Value::as_str).collect())
}

fn facts(names: &[&str], of: &Value) -> Value {
    let facts = names
        .iter()
        .map(|name| ((*name).to_owned(), of[*name].clone()));
    Value::Object(facts.collect())
}

fn sort_by_name(holds: &mut Value) {
    if let Some(holds) = holds.as_array_mut() {
        holds.sort_by_key(|hold| hold["name"].as_str().map(str::to_owned));
    }
}

fn facts_of_hold(hold: &Hold) -> Value {
    json!({
        "name": hold.name,
        "kind": hold.kind.word(),
        "access": access(hold),
        "reason": hold.reason,
        "ticket": hold.ticket,
        "actor": hold.actor,
        "source": hold.source,
        "placed_at": time(hold.placed),
        "starts_at": time(hold.starts),
        "ends_at": hold.ends.map(time),
        "disable_api_keys": hold.stops_keys,
        "revoke_sessions": hold.ends_sessions,
    })
}

fn facts_of_suspension(hold: &Hold) -> Value {
    json!({
        "status": hold.kind.word(),
        "access": access(hold),
        "reason": hold.reason,
        "since": time(hold.starts),
        "until": hold.ends.map(time),
    })
}

fn access(hold: &Hold) -> &'static str {
    if hold.read_only { "read-only" } else { "none" }
}
