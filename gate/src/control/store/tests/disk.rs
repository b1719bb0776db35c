//! A full disk: nothing half-written, a clear answer, and on it goes once there
//! is room.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use portcullis_core::ids::Revision;
use rusqlite::Connection;

use crate::control::store::vault::Vault;

use super::{Folder, SqliteStore};
use crate::control::ledger::conformance::{key, suspended};
use crate::control::ledger::{AppendError, Expect, Ledger};

/// Names the folder; set only in the process with the limit.
const FOLDER: &str = "PORTCULLIS_TEST_DISK_FOLDER";

/// Entries that all are durable and folded, and nothing else.
async fn check(store: &SqliteStore, acknowledged: u64) {
    let entries = store.read(Revision(0), usize::MAX).await.unwrap();
    assert_eq!(entries.len() as u64, acknowledged);
    assert_eq!(store.head(), Revision(acknowledged));
    let mut users = 0;
    store.load_users(|_, _| users += 1).unwrap();
    assert_eq!(
        users, acknowledged,
        "each entry was about a user of its own"
    );
}

async fn limit(store: &SqliteStore, pages: u32) {
    let limit = move |tx: &Connection, _: &Vault| {
        Ok(tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
    };
    store.write(limit).await.unwrap();
}

async fn append(store: &SqliteStore, number: u64) -> Result<(), AppendError> {
    let draft = suspended(&format!("user{number}"));
    store.append(draft, Expect::Any, None).await.map(drop)
}

#[tokio::test]
async fn a_store_that_may_not_grow_refuses_and_recovers() {
    let folder = Folder::fresh();
    let store = folder.store();
    limit(&store, 60).await;
    let mut written = 0;
    let refused = loop {
        match append(&store, written).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(written > 0);
    let AppendError::Unavailable(told) = &refused else {
        panic!("{refused:?}")
    };
    assert!(told.contains("the disk is full; free some space"), "{told}");
    check(&store, written).await;
    assert_eq!(append(&store, written).await, Err(refused));
    assert_eq!(store.user(&key(&format!("user{written}"))).unwrap(), None);
    limit(&store, 100_000).await;
    for _ in 0..50 {
        append(&store, written).await.unwrap();
        written += 1;
    }
    check(&store, written).await;
}

/// A process whose files may not grow (`ulimit -f`): the operating system itself
/// refuses the write, in the middle of a commit.
#[tokio::test]
async fn a_write_that_the_system_refuses_loses_nothing_and_goes_on_when_there_is_room() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_beyond_the_limit(&folder).await;
    }
    let folder = Folder::fresh();
    let test = "control::store::tests::disk::a_write_that_the_system_refuses_loses_nothing_and_goes_on_when_there_is_room";
    let mut child = Command::new("sh")
        // Ignored, the signal for a file too large becomes an error code.
        .args(["-c", "trap '' XFSZ; ulimit -S -f 1024; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = |what: &str| -> u64 {
        let told = lines.find_map(|line| Some(line.unwrap().strip_prefix(what)?.parse().unwrap()));
        told.unwrap_or_else(|| panic!("the process ended before it told {what:?}"))
    };
    let mut acknowledged = next("full ");
    assert!(acknowledged > 0);
    let id = child.id().to_string();
    let lifted = Command::new("prlimit")
        .args(["--pid", &id, "--fsize=unlimited"])
        .status();
    // Where that tool is missing, room comes with the restart below.
    if lifted.is_ok_and(|status| status.success()) {
        child.stdin.take().unwrap().write_all(b"room\n").unwrap();
        let more = next("went on ");
        assert_eq!(more, acknowledged + 50);
        acknowledged = more;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let store = folder.store();
    check(&store, acknowledged).await;
    append(&store, acknowledged).await.unwrap();
}

/// What the test's own binary does, started again in a process with a limit.
async fn write_beyond_the_limit(folder: &std::ffi::OsStr) {
    let store = SqliteStore::open(folder.as_ref()).unwrap();
    let mut written = 0;
    while append(&store, written).await.is_ok() {
        written += 1;
    }
    // Unknown where even the undoing found no room; each is tried anew.
    for _ in 0..5 {
        let refused = append(&store, written).await;
        assert!(matches!(
            refused,
            Err(AppendError::Unavailable(_) | AppendError::Unknown)
        ));
    }
    check(&store, written).await;
    tell("full", written);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    for _ in 0..50 {
        append(&store, written).await.unwrap();
        written += 1;
    }
    check(&store, written).await;
    tell("went on", written);
    std::io::stdin().read_line(&mut line).unwrap();
}

fn tell(what: &str, number: u64) {
    std::io::stdout()
        .write_all(format!("\n{what} {number}\n").as_bytes())
        .unwrap();
}
