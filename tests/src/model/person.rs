//! What the gate holds about one person, and the rules that change it.

use super::caller::By;
use super::hold::{Deed, Hold, Kind, Reach, Second};
use super::undo::Step;

/// A suspension, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    pub hold: &'static str,
    pub kind: Kind,
    pub read_only: bool,
    pub reason: Option<&'static str>,
    pub ticket: Option<&'static str>,
    pub starts: Option<Second>,
    pub ends: Option<Second>,
    pub stops_keys: bool,
    pub ends_sessions: bool,
}

/// A change, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Suspend(Suspension),
    Restore {
        /// All, where it is not named.
        hold: Option<&'static str>,
        gives_keys_back: bool,
        /// Lifts all, or none where one may not be lifted.
        whole: bool,
    },
    EndSessions,
    /// Takes back what a batch did.
    Undo(String),
    Name(Option<usize>),
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Changed,
    /// Things were so already.
    Unchanged,
    Refused(Refusal),
}

/// What comes of it.
#[derive(Clone, Debug)]
pub struct Upshot {
    pub outcome: Outcome,
    pub lifted: Vec<&'static str>,
    /// A hold that was placed begins later.
    pub waits: bool,
    /// Of an undo: left alone, since they are not as the batch left them.
    pub changed_since: Vec<&'static str>,
    /// Of an undo: not placed again, since their end has passed.
    pub over: Vec<&'static str>,
}

impl From<Outcome> for Upshot {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            lifted: Vec::new(),
            waits: false,
            changed_since: Vec::new(),
            over: Vec::new(),
        }
    }
}

pub const MAY_NOT_LIFT: Refusal = Refusal {
    status: 403,
    code: "may_not_lift",
    field: Some("hold"),
};

pub const WRONG_ROLE: Refusal = Refusal {
    status: 403,
    code: "insufficient_role",
    field: None,
};
pub const DELETED: Refusal = Refusal {
    status: 410,
    code: "deleted",
    field: None,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub field: Option<&'static str>,
}

/// A session that began by a login through the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub cookie: String,
    pub alive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    /// The one besides the id, as [`other_name`](super::call::other_name) numbers them.
    pub other_name: Option<usize>,
    /// Those that it ever had.
    pub names: Vec<usize>,
    /// For good, and all but forgotten.
    pub deleted: bool,
    pub holds: Vec<Hold>,
    pub sessions: Vec<Session>,
    /// Tokens of this second and of those before it are dead.
    pub tokens_dead_until: Option<Second>,
    /// A restore did not give the API keys back.
    pub keys_withheld: bool,
    /// What the audit tells, the oldest first.
    pub record: Vec<String>,
    /// When the first and the last of it was written.
    pub written: Option<(Second, Second)>,
    pub revision: Revision,
    /// The idempotency keys of what was done, with the revision where it was told.
    pub done: Vec<(String, Option<u64>)>,
    /// What batches did, in its order.
    pub trail: Vec<Step>,
    /// Where the clock has stood since the last change, now at the end: nobody waits
    /// for what the gate puts on record by itself, so it may be a step behind.
    clock: Vec<Second>,
    /// The last of it is the gate's own, and nobody has waited for that.
    unwaited: bool,
    /// The end of a hold that stopped the API keys has been put on record, and may not
    /// have come to where requests are judged yet: nobody waited for it.
    keys_lag: bool,
}

/// Steps that the gate may be behind.
const LAG: usize = 3;

/// The gate numbers its changes as it likes, but for the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    pub least: u64,
    /// Newer than the last that was seen, and not seen yet.
    pub unseen: bool,
}

impl Person {
    pub fn new(name: String, now: Second) -> Self {
        Self {
            name,
            other_name: None,
            names: Vec::new(),
            deleted: false,
            holds: Vec::new(),
            sessions: Vec::new(),
            tokens_dead_until: None,
            keys_withheld: false,
            record: Vec::new(),
            written: None,
            revision: Revision::default(),
            done: Vec::new(),
            trail: Vec::new(),
            clock: vec![now],
            unwaited: false,
            keys_lag: false,
        }
    }

