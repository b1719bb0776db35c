//! Users and receipts in words.

mod entries;
mod holds;
mod tables;

use serde_json::Value;

use super::print::visible;

pub(super) use entries::{entries, entry};
pub(super) use holds::lifted_by;
pub(super) use tables::{Profile, moment, page, sessions};

/// The text at `path` in `json` (`a.b`), fit to be printed; empty where there is none.
pub(super) fn text(json: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(json, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => visible(text),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => String::new(),
    }
}

/// "bob is suspended (permanent, read-only)", after what the API says about the user.
fn standing(user: &Value, would: bool) -> String {
    let (id, status) = (text(user, "id"), text(user, "status"));
    let kind = text(user, "suspension_status");
    let verb = if would { "would be" } else { "is" };
    if status == "suspended" && !kind.is_empty() {
        let access = match text(user, "suspension_information.access").as_str() {
            "read-only" => ", read-only",
            _ => "",
        };
        return format!("{id} {verb} suspended ({kind}{access})");
    }
    format!("{id} {verb} {status}")
}

/// What a suspension came to: the user's standing and the receipt.
pub(super) fn suspension(answer: &Value, dry_run: bool) -> String {
    let user = answer.get("user").unwrap_or(answer);
    // Whom no hold keeps out yet is active, whatever would begin later.
    let standing = standing(user, dry_run && text(user, "status") == "suspended");
    let told = format!(
        "{standing}{}.{}{}",
        holds::ends_and_begins(user, dry_run),
        holds::lead(user),
        holds::replaced(answer, dry_run)
    );
    if dry_run {
        let receipt = receipt(answer, Tone::Would);
        return format!("Dry run, nothing was changed: {told}{receipt}");
    }
    if answer.get("unchanged") == Some(&Value::Bool(true)) {
        let waiting = holds::begins(user, false);
        return format!("{standing}{waiting}, as before: nothing was changed.");
    }
    format!("{told}{}", receipt(answer, Tone::Did))
}

/// What a restore came to: what was lifted, and whether anything is left.
pub(super) fn restoration(answer: &Value, asked_for: &str, dry_run: bool) -> String {
    let user = answer.get("user").unwrap_or(answer);
    let standing = standing(user, false);
    let (kept, waiting) = (holds::kept(answer), holds::begins(user, false));
    if dry_run && answer.get("unchanged") != Some(&Value::Bool(true)) {
        let lifted = match names(answer, "holds_lifted").as_slice() {
            [] => "no hold".to_owned(),
            [one] => format!("hold {one}"),
            many => format!("holds {}", many.join(", ")),
        };
        return format!(
            "Dry run, nothing was changed: {lifted} would be lifted; then {standing}{waiting}.{kept}"
        );
    }
    if answer.get("unchanged") == Some(&Value::Bool(true)) {
        // Nobody ever changed such a user: a mistyped id looks like this.
        if text(user, "revision") == "0" {
            return format!(
                "The gate has not heard of {}: nothing was changed; check the id, and --tenant.",
                visible(asked_for)
            );
        }
        let none = if kept.is_empty() {
            "No hold"
        } else {
            "No hold of yours"
        };
        return format!(
            "{none} to lift; {standing}{waiting}, as before: nothing was changed.{kept}"
        );
    }
    let lifted = match names(answer, "holds_lifted").as_slice() {
        [] => "Lifted".to_owned(),
        [one] => format!("Hold {one} lifted"),
        many => format!("Holds {} lifted", many.join(", ")),
    };
    let left = holds::left(user).unwrap_or(standing);
    let (receipt, keys) = (receipt(answer, Tone::Undid), api_keys(user));
    format!("{lifted}; {left}{waiting}.{receipt}{keys}{kept}")
}

/// Whether the API keys of who is let in again were given back.
fn api_keys(user: &Value) -> &'static str {
    if user.get("api_keys_disabled") == Some(&Value::Bool(true)) {
        // While a hold keeps the user out, nobody expects another thing.
        return match text(user, "status").as_str() {
            "active" => " API keys stay disabled.",
            _ => "",
        };
    }
    match list(user, "api_keys") {
        [] => "",
        [_] => " The API key works.",
        _ => " The API keys work.",
    }
}

pub(super) fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    let found = json.get(key).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

fn names(json: &Value, key: &str) -> Vec<String> {
    let names = list(json, key).iter().filter_map(Value::as_str);
    names.map(visible).collect()
}

