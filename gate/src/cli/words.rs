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

/// "bob is suspended (permanent)", after what the API says about the user.
fn standing(user: &Value, would: bool) -> String {
    let (id, status) = (text(user, "id"), text(user, "status"));
    let kind = text(user, "suspension_status");
    let verb = if would { "would be" } else { "is" };
    if status == "suspended" && !kind.is_empty() {
        return format!("{id} {verb} suspended ({kind})");
    }
    format!("{id} {verb} {status}")
}

/// What a change came to: the user's standing and the receipt.
pub(super) fn outcome(answer: &Value, dry_run: bool) -> String {
    let user = answer.get("user").unwrap_or(answer);
    let standing = standing(user, dry_run);
    if dry_run {
        return format!(
            "Dry run, nothing was changed: {standing}.{}",
            receipt(answer, true)
        );
    }
    if answer.get("unchanged") == Some(&Value::Bool(true)) {
        return format!("{standing}, as before: nothing was changed.");
    }
    format!("{standing}.{}", receipt(answer, false))
}

fn receipt(answer: &Value, would: bool) -> String {
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
        number(key).map(|count| format!("{} {deed}", counted(count, noun)))
    })
    .collect();
    let gates = receipt
        .get("gates")
        .map(|gates| (gates.get("in_force"), gates.get("total")));
    if let Some((Some(in_force), Some(total))) = gates.filter(|_| !would) {
        let since = text(receipt, "in_force_at");
        let at = if since.is_empty() {
            since
        } else {
            format!(" at {since}")
        };
        parts.push(format!("in force on {in_force} of {total} gates{at}"));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(" {}.", parts.join(", "))
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
    const ROWS: [(&str, &str); 16] = [
        ("user", "id"),
        ("tenant", "tenant"),
        ("status", "status"),
        ("suspension", "suspension_status"),
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
    let rows: Vec<_> = ROWS
        .into_iter()
        .map(|(name, path)| (name, text(user, path)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    print::pairs(out, &rows)?;
    let holds = user
        .get("holds")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if holds.is_empty() {
        return Ok(());
    }
    let cells = |hold| {
        [
            "name",
            "kind",
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
            "HOLD", "KIND", "REASON", "ACTOR", "APPROVER", "TICKET", "FROM", "UNTIL",
        ],
        &rows,
    )
}

/// A page of users.
pub(super) fn page(out: &mut dyn Write, page: &Value) -> io::Result<()> {
    let users = page
        .get("users")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
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
