//! What a call about many answers: a line for each of them, and what they come to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Difference, same, see_counts, see_forecast, see_names};
use super::hold::Second;
use super::many::Sent;
use super::person::{DELETED, Outcome, Person, Upshot, Wish};

/// How those begin who are deleted.
pub const PSEUDONYM: &str = "deleted-";

/// As far as it came.
pub struct Told {
    /// The first of them, which names the batch.
    pub progress: Option<Value>,
    /// Of those who were asked for, in the gate's order.
    pub lines: Vec<Value>,
    pub summary: Option<Value>,
}

impl Told {
    /// # Errors
    /// Where a line is something else.
    pub fn read(text: &str) -> Result<Self, Difference> {
        let mut told = Self {
            progress: None,
            lines: Vec::new(),
            summary: None,
        };
        // What broke off ends in the middle of a line.
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            let mut line: Value = serde_json::from_str(line)
                .map_err(|error| format!("a line is no JSON ({error}): {line}"))?;
            if line["progress"].is_object() {
                told.progress.get_or_insert_with(|| line["progress"].take());
            } else if line["summary"].is_object() {
                told.summary = Some(line["summary"].take());
            } else {
                told.lines.push(line);
            }
        }
        Ok(told)
    }

    pub fn batch(&self) -> Option<&str> {
        self.progress.as_ref()?["batch"].as_str()
    }

    pub fn about<'a>(&'a self, name: &str) -> Vec<&'a Value> {
        let lines = self.lines.iter().filter(|line| asked(line) == name);
        lines.collect()
    }

    /// Sees that who is deleted, and has no name but a pseudonym, was left alone.
    ///
    /// # Errors
    /// Where somebody was not.
    pub fn see_deleted(&self) -> Result<(), Difference> {
        let is_pseudonym = |line: &&Value| {
            let user = line["user"].as_str();
            user.is_some_and(|user| user.starts_with(PSEUDONYM))
        };
        for line in self.lines.iter().filter(is_pseudonym) {
            same(
                "the outcome of the deleted",
                &line["outcome"],
                &json!("refused"),
            )?;
            same("its code", &line["code"], &json!(DELETED.code))?;
        }
        Ok(())
    }

    /// Sees that the summary is the sum of the lines.
    ///
    /// # Errors
    /// Where it is not.
    pub fn see_summary(&self, sent: &Sent) -> Result<(), Difference> {
        let summary = self.summary.as_ref().ok_or("there is no summary")?;
        let all = self.lines.len();
        let count = |outcome: &str| {
            let lines = self.lines.iter().filter(|line| line["outcome"] == outcome);
            lines.count()
        };
        let mut flags: BTreeMap<&str, usize> = ["self", "admin", "unknown", "repeated", "passed"]
            .into_iter()
            .map(|flag| (flag, 0))
            .collect();
        for flag in self.lines.iter().flat_map(flags_of) {
            *flags.entry(flag).or_default() += 1;
        }
        let right = json!({
            "batch": self.batch(),
            "action": sent.action(),
            "dry_run": sent.many.dry_run,
            "complete": true,
            "done": all,
            "total": all,
            "changed": count("changed"),
            "unchanged": count("unchanged"),
            "refused": count("refused"),
            "flags": flags,
        });
        let mut found = summary.clone();
        let receipt = found["receipt"].take();
        found.as_object_mut().map(|found| found.remove("receipt"));
        same("the summary", found.to_string(), right.to_string())?;
        self.see_sum(&receipt)
    }

    fn see_sum(&self, sum: &Value) -> Result<(), Difference> {
        let receipts: Vec<&Value> = self
            .lines
            .iter()
            .map(|line| &line["receipt"])
            .filter(|receipt| receipt.is_object())
            .collect();
        for what in ["sessions_revoked", "connections_cut", "api_keys_disabled"] {
            let counts = receipts.iter().filter_map(|receipt| receipt[what].as_u64());
            same(what, &sum[what], &json!(counts.sum::<u64>()))?;
        }
        let revisions = receipts.iter().filter_map(|one| one["revision"].as_u64());
        let newest = revisions.max().unwrap_or(0);
        same("the newest revision", &sum["revision"], &json!(newest))?;
        let in_force = |receipt: &&Value| receipt["in_force_at"].is_string();
        let all = !receipts.is_empty() && receipts.iter().all(in_force);
        let found = &sum["gates"]["in_force"];
        same("gates in force", found, &json!(u8::from(all)))
    }
}

