//! One run: what is tried is done to the gate and to the model, and after each step
//! all that can be seen from outside is held against what the model says.

use std::collections::HashMap;

use http::Method;
use serde_json::{Value, json};

use super::answer::{Difference, same, see_outcome, see_refusal};
use super::call::{Call, Dialect};
use super::cast::{Cast, with_later};
use super::command::{Change, Command, Crash, Deed, Precondition};
use super::hold::{Deed as Request, Second};
use super::person::{Outcome, Person, Refusal, Session, Wish};
use super::world::{BEGINNING, World, api_key};
use crate::client::Answer;
use crate::patience;

/// Somebody whose only use is that a change of anybody makes the gate look at the
/// clock again.
const POKED: &str = "poked";
const STALE: Refusal = Refusal {
    status: 412,
    code: "stale_revision",
    field: Some("If-Match"),
};

/// Does all of `commands`, from a beginning of its own.
///
/// # Errors
/// Where the gate differs from the model.
pub async fn run(world: &mut World, commands: &[Command]) -> Result<(), Difference> {
    let (names, prefix) = world.people();
    let mut run = Run {
        world,
        now: BEGINNING,
        people: names
            .into_iter()
            .map(|name| Cast::new(name, BEGINNING))
            .collect(),
        answers: HashMap::new(),
        last: None,
        keys: 0,
        prefix,
    };
    for (at, command) in commands.iter().enumerate() {
        let done = run.step(command).await;
        done.map_err(|difference| format!("step {at}, {command:?}: {difference}"))?;
    }
    let ended = run.end().await;
    ended.map_err(|difference| format!("at the end: {difference}"))
}

struct Run<'w> {
    world: &'w mut World,
    now: Second,
    people: Vec<Cast>,
    /// Answers that the gate gives again to a call with the same key.
    answers: HashMap<String, Answer>,
    /// The last call with a key.
    last: Option<(Change, Call)>,
    keys: usize,
    prefix: String,
}

