//! Many users suspended or restored by one call, or a batch of such changes undone:
//! in chunks, each durable by itself, so that a single change never waits long, who
//! hangs up stops it, and a retry goes on where the first attempt ended.

mod deed;
mod source;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_core::ids::{HoldName, UserKey};
use portcullis_core::ledger::Role;
use portcullis_core::limits;
use portcullis_core::user::User;
use tokio::sync::{mpsc, watch};

use self::deed::Decided;
use super::command::{Caller, CommandError, Commander, Note, Receipt, refuse_oneself};
use super::ledger::{IdempotencyKey, ReadError};
use super::store::{Changed, Decision, Each, UserFilter};
use super::tokens::Admins;

pub use deed::Deed;
pub use source::{Source, Target};

/// The key of a user's change, for retries.
pub type Retry = Arc<dyn Fn(&UserKey) -> Option<IdempotencyKey> + Send + Sync>;

/// A bulk call.
pub struct Bulk {
    pub commander: Arc<Commander>,
    pub by: Caller,
    pub deed: Deed,
    /// Names the batch.
    pub note: Note,
    /// Whom the filter found must still be like that when the turn comes.
    pub filter: Option<UserFilter>,
    pub retry: Option<Retry>,
    pub dry_run: bool,
    pub admins: Admins,
    pub seen: Seen,
}

/// Who would have been changed already, in a dry run of a list: who is listed twice
/// is to be counted once. Hashes are enough for a count, and a long list has room.
#[derive(Debug, Default)]
pub struct Seen {
    by: RandomState,
    hashes: Mutex<HashSet<u64>>,
}

impl Seen {
    /// Whether it is the first time.
    fn add(&self, key: &UserKey) -> bool {
        let hash = self.by.hash_one(key);
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.insert(hash)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A dry run: would be.
    Changed,
    Unchanged,
    Refused,
}

/// What stands out about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// The caller itself.
    Oneself,
    /// Owner of an administrator's token.
    Admin,
    /// Never heard of before.
    Unknown,
    /// Done by an earlier attempt with the same idempotency key.
    Repeated,
    /// Not as the filter wants it any more.
    Passed,
    /// A hold of the same name stood there, and is gone.
    Replaced,
}

impl Flag {
    pub const ALL: [Self; 6] = [
        Self::Oneself,
        Self::Admin,
        Self::Unknown,
        Self::Repeated,
        Self::Passed,
        Self::Replaced,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oneself => "self",
            Self::Admin => "admin",
            Self::Unknown => "unknown",
            Self::Repeated => "repeated",
            Self::Passed => "passed",
            Self::Replaced => "replaced",
        }
    }
}

/// What came of one user.
#[derive(Debug)]
pub struct Line {
    pub asked: String,
    /// `None`: the name can't be one of a user.
    pub key: Option<UserKey>,
    pub outcome: Outcome,
    /// Why it was refused.
    pub why: Option<Why>,
    /// Of what was changed, now or by an earlier attempt.
    pub receipt: Option<Receipt>,
    pub flags: Vec<Flag>,
    /// Restoring: holds that stay, because others have to lift them, or were not meant.
    pub left: Vec<HoldName>,
    /// Those of them that the caller may not lift.
    pub kept: Vec<Kept>,
    /// Restoring: one of those that stay is in force.
    pub stays_out: bool,
    /// Suspending: the hold begins later.
    pub waits: bool,
    /// Undoing: left alone, because somebody changed them since.
    pub changed_since: Vec<HoldName>,
    /// Undoing: not placed again, because their end has passed.
    pub over: Vec<HoldName>,
}

/// A hold that the caller may not lift, and who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub name: HoldName,
    pub lifted_by: Vec<Role>,
}

/// Why a user was refused.
#[derive(Clone, Debug)]
pub enum Why {
    Command(CommandError),
    /// The name is none, as the text says.
    Name(String),
}

/// Why a bulk call ended before its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("the gate is stopping")]
    Stopping,
    #[error("it broke off, as the log tells")]
    BrokenOff,
}

/// What is told next: lines, or that all are told, or why it ended before.
pub type Telling = Result<Option<Vec<Line>>, Stopped>;

