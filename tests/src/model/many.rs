//! What is tried on many at once: bulk calls, and the undoing of a batch.

use http::Method;
use proptest::prelude::{Just, Strategy, any};
use proptest::{collection, option, prop_oneof, sample};
use serde_json::{Value, json};

use super::call::Call;
use super::caller::{By, Caller};
use super::command::{Deed, PEOPLE, REASONS, caller, rarely, suspension_or_restore};
use super::hold::{Kind, Second};
use super::person::{Person, Wish};

#[derive(Clone, Debug)]
pub struct Many {
    pub by: Caller,
    pub task: Task,
    pub dry_run: bool,
    /// Carries an idempotency key.
    pub keyed: bool,
    /// Gives its batch the one name that all such calls of a run share.
    pub labelled: bool,
}

#[derive(Clone, Debug)]
pub enum Task {
    Bulk(Whom, Deed),
    /// Of the batch that is so far back.
    Undo(usize),
}

#[derive(Clone, Debug)]
pub enum Whom {
    /// Somebody may stand there twice.
    List(Vec<Listed>),
    Filter(Filter),
}

#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub who: usize,
    /// Called by another name, where there is one.
    pub by_name: bool,
}

/// Whom a filter is to find; what is given must all be so.
#[derive(Clone, Debug)]
pub struct Filter {
    pub status: Option<&'static str>,
    pub kind: Option<Kind>,
    pub reason: Option<&'static str>,
}

impl Filter {
    fn text(&self) -> String {
        let conditions = [
            ("status", self.status),
            ("suspension_status", self.kind.map(Kind::word)),
            ("suspension_reason", self.reason),
        ];
        let said = conditions.into_iter().filter_map(|(field, value)| {
            let value = value?;
            Some(format!("{field}==\"{value}\""))
        });
        said.collect::<Vec<_>>().join(" and ")
    }

    /// Speaks of what is shown of somebody, and finds nobody who is not known.
    pub fn finds(&self, person: &Person, now: Second) -> bool {
        let leading = person.leading(now);
        person.is_known()
            && self.status.is_none_or(|right| person.status(now) == right)
            && self
                .kind
                .is_none_or(|right| leading.is_some_and(|hold| hold.kind == right))
            && self
                .reason
                .is_none_or(|right| leading.is_some_and(|hold| hold.reason == Some(right)))
    }
}

/// A call about many, so that it can be sent again.
#[derive(Clone, Debug)]
pub struct Sent {
    pub many: Many,
    pub call: Call,
    /// The batch that is to be undone.
    pub undone: String,
}

impl Sent {
    pub fn wish(&self, beginning: Second, now: Second) -> Wish {
        match &self.many.task {
            Task::Bulk(_, deed) => deed.wish(beginning, now),
            Task::Undo(_) => Wish::Undo(self.undone.clone()),
        }
    }

    pub fn by(&self, batch: &str) -> By {
        By {
            batch: Some(batch.to_owned()),
            ..By::caller(self.many.by, "api")
        }
    }

    pub fn action(&self) -> &'static str {
        match &self.many.task {
            Task::Bulk(_, Deed::Restore { .. }) => "restore",
            Task::Bulk(_, _) => "suspend",
            Task::Undo(_) => "undo",
        }
    }

    /// The same with another list, where there is one.
    pub fn with_list(mut self, list: Vec<Listed>, called: impl Fn(Listed) -> String) -> Self {
        if let (Task::Bulk(Whom::List(old), _), Some(body)) =
            (&mut self.many.task, &mut self.call.body)
        {
            body["users"] = list.iter().map(|listed| called(*listed)).collect();
            *old = list;
        }
        self
    }

    /// The same with so many names that are none behind the first of its list: more
    /// than are done at a time.
    pub fn with_padding(mut self, padding: usize) -> Self {
        if let Some(Value::Array(users)) = self
            .call
            .body
            .as_mut()
            .and_then(|body| body.get_mut("users"))
        {
            users.splice(1..1, (0..padding).map(|_| json!("")));
        }
        self
    }
}

impl Many {
    /// `batch`: how its batch is called; `undone`: what it is to undo.
    pub fn written(
        &self,
        called: impl Fn(Listed) -> String,
        batch: Option<&str>,
        undone: String,
        beginning: Second,
    ) -> Sent {
        let (path, mut body) = match &self.task {
            Task::Bulk(whom, deed) => {
                let mut body = deed.fields(beginning);
                match whom {
                    Whom::List(list) => {
                        body["users"] = list.iter().map(|listed| called(*listed)).collect();
                    }
                    Whom::Filter(filter) => body["filter"] = json!(filter.text()),
                }
                ("/api/v1/bulk".to_owned(), body)
            }
            Task::Undo(_) => (format!("/api/v1/bulk/{undone}/undo"), json!({})),
        };
        if let Some(batch) = batch {
            body["batch"] = json!(batch);
        }
        if self.dry_run {
            body["dry_run"] = json!(true);
        }
        let call = Call {
            by: self.by,
            method: Method::POST,
            path,
            body: Some(body),
            idempotency_key: None,
            if_match: None,
        };
        let mut sent = Sent {
            many: self.clone(),
            call,
            undone,
        };
        let action = sent.action();
        if let (Task::Bulk(..), Some(body)) = (&self.task, &mut sent.call.body) {
            body["action"] = json!(action);
        }
        sent
    }
}

pub fn many() -> impl Strategy<Value = Many> {
    (caller(), task(), rarely(), any::<bool>(), any::<bool>()).prop_map(
        |(by, task, dry_run, keyed, labelled)| Many {
            by,
            task,
            dry_run,
            keyed,
            labelled,
        },
    )
}

fn task() -> impl Strategy<Value = Task> {
    prop_oneof![
        4 => (whom(), suspension_or_restore()).prop_map(|(whom, deed)| Task::Bulk(whom, deed)),
        3 => (0..3_usize).prop_map(Task::Undo),
    ]
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![
        3 => list().prop_map(Whom::List),
        1 => filter().prop_map(Whom::Filter),
    ]
}

pub fn list() -> impl Strategy<Value = Vec<Listed>> {
    let listed = |who, by_name| Listed { who, by_name };
    let anybody = (0..PEOPLE, any::<bool>()).prop_map(move |(who, by_name)| listed(who, by_name));
    prop_oneof![
        3 => Just((0..PEOPLE).map(|who| listed(who, false)).collect()),
        2 => collection::vec(anybody, 1..4),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let none = Filter {
        status: None,
        kind: None,
        reason: None,
    };
    let kinds = sample::select(vec![Kind::Temporary, Kind::Permanent]);
    let reasons = sample::select(REASONS.to_vec());
    let some = (
        option::weighted(0.3, Just("suspended")),
        option::of(kinds),
        option::weighted(0.3, reasons),
    );
    prop_oneof![
        1 => Just(Filter { status: Some("active"), ..none.clone() }),
        1 => Just(Filter { status: Some("suspended"), ..none }),
        2 => some
            .prop_filter("something must be said", |said| {
                said.0.is_some() || said.1.is_some() || said.2.is_some()
            })
            .prop_map(|(status, kind, reason)| Filter { status, kind, reason }),
    ]
}
