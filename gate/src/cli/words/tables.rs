//! Users and sessions as tables.

use std::io::{self, Write};

use serde_json::Value;

use super::{list, text};
use crate::cli::print::{Column, Table, pairs};

/// All that is known of one user.
pub(in crate::cli) struct Profile<'a> {
    pub(in crate::cli) user: &'a Value,
    /// How many sessions there are, in words.
    pub(in crate::cli) sessions: String,
}

/// What is shown of a user, and where the answer has it.
const ROWS: [(&str, &str); 18] = [
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
    ("locale", "locale"),
    ("last seen", "last_seen_at"),
    ("revision", "revision"),
    ("updated", "updated_at"),
];

/// A user has few holds, and each part of one may be what is asked for: none is spare.
const HOLD: [(Column, &str); 13] = [
    (Column::whole("HOLD"), "name"),
    (Column::whole("KIND"), "kind"),
    (Column::whole("ACCESS"), "access"),
    (Column::whole("REASON"), "reason"),
    (Column::words("TEXT"), "reason_text"),
    (Column::whole("ACTOR"), "actor"),
    (Column::whole("APPROVER"), "approver"),
    (Column::whole("TICKET"), "ticket"),
    (Column::whole("PLACED"), "placed_at"),
    (Column::whole("FROM"), "starts_at"),
    (Column::whole("UNTIL"), "ends_at"),
    (Column::whole("SOURCE"), "source"),
    (Column::words("COMMENT"), "comment"),
];

impl Profile<'_> {
    pub(in crate::cli) fn print(
        &self,
        out: &mut dyn Write,
        width: Option<usize>,
    ) -> io::Result<()> {
        let rows = ROWS
            .into_iter()
            .map(|(name, path)| (name, moment(text(self.user, path))));
        let mut rows: Vec<_> = rows.filter(|(_, value)| !value.is_empty()).collect();
        let disabled = self.user.get("api_keys_disabled") == Some(&Value::Bool(true));
        match (list(self.user, "api_keys").len(), disabled) {
            (0, false) => {}
            (0, true) => rows.push(("API keys", "disabled".to_owned())),
            (count, false) => rows.push(("API keys", count.to_string())),
            (count, true) => rows.push(("API keys", format!("{count}, disabled"))),
        }
        rows.push(("sessions", self.sessions.clone()));
        pairs(out, &rows)?;
        let holds = list(self.user, "holds");
        if holds.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        table(&HOLD, holds).print(out, width)
    }
}

/// A page of users.
pub(in crate::cli) fn page(
    out: &mut dyn Write,
    page: &Value,
    width: Option<usize>,
) -> io::Result<()> {
    const COLUMNS: [(Column, &str); 8] = [
        (Column::whole("USER"), "id"),
        // Who has a kind of suspension is suspended.
        (Column::whole("STATUS").spare(3), "status"),
        (Column::whole("SUSPENSION"), "suspension_status"),
        (Column::whole("REASON"), "suspension_information.reason"),
        (Column::whole("BY"), "suspension_information.by"),
        (Column::whole("UNTIL"), "suspension_information.until"),
        (Column::whole("EMAIL").spare(2), "email"),
        (Column::whole("UPDATED").spare(1), "updated_at"),
    ];
    let users = list(page, "users");
    if users.is_empty() {
        return writeln!(out, "No such users.");
    }
    table(&COLUMNS, users).print(out, width)?;
    more(out, page)
}

/// The sessions of one user.
pub(in crate::cli) fn sessions(
    out: &mut dyn Write,
    page: &Value,
    width: Option<usize>,
) -> io::Result<()> {
    const COLUMNS: [Column; 8] = [
        Column::whole("SESSION"),
        Column::whole("ALIVE"),
        Column::whole("COOKIE").spare(1),
        Column::whole("LOGIN").spare(3),
        Column::whole("FIRST SEEN").spare(2),
        Column::whole("LAST SEEN"),
        Column::whole("ADDRESS"),
        Column::words("AGENT").spare(4),
    ];
    let sessions = list(page, "sessions");
    if sessions.is_empty() {
        return writeln!(out, "No sessions.");
    }
    let mut table = Table::new(&COLUMNS);
    for session in sessions {
        let alive = session.get("alive") == Some(&Value::Bool(true));
        let text = |key| moment(text(session, key));
        table.row([
            text("id"),
            if alive { "yes" } else { "no" }.to_owned(),
            text("cookie"),
            text("login"),
            text("first_seen"),
            text("last_seen"),
            text("address"),
            text("agent"),
        ]);
    }
    table.print(out, width)?;
    let total = page
        .get("total")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    if total > sessions.len() as u64 {
        writeln!(out, "There are {total}: add --limit COUNT to see more")?;
    }
    Ok(())
}

/// The way to the next page, where there is one.
pub(super) fn more(out: &mut dyn Write, page: &Value) -> io::Result<()> {
    match text(page, "next_cursor") {
        none if none.is_empty() => Ok(()),
        cursor => writeln!(out, "There are more: add --cursor {cursor}"),
    }
}

fn table(columns: &[(Column, &str)], rows: &[Value]) -> Table {
    let heads: Vec<Column> = columns.iter().map(|(head, _)| *head).collect();
    let mut table = Table::new(&heads);
    for row in rows {
        table.row(columns.iter().map(|(_, path)| moment(text(row, path))));
    }
    table
}

/// A time without its milliseconds: people compare minutes. Other texts as they are.
pub(in crate::cli) fn moment(text: String) -> String {
    let bytes = text.as_bytes();
    let is_moment = bytes.len() == "2030-01-02T03:04:05.678Z".len()
        && bytes.get(10) == Some(&b'T')
        && bytes.get(19) == Some(&b'.')
        && bytes.ends_with(b"Z")
        && bytes.iter().take(4).all(u8::is_ascii_digit);
    match text.get(..19) {
        Some(seconds) if is_moment => format!("{seconds}Z"),
        Some(_) | None => text,
    }
}
