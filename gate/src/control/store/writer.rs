//! The one thread that writes. It takes what is waiting, runs it in one
//! transaction, and answers only when that is on disk: a hundred writers share
//! one flush instead of waiting for a hundred.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_core::ids::Revision;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::append::Refused;
use super::columns::Number;
use super::fault::{Fault, describe};
use super::folder::OpenError;
use super::schema;
use super::vault::Vault;
use crate::control::ledger::AppendError;

/// Jobs that wait at most; beyond it, callers wait in line.
const QUEUE_JOBS: usize = 1024;
/// Jobs in one transaction; bounds how long the first of them waits for the last.
const GROUP_JOBS: usize = 256;

/// What a job writes, and what becomes of the others should it fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// One entry with its fold. Whatever is refused is refused before anything is
    /// written, so that no savepoint has to remember what it overwrites: that costs a
    /// tenth of the whole change. Should the store fail halfway, nothing of the group
    /// is kept.
    Entry,
    /// Several things that are written together or not at all.
    Several,
    /// Hundreds of entries. It has a transaction to itself, so that nobody's entry
    /// waits for it.
    Lot,
}

impl Size {
    fn shares(self) -> bool {
        self != Self::Lot
    }
}
/// A flush that takes longer is not waited for in proportion.
const FLUSH_WAITED_FOR: Duration = Duration::from_millis(10);
/// How long a caller waits before it is told that it cannot be known.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something to write, with someone who waits for the outcome.
trait Job: Send {
    fn size(&self) -> Size;
    /// Whether what the job wrote is to be kept.
    fn run(&mut self, tx: &Connection) -> Result<(), RunError>;
    /// Called once, when the outcome of the whole group is certain.
    fn answer(self: Box<Self>, group: Result<(), AppendError>, path: &Path);
}

/// How a job ended that is to leave no trace.
enum RunError {
    /// By itself; the others go on.
    Alone,
    /// With SQLite's transaction: the whole group is undone.
    Group(rusqlite::Error),
}

struct Work<T, F> {
    size: Size,
    job: Option<F>,
    outcome: Option<Result<T, Refused>>,
    caller: oneshot::Sender<Result<T, AppendError>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Refused> + Send,
{
    fn size(&self) -> Size {
        self.size
    }

    fn run(&mut self, tx: &Connection) -> Result<(), RunError> {
        let Some(job) = self.job.take() else {
            return Ok(());
        };
        match job(tx) {
            Ok(value) => {
                self.outcome = Some(Ok(value));
                Ok(())
            }
            // Some failures end SQLite's transaction under our feet.
            Err(Refused::Fault(Fault::Sql(error))) if tx.is_autocommit() => {
                Err(RunError::Group(error))
            }
            Err(refused) => {
                self.outcome = Some(Err(refused));
                Err(RunError::Alone)
            }
        }
    }

    fn answer(self: Box<Self>, group: Result<(), AppendError>, path: &Path) {
        // A refusal may rest on what the group wrote, so it falls with the group.
        let answer = match (group, self.outcome) {
            (Err(AppendError::Unavailable(_)), Some(Err(Refused::Fault(fault)))) => {
                Err(AppendError::Unavailable(fault.describe(path)))
            }
            (Err(error), _) => Err(error),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), Some(Err(Refused::Append(error)))) => Err(error),
            (Ok(()), Some(Err(Refused::Fault(fault)))) => {
                Err(AppendError::Unavailable(fault.describe(path)))
            }
            (Ok(()), None) => Err(AppendError::Unknown),
        };
        // The caller may have gone; what was written stays written.
        let _gone = self.caller.send(answer);
    }
}

