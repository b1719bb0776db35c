//! What the store makes of its folder and files, and of those it should not open.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use portcullis_core::time::Timestamp;
use rusqlite::Connection;

use super::{Folder, SqliteStore, session};
use crate::control::ledger::conformance::suspended;
use crate::control::ledger::{Expect, Ledger, ReadError};
use crate::control::store::{LEDGER_FILE, OpenError};
use crate::live::sessions::{Learnt, Place};
use portcullis_core::ids::Revision;

fn open_error(folder: &Path) -> OpenError {
    match SqliteStore::open(folder) {
        Ok(_) => panic!("{} was opened", folder.display()),
        Err(error) => error,
    }
}

/// A folder with a closed store of so many entries.
async fn with_entries(count: usize) -> Folder {
    let folder = Folder::fresh();
    let store = folder.store();
    for number in 0..count {
        let draft = suspended(&format!("user{number}"));
        store.append(draft, Expect::Any, None).await.unwrap();
    }
    folder
}

#[test]
fn files_and_folder_are_for_their_owner_alone() {
    let parent = Folder::fresh();
    let folder = parent.0.path().join("a/b");
    let store = SqliteStore::open(&folder).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let mut files = 0;
    for file in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 4, "store, write-ahead log, its index, lock");
    drop(store);
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let folder = with_entries(3).await;
    let store = folder.store();
    store
        .append(suspended("bob"), Expect::Any, None)
        .await
        .unwrap();
    assert_eq!(store.read(Revision(0), 10).await.unwrap().len(), 4);
    drop(store);
    let copy = Folder::fresh();
    fs::copy(
        folder.0.path().join(LEDGER_FILE),
        copy.0.path().join(LEDGER_FILE),
    )
    .unwrap();
    assert_eq!(copy.store().head(), Revision(4));
}

#[test]
fn a_folder_in_use_is_refused_by_name_until_it_is_given_up() {
    let folder = Folder::fresh();
    let first = folder.store();
    let error = open_error(folder.0.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(folder.0.path().to_str().unwrap())
    );
    drop(first);
    drop(folder.store());
}

#[test]
fn what_is_no_folder_or_cannot_be_written_is_refused_by_name() {
    let folder = Folder::fresh();
    let file = folder.0.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert!(
            matches!(open_error(&path), OpenError::NotAFolder { .. }),
            "{}",
            path.display()
        );
    }
    // Nobody can make folders there, the superuser included.
    let error = open_error(Path::new("/proc/portcullis"));
    assert!(matches!(error, OpenError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("/proc/portcullis"), "{error}");
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_as_it_is() {
    for garbage in [
        b"not a store at all".repeat(500),
        vec![0; 8192],
        vec![0xFF; 100],
    ] {
        let folder = Folder::fresh();
        let file = folder.0.path().join(LEDGER_FILE);
        fs::write(&file, &garbage).unwrap();
        let error = open_error(folder.0.path());
        assert!(error.to_string().contains(LEDGER_FILE), "{error}");
        assert_eq!(fs::read(&file).unwrap(), garbage);
    }
    let folder = Folder::fresh();
    let other = Connection::open(folder.0.path().join(LEDGER_FILE)).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = open_error(folder.0.path());
    assert!(
        error.to_string().contains("tables of another program"),
        "{error}"
    );
}

#[tokio::test]
async fn a_torn_store_is_an_error_and_never_a_panic_or_a_wrong_answer() {
    let folder = with_entries(300).await;
    let file = folder.0.path().join(LEDGER_FILE);
    let whole = fs::read(&file).unwrap();
    let truth = {
        let store = folder.store();
        store.read(Revision(0), 1000).await.unwrap()
    };
    let mut damaged = 0;
    for part in 0..24 {
        let mut torn = whole.clone();
        let at = whole.len() * part / 24;
        match part % 3 {
            0 => torn.truncate(at),
            1 => torn[at..(at + 4096).min(whole.len())].fill(0),
            _ => torn[at..(at + 4096).min(whole.len())].fill(0xA5),
        }
        fs::write(&file, &torn).unwrap();
        match SqliteStore::open(folder.0.path()) {
            Err(error) => {
                damaged += 1;
                assert!(error.to_string().contains("ledger.db"), "{error}");
            }
            // Damage may lie where opening does not look; reading then says so.
            Ok(store) => match store.read(Revision(0), 1000).await {
                Ok(entries) => assert_eq!(entries, truth),
                Err(ReadError::Unavailable(told)) => {
                    damaged += 1;
                    assert!(told.contains("ledger.db"), "{told}");
                }
                Err(error) => panic!("{error}"),
            },
        }
    }
    assert!(damaged > 8, "damage went unnoticed: {damaged}");
}

#[tokio::test]
async fn a_store_that_was_emptied_is_not_taken_for_a_new_one() {
    let folder = with_entries(3).await;
    fs::write(folder.0.path().join(LEDGER_FILE), "").unwrap();
    assert!(matches!(
        open_error(folder.0.path()),
        OpenError::Emptied { .. }
    ));
    fs::remove_file(folder.0.path().join(LEDGER_FILE)).unwrap();
    assert!(matches!(
        open_error(folder.0.path()),
        OpenError::Emptied { .. }
    ));
}

#[tokio::test]
async fn a_store_of_a_newer_gate_is_refused() {
    let folder = with_entries(1).await;
    let raw = Connection::open(folder.0.path().join(LEDGER_FILE)).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = open_error(folder.0.path());
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 99,
                known: 7,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_of_the_first_version_keeps_its_sessions() {
    let folder = with_entries(0).await;
    let path = folder.0.path().join(LEDGER_FILE);
    fs::remove_file(&path).unwrap();
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(include_str!("../schema_1.sql")).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    let row =
        "INSERT INTO sessions VALUES ('acme', zeroblob(32), 'bob', 7, 1000, NULL, '/app', NULL)";
    raw.execute(row, []).unwrap();
    drop(raw);
    for _ in 0..2 {
        let store = folder.store();
        let mut found = Vec::new();
        store.load_sessions(|session| found.push(session)).unwrap();
        let expected = Learnt {
            hash: [0; 32],
            first_seen: Timestamp(1_000),
            last_seen: Timestamp(1_000),
            place: Place {
                path: Some("/app".into()),
                ..Place::default()
            },
            address: None,
            agent: None,
            ..session(0, "bob", 7)
        };
        assert_eq!(found, [expected]);
    }
}

#[tokio::test]
async fn entries_cannot_be_changed_or_removed_even_from_outside() {
    let folder = with_entries(3).await;
    let raw = Connection::open(folder.0.path().join(LEDGER_FILE)).unwrap();
    for sql in [
        "UPDATE events SET actor = 'nobody' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 2",
        "INSERT OR REPLACE INTO events (seq, at, actor, action, body) VALUES (2, 0, '', '', '{}')",
        "INSERT INTO events (seq, at, actor, action, body) VALUES (9, 0, '', '', '{}')",
    ] {
        assert!(
            raw.execute(sql, [])
                .unwrap_err()
                .to_string()
                .contains("ledger"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn users_that_lag_behind_the_ledger_are_noticed() {
    let folder = with_entries(3).await;
    let raw = Connection::open(folder.0.path().join(LEDGER_FILE)).unwrap();
    raw.execute("UPDATE meta SET value = 2 WHERE name = 'cursor'", [])
        .unwrap();
    drop(raw);
    let error = open_error(folder.0.path());
    assert!(
        matches!(
            error,
            OpenError::Inconsistent {
                head: 3,
                cursor: 2,
                ..
            }
        ),
        "{error}"
    );
}
