//! Holds in words: what is in force, what is to come, and what was there before.

use serde_json::Value;

use super::{list, moment, names, text};

/// In force, as far as the API says; and still to begin.
fn parted(user: &Value) -> (Vec<&Value>, Vec<&Value>) {
    let holds = list(user, "holds").iter();
    holds.partition(|hold| hold.get("in_force") != Some(&Value::Bool(false)))
}

/// When the suspension ends, where one hold says so, and what begins later.
pub(super) fn ends_and_begins(user: &Value, would: bool) -> String {
    let until = match parted(user).0.as_slice() {
        [hold] => until(hold),
        _ => String::new(),
    };
    format!("{until}{}", begins(user, would))
}

/// "; hold leave begins …, ends …", for each hold that waits.
pub(super) fn begins(user: &Value, would: bool) -> String {
    let begins = if would { "would begin" } else { "begins" };
    let waiting = parted(user).1.into_iter().map(|hold| {
        let [start, end] = ["starts_at", "ends_at"].map(|key| moment(text(hold, key)));
        let ends = match (end.is_empty(), would) {
            (true, _) => end,
            (false, true) => format!(", end {end}"),
            (false, false) => format!(", ends {end}"),
        };
        format!("; hold {} {begins} {start}{ends}", text(hold, "name"))
    });
    waiting.collect()
}

/// Which of several holds in force speaks for the suspension.
pub(super) fn lead(user: &Value) -> String {
    let (holds, _) = parted(user);
    if holds.len() < 2 {
        return String::new();
    }
    // The API tells the leading hold by what it says, not by its name.
    let said = |hold: &&&Value| {
        [
            ("kind", "status"),
            ("access", "access"),
            ("starts_at", "since"),
            ("ends_at", "until"),
            ("actor", "by"),
        ]
        .iter()
        .all(|(of_hold, of_user)| {
            text(hold, of_hold) == text(user, &format!("suspension_information.{of_user}"))
        })
    };
    let Some(first) = holds.iter().find(said) else {
        return String::new();
    };
    let others = holds.iter().filter(|hold| !std::ptr::eq(**hold, *first));
    format!(
        " Hold {} leads over {}.",
        described(std::iter::once(first)),
        described(others)
    )
}

/// "bob stays suspended by hold fraud", while there is one in force.
pub(super) fn left(user: &Value) -> Option<String> {
    let id = text(user, "id");
    match parted(user).0.as_slice() {
        [] => None,
        [hold] => {
            let (name, until) = (text(hold, "name"), until(hold));
            Some(format!("{id} stays suspended by hold {name}{until}"))
        }
        holds => {
            let holds = described(holds.iter());
            Some(format!("{id} stays suspended by holds {holds}"))
        }
    }
}

/// " legal is lifted by global-admin or tenant-admin.", for each hold that the
/// token could not lift.
pub(super) fn kept(answer: &Value) -> String {
    let holds = list(answer, "holds_kept").iter();
    let said = holds.map(|hold| format!(" {}.", lifted_by(hold)));
    said.collect()
}

/// "legal is lifted by global-admin or tenant-admin"
pub(in crate::cli) fn lifted_by(hold: &Value) -> String {
    let roles = names(hold, "lifted_by").join(" or ");
    format!("{} is lifted by {roles}", text(hold, "name"))
}

/// " It replaces hold admin (temporary, SEC-1, until …).", where one of that name
/// stood there: what it said is gone.
pub(super) fn replaced(answer: &Value, would: bool) -> String {
    let Some(hold) = answer.get("replaced").filter(|hold| hold.is_object()) else {
        return String::new();
    };
    let mut parts: Vec<String> = ["kind", "reason", "reason_text", "ticket"]
        .map(|key| text(hold, key))
        .to_vec();
    if text(hold, "access") == "read-only" {
        parts.push("read-only".to_owned());
    }
    parts.push(until(hold).trim_start_matches(", ").to_owned());
    parts.retain(|part| !part.is_empty());
    let replaces = if would { "would replace" } else { "replaces" };
    let name = text(hold, "name");
    format!(" It {replaces} hold {name} ({}).", parts.join(", "))
}

fn until(hold: &Value) -> String {
    let end = moment(text(hold, "ends_at"));
    if end.is_empty() {
        end
    } else {
        format!(", until {end}")
    }
}

/// "fraud, admin (until …)"
fn described<'a>(holds: impl Iterator<Item = &'a &'a Value>) -> String {
    let one = |hold: &&Value| {
        let (name, end) = (text(hold, "name"), moment(text(hold, "ends_at")));
        if end.is_empty() {
            name
        } else {
            format!("{name} (until {end})")
        }
    };
    holds.map(one).collect::<Vec<_>>().join(", ")
}