impl Run<'_> {
    async fn step(&mut self, command: &Command) -> Result<(), Difference> {
        match command {
            Command::Change(change) => {
                let call = self.written(change);
                self.send(change, call).await?;
                self.look(change.who).await
            }
            Command::Again => {
                let Some((change, call)) = self.last.clone() else {
                    return Ok(());
                };
                self.send(&change, call).await?;
                self.look(change.who).await
            }
            Command::LogIn(who) => {
                self.log_in(*who).await?;
                self.look(*who).await
            }
            Command::Crash(Crash::Idle) => {
                self.world.crash();
                self.answers.clear();
                self.look_at_all().await
            }
            Command::Crash(Crash::Amid(change, after)) => {
                self.crash_amid(change, *after).await?;
                self.look_at_all().await
            }
            Command::Restart => {
                self.world.restart();
                self.answers.clear();
                self.look_at_all().await
            }
            Command::Step(by) => {
                self.now = self.now.saturating_add_signed(*by);
                for cast in &mut self.people {
                    cast.set_clock(self.now);
                }
                self.world.set_clock(self.now);
                self.look_at_all().await
            }
            Command::Settle => {
                self.settle().await?;
                self.look_at_all().await
            }
        }
    }

    /// The change as it is sent; where it carries a key, a new one.
    fn written(&mut self, change: &Change) -> Call {
        let cast = &self.people[change.who];
        let (method, path, body) = change.request(&cast.name, BEGINNING);
        let if_match = match change.precondition {
            Precondition::None => None,
            Precondition::Fresh => Some(cast.seen),
            Precondition::Stale => Some(cast.seen + 1_000_000),
        };
        self.keys += 1;
        let key = format!("{}{}", self.prefix, self.keys);
        let call = Call {
            method,
            path,
            body: Some(body),
            idempotency_key: change.keyed.then_some(key),
            if_match,
        };
        if change.keyed {
            self.last = Some((change.clone(), call.clone()));
        }
        call
    }

    async fn send(&mut self, change: &Change, call: Call) -> Result<(), Difference> {
        let answer = self.world.call(&call).await?;
        self.answered(change, &call, answer)
    }

    fn answered(&mut self, change: &Change, call: &Call, answer: Answer) -> Result<(), Difference> {
        let key = call.idempotency_key.clone();
        let first = key.as_ref().and_then(|key| self.answers.get(key));
        if let Some(first) = first {
            same("the repeated answer", answer.text(), first.text())?;
            let replayed = answer.header("idempotency-replayed");
            return same("idempotency-replayed", replayed, "true");
        }
        let wish = change.wish(BEGINNING, self.now);
        let asked = Asked {
            change,
            call,
            wish,
            now: self.now,
        };
        let what = format!("answered {} {}", answer.status, answer.text());
        let cast = &mut self.people[change.who];
        cast.follow(&what, |before| asked.judge(before, &answer))?;
        if let Some(key) = key.filter(|_| answer.status == 200) {
            self.answers.insert(key, answer);
        }
        Ok(())
    }

    /// Kills the gate while it does what it is asked for: if it has answered, it is
    /// held to it, and else it has done it whole or not at all.
    async fn crash_amid(&mut self, change: &Change, after: u64) -> Result<(), Difference> {
        let call = self.written(change);
        let ask = self.world.ask(&call);
        let mut wire = self.world.wire().await;
        let mut asking = tokio::spawn(async move { wire.try_send(ask).await });
        let limit = std::time::Duration::from_micros(after);
        let early = tokio::time::timeout(limit, &mut asking).await;
        self.world.crash();
        let answer = match early {
            Ok(answer) => answer,
            Err(_) => asking.await,
        };
        let answer = answer.map_err(|error| format!("the call broke off: {error}"))?;
        match answer {
            Ok(answer) => self.answered(change, &call, answer)?,
            Err(_) => self.may_have_done(change, &call)?,
        }
        self.answers.clear();
        Ok(())
    }

    fn may_have_done(&mut self, change: &Change, call: &Call) -> Result<(), Difference> {
        let asked = Asked {
            change,
            call,
            wish: change.wish(BEGINNING, self.now),
            now: self.now,
        };
        let cast = &mut self.people[change.who];
        cast.follow("after a crash", |before| {
            let (done, _) = asked.done(&before);
            vec![Ok(before), Ok(done)]
        })
    }

    async fn log_in(&mut self, who: usize) -> Result<(), Difference> {
        let cast = &mut self.people[who];
        let answer = self.world.log_in(&cast.name).await?;
        let cookie = answer
            .set_cookies()
            .iter()
            .find_map(|line| {
                line.strip_prefix("sid=")?
                    .split(';')
                    .next()
                    .map(str::to_owned)
            })
            .filter(|_| answer.status == 303);
        cast.judge("at the login", |person| {
            let right = if person.may_log_in(self.now) {
                303
            } else {
                403
            };
            same("a login", answer.status, right)?;
            person.sessions.extend(cookie.clone().map(|cookie| Session {
                cookie,
                alive: true,
            }));
            Ok(())
        })?;
        cast.cookies.extend(cookie);
        Ok(())
    }

    async fn look_at_all(&mut self) -> Result<(), Difference> {
        for who in 0..self.people.len() {
            self.look(who).await?;
        }
        Ok(())
    }

    /// Looks at one person from both sides.
    async fn look(&mut self, who: usize) -> Result<(), Difference> {
        self.show(who).await?;
        let key = api_key(&self.people[who].name);
        for (method, deed) in [(Method::GET, Request::Look), (Method::POST, Request::Act)] {
            let found = self.world.visit(method, ("x-api-key", &key)).await?;
            self.people[who].judge("with the API key", |person| {
                let right = person.answer_to_key(deed, self.now);
                if person.lags(found, self.now) {
                    return Ok(());
                }
                same(&format!("{deed:?}"), found, right)
            })?;
        }
        let cookies = self.people[who].cookies.clone();
        // The newest stands for those that began since the last revocation.
        for (age, cookie) in cookies.iter().rev().take(3).enumerate() {
            self.visit(who, cookie, Request::Look).await?;
            if age == 0 {
                self.visit(who, cookie, Request::Act).await?;
            }
        }
        Ok(())
    }

    async fn visit(&mut self, who: usize, cookie: &str, deed: Request) -> Result<(), Difference> {
        let method = match deed {
            Request::Look => Method::GET,
            Request::Act => Method::POST,
        };
        let sent = format!("sid={cookie}");
        let found = self.world.visit(method, ("cookie", &sent)).await?;
        self.people[who].judge("with a session", |person| {
            let right = person.answer_to_session(cookie, deed, self.now);
            same(&format!("{deed:?} by {cookie}"), found, right)
        })
    }

    async fn show(&mut self, who: usize) -> Result<(), Difference> {
        let cast = &mut self.people[who];
        let path = format!("/api/v1/users/{}", cast.name);
        let answer = self.world.read(path).await?;
        let shown = (answer.status == 200).then(|| answer.json());
        cast.judge("as it is shown", |person| match &shown {
            Some(shown) => person.see(shown, self.now),
            None => same("the user", (answer.status, true), (404, !person.is_known())),
        })
    }

    /// Waits until what time has brought about is on record, as it will be without
    /// anybody's asking.
    async fn settle(&mut self) -> Result<(), Difference> {
        let poke = Call {
            method: Method::DELETE,
            path: format!("/api/v1/users/{POKED}/sessions"),
            body: None,
            idempotency_key: None,
            if_match: None,
        };
        same("a poke", self.world.call(&poke).await?.status, 200)?;
        let world = &*self.world;
        for cast in &mut self.people {
            let settled = cast.settled(self.now);
            let records: Vec<&Vec<String>> = settled.iter().map(|person| &person.record).collect();
            let name = cast.name.clone();
            let what = format!("{name}'s record to be one of {records:?}");
            let record = patience::found(&what, async || {
                let record = record_of(world, &name).await;
                let waits = record
                    .as_ref()
                    .is_ok_and(|record| !records.contains(&record));
                (!waits).then_some(record)
            });
            let record = record.await?;
            cast.judge("by the audit", |person| {
                same("the record", &record, &person.record)
            })?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Difference> {
        self.settle().await?;
        self.look_at_all().await?;
        for cast in &mut self.people {
            let path = format!("/api/v1/users/{}/sessions", cast.name);
            let found = self.world.found(path).await?;
            let sessions = found["sessions"].as_array().into_iter().flatten();
            let alive = sessions.filter(|session| session["alive"] == true).count();
            cast.judge("by the sessions", |person| {
                let right = person.sessions.iter().filter(|one| one.alive).count();
                same("sessions alive", alive, right)?;
                same("sessions", &found["total"], &json!(person.sessions.len()))
            })?;
        }
        self.search("suspended").await?;
        self.search("active").await
    }

    async fn search(&mut self, status: &str) -> Result<(), Difference> {
        let (prefix, filter) = (&self.prefix, format!("status%3D%3D%22{status}%22"));
        let path = format!("/api/v1/users?q={prefix}&filter={filter}");
        let found = self.world.found(path).await?;
        let users = found["users"].as_array().into_iter().flatten();
        let ids: Vec<&str> = users.filter_map(|user| user["id"].as_str()).collect();
        for cast in &mut self.people {
            let found = ids.contains(&cast.name.as_str());
            cast.judge("by a search", |person| {
                let right = person.is_known() && person.status(self.now) == status;
                same(&format!("whether {status}"), found, right)
            })?;
        }
        Ok(())
    }
}

/// What the audit has of a person, the oldest first; refusals are of another kind.
async fn record_of(world: &World, name: &str) -> Result<Vec<String>, Difference> {
    let found = world
        .found(format!("/api/v1/audit?user={name}&limit=1000"))
        .await?;
    let entries = found["entries"].as_array().into_iter().flatten().rev();
    let told = entries
        .filter(|entry| entry["action"] != "refused")
        .map(|entry| {
            let action = entry["action"].as_str().unwrap_or_default();
            let detail = &entry["detail"];
            let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            match (&detail["hold"], detail["holds"].as_array()) {
                (_, Some(holds)) => {
                    let names: Vec<String> = holds.iter().map(words).collect();
                    format!("{action} {}", names.join(" "))
                }
                (Value::Null, None) => action.to_owned(),
                (Value::Object(hold), None) => format!("{action} {}", words(&hold["name"])),
                (name, None) => format!("{action} {}", words(name)),
            }
        });
    Ok(told.collect())
}

/// A change that was asked for, and how the answer to it is judged.
struct Asked<'a> {
    change: &'a Change,
    call: &'a Call,
    wish: Wish,
    now: Second,
}

