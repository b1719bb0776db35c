//! Entries of the audit, a row or a line each.

use std::io::{self, Write};

use serde_json::Value;

use super::tables::{moment, more};
use super::{list, names, text};
use crate::cli::print::{Column, Table, visible};

/// A page of entries.
pub(in crate::cli) fn entries(
    out: &mut dyn Write,
    page: &Value,
    width: Option<usize>,
) -> io::Result<()> {
    let entries = list(page, "entries");
    if entries.is_empty() {
        return writeln!(out, "No such entries.");
    }
    let mut table = Table::new(&columns(entries));
    for entry in entries {
        let text = |key| moment(text(entry, key));
        table.row([
            text("seq"),
            text("at"),
            text("tenant"),
            text("user"),
            text("actor"),
            text("action"),
            what(entry),
            text("approver"),
            text("ticket"),
            text("batch"),
            text("comment"),
        ]);
    }
    table.print(out, width)?;
    more(out, page)
}

fn columns(entries: &[Value]) -> [Column; 11] {
    let mut tenants = entries.iter().map(|entry| text(entry, "tenant"));
    let first = tenants.next();
    // Where there are several, a user's id alone does not say who it is.
    let one_tenant = tenants.all(|tenant| Some(&tenant) == first.as_ref());
    let tenant = Column::whole("TENANT");
    [
        Column::whole("ENTRY"),
        Column::whole("AT"),
        if one_tenant { tenant.spare(1) } else { tenant },
        Column::whole("USER"),
        Column::whole("ACTOR"),
        Column::whole("ACTION"),
        Column::words("WHAT"),
        Column::whole("APPROVER").spare(3),
        Column::whole("TICKET").spare(5),
        Column::whole("BATCH").spare(2),
        Column::words("COMMENT").spare(4),
    ]
}

/// One entry in a line, for those who watch.
pub(in crate::cli) fn entry(entry: &Value) -> String {
    let text = |key| moment(text(entry, key));
    let whose = match (text("tenant"), text("user")) {
        (tenant, user) if user.is_empty() => tenant,
        (tenant, user) => format!("{tenant}/{user}"),
    };
    let mut parts = vec![text("at"), text("seq"), whose, text("action"), what(entry)];
    parts.push(format!("by {}", text("actor")));
    for (key, word) in [
        ("approver", "approved by"),
        ("ticket", "ticket"),
        ("batch", "batch"),
    ] {
        let value = text(key);
        if !value.is_empty() {
            parts.push(format!("{word} {value}"));
        }
    }
    let comment = text("comment");
    if !comment.is_empty() {
        parts.push(format!("\u{201c}{comment}\u{201d}"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

/// What the action was about.
fn what(entry: &Value) -> String {
    let detail = entry.get("detail").unwrap_or(&Value::Null);
    let said = |keys: &[&str]| {
        let parts = keys.iter().map(|key| moment(text(detail, key)));
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    };
    match text(entry, "action").as_str() {
        "hold_placed" => detail.get("hold").map(hold).unwrap_or_default(),
        "hold_started" | "hold_ended" => said(&["hold"]),
        "holds_lifted" => names(detail, "holds").join(", "),
        "holds_put_back" => {
            let placed = list(detail, "placed").iter().map(hold);
            let lifted = names(detail, "lifted").into_iter();
            let lifted = lifted.map(|name| format!("{name} lifted"));
            placed.chain(lifted).collect::<Vec<_>>().join("; ")
        }
        "session_revoked" => said(&["session"]),
        "profile_changed" => profile(detail.get("profile")),
        "token_created" | "token_rotated" | "token_revoked" => {
            said(&["token_id", "role", "expires_at"])
        }
        "refused" => said(&["code", "error_id"]),
        _ => String::new(),
    }
}

/// "admin, permanent, suspiciousUserNoGood, until …"
fn hold(hold: &Value) -> String {
    let text = |key| moment(text(hold, key));
    let mut parts = ["name", "kind", "reason", "reason_text"].map(text).to_vec();
    if text("access") == "read-only" {
        parts.push("read-only".to_owned());
    }
    if text("starts_at") != text("placed_at") {
        parts.push(format!("from {}", text("starts_at")));
    }
    let end = text("ends_at");
    if !end.is_empty() {
        parts.push(format!("until {end}"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn profile(profile: Option<&Value>) -> String {
    let fields = profile.and_then(Value::as_object).into_iter().flatten();
    let known = fields.filter_map(|(name, value)| Some((name, value.as_str()?)));
    let known = known.map(|(name, value)| format!("{} {}", name.replace('_', " "), visible(value)));
    known.collect::<Vec<_>>().join(", ")
}