/// Users who are changed in one job of the store.
struct Lot {
    targets: Vec<Target>,
    /// Which of them are users at all: names that are none have no turn.
    turns: Vec<usize>,
    /// It is the last administrator, alone.
    last: bool,
}

impl Lot {
    fn of(targets: Vec<Target>, last: bool) -> Self {
        let all = targets.iter().enumerate();
        let turns = all.filter(|(_, target)| target.key.is_ok());
        Self {
            turns: turns.map(|(at, _)| at).collect(),
            targets,
            last,
        }
    }

    fn turn(&self, turn: usize) -> Option<(&UserKey, &Target)> {
        let target = self.targets.get(*self.turns.get(turn)?)?;
        Some((target.key.as_ref().ok()?, target))
    }

    fn turns(&self) -> impl Iterator<Item = (&UserKey, &Target)> {
        (0..self.turns.len()).filter_map(|turn| self.turn(turn))
    }
}

/// Users in one go, and what was written about them.
#[derive(Default)]
struct Chunk {
    lines: Vec<Line>,
    /// Holds that were placed begin later: not in force though durable.
    waits: Vec<bool>,
}

impl Bulk {
    /// Does it all, and hands out the lines of each chunk when they are true: the
    /// changes durable and in force; `None` when all are told. Ends early when nobody
    /// takes them any more.
    pub async fn run(
        self: Arc<Self>,
        source: Source,
        stopping: watch::Receiver<bool>,
        lines: mpsc::Sender<Telling>,
    ) {
        // The next chunk is written while the effects of this one are awaited.
        let (written, mut chunks) = mpsc::channel(1);
        let work = Arc::clone(&self).write_all(source, stopping, written);
        let writing = tokio::spawn(work);
        let mut taken = true;
        while let Some(chunk) = chunks.recv().await {
            let told = match chunk {
                Ok(Some(chunk)) => self.settle(chunk).await.map(Some).map_err(Stopped::from),
                Ok(None) => Ok(None),
                Err(stopped) => Err(stopped),
            };
            let over = told.is_err();
            let sent = tokio::time::timeout(limits::BULK_CLIENT_STALL, lines.send(told)).await;
            taken = matches!(sent, Ok(Ok(())));
            if over || !taken {
                break;
            }
        }
        // It stops at the chunk that it is at.
        drop(chunks);
        if writing.await.is_err() {
            tracing::error!("a bulk call broke off");
        }
        if !taken {
            let batch = self.note.batch.as_ref().map(tracing::field::display);
            tracing::info!(
                batch,
                "nobody takes the answer of a bulk call: it is stopped"
            );
        }
    }

    async fn write_all(
        self: Arc<Self>,
        mut source: Source,
        stopping: watch::Receiver<bool>,
        written: mpsc::Sender<Result<Option<Chunk>, Stopped>>,
    ) {
        loop {
            if *stopping.borrow() {
                let _ = written.send(Err(Stopped::Stopping)).await;
                return;
            }
            let store = Arc::clone(self.commander.store());
            let chunk = match source.next(store, limits::BULK_CHUNK_USERS).await {
                Ok(targets) if targets.is_empty() => {
                    let _ = written.send(Ok(None)).await;
                    return;
                }
                Ok(targets) => Arc::clone(&self).write(targets).await,
                Err(error) => Err(error.into()),
            };
            let over = chunk.is_err();
            let sent = written.send(chunk.map(Some).map_err(Stopped::from)).await;
            if over || sent.is_err() {
                return;
            }
        }
    }

    /// Who owns an administrator's token has a turn alone: of two who would be put
    /// out, the second must find the first gone.
    async fn write(self: Arc<Self>, targets: Vec<Target>) -> Result<Chunk, CommandError> {
        let owners = self.commander.tokens().admins(self.commander.now());
        let mut chunk = Chunk::default();
        let mut lot = Vec::with_capacity(targets.len());
        for target in targets {
            let owns = target.key.as_ref().is_ok_and(|key| owners.owns(key));
            if owns && self.deed.puts_out() {
                Arc::clone(&self)
                    .write_lot(std::mem::take(&mut lot), &mut chunk)
                    .await?;
                Arc::clone(&self).write_owner(target, &mut chunk).await?;
            } else {
                lot.push(target);
            }
        }
        self.write_lot(lot, &mut chunk).await?;
        Ok(chunk)
    }