impl Asked<'_> {
    /// The state after it, and what comes of it.
    fn done(&self, before: &Person) -> (Person, Outcome) {
        let mut after = before.clone();
        let fresh = |revision| !before.revision.unseen && before.revision.least == revision;
        if self.call.if_match.is_some_and(|revision| !fresh(revision)) {
            return (after, Outcome::Refused(STALE));
        }
        if self.was_done(before) {
            return (after, Outcome::Unchanged);
        }
        let outcome = after.grant(&self.wish, self.now);
        if self.change.is_rehearsal() {
            return (before.clone(), outcome);
        }
        if let (Outcome::Changed { .. }, Some(key)) = (&outcome, &self.call.idempotency_key) {
            after.done.push(key.clone());
        }
        (after, outcome)
    }

    fn was_done(&self, before: &Person) -> bool {
        let key = self.call.idempotency_key.as_ref();
        key.is_some_and(|key| before.done.contains(key))
    }

    fn judge(&self, before: Person, answer: &Answer) -> Vec<Result<Person, Difference>> {
        if self.was_done(&before) {
            return vec![self.judge_retry(before, answer)];
        }
        let (after, outcome) = self.done(&before);
        match outcome {
            Outcome::Refused(refusal) => vec![see_refusal(answer, refusal).map(|()| before)],
            Outcome::Changed { .. } | Outcome::Unchanged if answer.status != 200 => {
                vec![Err(format!("refused, and by the rules {outcome:?}"))]
            }
            Outcome::Changed { .. } if self.change.is_rehearsal() => {
                vec![self.judge_rehearsal(before, &outcome, answer)]
            }
            Outcome::Changed { .. } | Outcome::Unchanged => {
                let states = with_later(vec![after.clone()]).into_iter();
                let judged = states.enumerate().map(|(later, state)| {
                    let judge = Judged {
                        before: &before,
                        after: &after,
                        later: later > 0,
                    };
                    self.judge_done(&judge, state, &outcome, answer)
                });
                judged.collect()
            }
        }
    }

    /// Long after, or after a restart: it is not done twice, and the answer is how
    /// things stand.
    fn judge_retry(&self, mut before: Person, answer: &Answer) -> Result<Person, Difference> {
        if answer.status != 200 {
            return Ok(before);
        }
        match self.change.dialect() {
            Dialect::Own => before.see(&answer.json()["user"], self.now)?,
            Dialect::ReachFive => before.see_profile(&answer.json(), self.now)?,
        }
        Ok(before)
    }

    fn judge_rehearsal(
        &self,
        before: Person,
        outcome: &Outcome,
        answer: &Answer,
    ) -> Result<Person, Difference> {
        let answer = answer.json();
        let mut after = before.clone();
        after.grant(&self.wish, self.now);
        after.see_facts(&answer["user"], self.now)?;
        let how = (true, self.change.tells_holds());
        see_outcome(&answer, outcome, how, &after)?;
        see_counts(&answer["receipt"], &before, &after)?;
        see_force(&answer["receipt"], false)?;
        Ok(before)
    }

    fn judge_done(
        &self,
        judged: &Judged<'_>,
        mut state: Person,
        outcome: &Outcome,
        answer: &Answer,
    ) -> Result<Person, Difference> {
        let answer = answer.json();
        if self.change.dialect() == Dialect::ReachFive {
            state.see_profile(&answer, self.now)?;
            return Ok(state);
        }
        state.see(&answer["user"], self.now)?;
        let how = (self.change.is_rehearsal(), self.change.tells_holds());
        see_outcome(&answer, outcome, how, &state)?;
        if let Deed::Circularo { .. } = &self.change.deed {
            same("Circularo's word", &answer["status"], &json!("SUCCESS"))?;
        }
        if *outcome == Outcome::Unchanged {
            return Ok(state);
        }
        let receipt = &answer["receipt"];
        see_counts(receipt, judged.before, judged.after)?;
        see_force(receipt, !self.waits())?;
        let own = receipt["revision"].as_u64().unwrap_or(0);
        let (shown, least) = (state.revision.least, judged.after.revision.least);
        if own < least || own > shown || (own != shown && !judged.later) {
            return Err(format!(
                "the receipt's revision {own}, of {least} to {shown}"
            ));
        }
        Ok(state)
    }

    /// Whether it is about a hold that starts later.
    fn waits(&self) -> bool {
        match &self.wish {
            Wish::Suspend(asked) => asked.starts.is_some_and(|start| start > self.now),
            Wish::Restore { .. } | Wish::EndSessions => false,
        }
    }
}

/// The states around a change.
struct Judged<'a> {
    before: &'a Person,
    after: &'a Person,
    /// What is shown has more on record than the change.
    later: bool,
}

fn see_counts(receipt: &Value, before: &Person, after: &Person) -> Result<(), Difference> {
    let ended = after.ended_since(before);
    same(
        "sessions_revoked",
        &receipt["sessions_revoked"],
        &json!(ended),
    )?;
    let keys = !before.keys_are_out_on_record() && after.keys_are_out_on_record();
    let found = &receipt["api_keys_disabled"];
    same("api_keys_disabled", found, &json!(u8::from(keys)))
}

fn see_force(receipt: &Value, is_in_force: bool) -> Result<(), Difference> {
    let found = &receipt["gates"]["in_force"];
    same("gates in force", found, &json!(u8::from(is_in_force)))?;
    same(
        "in_force_at",
        receipt["in_force_at"].is_string(),
        is_in_force,
    )
}
