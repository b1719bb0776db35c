//! One run: what is tried is done to the gate and to the model, and after each step
//! all that can be seen from outside is held against what the model says.

use std::collections::HashMap;

use super::answer::{Difference, same};
use super::asked::Asked;
use super::call::Call;
use super::cast::Cast;
use super::command::{Change, Command, Crash, Precondition};
use super::hold::Second;
use super::many::{Listed, Sent};
use super::person::Session;
use super::world::{BEGINNING, World};
use crate::client::Answer;

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
        batches: Vec::new(),
        batch_of: HashMap::new(),
        prefix,
    };
    for (at, command) in commands.iter().enumerate() {
        let done = run.step(command).await;
        done.map_err(|difference| format!("step {at}, {command:?}: {difference}"))?;
    }
    let ended = run.end().await;
    ended.map_err(|difference| format!("at the end: {difference}"))
}

pub struct Run<'w> {
    pub(super) world: &'w mut World,
    pub(super) now: Second,
    pub(super) people: Vec<Cast>,
    /// Answers that the gate gives again to a call with the same key.
    answers: HashMap<String, Answer>,
    /// The last call with a key.
    pub(super) last: Option<Keyed>,
    keys: usize,
    /// The batches of calls about many, the last one at the end.
    pub(super) batches: Vec<String>,
    /// How the batch of a call with a key was called.
    pub(super) batch_of: HashMap<String, String>,
    pub(super) prefix: String,
}

#[derive(Clone)]
pub(super) enum Keyed {
    One(Change, Call),
    Many(Sent),
}

impl Run<'_> {
    async fn step(&mut self, command: &Command) -> Result<(), Difference> {
        match command {
            Command::Change(change) => {
                let call = self.written(change);
                self.send(change, call).await?;
                self.look(change.who).await
            }
            Command::Many(many) => {
                let sent = self.written_many(many);
                self.send_many(sent).await?;
                self.look_at_all().await
            }
            Command::Again(list) => match self.last.clone() {
                None => Ok(()),
                Some(Keyed::One(change, call)) => {
                    self.send(&change, call).await?;
                    self.look(change.who).await
                }
                Some(Keyed::Many(sent)) => {
                    let sent = sent.with_list(list.clone(), |listed| self.called(listed));
                    self.send_many(sent).await?;
                    self.look_at_all().await
                }
            },
            Command::LogIn(who, by_name) => {
                self.log_in(*who, *by_name).await?;
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
            Command::Crash(Crash::AmidMany(many, after)) => {
                self.crash_amid_many(many, *after).await?;
                self.answers.clear();
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
        let called = cast.called(change.by_name);
        let (method, path, body) = change.request(&called, &cast.name, BEGINNING);
        let if_match = match change.precondition {
            Precondition::None => None,
            Precondition::Fresh => Some(cast.seen),
            Precondition::Stale => Some(cast.seen + 1_000_000),
        };
        let call = Call {
            by: change.by,
            method,
            path,
            body: Some(body),
            idempotency_key: change.keyed.then(|| self.key()),
            if_match,
        };
        if change.keyed {
            self.last = Some(Keyed::One(change.clone(), call.clone()));
        }
        call
    }

    /// One that no call has used.
    pub(super) fn key(&mut self) -> String {
        self.keys += 1;
        format!("{}{}", self.prefix, self.keys)
    }

    pub(super) fn called(&self, listed: Listed) -> String {
        self.people[listed.who].called(listed.by_name)
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
        let wish = change.deed.wish(BEGINNING, self.now);
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
            wish: change.deed.wish(BEGINNING, self.now),
            now: self.now,
        };
        let cast = &mut self.people[change.who];
        cast.follow("after a crash", |before| {
            let (done, _) = asked.done(&before);
            vec![Ok(before), Ok(done)]
        })
    }

    async fn log_in(&mut self, who: usize, by_name: bool) -> Result<(), Difference> {
        let cast = &mut self.people[who];
        let called = cast.called(by_name);
        let mut answer = self.world.log_in(&called).await;
        if answer.is_err() && cast.may_be_cut() {
            cast.lost_logins += 1;
            answer = self.world.log_in(&called).await;
        }
        let answer = answer?;
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
}