    async fn write_lot(
        self: Arc<Self>,
        targets: Vec<Target>,
        chunk: &mut Chunk,
    ) -> Result<(), CommandError> {
        if targets.is_empty() {
            return Ok(());
        }
        let lot = Arc::new(Lot::of(targets, false));
        let changed = Arc::clone(&self).change(&lot).await?;
        self.add(chunk, &lot, changed);
        Ok(())
    }

    async fn write_owner(
        self: Arc<Self>,
        target: Target,
        chunk: &mut Chunk,
    ) -> Result<(), CommandError> {
        let tokens = self.commander.tokens();
        let one_at_a_time = tokens.administrators().await;
        let now = self.commander.now();
        let key = target.key.as_ref();
        let last = key.is_ok_and(|key| tokens.is_last_administrator(key, now));
        let lot = Arc::new(Lot::of(vec![target], last));
        let changed = Arc::clone(&self).change(&lot).await?;
        // In force before the next administrator's turn.
        for one in &changed {
            if let Ok(Some(written)) = &one.written {
                let effect = self.commander.effects().of(written.seq).await;
                effect.ok_or(CommandError::NotInForce)?;
            }
        }
        drop(one_at_a_time);
        self.add(chunk, &lot, changed);
        Ok(())
    }

    async fn change(
        self: Arc<Self>,
        lot: &Arc<Lot>,
    ) -> Result<Vec<Changed<Decided>>, CommandError> {
        if self.dry_run {
            return Ok(self.rehearse(lot).await?);
        }
        let each = lot.turns().map(|(key, _)| Each {
            key: key.clone(),
            idempotency: self.retry.as_ref().and_then(|retry| retry(key)),
        });
        let each: Vec<Each> = each.collect();
        let store = Arc::clone(self.commander.store());
        let lot = Arc::clone(lot);
        let decide = move |turn: usize, user: &User| self.decide(&lot, turn, user);
        Ok(store.change_each(each, decide).await?)
    }

    fn decide(&self, lot: &Lot, turn: usize, user: &User) -> Decision<Decided> {
        let Some((key, target)) = lot.turn(turn) else {
            return Decision {
                draft: None,
                tag: Decided::default(),
            };
        };
        let now = self.commander.now();
        if let Some(filter) = &self.filter
            && !filter.fits(user, now)
        {
            let tag = Decided {
                passed: true,
                ..Decided::default()
            };
            return Decision { draft: None, tag };
        }
        let (event, tag) = self.plan(key, user, target, lot.last, now);
        let draft = event.map(|event| self.commander.draft(&self.by, key, &self.note, event));
        Decision { draft, tag }
    }

    /// What would come of it.
    async fn rehearse(&self, lot: &Lot) -> Result<Vec<Changed<Decided>>, ReadError> {
        let keys: Arc<[UserKey]> = lot.turns().map(|(key, _)| key.clone()).collect();
        let (store, wanted) = (Arc::clone(self.commander.store()), Arc::clone(&keys));
        let users = tokio::task::spawn_blocking(move || store.users_of(&wanted)).await;
        let users = users.map_err(|_| ReadError::Closed)??;
        let each = keys.iter().zip(users).enumerate();
        let rehearsed = each.map(|(turn, (key, user))| {
            let user = user.unwrap_or_default();
            let Decision { draft, mut tag } = self.decide(lot, turn, &user);
            tag.forecast = draft.map(|draft| self.commander.forecast(key, &user, draft));
            Changed {
                before: user.revision,
                tag: Some(tag),
                written: Ok(None),
            }
        });
        Ok(rehearsed.collect())
    }

