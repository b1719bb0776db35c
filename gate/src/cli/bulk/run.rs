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
    pub(super) tenant: Option<String>,
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
            refused => Err(Failure::Told(format!(
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
            return Err(self.broken_off(&heard, Failure::from(trouble)));
        }
        match heard.summary.take() {
            Some(summary) if summary.get("complete") == Some(&Value::Bool(true)) => Ok(summary),
            Some(summary) => {
                let line = text(&summary, "problem.detail");
                let problem = summary.get("problem").unwrap_or(&Value::Null).to_string();
                Err(self.broken_off(&heard, Failure::Refused { line, problem }))
            }
            None => {
                let why = "the answer ended without a summary".to_owned();
                Err(self.broken_off(&heard, Failure::Unknown(why)))
            }
        }
    }

    /// How far it came, and how to go on.
    fn broken_off(&self, heard: &Heard, why: Failure) -> Failure {
        if heard.batch.is_empty() {
            // It had not begun.
            return why;
        }
        let line = format!(
            "{why}; it ended after {}: repeat the command with --batch {}, and what is done already is left as it is",
            words::users(heard.users),
            heard.batch,
        );
        match why {
            Failure::Refused { problem, .. } => Failure::Refused { line, problem },
            Failure::Unreachable(_) | Failure::Unknown(_) => Failure::Unknown(line),
            Failure::Usage(_) | Failure::Failed(_) | Failure::Told(_) | Failure::Unheard => {
                Failure::Failed(line)
            }
        }
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
        let mut parts = self.done(summary, dry_run);
        parts.extend(left_and_refused(summary, dry_run));
        parts.extend(stands_out(summary));
        let head = if dry_run {
            "Dry run, nothing was changed: "
        } else {
            ""
        };
        let mut parts = parts.join(", ");
        if head.is_empty() {
            parts = words::sentence(&parts);
        }
        let said = format!("{head}{parts}.{}", words::sum(summary, dry_run));
        if dry_run || count(summary, "changed") == 0 {
            return said;
        }
        let batch = text(summary, "batch");
        let tenant = self.tenant.as_deref().map(visible);
        let tenant = tenant.map(|tenant| format!(" --tenant {tenant}"));
        let tenant = tenant.unwrap_or_default();
        format!("{said} Batch {batch}: portcullis bulk undo {batch}{tenant} takes it back.")
    }

    /// "3 users were suspended"; a hold that waits has suspended nobody.
    fn done(&self, summary: &Value, dry_run: bool) -> Vec<String> {
        let deed = match self.deed {
            Deed::Suspend => "suspended",
            Deed::Restore => "restored",
            Deed::Undo => "put back as they were",
        };
        let (changed, waiting) = (count(summary, "changed"), count(summary, "waiting"));
        let now = changed.saturating_sub(waiting);
        let mut parts = Vec::new();
        if now > 0 || waiting == 0 {
            parts.push(match (dry_run, now) {
                (true, _) => format!("{} would be {deed}", words::users(now)),
                (false, 1) => format!("1 user was {deed}"),
                (false, _) => format!("{} were {deed}", words::users(now)),
            });
        }
        let has = match dry_run {
            true => ["user would have", "users would have"],
            false => ["user has", "users have"],
        };
        parts.extend(told_of(waiting, has, " a hold that begins later"));
        parts
    }
}

/// Who was left as before, and who is out still.
fn left_and_refused(summary: &Value, dry_run: bool) -> Vec<String> {
    let flags = summary.get("flags");
    let passed = flags.map_or(0, |flags| count(flags, "passed"));
    let alone = count(summary, "left_alone");
    let counts = [
        (
            count(summary, "unchanged").saturating_sub(passed + alone),
            "so already",
        ),
        (alone, "left alone, changed since"),
        (count(summary, "refused"), "refused"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<String> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let stay = match dry_run {
        true => ["user would stay", "users would stay"],
        false => ["user stays", "users stay"],
    };
    let why = " out by holds that are left";
    parts.extend(told_of(count(summary, "stay_out"), stay, why));
    parts
}

fn stands_out(summary: &Value) -> Vec<String> {
    let flags = [
        ("self", ["is yourself", "are yourself"]),
        ("admin", ["is an administrator", "are administrators"]),
        (
            "unknown",
            ["is unknown to the gate", "are unknown to the gate"],
        ),
        (
            "passed",
            [
                "is not as the filter wants any more",
                "are not as the filter wants any more",
            ],
        ),
        ("replaced", ["has a hold replaced", "have a hold replaced"]),
    ];
    let found = summary.get("flags");
    let told = flags.into_iter().filter_map(|(flag, words)| {
        let count = found.map_or(0, |flags| count(flags, flag));
        told_of(count, words, "")
    });
    told.collect()
}

/// "1 stays out", "2 stay out"; nothing of nobody.
fn told_of(count: u64, [one, many]: [&str; 2], what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}{what}")),
        _ => Some(format!("{count} {many}{what}")),
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
            "replaced" => Some("a hold of that name is replaced".to_owned()),
            _ => None,
        })
        .collect();
    let kept = words::list(line, "holds_kept").iter();
    said.extend(kept.map(words::lifted_by));
    for (key, words) in [
        ("holds_left", "left in place"),
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
