//! Users and receipts in words.

use std::io::{self, Write};

use serde_json::Value;

use super::print::{self, visible};

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
    let standing = standing(user, dry_run);
    let lead = lead(user);
    if dry_run {
        let receipt = receipt(answer, Tone::Would);
        return format!("Dry run, nothing was changed: {standing}{lead}{receipt}");
    }
    if answer.get("unchanged") == Some(&Value::Bool(true)) {
        return format!("{standing}, as before: nothing was changed.");
    }
    format!("{standing}{lead}{}", receipt(answer, Tone::Did))
}

/// What a restore came to: what was lifted, and whether anything is left.
pub(super) fn restoration(answer: &Value, asked_for: &str) -> String {
    let user = answer.get("user").unwrap_or(answer);
    let standing = standing(user, false);
    if answer.get("unchanged") == Some(&Value::Bool(true)) {
        // Nobody ever changed such a user: a mistyped id looks like this.
        if text(user, "revision") == "0" {
            return format!(
                "The gate has not heard of {}: nothing was changed; check the id, and --tenant.",
                visible(asked_for)
            );
        }
        let kept = kept(answer);
        let none = if kept.is_empty() {
            "No hold"
        } else {
            "No hold of yours"
        };
        return format!("{none} to lift; {standing}, as before: nothing was changed.{kept}");
    }
    let lifted = match names(answer, "holds_lifted").as_slice() {
        [] => "Lifted".to_owned(),
        [one] => format!("Hold {one} lifted"),
        many => format!("Holds {} lifted", many.join(", ")),
    };
    let id = text(user, "id");
    let verb = if text(user, "status") == "suspended" {
        "stays suspended by"
    } else {
        "is active, yet to come is"
    };
    let left = match list(user, "holds") {
        [] => standing,
        [hold] => format!("{id} {verb} hold {}{}", text(hold, "name"), until(hold)),
        holds => format!("{id} {verb} holds {}", described(holds.iter())),
    };
    let receipt = receipt(answer, Tone::Undid);
    format!("{lifted}; {left}.{receipt}{}", kept(answer))
}

/// " legal is lifted by global-admin or tenant-admin.", for each hold that the
/// token could not lift.
fn kept(answer: &Value) -> String {
    let holds = list(answer, "holds_kept").iter();
    let said = holds.map(|hold| {
        let roles = names(hold, "lifted_by").join(" or ");
        format!(" {} is lifted by {roles}.", text(hold, "name"))
    });
    said.collect()
}

/// When the suspension ends, or which of several holds speaks for it.
fn lead(user: &Value) -> String {
    let holds = list(user, "holds");
    if let [hold] = holds {
        return format!("{}.", until(hold));
    }
    // The API tells the leading hold by what it says, not by its name.
    let said = |hold: &&Value| {
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
        return ".".to_owned();
    };
    let others = holds.iter().filter(|hold| !std::ptr::eq(*hold, first));
    format!(
        ". Hold {} leads over {}.",
        described(std::iter::once(first)),
        described(others)
    )
}

fn until(hold: &Value) -> String {
    let end = text(hold, "ends_at");
    if end.is_empty() {
        end
    } else {
        format!(", until {end}")
    }
}

/// "fraud, admin (until …)"
fn described<'a>(holds: impl Iterator<Item = &'a Value>) -> String {
    let one = |hold| {
        let (name, end) = (text(hold, "name"), text(hold, "ends_at"));
        if end.is_empty() {
            name
        } else {
            format!("{name} (until {end})")
        }
    };
    holds.map(one).collect::<Vec<_>>().join(", ")
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
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
    if let Some((Some(in_force), Some(total))) = gates.filter(|_| tone != Tone::Would) {
        let since = text(receipt, "in_force_at");
        let at = if since.is_empty() {
            since
        } else {
            format!(" at {since}")
        };
        parts.push(format!("in force on {in_force} of {total} gates{at}"));
    }
    let said = parts.join(", ");
    let mut letters = said.chars();
    match letters.next() {
        Some(first) => format!(" {}{}.", first.to_uppercase(), letters.as_str()),
        None => said,
    }
}

fn counted(count: u64, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// All that is known of one user.
pub(super) fn profile(out: &mut dyn Write, user: &Value) -> io::Result<()> {
    const ROWS: [(&str, &str); 17] = [
        ("user", "id"),
        ("tenant", "tenant"),
        ("status", "status"),
        ("suspension", "suspension_status"),
        ("access", "suspension_information.access"),
        ("reason", "suspension_information.reason"),
        ("reason text", "suspension_information.reason_text"),
        ("since", "suspension_information.since"),
        ("until", "suspension_information.until"),
        ("by", "suspension_information.by"),
        ("email", "email"),
        ("phone", "phone"),
        ("username", "username"),
        ("employee id", "employee_id"),
        ("last seen", "last_seen_at"),
        ("revision", "revision"),
        ("updated", "updated_at"),
    ];
    let mut rows: Vec<_> = ROWS
        .into_iter()
        .map(|(name, path)| (name, text(user, path)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if user.get("api_keys_disabled") == Some(&Value::Bool(true)) {
        rows.push(("API keys", "disabled".to_owned()));
    }
    print::pairs(out, &rows)?;
    let holds = list(user, "holds");
    if holds.is_empty() {
        return Ok(());
    }
    let cells = |hold| {
        [
            "name",
            "kind",
            "access",
            "reason",
            "actor",
            "approver",
            "ticket",
            "starts_at",
            "ends_at",
        ]
        .map(|key| text(hold, key))
    };
    let rows: Vec<_> = holds.iter().map(cells).collect();
    writeln!(out)?;
    print::table(
        out,
        [
            "HOLD", "KIND", "ACCESS", "REASON", "ACTOR", "APPROVER", "TICKET", "FROM", "UNTIL",
        ],
        &rows,
    )
}

/// A page of users.
pub(super) fn page(out: &mut dyn Write, page: &Value) -> io::Result<()> {
    let users = list(page, "users");
    if users.is_empty() {
        return writeln!(out, "No such users.");
    }
    let cells = |user| {
        [
            "id",
            "status",
            "suspension_status",
            "suspension_information.reason",
            "email",
            "updated_at",
        ]
        .map(|path| text(user, path))
    };
    let rows: Vec<_> = users.iter().map(cells).collect();
    print::table(
        out,
        ["USER", "STATUS", "SUSPENSION", "REASON", "EMAIL", "UPDATED"],
        &rows,
    )?;
    let cursor = text(page, "next_cursor");
    if cursor.is_empty() {
        Ok(())
    } else {
        writeln!(out, "There are more: add --cursor {cursor}")
    }
}