    fn add(&self, chunk: &mut Chunk, lot: &Lot, changed: Vec<Changed<Decided>>) {
        let mut changed = changed.into_iter();
        for target in &lot.targets {
            let mut line = Line {
                asked: target.asked.clone(),
                key: target.key.clone().ok(),
                outcome: Outcome::Refused,
                why: None,
                receipt: None,
                flags: Vec::new(),
                left: Vec::new(),
                kept: Vec::new(),
                stays_out: false,
                waits: false,
                changed_since: Vec::new(),
                over: Vec::new(),
            };
            let waits = match &target.key {
                Err(what) => {
                    line.why = Some(Why::Name(what.clone()));
                    false
                }
                Ok(key) => changed
                    .next()
                    .is_some_and(|changed| self.tell(&mut line, key, changed)),
            };
            chunk.lines.push(line);
            chunk.waits.push(waits);
        }
    }

    /// Fills in what came of a user; whether what was placed begins later.
    fn tell(&self, line: &mut Line, key: &UserKey, changed: Changed<Decided>) -> bool {
        if refuse_oneself(&self.by, key).is_err() {
            line.flags.push(Flag::Oneself);
        }
        if self.admins.has(key) {
            line.flags.push(Flag::Admin);
        }
        if changed.before.0 == 0 {
            line.flags.push(Flag::Unknown);
        }
        let tag = changed.tag.unwrap_or_default();
        (line.changed_since, line.over) = (tag.changed_since, tag.over);
        (line.left, line.kept, line.stays_out) = (tag.left, tag.kept, tag.stays_out);
        if tag.passed {
            line.flags.push(Flag::Passed);
        }
        let mut waits = false;
        line.outcome = match (tag.refused, changed.written) {
            (Some(error), _) => {
                line.why = Some(Why::Command(error));
                Outcome::Refused
            }
            (None, Err(error)) => {
                line.why = Some(Why::Command(error.into()));
                Outcome::Refused
            }
            (None, Ok(Some(written))) => {
                if written.repeated {
                    line.flags.push(Flag::Repeated);
                }
                waits = written.waits;
                line.receipt = Some(Receipt {
                    revision: written.seq,
                    ..Receipt::default()
                });
                Outcome::Changed
            }
            (None, Ok(None)) if tag.forecast.is_some() && self.seen.add(key) => {
                line.receipt = tag.forecast;
                Outcome::Changed
            }
            (None, Ok(None)) => Outcome::Unchanged,
        };
        if tag.replaces && line.outcome == Outcome::Changed {
            line.flags.push(Flag::Replaced);
        }
        line.waits = line.outcome == Outcome::Changed && (waits || tag.waits);
        waits
    }

    /// Waits until the changes are in force, and says what they brought about.
    async fn settle(&self, chunk: Chunk) -> Result<Vec<Line>, CommandError> {
        let Chunk { mut lines, waits } = chunk;
        for (line, waits) in lines.iter_mut().zip(waits) {
            let Some(receipt) = line.receipt.as_mut().filter(|_| !self.dry_run) else {
                continue;
            };
            let effect = self.commander.effects().of(receipt.revision).await;
            *receipt = Receipt::of(&effect.ok_or(CommandError::NotInForce)?);
            if waits {
                receipt.gates_in_force = 0;
                receipt.in_force_at = None;
            }
        }
        Ok(lines)
    }
}

/// Receipts of many changes as one.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    receipt: Receipt,
    waits: bool,
}

impl Sum {
    pub fn add(&mut self, other: &Receipt) {
        let sum = &mut self.receipt;
        sum.revision = sum.revision.max(other.revision);
        sum.sessions_revoked += other.sessions_revoked;
        sum.connections_cut += other.connections_cut;
        sum.api_keys_disabled += other.api_keys_disabled;
        sum.notifications_queued += other.notifications_queued;
        sum.gates_total = 1;
        sum.in_force_at = sum.in_force_at.max(other.in_force_at);
        // In force as a whole once all of it is.
        self.waits |= other.in_force_at.is_none();
        sum.gates_in_force = u64::from(!self.waits);
    }

    pub fn receipt(&self) -> Receipt {
        let mut receipt = self.receipt.clone();
        receipt.gates_total = 1;
        if self.waits {
            receipt.in_force_at = None;
        }
        receipt
    }
}