    pub fn is_unwaited(&self) -> bool {
        self.unwaited
    }

    pub fn set_clock(&mut self, now: Second) {
        self.clock.push(now);
        let passed = self.clock.len().saturating_sub(LAG + 1);
        self.clock.drain(..passed);
    }

    pub fn has_done(&self, key: &str) -> bool {
        self.done.iter().any(|(done, _)| done == key)
    }

    pub fn is_known(&self) -> bool {
        !self.record.is_empty()
    }

    /// Does what is asked.
    pub fn grant(&mut self, wish: &Wish, by: &By, now: Second) -> Upshot {
        if self.deleted {
            return Outcome::Refused(DELETED).into();
        }
        let before = self.kept(now);
        let upshot = match wish {
            Wish::Suspend(asked) => self.suspend(asked, by, now),
            Wish::Restore {
                hold,
                gives_keys_back,
                whole,
            } => match self.liftable(*hold, *whole, by) {
                Ok(lifted) => self.restore(lifted, *gives_keys_back, by, now),
                Err(refusal) => Outcome::Refused(refusal).into(),
            },
            Wish::EndSessions => {
                self.end_sessions(now);
                self.write("sessions_revoked", by, now);
                Outcome::Changed.into()
            }
            Wish::Undo(batch) => self.undo(batch, by, now),
            Wish::Name(other) => self.call(*other, by, now),
            Wish::Delete => self.delete(by, now),
        };
        if let (Outcome::Changed, Some(batch)) = (&upshot.outcome, &by.batch) {
            let (batch, after) = (batch.clone(), self.kept(now));
            self.trail.push(Step {
                batch,
                before,
                after,
            });
        }
        upshot
    }

    fn suspend(&mut self, asked: &Suspension, by: &By, now: Second) -> Upshot {
        let new = Hold {
            name: asked.hold,
            kind: asked.kind,
            read_only: asked.read_only,
            reason: asked.reason,
            ticket: asked.ticket,
            actor: by.actor,
            source: by.source,
            placed: now,
            starts: asked.starts.unwrap_or(now).max(now),
            ends: asked.ends,
            stops_keys: asked.stops_keys,
            ends_sessions: asked.ends_sessions,
            begun: false,
        };
        if new.ends.is_some_and(|end| end <= new.starts) {
            return refused(400, "invalid_field", "ends_at");
        }
        if let Some(old) = self.hold(asked.hold).filter(|old| !old.is_over(now)) {
            let weakened = old.weakened_by(&new, now).filter(|_| old.in_force(now));
            if weakened.is_none() && old.is_as_asked(&new, now) {
                return Outcome::Unchanged.into();
            }
            if !by.may_lift(asked.hold) {
                return Outcome::Refused(MAY_NOT_LIFT).into();
            }
            if let Some(field) = weakened {
                return refused(409, "would_let_in", field);
            }
        }
        self.take_away(asked.hold, now);
        let (name, waits) = (new.name, new.starts > now);
        self.holds.push(new);
        if !waits {
            self.begin(name, now);
        }
        self.write(&format!("hold_placed {name}"), by, now);
        Upshot {
            waits,
            ..Outcome::Changed.into()
        }
    }