/// In which voice a receipt speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Did,
    Would,
    /// A restore takes nothing away: noughts would only be noise.
    Undid,
}

fn receipt(answer: &Value, tone: Tone) -> String {
    let Some(receipt) = answer.get("receipt").filter(|receipt| receipt.is_object()) else {
        return String::new();
    };
    let number = |key: &str| receipt.get(key).and_then(Value::as_u64);
    let none = receipt.get("gates").and_then(|gates| gates.get("in_force"));
    let tone = match tone {
        // A hold that waits has taken nothing away either.
        Tone::Did if none == Some(&Value::from(0)) => Tone::Undid,
        Tone::Did | Tone::Would | Tone::Undid => tone,
    };
    let mut parts: Vec<String> = [
        ("sessions_revoked", "session", "revoked"),
        ("connections_cut", "live connection", "cut"),
        ("api_keys_disabled", "API key", "disabled"),
        ("notifications_queued", "message", "queued"),
    ]
    .into_iter()
    .filter_map(|(key, noun, deed)| {
        let count = number(key).filter(|count| *count > 0 || tone != Tone::Undid);
        count.map(|count| format!("{} {deed}", counted(count, noun)))
    })
    .collect();
    let gates = receipt
        .get("gates")
        .map(|gates| (gates.get("in_force"), gates.get("total")));
    // Where nothing is in force, nothing had to change, or what was placed begins later.
    let in_force = gates.filter(|(count, _)| *count != Some(&Value::from(0)));
    if let Some((Some(in_force), Some(total))) = in_force.filter(|_| tone != Tone::Would) {
        let since = moment(text(receipt, "in_force_at"));
        let at = if since.is_empty() {
            since
        } else {
            format!(" at {since}")
        };
        parts.push(format!("in force on {in_force} of {total} gates{at}"));
    }
    match parts.as_slice() {
        [] => String::new(),
        parts => format!(" {}.", sentence(&parts.join(", "))),
    }
}

/// With a large letter at its beginning.
pub(super) fn sentence(said: &str) -> String {
    let mut letters = said.chars();
    match letters.next() {
        Some(first) => format!("{}{}", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

fn counted(count: u64, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// What became of the user's sessions.
pub(super) fn revocation(answer: &Value, dry_run: bool) -> String {
    let user = answer.get("user").unwrap_or(answer);
    let id = text(user, "id");
    if dry_run {
        let receipt = receipt(answer, Tone::Would);
        return format!("Dry run, nothing was changed: {id} would stay as before.{receipt}");
    }
    if answer.get("unchanged") == Some(&Value::Bool(true)) {
        return format!("{id} has no such session left: nothing was changed.");
    }
    let standing = standing(user, false);
    format!("{standing}.{}", receipt(answer, Tone::Did))
}

/// What became of the user's attributes, by name: those set, and those cleared.
pub(super) fn attributes(answer: &Value, [set, cleared]: &[Vec<String>; 2]) -> String {
    let user = answer.get("user").unwrap_or(answer);
    let id = text(user, "id");
    if answer.get("unchanged") == Some(&Value::Bool(true)) {
        let all = [set.as_slice(), cleared.as_slice()].concat().join(", ");
        return format!("{id}: {all} as before: nothing was changed.");
    }
    let told = [(set, "set"), (cleared, "cleared")];
    let told = told.into_iter().filter(|(names, _)| !names.is_empty());
    let told = told.map(|(names, deed)| format!("{} {deed}", names.join(", ")));
    format!("{id}: {}.", told.collect::<Vec<_>>().join("; "))
}

/// That the user is gone, or would be.
pub(super) fn deletion(answer: &Value, asked_for: &str, dry_run: bool) -> String {
    let asked_for = visible(asked_for);
    if dry_run {
        let receipt = receipt(answer, Tone::Would);
        return format!("Dry run, nothing was changed: {asked_for} would be deleted.{receipt}");
    }
    let user = answer.get("user").unwrap_or(answer);
    let left = text(user, "id");
    let receipt = receipt(answer, Tone::Did);
    format!("{asked_for} is deleted, for good; the audit calls what is left {left}.{receipt}")
}

/// What bulk calls are told in: "3 users", and the sum of their receipts.
pub(super) fn users(count: u64) -> String {
    counted(count, "user")
}

/// The sum of many receipts; empty where there is none.
pub(super) fn sum(summary: &Value, dry_run: bool) -> String {
    receipt(summary, if dry_run { Tone::Would } else { Tone::Undid })
}
