//! What a bulk call answers: a line a user, how far it is, and what it came to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use portcullis_core::ids::{BatchId, HoldName};
use portcullis_core::limits;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;

use super::super::problem::{self, Problem};
use super::super::times;
use super::super::view::{KeptHold, ReceiptView};
use crate::control::bulk::{Flag, Line, Outcome, Stopped, Sum, Telling, Why};
use crate::control::command::Receipt;

/// One line of the answer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "each is written as it comes; together they are the description"
)]
pub(in super::super) enum AnswerLine<'a> {
    Progress(ProgressLine<'a>),
    User(LineView<'a>),
    Summary(SummaryLine<'a>),
}

/// What came of one user.
#[derive(Debug, Serialize, JsonSchema)]
pub(in super::super) struct LineView<'a> {
    user: &'a str,
    /// The name in the call, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<LineReceipt>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
    /// Of a restore: holds that stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holds_left: Vec<&'a str>,
    /// Those of them that the caller may not lift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holds_kept: Vec<KeptHold>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holds_changed_since: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holds_over: Vec<&'a str>,
}

/// The part of a receipt that differs from user to user.
#[derive(Debug, Serialize, JsonSchema)]
struct LineReceipt {
    revision: u64,
    sessions_revoked: u64,
    connections_cut: u64,
    api_keys_disabled: u64,
    in_force_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in super::super) struct ProgressLine<'a> {
    progress: Progress<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Progress<'a> {
    batch: &'a str,
    done: u64,
    /// `null` where it is not known beforehand.
    total: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in super::super) struct SummaryLine<'a> {
    summary: Summary<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Summary<'a> {
    batch: &'a str,
    action: &'static str,
    dry_run: bool,
    /// Whether every user had a turn.
    complete: bool,
    done: u64,
    total: Option<u64>,
    changed: u64,
    unchanged: u64,
    refused: u64,
    /// Of a suspension: users whose hold begins later.
    waiting: u64,
    /// Of a restore: users whom a hold that stays keeps out.
    stay_out: u64,
    /// Of an undo: users left as they are, because somebody changed them since.
    left_alone: u64,
    flags: Flags,
    receipt: ReceiptView,
    /// Why it ended before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<problem::Body<'a>>,
}

/// How many users have each flag.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Flags {
    #[serde(rename = "self")]
    oneself: u64,
    admin: u64,
    unknown: u64,
    repeated: u64,
    passed: u64,
    replaced: u64,
}

/// What has been told so far.
pub(super) struct Tally {
    action: &'static str,
    batch: BatchId,
    total: Option<u64>,
    dry_run: bool,
    /// Changed, unchanged, refused.
    outcomes: [u64; 3],
    waiting: u64,
    stay_out: u64,
    left_alone: u64,
    flags: Flags,
    sum: Sum,
    told: Instant,
}

impl Tally {
    pub(super) fn new(
        action: &'static str,
        batch: BatchId,
        total: Option<u64>,
        dry_run: bool,
    ) -> Self {
        Self {
            action,
            batch,
            total,
            dry_run,
            outcomes: [0; 3],
            waiting: 0,
            stay_out: 0,
            left_alone: 0,
            flags: Flags::default(),
            sum: Sum::default(),
            told: Instant::now(),
        }
    }

