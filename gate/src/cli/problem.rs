//! Errors of the admin API (RFC 9457) in one line, with the mend.

use http::StatusCode;
use serde_json::Value;

use super::client::TOKEN_VARIABLE;
use super::print::visible;

/// What `text`, the body of an answer that is no success, says.
pub(super) fn line(status: StatusCode, text: &str) -> String {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let part = |name: &str| {
        let text = problem
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim();
        visible(text.trim_end_matches('.'))
    };
    let (title, detail, field) = (part("title"), part("detail"), part("field"));
    let code = part("code");
    let mut line = match (title.is_empty(), detail.is_empty()) {
        (_, false) => detail,
        (false, true) => title,
        (true, true) => format!("the admin API answered {status}"),
    };
    line = in_words_of_the_command(line, &field, &code);
    if matches!(field.as_str(), "since" | "until") && code == "invalid_field" {
        // The command counts back where it is given a duration; the API takes times alone.
        let what = line.split("; ").next().unwrap_or_default();
        line = format!("{what}; write a time (RFC 3339), or so long ago, such as 7d");
    }
    let flag = flag(&field);
    if flag.is_empty() {
        if !field.is_empty() && !line.contains(&field) {
            line = format!("{field}: {line}");
        }
    } else if !line.contains(flag) {
        line = format!("{flag}: {line}");
    }
    // Where the API names a mend itself, it knows better.
    match mend(status) {
        Some(mend) if !line.contains("; ") => format!("{line}; {mend}"),
        Some(_) | None => line,
    }
}

/// What the field of a body, or the parameter of a query, is called on the command
/// line; empty where nothing there is meant.
fn flag(field: &str) -> &'static str {
    FLAGS
        .iter()
        .find(|(name, _)| *name == field)
        .map_or("", |(_, flag)| flag)
}

const FLAGS: [(&str, &str); 31] = [
    ("tenant", "--tenant"),
    ("reason", "--reason"),
    ("suspension_reason", "--reason-key"),
    ("kind", "--temporary or --permanent"),
    ("access", "--read-only"),
    ("hold", "--hold"),
    ("approver", "--approver"),
    ("ticket", "--ticket"),
    ("comment", "--comment"),
    ("starts_at", "--starts-at"),
    ("ends_at", "--ends-at"),
    ("revoke_sessions", "--no-revoke-sessions"),
    ("disable_api_keys", "--keep-api-keys"),
    ("restore_api_keys", "--keep-api-keys-disabled"),
    ("dry_run", "--dry-run"),
    ("filter", "--filter"),
    ("q", "--query"),
    ("limit", "--limit"),
    ("cursor", "--cursor"),
    ("user", "--user"),
    ("users", "--from"),
    ("actor", "--actor"),
    ("action", "--action"),
    ("since", "--since"),
    ("until", "--until"),
    ("batch", "--batch"),
    ("email", "--email"),
    ("phone", "--phone"),
    ("username", "--username"),
    ("employee_id", "--employee-id"),
    ("locale", "--locale"),
];

/// Mends that name a part of a call, said of the command that made it.
fn in_words_of_the_command(line: String, field: &str, code: &str) -> String {
    let mut line = line
        .replace(
            "look at GET /api/v1/tokens",
            "portcullis token list shows them",
        )
        .replace("?tenant= or X-Tenant", "--tenant")
        .replace("?tenant= and X-Tenant", "--tenant");
    // A filter has words of its own, and what the API does not know is no option here.
    if code == "unknown_field" || field == "filter" {
        return line;
    }
    for (name, flag) in FLAGS {
        let quoted = format!("`{name}`");
        if line.contains(&quoted) {
            line = line.replace(&quoted, flag);
        }
    }
    line
}

fn mend(status: StatusCode) -> Option<String> {
    Some(match status {
        StatusCode::UNAUTHORIZED => {
            format!(
                "set {TOKEN_VARIABLE} to a token that is in force (portcullis token create makes one)"
            )
        }
        StatusCode::FORBIDDEN => {
            format!("set {TOKEN_VARIABLE} to a token with a role that may do this")
        }
        StatusCode::NOT_FOUND => "check the id, and --tenant".to_owned(),
        StatusCode::CONFLICT => {
            "look at the user (portcullis user show) and decide again".to_owned()
        }
        StatusCode::GONE => {
            "what was done with it is in the audit (portcullis audit list --user)".to_owned()
        }
        StatusCode::TOO_MANY_REQUESTS => "wait a little and try again".to_owned(),
        _ if status.is_server_error() => "look at the gate's log, then try again".to_owned(),
        _ => return None,
    })
}