    fn liftable(
        &self,
        name: Option<&'static str>,
        whole: bool,
        by: &By,
    ) -> Result<Vec<&'static str>, Refusal> {
        if let Some(name) = name {
            return match self.hold(name) {
                None => Err(Refusal {
                    status: 404,
                    code: "no_such_hold",
                    field: Some("hold"),
                }),
                Some(_) if !by.may_lift(name) => Err(MAY_NOT_LIFT),
                Some(_) => Ok(vec![name]),
            };
        }
        let names = self.holds.iter().map(|hold| hold.name);
        let (may, may_not): (Vec<_>, Vec<_>) = names.partition(|name| by.may_lift(name));
        if whole && !may_not.is_empty() {
            return Err(MAY_NOT_LIFT);
        }
        Ok(may)
    }

    fn restore(
        &mut self,
        lifted: Vec<&'static str>,
        gives_keys_back: bool,
        by: &By,
        now: Second,
    ) -> Upshot {
        if lifted.is_empty() && !(gives_keys_back && self.keys_withheld) {
            return Outcome::Unchanged.into();
        }
        self.keys_withheld = self.keys_are_out(now) && !gives_keys_back;
        for name in &lifted {
            self.take_away(name, now);
        }
        self.write(&format!("holds_lifted {}", lifted.join(" ")), by, now);
        Upshot {
            lifted,
            ..Outcome::Changed.into()
        }
    }

    fn call(&mut self, other: Option<usize>, by: &By, now: Second) -> Upshot {
        if self.other_name == other {
            return Outcome::Unchanged.into();
        }
        self.other_name = other;
        self.names.extend(other);
        self.write("profile_changed", by, now);
        Outcome::Changed.into()
    }

    /// What the audit told of the person is forgotten, but that it was.
    fn delete(&mut self, by: &By, now: Second) -> Upshot {
        self.deleted = true;
        self.holds.clear();
        self.other_name = None;
        self.end_sessions(now);
        self.record
            .iter_mut()
            .for_each(|told| *told = forgotten(told));
        self.write("deleted", by, now);
        self.record
            .iter_mut()
            .for_each(|told| *told = nameless(told));
        Outcome::Changed.into()
    }

    pub fn hold(&self, name: &str) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.name == name)
    }

    /// A hold that came into force unseen has done what it does when it goes.
    pub(super) fn take_away(&mut self, name: &str, now: Second) {
        if self.hold(name).is_some_and(|hold| hold.began_unseen(now)) {
            self.begin(name, now);
        }
        self.holds.retain(|hold| hold.name != name);
    }

    pub(super) fn begin(&mut self, name: &str, now: Second) {
        let mut ends_sessions = false;
        for hold in self.holds.iter_mut().filter(|hold| hold.name == name) {
            hold.begun = true;
            ends_sessions = hold.ends_sessions;
        }
        if ends_sessions {
            self.end_sessions(now);
        }
    }

    fn end_sessions(&mut self, now: Second) {
        for session in &mut self.sessions {
            session.alive = false;
        }
        self.tokens_dead_until = self.tokens_dead_until.max(Some(now));
    }

    pub(super) fn write(&mut self, what: &str, by: &By, now: Second) {
        self.clock = vec![now];
        self.unwaited = false;
        self.keys_lag = false;
        self.record.push(entry(what, by.actor, by.batch.as_deref()));
        self.written = Some((self.written.map_or(now, |(first, _)| first), now));
        self.revision = Revision {
            least: self.revision.least + 1,
            unseen: true,
        };
    }

    /// The states after the gate has put on record one thing more, now or a step ago.
    pub fn later(&self) -> Vec<Self> {
        let past = self.clock.iter().enumerate();
        let later = past.filter_map(|(at, now)| {
            let mut next = self.recorded(*now)?;
            next.clock = self.clock.get(at..)?.to_vec();
            next.unwaited = true;
            next.keys_lag = self.keys_lag || (self.keys_are_out(*now) && !next.keys_are_out(*now));
            Some(next)
        });
        later.collect()
    }

    /// The state after the gate has put on record the next thing that time brought
    /// about, if there is one: what begins goes before what ends.
    pub fn recorded(&self, now: Second) -> Option<Self> {
        let mut next = self.clone();
        if let Some(hold) = self.holds.iter().find(|hold| hold.began_unseen(now)) {
            next.begin(hold.name, now);
            next.write(&format!("hold_started {}", hold.name), &By::GATE, now);
            return Some(next);
        }
        let over = self.holds.iter().find(|hold| hold.is_over(now))?;
        next.take_away(over.name, now);
        next.write(&format!("hold_ended {}", over.name), &By::GATE, now);
        Some(next)
    }

    pub fn is_suspended(&self, now: Second) -> bool {
        self.holds.iter().any(|hold| hold.in_force(now))
    }

    /// How far the person gets.
    pub fn reach(&self, now: Second) -> Reach {
        let in_force = self.holds.iter().filter(|hold| hold.in_force(now));
        let left = in_force.map(Hold::leaves_people);
        left.min().unwrap_or(Reach::Everywhere)
    }

    pub fn reach_of_keys(&self, now: Second) -> Reach {
        if self.keys_are_out(now) {
            return Reach::Nowhere;
        }
        let in_force = self.holds.iter().filter(|hold| hold.in_force(now));
        let left = in_force.map(Hold::leaves_keys);
        left.min().unwrap_or(Reach::Everywhere)
    }

    /// By a hold, even by one that is over until that is on record; or because a
    /// restore did not give them back.
    pub fn keys_are_out(&self, now: Second) -> bool {
        let stops = |hold: &Hold| hold.stops_keys && (hold.begun || hold.in_force(now));
        self.deleted || self.keys_withheld || self.holds.iter().any(stops)
    }

    /// Whether what is on record says so; by the clock alone it may be so earlier.
    pub fn keys_are_out_on_record(&self) -> bool {
        let stops = |hold: &Hold| hold.stops_keys && hold.begun;
        self.deleted || self.keys_withheld || self.holds.iter().any(stops)
    }

    /// The strictest in force; then a permanent one, then the one that lasts longest,
    /// then the oldest.
    pub fn leading(&self, now: Second) -> Option<&Hold> {
        let in_force = self.holds.iter().filter(|hold| hold.in_force(now));
        in_force.min_by_key(|hold| {
            let lasts = hold.ends.unwrap_or(Second::MAX);
            (
                hold.read_only,
                std::cmp::Reverse((hold.kind, lasts)),
                hold.starts,
            )
        })
    }

    /// What a request with a session's cookie is answered.
    pub fn answer_to_session(&self, cookie: &str, deed: Deed, now: Second) -> u16 {
        let mut sessions = self.sessions.iter();
        let alive = sessions.any(|session| session.cookie == cookie && session.alive);
        // What a hold ends is over as the hold begins, whether or not that is on
        // record; nothing can show then that it is younger.
        let unseen = |hold: &Hold| hold.ends_sessions && hold.began_unseen(now);
        if !self.reach(now).covers(deed) {
            403
        } else if !alive || self.holds.iter().any(unseen) {
            401
        } else {
            200
        }
    }

    /// What a request with the API key is answered.
    pub fn answer_to_key(&self, deed: Deed, now: Second) -> u16 {
        if self.reach_of_keys(now).covers(deed) {
            200
        } else {
            self.answer_to_stopped_key(now)
        }
    }

    fn answer_to_stopped_key(&self, now: Second) -> u16 {
        if self.is_suspended(now) { 403 } else { 401 }
    }

    /// Whether a request with the API key may be answered so, a moment after the end
    /// of a hold.
    pub fn lags(&mut self, answer: u16, now: Second) -> bool {
        self.keys_lag &= answer == self.answer_to_stopped_key(now);
        self.keys_lag
    }

    /// Whether a login with the right password lets in.
    pub fn may_log_in(&self, now: Second) -> bool {
        !self.deleted && self.reach(now).covers(Deed::Look)
    }
}

/// What the audit tells of a change, in short.
pub fn entry(what: &str, actor: &str, batch: Option<&str>) -> String {
    let batch = batch.map_or(String::new(), |batch| format!(" in {batch}"));
    format!("{what} by {actor}{batch}")
}

/// The same under a pseudonym.
pub fn nameless(entry: &str) -> String {
    format!("{entry}, of nobody")
}

/// What is left of it when the person is deleted.
fn forgotten(entry: &str) -> String {
    match (entry.split_once(' '), entry.rsplit_once(" by ")) {
        (Some((action, _)), Some((_, by))) => format!("{action} by {by}"),
        (_, _) => entry.to_owned(),
    }
}

fn refused(status: u16, code: &'static str, field: &'static str) -> Upshot {
    let field = Some(field);
    let refusal = Refusal {
        status,
        code,
        field,
    };
    Outcome::Refused(refusal).into()
}
