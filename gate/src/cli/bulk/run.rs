//! One bulk call: sent, followed line by line, summed up.

use bytes::Bytes;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::Deed;
use crate::cli::client::{AdminApi, Call};
use crate::cli::print::visible;
use crate::cli::terminal::{Unit, progress};
use crate::cli::words::{self, text};
use crate::cli::{Failure, Surroundings};

pub(super) struct Run<'a> {
    pub(super) api: &'a AdminApi,
    pub(super) deed: Deed,
    pub(super) path: String,
    pub(super) fields: Map<String, Value>,
    /// Empty where a filter or a batch says who is meant.
    pub(super) users: Vec<String>,
    pub(super) json: bool,
}

/// What a dry run found to do.
pub(super) struct Looked {
    pub(super) words: String,
    /// How many users it looked at.
    pub(super) total: u64,
}

/// What has been heard so far.
#[derive(Default)]
struct Heard {
    batch: String,
    users: u64,
    summary: Option<Value>,
}

impl Run<'_> {
    /// What the call would do, asked before it is done. `None`: nothing.
    pub(super) fn look(
        &self,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Option<Looked>, Failure> {
        let bar = self.bar("looking", None, surroundings);
        let summary = self.follow(true, &bar, |_| Ok(()))?;
        bar.finish_and_clear();
        if count(&summary, "changed") == 0 {
            return Ok(None);
        }
        Ok(Some(Looked {
            words: self.summed_up(&summary, true),
            total: count(&summary, "done"),
        }))
    }

    /// Makes the call, and tells what comes of it.
    pub(super) fn tell(
        &self,
        dry_run: bool,
        total: Option<u64>,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<(), Failure> {
        let bar = self.bar(self.deed.name(), total, surroundings);
        let json = self.json;
        let out = &mut surroundings.out;
        let summary = self.follow(dry_run, &bar, |line| {
            let told = match line {
                Line::Raw(line) if json => line.to_owned(),
                Line::User(user) if !json => match remark(user) {
                    Some(remark) => remark,
                    None => return Ok(()),
                },
                Line::Raw(_) | Line::User(_) => return Ok(()),
            };
            bar.suspend(|| writeln!(out, "{told}"))?;
            Ok(())
        })?;
        bar.finish_and_clear();
        if !json {
            writeln!(surroundings.out, "{}", self.summed_up(&summary, dry_run))?;
        }
        match count(&summary, "refused") {
            0 => Ok(()),
            refused => Err(Failure::failed(format!(
                "{}: {} refused, as told above; mend what is said there, and repeat the command for them",
                self.deed.name(),
                words::users(refused),
            ))),
        }
    }

    fn bar(&self, what: &str, total: Option<u64>, surroundings: &Surroundings<'_>) -> ProgressBar {
        let listed = Some(self.users.len() as u64).filter(|count| *count > 0);
        let terminal = surroundings.terminal;
        // Lines of JSON on the same screen say how far it is.
        let watched = terminal.watched && !(self.json && terminal.width.is_some());
        progress(watched, what, total.or(listed), Unit::Users)
    }

    /// Sends it, and returns the summary.
    fn follow(
        &self,
        dry_run: bool,
        bar: &ProgressBar,
        mut take: impl FnMut(Line<'_>) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        let call = Call {
            what: self.deed.name(),
            method: Method::POST,
            path: &self.path,
            header: None,
            body: Some(self.body(dry_run)),
        };
        let mut heard = Heard::default();
        let ended = self.api.lines(&call, |line| {
            take(Line::Raw(line))?;
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                return Ok(());
            };
            if let Some(progress) = line.get("progress") {
                heard.batch = text(progress, "batch");
            } else if let Some(summary) = line.get("summary") {
                heard.summary = Some(summary.clone());
            } else {
                heard.users += 1;
                bar.inc(1);
                take(Line::User(&line))?;
            }
            Ok(())
        });
        if let Err(trouble) = ended {
            bar.abandon();
            return Err(self.broken_off(&heard, &Failure::from(trouble)));
        }
        match heard.summary.take() {
            Some(summary) if summary.get("complete") == Some(&Value::Bool(true)) => Ok(summary),
            Some(summary) => {
                let why = text(&summary, "problem.detail");
                Err(self.broken_off(&heard, &Failure::failed(why)))
            }
            None => {
                let why = "the answer ended without a summary";
                Err(self.broken_off(&heard, &Failure::failed(why)))
            }
        }
    }

    /// How far it came, and how to go on.
    fn broken_off(&self, heard: &Heard, why: &Failure) -> Failure {
        if heard.batch.is_empty() {
            // It had not begun.
            return match why {
                Failure::Usage(why) => Failure::usage(why),
                Failure::Failed(why) => Failure::failed(why),
            };
                Failure::Unheard => Failure::Unheard,
        }
        Failure::failed(format!(
            "{why}; it ended after {}: repeat the command with --batch {}, and what is done already is left as it is",
            words::users(heard.users),
            heard.batch,
        ))
    }

    fn body(&self, dry_run: bool) -> (Bytes, &'static str) {
        let mut fields = self.fields.clone();
        if dry_run {
            fields.insert("dry_run".to_owned(), json!(true));
        }
        let mut body = Value::Object(fields).to_string();
        if self.users.is_empty() {
            return (body.into(), "application/json");
        }
        for user in &self.users {
            body.push('\n');
            body.push_str(&json!(user).to_string());
        }
        (body.into(), "application/x-ndjson")
    }

    fn summed_up(&self, summary: &Value, dry_run: bool) -> String {
        let deed = match self.deed {
            Deed::Suspend => "suspended",
            Deed::Restore => "restored",
            Deed::Undo => "put back as they were",
        };
        let (changed, left) = (count(summary, "changed"), count(summary, "unchanged"));
        let mut parts = vec![match (dry_run, changed) {
            (true, _) => format!("{} would be {deed}", words::users(changed)),
            (false, 1) => format!("1 user was {deed}"),
            (false, _) => format!("{} were {deed}", words::users(changed)),
        }];
        if left > 0 {
            parts.push(format!("{left} so already"));
        }
        let refused = count(summary, "refused");
        if refused > 0 {
            parts.push(format!("{refused} refused"));
        }
        let flags = [
            ("self", "is yourself", "are yourself"),
            ("admin", "is an administrator", "are administrators"),
            (
                "unknown",
                "is unknown to the gate",
                "are unknown to the gate",
            ),
            (
                "passed",
                "is not as the filter wants any more",
                "are not as the filter wants any more",
            ),
        ];
        for (flag, one, many) in flags {
            match summary.get("flags").map_or(0, |flags| count(flags, flag)) {
                0 => {}
                1 => parts.push(format!("1 {one}")),
                count => parts.push(format!("{count} {many}")),
            }
        }
        let head = if dry_run {
            "Dry run, nothing was changed: "
        } else {
            ""
        };
        let said = format!(
            "{head}{}.{}",
            parts.join(", "),
            words::sum(summary, dry_run)
        );
        if dry_run || changed == 0 {
            return said;
        }
        let batch = text(summary, "batch");
        format!("{said} Batch {batch}: portcullis bulk undo {batch} takes it back.")
    }
}