    fn done(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// The lines of a chunk, and how far that is if it was not told for a while.
    fn tell(&mut self, lines: &[Line]) -> Bytes {
        let mut text = Vec::with_capacity(lines.len() * 160);
        for line in lines {
            let outcome = match line.outcome {
                Outcome::Changed => 0,
                Outcome::Unchanged => 1,
                Outcome::Refused => 2,
            };
            if let Some(count) = self.outcomes.get_mut(outcome) {
                *count += 1;
            }
            self.waiting += u64::from(line.waits);
            self.stay_out += u64::from(line.stays_out);
            let unchanged = line.outcome == Outcome::Unchanged;
            self.left_alone += u64::from(unchanged && !line.changed_since.is_empty());
            line.flags.iter().for_each(|flag| self.flags.count(*flag));
            if let Some(receipt) = &line.receipt {
                self.sum.add(receipt);
            }
            write(&mut text, &view(line));
        }
        if self.told.elapsed() >= limits::BULK_PROGRESS_EVERY {
            self.told = Instant::now();
            self.progress(&mut text);
        }
        text.into()
    }

    fn progress(&self, text: &mut Vec<u8>) {
        let progress = Progress {
            batch: self.batch.as_str(),
            done: self.done(),
            total: self.total,
        };
        write(text, &ProgressLine { progress });
    }

    fn summary(self, stopped: Option<Stopped>) -> Bytes {
        let mut text = Vec::new();
        let problem = stopped.map(|stopped| match stopped {
            Stopped::Command(error) => Problem::from(error),
            Stopped::Stopping | Stopped::BrokenOff => {
                Problem::unavailable("broken_off", stopped.to_string())
                    .mend("repeat the call with the same Idempotency-Key to go on")
            }
        });
        let done = self.done();
        let [changed, unchanged, refused] = self.outcomes;
        let summary = Summary {
            batch: self.batch.as_str(),
            action: self.action,
            dry_run: self.dry_run,
            complete: problem.is_none(),
            done,
            total: self.total.or_else(|| problem.is_none().then_some(done)),
            changed,
            unchanged,
            refused,
            waiting: self.waiting,
            stay_out: self.stay_out,
            left_alone: self.left_alone,
            flags: self.flags,
            receipt: ReceiptView::of(&self.sum.receipt()),
            problem: problem.as_ref().map(Problem::body),
        };
        write(&mut text, &SummaryLine { summary });
        text.into()
    }
}

impl Flags {
    fn count(&mut self, flag: Flag) {
        let count = match flag {
            Flag::Oneself => &mut self.oneself,
            Flag::Admin => &mut self.admin,
            Flag::Unknown => &mut self.unknown,
            Flag::Repeated => &mut self.repeated,
            Flag::Passed => &mut self.passed,
            Flag::Replaced => &mut self.replaced,
        };
        *count += 1;
    }
}

fn view(line: &Line) -> LineView<'_> {
    let user = line
        .key
        .as_ref()
        .map_or(line.asked.as_str(), |key| key.user());
    let problem = line.why.as_ref().map(|why| match why {
        Why::Command(error) => Problem::from(error.clone()),
        Why::Name(what) => Problem::field("users", what.clone()),
    });
    LineView {
        user,
        asked: (user != line.asked).then_some(line.asked.as_str()),
        outcome: match line.outcome {
            Outcome::Changed => "changed",
            Outcome::Unchanged => "unchanged",
            Outcome::Refused => "refused",
        },
        code: problem.as_ref().map(Problem::code),
        detail: problem.as_ref().map(Problem::detail),
        receipt: line.receipt.as_ref().map(LineReceipt::of),
        flags: line.flags.iter().map(|flag| flag.as_str()).collect(),
        holds_left: names(&line.left),
        holds_kept: line
            .kept
            .iter()
            .map(|kept| KeptHold::of(&kept.name, &kept.lifted_by))
            .collect(),
        holds_changed_since: names(&line.changed_since),
        holds_over: names(&line.over),
    }
}

fn names(holds: &[HoldName]) -> Vec<&str> {
    holds.iter().map(HoldName::as_str).collect()
}

impl LineReceipt {
    fn of(receipt: &Receipt) -> Self {
        Self {
            revision: receipt.revision.0,
            sessions_revoked: receipt.sessions_revoked,
            connections_cut: receipt.connections_cut,
            api_keys_disabled: receipt.api_keys_disabled,
            in_force_at: receipt.in_force_at.map(times::text),
        }
    }
}

fn write(text: &mut Vec<u8>, line: &impl Serialize) {
    let before = text.len();
    if serde_json::to_writer(&mut *text, line).is_ok() {
        text.push(b'\n');
    } else {
        text.truncate(before);
    }
}

/// What the stream of lines is made from.
struct Answer {
    /// `None` once the summary is told.
    tally: Option<Tally>,
    chunks: mpsc::Receiver<Telling>,
    ready: VecDeque<Bytes>,
}

pub(super) fn response(tally: Tally, chunks: mpsc::Receiver<Telling>) -> Response {
    // The batch's id at once: whoever is cut off can still ask for it, or undo it.
    let mut first = Vec::new();
    tally.progress(&mut first);
    let answer = Answer {
        tally: Some(tally),
        chunks,
        ready: VecDeque::from([first.into()]),
    };
    let lines = stream::unfold(answer, |mut answer| async move {
        let next = answer.next().await?;
        Some((Ok::<Bytes, Infallible>(next), answer))
    });
    let mut response = Body::from_stream(lines).into_response();
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl Answer {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        let tally = self.tally.as_mut()?;
        let stopped = match self.chunks.recv().await {
            Some(Ok(Some(lines))) => return Some(tally.tell(&lines)),
            Some(Ok(None)) => None,
            Some(Err(stopped)) => Some(stopped),
            None => Some(Stopped::BrokenOff),
        };
        Some(self.tally.take()?.summary(stopped))
    }
}
