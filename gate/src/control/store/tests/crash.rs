//! Killed at any moment, the store loses nothing that it acknowledged and needs
//! no repair: a second process writes, and is killed again and again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use portcullis_core::ids::{HoldName, Revision, UserKey};
use portcullis_core::ledger::{Event, apply};
use portcullis_core::user::{Profile, User};

use super::{Folder, SqliteStore, learn, session};
use crate::control::ledger::conformance::{draft, suspended, tenant};
use crate::control::ledger::{Expect, Ledger};
use crate::control::store::OpenError;

/// Names the folder; set only in the process that is to be killed.
const FOLDER: &str = "PORTCULLIS_TEST_CRASH_FOLDER";
const ROUNDS: u32 = 24;
const WRITERS: usize = 8;

#[test]
fn killed_at_any_moment_it_loses_nothing_that_was_acknowledged() {
    let folder = Folder::fresh();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        // A few in one round, many in another: some kills come during the opening,
        // some amid the writing, some around a checkpoint.
        let lines = [0, 1, 7, 40, 160, 640][round as usize % 6];
        let told = write_until_killed(&folder, lines);
        acknowledged = acknowledged.max(told.entry);
        check(&folder, acknowledged, &told.sessions);
    }
    assert!(
        acknowledged > 500,
        "the writers wrote next to nothing: {acknowledged}"
    );
}

#[test]
fn killed_while_it_is_made_it_can_still_be_opened() {
    for _round in 0..ROUNDS {
        let folder = Folder::fresh();
        let told = write_until_killed(&folder, 0);
        check(&folder, told.entry, &told.sessions);
    }
}

struct Told {
    entry: u64,
    sessions: Vec<u8>,
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_for_ever(&folder);
    }
    let folder = Folder::fresh();
    let mut child = start(&folder);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().starts_with("read ")),
        "it never began to write"
    );
    let refused = SqliteStore::open(folder.0.path()).err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        matches!(refused, Some(OpenError::InUse { .. })),
        "{refused:?}"
    );
    drop(folder.store());
}

/// Starts the writing process.
fn start(folder: &Folder) -> Child {
    let test =
        "control::store::tests::crash::a_second_process_is_refused_until_the_first_has_ended";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a writing process (SIGKILL) once it has told of so many entries, or for 0
/// as soon as it runs.
fn write_until_killed(folder: &Folder, lines: usize) -> Told {
    let mut child = start(folder);
    let mut told = Told {
        entry: 0,
        sessions: Vec::new(),
    };
    let mut counted = 0;
    // To the end, past the kill: what is in the pipe was acknowledged, too.
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        match line.split_once(' ') {
            Some(("entry" | "read", seq)) => {
                told.entry = told.entry.max(seq.parse().unwrap_or(0));
            }
            Some(("session", number)) => told.sessions.extend(number.parse::<u8>().ok()),
            // The test runner's own lines, the first of which say that it runs.
            Some(_) | None if lines > 0 => continue,
            Some(_) | None => {}
        }
        counted += 1;
        if counted >= lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(counted >= lines, "the process ended by itself");
    told
}

/// Opens what is left and compares it with what was acknowledged.
fn check(folder: &Folder, acknowledged: u64, sessions: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = folder.store();
    let head = store.head();
    assert!(
        head >= Revision(acknowledged),
        "{acknowledged} was acknowledged, {head} is the end"
    );
    let entries = runtime
        .block_on(store.read(Revision(0), usize::MAX))
        .unwrap();
    let mut fold: BTreeMap<UserKey, User> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.seq, Revision(index as u64 + 1), "a gap");
        let user = entry.draft.user.as_ref().unwrap();
        let user = fold.entry(UserKey::new(&tenant("acme"), user)).or_default();
        *user = apply(user, entry);
    }
    assert_eq!(entries.len() as u64, head.0);
    let mut users = BTreeMap::new();
    store
        .load_users(|key, user| drop(users.insert(key, user)))
        .unwrap();
    assert_eq!(users, fold);
    let mut known = Vec::new();
    store
        .load_sessions(|session| known.push(session.hash[0]))
        .unwrap();
    assert!(
        sessions.iter().all(|number| known.contains(number)),
        "a session was forgotten"
    );
    let integrity: Vec<String> = store
        .readers
        .look(|reader| {
            let mut check = reader.prepare("PRAGMA integrity_check")?;
            Ok(check
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert_eq!(integrity, ["ok"]);
    let next = runtime
        .block_on(store.append(suspended("after"), Expect::Any, None))
        .unwrap();
    assert_eq!(next.entry.seq, Revision(head.0 + 1));
}

/// What the test's own binary does, started again in a process that is killed.
fn write_for_ever(folder: &std::ffi::OsStr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let store = Arc::new(SqliteStore::open(folder.as_ref()).unwrap());
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        runtime.spawn(write(store, writer));
    }
    runtime.block_on(async {
        let mut tail = store.tail(store.head());
        loop {
            tell("read", tail.next().await.unwrap().seq.0);
        }
    });
}

/// Suspends, restores, renames and deletes as fast as it can, for ever.
async fn write(store: Arc<SqliteStore>, writer: usize) {
    for number in 0_u64.. {
        let user = format!("user{writer}-{}", number % 5);
        let event = match number % 4 {
            0 => suspended(&user).event,
            1 => Event::HoldsLifted {
                holds: vec![HoldName::admin()],
                restores_api_keys: true,
            },
            2 => {
                let email = Some(format!("{user}@acme.test"));
                Event::ProfileChanged {
                    profile: Profile {
                        email,
                        ..Profile::default()
                    },
                }
            }
            _ => Event::SessionsRevoked,
        };
        let appended = store
            .append(draft(&user, event), Expect::Any, None)
            .await
            .unwrap();
        tell("entry", appended.entry.seq.0);
        if number % 16 == 3 {
            let mark = (number % 251) as u8;
            let session = session(mark, "bob", appended.entry.seq.0);
            learn(&store, session).await.unwrap();
            tell("session", u64::from(mark));
        }
    }
}

fn tell(what: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{what} {number}\n").as_bytes())
        .unwrap();
    out.flush().unwrap();
}