/// The name that the call used.
pub fn asked(line: &Value) -> &Value {
    line.get("asked").unwrap_or(&line["user"])
}

fn flags_of(line: &Value) -> impl Iterator<Item = &str> {
    let flags = line["flags"].as_array().into_iter().flatten();
    flags.filter_map(Value::as_str)
}

/// The turn of one person in a call about many.
pub struct Turn<'a> {
    pub sent: &'a Sent,
    pub wish: &'a Wish,
    pub batch: &'a str,
    pub now: Second,
}

impl Turn<'_> {
    fn key(&self) -> Option<&String> {
        self.sent.call.idempotency_key.as_ref()
    }

    /// The state after it, and what comes of it; `None`: an earlier attempt did it.
    pub fn done(&self, before: &Person) -> Option<(Person, Upshot)> {
        if self.key().is_some_and(|key| before.has_done(key)) {
            return None;
        }
        let mut after = before.clone();
        let upshot = after.grant(self.wish, &self.sent.by(self.batch), self.now);
        if upshot.outcome != Outcome::Changed || self.sent.many.dry_run {
            return Some((before.clone(), upshot));
        }
        after.done.extend(self.key().map(|key| (key.clone(), None)));
        Some((after, upshot))
    }

    /// The state after the turn that a line tells of.
    ///
    /// # Errors
    /// Where it should tell something else.
    pub fn judge(&self, before: Person, line: &Value) -> Result<Person, Difference> {
        let found: Vec<&str> = flags_of(line).collect();
        let Some((after, upshot)) = self.done(&before) else {
            same("the flags", found, vec!["repeated"])?;
            return self.judge_repeated(before, line);
        };
        let right = if before.is_known() {
            vec![]
        } else {
            vec!["unknown"]
        };
        same("the flags", found, right)?;
        let (outcome, code) = match upshot.outcome {
            Outcome::Changed => ("changed", Value::Null),
            Outcome::Unchanged => ("unchanged", Value::Null),
            Outcome::Refused(refusal) => ("refused", json!(refusal.code)),
        };
        same("the outcome", &line["outcome"], &json!(outcome))?;
        same("the code", &line["code"], &code)?;
        see_names(line, "holds_changed_since", &upshot.changed_since)?;
        see_names(line, "holds_over", &upshot.over)?;
        let refused = matches!(upshot.outcome, Outcome::Refused(_));
        if matches!(self.wish, Wish::Restore { .. }) && !refused {
            let left = self.granted(&before).holds;
            let left: Vec<&str> = left.iter().map(|hold| hold.name).collect();
            see_names(line, "holds_left", &left)?;
        }
        let receipt = &line["receipt"];
        same(
            "a receipt",
            receipt.is_object(),
            upshot.outcome == Outcome::Changed,
        )?;
        if upshot.outcome != Outcome::Changed {
            return Ok(before);
        }
        let counted = if self.sent.many.dry_run {
            see_forecast
        } else {
            see_counts
        };
        counted(receipt, &before, &self.granted(&before))?;
        let in_force = !upshot.waits && !self.sent.many.dry_run;
        same("in_force_at", receipt["in_force_at"].is_string(), in_force)?;
        if self.sent.many.dry_run {
            return Ok(before);
        }
        self.numbered(after, receipt)
    }

    /// As it would be, where it is a rehearsal.
    fn granted(&self, before: &Person) -> Person {
        let mut after = before.clone();
        after.grant(self.wish, &self.sent.by(self.batch), self.now);
        after
    }

    /// Learns the revision of what was done.
    fn numbered(&self, mut after: Person, receipt: &Value) -> Result<Person, Difference> {
        let revision = receipt["revision"].as_u64().unwrap_or(0);
        if revision < after.revision.least {
            return Err(format!("revision {revision}, after {:?}", after.revision));
        }
        after.revision.least = revision;
        after.revision.unseen = false;
        if let Some((_, of_key)) = after.done.last_mut().filter(|_| self.key().is_some()) {
            *of_key = Some(revision);
        }
        Ok(after)
    }

    /// It is not done twice, and the receipt is that of the first time.
    fn judge_repeated(&self, before: Person, line: &Value) -> Result<Person, Difference> {
        same("the outcome", &line["outcome"], &json!("changed"))?;
        let done = before.done.iter().find(|(key, _)| Some(key) == self.key());
        if let Some(revision) = done.and_then(|(_, revision)| *revision) {
            let found = &line["receipt"]["revision"];
            same("the revision of the first time", found, &json!(revision))?;
        }
        Ok(before)
    }
}
