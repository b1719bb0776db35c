//! What a durable suspension costs beside a bare committed write to the same disk,
//! and what many at a time gain: `cargo run --release --example change_speed -p portcullis`.
//!
//! A suspension is planned, appended, folded, committed, applied to what requests are
//! judged by, and read back for its receipt. The bare write is one row of the size of
//! an entry, committed to a file beside the store with the same settings. The two take
//! turns, so that what else the disk does falls on both.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use portcullis::control::apply::Applier;
use portcullis::control::command::{Caller, Commander, Note, Suspend, Terms};
use portcullis::control::store::SqliteStore;
use portcullis::control::tokens::Tokens;
use portcullis::live;
use portcullis::live::sessions::{Bounds, Change, LearnError, SessionStore};
use portcullis::live::tenants::Tenants;
use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::mpsc;

const TURNS: usize = 1_000;
const WRITERS: usize = 16;
const EACH: usize = 250;
/// About as long as the entry of a suspension.
const ROW_BYTES: usize = 450;

struct Kept;

impl SessionStore for Kept {
    fn keep(&self, _: Vec<Change>) -> BoxFuture<'static, Result<(), LearnError>> {
        Box::pin(async { Ok(()) })
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_millis() as u64))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(folder.path())?);
    let bounds = Bounds {
        all: 1_000,
        per_user: 10,
    };
    let tenants = Tenants::default();
    let (live, writer) = live::open(tenants, Arc::new(Kept), bounds, &[0; 32], Box::new(|_| ()));
    let (scheduled, mut taken) = mpsc::unbounded_channel();
    tokio::spawn(async move { while taken.recv().await.is_some() {} });
    let effects = Applier::load(Arc::clone(&store), writer, now, scheduled)?.start();
    let tokens = Arc::new(Tokens::load(Arc::clone(&store))?);
    let commander = Arc::new(Commander::new(store, effects, tokens, live, now));
    let bare = bare(folder.path())?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let began = Instant::now();
        write_row(&bare, turn)?;
        theirs.push(began.elapsed());
        let began = Instant::now();
        suspend(&commander, format!("one{turn}")).await?;
        ours.push(began.elapsed());
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let mut out = std::io::stdout();
    writeln!(
        out,
        "a suspension {:.0} µs, a bare committed write {:.0} µs: {:.2} to 1 (medians of {TURNS})",
        micros(ours),
        micros(theirs),
        ours.as_secs_f64() / theirs.as_secs_f64(),
    )?;

    let one = rate(&commander, 1, EACH * 2).await?;
    let many = rate(&commander, WRITERS, EACH).await?;
    writeln!(
        out,
        "{one:.0} suspensions a second by one writer, {many:.0} by {WRITERS}: {:.1} to 1",
        many / one
    )?;
    Ok(())
}

/// The settings of the store's own connection.
fn bare(folder: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(folder.join("bare.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE bare (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;",
    )?;
    Ok(connection)
}

fn write_row(connection: &Connection, turn: usize) -> rusqlite::Result<()> {
    let body = format!("{turn:0>ROW_BYTES$}");
    connection
        .prepare_cached("INSERT INTO bare (body) VALUES (?)")?
        .execute([body])?;
    Ok(())
}

async fn suspend(commander: &Commander, user: String) -> Result<(), Box<dyn Error + Send + Sync>> {
    let by = Caller::command_line();
    let key = UserKey::new(&TenantId::parse("speed")?, &UserId::parse(&user)?);
    let ask = Suspend::default();
    commander
        .suspend(&by, &key, &ask, &Note::default(), Terms::default())
        .await?;
    Ok(())
}

/// Suspensions a second.
async fn rate(
    commander: &Arc<Commander>,
    writers: usize,
    each: usize,
) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let began = Instant::now();
    let work = (0..writers).map(|writer| {
        let commander = Arc::clone(commander);
        tokio::spawn(async move {
            for number in 0..each {
                suspend(&commander, format!("w{writers}-{writer}-{number}")).await?;
            }
            Ok::<(), Box<dyn Error + Send + Sync>>(())
        })
    });
    let work: Vec<_> = work.collect();
    for writer in work {
        writer.await??;
    }
    Ok((writers * each) as f64 / began.elapsed().as_secs_f64())
}

fn median(all: &mut [Duration]) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
