//! Errors of the admin API (RFC 9457) in one line, with the mend.

use http::StatusCode;
use serde_json::{Value, json};

use super::Failure;
use super::client::TOKEN_VARIABLE;
use super::print::visible;

/// Why `what` was not done, from `text`, the body of an answer that is no success.
pub(super) fn refused(what: &str, status: StatusCode, text: &str) -> Failure {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let line = format!("{what}: {}", line(status, &problem));
    let is_problem = ["code", "title", "detail"]
        .iter()
        .any(|name| problem.get(name).is_some_and(Value::is_string));
    let problem = if is_problem {
        text.trim().to_owned()
    } else {
        // Something between here and the gate answered in its place.
        json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": line,
            "code": "failed",
        })
        .to_string()
    };
    Failure::Refused { line, problem }
}

fn line(status: StatusCode, problem: &Value) -> String {
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
    match mend(status, &code, &field) {
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

const FLAGS: [(&str, &str); 32] = [
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
    ("api_keys", "--api-key-hash"),
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

fn mend(status: StatusCode, code: &str, field: &str) -> Option<String> {
    Some(match status {
        StatusCode::BAD_REQUEST => match field {
            "email" | "phone" | "username" | "employee_id" | "locale" => {
                let name = field.replace('_', "-");
                format!("write another, or forget it by --clear {name}")
            }
            _ => return None,
        },
        StatusCode::UNAUTHORIZED => {
            format!(
                "set {TOKEN_VARIABLE} to a token that is in force (portcullis token create makes one)"
            )
        }
        StatusCode::FORBIDDEN => {
            format!("set {TOKEN_VARIABLE} to a token with a role that may do this")
        }
        StatusCode::NOT_FOUND => "check the id, and --tenant".to_owned(),
        StatusCode::CONFLICT => conflict(code).to_owned(),
        StatusCode::GONE => {
            "what was done with it is in the audit (portcullis audit list --user)".to_owned()
        }
        StatusCode::TOO_MANY_REQUESTS => "wait a little and try again".to_owned(),
        _ if status.is_server_error() => "look at the gate's log, then try again".to_owned(),
        _ => return None,
    })
}

/// What stands in the way is told by the code: a user, a token or a policy.
fn conflict(code: &str) -> &'static str {
    match code {
        "no_earlier_policy" => {
            "put the policy that you want in force (portcullis policy push), or leave it as it is"
        }
        "oneself" => "have another administrator do it",
        "token_ended" => "make another token (portcullis token create)",
        "token_taken" => "try again",
        _ => "look again (portcullis user show, or portcullis token list), and decide again",
    }
}
