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
    let mut line = match (title.is_empty(), detail.is_empty()) {
        (_, false) => detail,
        (false, true) => title,
        (true, true) => format!("the admin API answered {status}"),
    };
    if !field.is_empty() && !line.contains(&field) {
        line = format!("{field}: {line}");
    }
    // Where the API names a mend itself, it knows better.
    match mend(status) {
        Some(mend) if !line.contains("; ") => format!("{line}; {mend}"),
        Some(_) | None => line,
    }
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
        StatusCode::GONE => "nothing can be done with a deleted user".to_owned(),
        StatusCode::TOO_MANY_REQUESTS => "wait a little and try again".to_owned(),
        _ if status.is_server_error() => "look at the gate's log, then try again".to_owned(),
        _ => return None,
    })
}