/// The queue to the thread. Dropping it waits until the queue is worked off.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    head: watch::Receiver<Revision>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        vault: Arc<Vault>,
        path: PathBuf,
        head: Revision,
    ) -> Result<Self, OpenError> {
        let (queue, jobs) = mpsc::channel(QUEUE_JOBS);
        let (publish, watch) = watch::channel(head);
        let denied_path = path.clone();
        let desk = Desk {
            connection,
            vault,
            path,
            head: publish,
            settled: true,
            group: 0,
            flush: Duration::ZERO,
        };
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || desk.work(jobs))
            .map_err(|cause: io::Error| OpenError::Denied {
                path: denied_path,
                cause,
            })?;
        Ok(Self {
            queue: Some(queue),
            head: watch,
            thread: Some(thread),
        })
    }

    pub(super) const fn head(&self) -> &watch::Receiver<Revision> {
        &self.head
    }

    pub(super) async fn run<T, F>(&self, size: Size, job: F) -> Result<T, AppendError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Refused> + Send + 'static,
    {
        let stopped =
            || AppendError::Unavailable("the store is closed; start the gate again".into());
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let place = match tokio::time::timeout(PATIENCE, queue.reserve()).await {
            Ok(place) => place.map_err(|_closed| stopped())?,
            Err(_elapsed) => {
                let told = "the store is behind with writing; look at the disk, and try again";
                return Err(AppendError::Unavailable(told.into()));
            }
        };
        let (caller, answer) = oneshot::channel();
        place.send(Box::new(Work {
            size,
            job: Some(job),
            outcome: None,
            caller,
        }));
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(AppendError::Unknown),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's thread ended badly; what it had answered is on disk");
        }
    }
}

/// The thread's own.
struct Desk {
    connection: Connection,
    vault: Arc<Vault>,
    path: PathBuf,
    head: watch::Sender<Revision>,
    /// False after a commit failed in a way that may have left it on disk.
    settled: bool,
    /// How many were waiting the last time.
    group: usize,
    /// How long the last commit took.
    flush: Duration,
}

/// How a group failed.
struct GroupError {
    error: rusqlite::Error,
    committing: bool,
}

impl Desk {
    fn work(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut waiting: Vec<Box<dyn Job>> = Vec::with_capacity(GROUP_JOBS);
        while jobs.blocking_recv_many(&mut waiting, GROUP_JOBS) > 0 {
            self.gather(&mut jobs, &mut waiting);
            // Lots last. Each caller waits for an answer before it asks again, so that
            // nothing is put before what it rests on.
            waiting.sort_by_key(|job| !job.size().shares());
            while !waiting.is_empty() {
                let sharing = waiting.iter().filter(|job| job.size().shares());
                let group = sharing.count().max(1);
                let mut group: Vec<_> = waiting.drain(..group).collect();
                let outcome = self.write(&mut group);
                for job in group {
                    job.answer(outcome.clone(), &self.path);
                }
                self.scrub();
            }
        }
    }