/// A line of the answer, as it came or as it was read.
enum Line<'a> {
    Raw(&'a str),
    User(&'a Value),
}

fn count(json: &Value, key: &str) -> u64 {
    json.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// What a person has to know of one user: that it was refused and why, or what
/// stands out. `None`: nothing.
fn remark(line: &Value) -> Option<String> {
    let (user, asked) = (text(line, "user"), text(line, "asked"));
    let whom = if asked.is_empty() {
        user
    } else {
        format!("{user} ({asked})")
    };
    if text(line, "outcome") == "refused" {
        return Some(format!("{whom}: refused: {}", text(line, "detail")));
    }
    let names = |key| {
        let names = words::list(line, key).iter().filter_map(Value::as_str);
        names.map(visible).collect::<Vec<_>>().join(", ")
    };
    let flags = words::list(line, "flags").iter().filter_map(Value::as_str);
    let mut said: Vec<String> = flags
        .filter_map(|flag| match flag {
            "self" => Some("this is yourself".to_owned()),
            "admin" => Some("an administrator".to_owned()),
            _ => None,
        })
        .collect();
    for (key, words) in [
        ("holds_changed_since", "left alone, changed since"),
        ("holds_over", "not placed again, its end has passed"),
    ] {
        let holds = names(key);
        if !holds.is_empty() {
            said.push(format!("{holds}: {words}"));
        }
    }
    (!said.is_empty()).then(|| format!("{whom}: {}", said.join("; ")))
}
