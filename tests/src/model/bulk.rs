//! Calls about many, sent and held against the model.

use std::time::Duration;

use serde_json::Value;

use super::answer::{Difference, same};
use super::command::PEOPLE;
use super::lines::{Told, Turn, asked};
use super::many::{Listed, Many, Sent, Task, Whom};
use super::person::{Outcome, Person};
use super::run::{Keyed, Run};
use super::world::BEGINNING;

/// Names that are none, between the first of a list and the others: so many as are
/// done at a time, so that a crash may come in between.
const PADDING: usize = 255;

impl Run<'_> {
    /// The call as it is sent; where it carries a key, a new one.
    pub(super) fn written_many(&mut self, many: &Many) -> Sent {
        let label = format!("{}b", self.prefix);
        let undone = match many.task {
            Task::Undo(back) if !self.batches.is_empty() => {
                let back = back % self.batches.len();
                self.batches[self.batches.len() - 1 - back].clone()
            }
            // Nobody's.
            Task::Undo(_) | Task::Bulk(..) => format!("{label}-of-nobody"),
        };
        let batch = many.labelled.then(|| match label == undone {
            true => format!("{label}-of-its-undoing"),
            false => label,
        });
        let mut sent = many.written(
            |listed| self.called(listed),
            batch.as_deref(),
            undone,
            BEGINNING,
        );
        if many.keyed {
            sent.call.idempotency_key = Some(self.key());
            self.last = Some(Keyed::Many(sent.clone()));
        }
        sent
    }

    pub(super) async fn send_many(&mut self, sent: Sent) -> Result<(), Difference> {
        let answer = self.world.call(&sent.call).await?;
        let text = answer.text();
        if answer.status == 404 && matches!(sent.many.task, Task::Undo(_)) {
            same("the code", &answer.json()["code"], &"not_found".into())?;
            return self.found_nobody(&sent);
        }
        same(&format!("the status of {text}"), answer.status, 200)?;
        let told = Told::read(&text)?;
        told.see_summary(&sent)?;
        self.judge_many(&sent, &told, true)
    }

    /// There is no such batch, or nobody was changed by it.
    fn found_nobody(&mut self, sent: &Sent) -> Result<(), Difference> {
        for cast in &mut self.people {
            cast.judge("of whom no batch was found", |person| {
                let right = person.is_in(&sent.undone);
                same("whether the batch changed anything", false, right)
            })?;
        }
        Ok(())
    }

    /// Kills the gate while it does what it is asked for: it is held to the lines that
    /// it has sent, and of the others each was done whole or not at all.
    pub(super) async fn crash_amid_many(
        &mut self,
        many: &Many,
        after: u64,
    ) -> Result<(), Difference> {
        // So that its batch has a name that is known.
        let sent = self.written_many(&Many {
            labelled: true,
            ..many.clone()
        });
        let ask = self.world.ask(&sent.clone().with_padding(PADDING).call);
        let mut wire = self.world.wire().await;
        let asking = tokio::spawn(async move { wire.try_read(ask).await });
        tokio::time::sleep(Duration::from_micros(after)).await;
        self.world.crash();
        let read = asking.await;
        let (status, text) = read.map_err(|error| format!("the call broke off: {error}"))?;
        if status == Some(404) {
            return self.found_nobody(&sent);
        }
        self.judge_many(&sent, &Told::read(&text)?, false)
    }

    /// `whole`: the answer came to its end.
    fn judge_many(&mut self, sent: &Sent, told: &Told, whole: bool) -> Result<(), Difference> {
        let batch = self.batch(sent, told)?;
        let wish = sent.wish(BEGINNING, self.now);
        let turn = Turn {
            sent,
            wish: &wish,
            batch: &batch,
            now: self.now,
        };
        match &sent.many.task {
            Task::Bulk(Whom::List(list), _) => self.judge_list(&turn, list, told, whole),
            Task::Bulk(Whom::Filter(filter), _) => {
                let now = self.now;
                self.judge_found(&turn, told, whole, |person| filter.finds(person, now))
            }
            Task::Undo(_) => {
                self.judge_found(&turn, told, whole, |person| person.is_in(&sent.undone))
            }
        }
    }

    /// The batch that the entries carry: the caller's own, or the one that was told
    /// at the first attempt.
    fn batch(&mut self, sent: &Sent, told: &Told) -> Result<String, Difference> {
        let own = sent
            .call
            .body
            .as_ref()
            .and_then(|body| body["batch"].as_str());
        let key = sent.call.idempotency_key.as_ref();
        let known = key.and_then(|key| self.batch_of.get(key)).cloned();
        let known = own.map(str::to_owned).or(known);
        let batch = match (known, told.batch()) {
            (Some(known), Some(told)) => {
                same("the batch", told, &known)?;
                known
            }
            (Some(known), None) => known,
            (None, Some(told)) => told.to_owned(),
            (None, None) => return Err("the batch has no name".to_owned()),
        };
        if let Some(key) = key {
            self.batch_of.insert(key.clone(), batch.clone());
        }
        self.batches.retain(|other| *other != batch);
        self.batches.push(batch.clone());
        Ok(batch)
    }

    /// A line for each, in the order of the list.
    fn judge_list(
        &mut self,
        turn: &Turn<'_>,
        list: &[Listed],
        told: &Told,
        whole: bool,
    ) -> Result<(), Difference> {
        let lines = told.lines.iter().filter(|line| asked(line) != "");
        let lines: Vec<_> = lines.collect();
        let names = turn.sent.call.body.as_ref().map(|body| &body["users"]);
        let names = names.and_then(Value::as_array).into_iter().flatten();
        for (line, name) in lines.iter().zip(names) {
            same("whose turn it is", asked(line), name)?;
        }
        if whole || lines.len() > list.len() {
            same("lines", lines.len(), list.len())?;
        }
        for (at, listed) in list.iter().enumerate() {
            let cast = &mut self.people[listed.who];
            match lines.get(at) {
                Some(line) => cast.follow(&format!("told {line}"), |before| {
                    vec![turn.judge(before, line)]
                })?,
                None => cast.follow("after a crash", |before| may_have_done(turn, before))?,
            }
        }
        Ok(())
    }

    /// A line for each who is found, and no other of them.
    fn judge_found(
        &mut self,
        turn: &Turn<'_>,
        told: &Told,
        whole: bool,
        finds: impl Fn(&Person) -> bool,
    ) -> Result<(), Difference> {
        if matches!(turn.sent.many.task, Task::Undo(_)) {
            if whole {
                same("whether anybody was found", !told.lines.is_empty(), true)?;
            }
            told.see_deleted()?;
        }
        for who in 0..PEOPLE {
            let cast = &mut self.people[who];
            let lines = told.about(&cast.name);
            match *lines {
                [line] => cast.follow(&format!("told {line}"), |before| {
                    let found = same("whether to be found", true, finds(&before));
                    vec![found.and_then(|()| turn.judge(before, line))]
                })?,
                [_, line, ..] => return Err(format!("there are two lines: {line}")),
                // The deleted are found under a name that leads nowhere.
                [] if whole => cast.judge("of whom there is no line", |person| {
                    let right = finds(person) && !person.deleted;
                    same("whether to be found", false, right)
                })?,
                [] => cast.follow("after a crash", |before| {
                    if finds(&before) {
                        may_have_done(turn, before)
                    } else {
                        vec![Ok(before)]
                    }
                })?,
            }
        }
        Ok(())
    }
}

fn may_have_done(turn: &Turn<'_>, before: Person) -> Vec<Result<Person, Difference>> {
    match turn.done(&before) {
        Some((after, upshot)) if upshot.outcome == Outcome::Changed => {
            vec![Ok(before), Ok(after)]
        }
        Some(_) | None => vec![Ok(before)],
    }
}