    /// Where the last group was larger, its callers may be about to ask again: a part of
    /// what a flush takes is well spent on waiting for them, or the first of them takes
    /// a flush to itself and the others wait for the next.
    #[expect(
        clippy::disallowed_methods,
        reason = "this thread serves nobody else, and the channel has no wait with an end"
    )]
    fn gather(&mut self, jobs: &mut mpsc::Receiver<Box<dyn Job>>, waiting: &mut Vec<Box<dyn Job>>) {
        let entries = waiting.iter().all(|job| job.size().shares());
        let patience = self.flush / 2;
        let began = Instant::now();
        while entries && waiting.len() < self.group && began.elapsed() < patience {
            std::thread::sleep(patience / 8);
            let room = GROUP_JOBS.saturating_sub(waiting.len());
            waiting.extend(std::iter::from_fn(|| jobs.try_recv().ok()).take(room));
        }
        self.group = waiting.len();
    }

    /// Behind the answers: nobody waits for it, and who deletes sees to it that it is
    /// tried again.
    fn scrub(&self) {
        if !self.vault.is_scrub_due() {
            return;
        }
        match schema::scrub(&self.connection) {
            Ok(true) => self.vault.scrubbed(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be emptied"),
        }
    }

    fn write(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), AppendError> {
        self.settle().map_err(|error| self.unavailable(&error))?;
        match self.transact(group) {
            Ok(head) => {
                // Readers of the head must find the entries: only after the commit.
                self.vault.newest.commit(head);
                self.head
                    .send_if_modified(|known| std::mem::replace(known, head) != head);
                Ok(())
            }
            Err(failed) => {
                self.vault.newest.roll_back();
                Err(self.undo(&failed))
            }
        }
    }

    fn transact(&mut self, group: &mut [Box<dyn Job>]) -> Result<Revision, GroupError> {
        let working = |error| GroupError {
            error,
            committing: false,
        };
        let tx = &self.connection;
        say(tx, "BEGIN IMMEDIATE").map_err(working)?;
        if let [only] = group {
            match only.run(tx) {
                Ok(()) => {}
                Err(RunError::Alone) => {
                    say(tx, "ROLLBACK").map_err(working)?;
                    self.vault.newest.roll_back();
                    return Ok(*self.head.borrow());
                }
                Err(RunError::Group(error)) => return Err(working(error)),
            }
        } else {
            self.run_apart(group)?;
        }
        let head = advance(tx).map_err(working)?;
        let began = Instant::now();
        say(tx, "COMMIT").map_err(|error| GroupError {
            error,
            committing: true,
        })?;
        self.flush = began.elapsed().min(FLUSH_WAITED_FOR);
        Ok(head)
    }

    /// Each leaves its own traces, or none.
    fn run_apart(&self, group: &mut [Box<dyn Job>]) -> Result<(), GroupError> {
        let working = |error| GroupError {
            error,
            committing: false,
        };
        let tx = &self.connection;
        for job in group {
            let savepoint = job.size() == Size::Several;
            if savepoint {
                say(tx, "SAVEPOINT job").map_err(working)?;
            }
            let written = tx.total_changes();
            match job.run(tx) {
                Ok(()) => {}
                Err(RunError::Alone) if savepoint => {
                    say(tx, "ROLLBACK TO job").map_err(working)?;
                }
                Err(RunError::Alone) if tx.total_changes() == written => {}
                Err(RunError::Alone) => return Err(working(halfway())),
                Err(RunError::Group(error)) => return Err(working(error)),
            }
            if savepoint {
                say(tx, "RELEASE job").map_err(working)?;
            }
        }
        Ok(())
    }

    /// Undoes a group that failed, and finds out what can be said about it.
    fn undo(&mut self, failed: &GroupError) -> AppendError {
        tracing::error!(error = %failed.error, committing = failed.committing, "ledger write failed");
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "ledger roll-back failed");
        }
        // With a full disk no commit was begun. After any other failed commit, its
        // frames may be in the log without having been flushed: a crash now could
        // bring them back. Writing over them makes "not written" certain.
        if failed.committing && failed.error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
            self.settled = false;
            if self.settle().is_err() {
                return AppendError::Unknown;
            }
        }
        self.unavailable(&failed.error)
    }

    /// Commits something that means nothing over what a failed commit left behind.
    fn settle(&mut self) -> rusqlite::Result<()> {
        if !self.settled {
            let sql = "UPDATE meta SET value = value + 1 WHERE name = 'settled'";
            self.connection.execute(sql, [])?;
            self.settled = true;
        }
        Ok(())
    }

    fn unavailable(&self, error: &rusqlite::Error) -> AppendError {
        AppendError::Unavailable(describe(error, &self.path))
    }
}

/// What the others of a group are told.
fn halfway() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
        Some("another change failed while it was written".into()),
    )
}

/// A statement without values or rows, kept for the next time.
fn say(tx: &Connection, sql: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(sql)?.execute([]).map(drop)
}

/// Takes the cursor to the newest entry: all up to it are folded by now.
fn advance(tx: &Connection) -> rusqlite::Result<Revision> {
    let head: Number = tx
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))?;
    tx.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'cursor' AND value <> ?1")?
        .execute([head])?;
    Ok(Revision(head.0))
}
