//! A store of an earlier version is taken over with all that it holds.

use std::fs;

use portcullis_core::ids::Revision;
use portcullis_core::ledger::{Draft, Entry, Event, apply};
use portcullis_core::user::{Profile, User};
use rusqlite::{Connection, params};

use super::{Folder, SqliteStore};
use crate::control::ledger::conformance::{draft, hold, key, tenant};
use crate::control::ledger::{Expect, IdempotencyKey, Ledger};
use crate::control::store::{AuditQuery, LEDGER_FILE};

const FIVE: [&str; 5] = [
    include_str!("../schema_1.sql"),
    include_str!("../schema_2.sql"),
    include_str!("../schema_3.sql"),
    include_str!("../schema_4.sql"),
    include_str!("../schema_5.sql"),
];

fn entries() -> Vec<Draft> {
    let profile = Profile {
        email: Some("bob@acme.test".into()),
        ..Profile::default()
    };
    let mut placed = draft("bob", Event::HoldPlaced { hold: hold("hr") });
    placed.ticket = Some("SEC-42".into());
    placed.comment = Some("called his mother".into());
    let mut nobodys = draft(
        "x",
        Event::TokenRevoked {
            token_id: "t1".into(),
        },
    );
    (nobodys.user, nobodys.tenant) = (None, None);
    // Spoken of, and nothing known.
    let spoken_of = draft(
        "ann",
        Event::TokenRevoked {
            token_id: "t2".into(),
        },
    );
    vec![
        draft("bob", Event::ProfileChanged { profile }),
        placed,
        nobodys,
        spoken_of,
        draft("eve", Event::SessionsRevoked),
    ]
}

/// A store as version 5 wrote it.
fn write_five(folder: &Folder) {
    let old = Connection::open(folder.0.path().join(LEDGER_FILE)).unwrap();
    for step in FIVE {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "user_version", 5).unwrap();
    let retry = IdempotencyKey::new("ops", "k1", b"suspend").unwrap();
    for (at, draft) in entries().into_iter().enumerate() {
        let with_key = at == 1;
        old.execute(
            "INSERT INTO events (seq, at, tenant, user, actor, action, body, idempotency, request_hash)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                at as i64 + 1,
                draft.at.0 as i64,
                draft.tenant.as_ref().map(|tenant| tenant.as_str()),
                draft.user.as_ref().map(|user| user.as_str()),
                draft.actor,
                draft.event.action(),
                serde_json::to_string(&draft).unwrap(),
                with_key.then(|| retry.as_str()),
                with_key.then(|| retry.request_hash()),
            ],
        )
        .unwrap();
    }
    for name in ["bob", "eve"] {
        let user = folded(name);
        old.execute(
            "INSERT INTO users VALUES (?, 'acme', ?, ?, 0, 0, ?)",
            params![
                format!("acme/{name}"),
                name,
                user.revision.0 as i64,
                serde_json::to_string(&user).unwrap()
            ],
        )
        .unwrap();
        let names = "INSERT INTO names VALUES ('acme', ?, ?)";
        old.execute(names, params![name, format!("acme/{name}")])
            .unwrap();
    }
    old.execute_batch(
        "INSERT INTO names VALUES ('acme', 'bob@acme.test', 'acme/bob');
         INSERT INTO holds VALUES ('acme/bob', 'hr', 'permanent', NULL, 0, NULL);
         UPDATE meta SET value = 5 WHERE name = 'cursor';",
    )
    .unwrap();
}

fn folded(name: &str) -> User {
    let numbered = entries().into_iter().zip(1..);
    let entries = numbered.map(|(draft, seq)| Entry {
        seq: Revision(seq),
        draft,
    });
    let theirs = entries.filter(|entry| {
        let user = entry.draft.user.as_ref();
        user.is_some_and(|user| user.as_str() == name)
    });
    theirs.fold(User::default(), |user, entry| apply(&user, &entry))
}

#[tokio::test]
async fn a_store_of_version_five_keeps_everything_and_can_forget() {
    let folder = Folder::fresh();
    write_five(&folder);
    for _ in 0..2 {
        let store = folder.store();
        let read = store.read(Revision(0), 100).await.unwrap();
        let drafts: Vec<Draft> = read.into_iter().map(|entry| entry.draft).collect();
        assert_eq!(drafts, entries());
        assert_eq!(store.user(&key("bob")).unwrap(), Some(folded("bob")));
        assert_eq!(store.user(&key("eve")).unwrap(), Some(folded("eve")));
        assert_eq!(store.user(&key("ann")).unwrap(), None);
        let meant = store.resolve(&tenant("acme"), "bob@acme.test");
        assert_eq!(meant.unwrap(), Some(key("bob")));
        let by_ticket = AuditQuery {
            ticket: Some("SEC-42".into()),
            limit: 10,
            ..AuditQuery::default()
        };
        assert_eq!(store.audit(&by_ticket).unwrap().entries.len(), 1);
    }
    let store = folder.store();
    let retry = IdempotencyKey::new("ops", "k1", b"suspend").ok();
    let again = store.append(entries().swap_remove(1), Expect::Any, retry);
    let again = again.await.unwrap();
    assert!(again.repeated && again.entry.seq == Revision(2));
    raw_foreign_keys_hold(&folder);
    forget_bob(&folder, store).await;
}

/// What pointed to the tables points to those that took their place.
fn raw_foreign_keys_hold(folder: &Folder) {
    let raw = Connection::open(folder.0.path().join(LEDGER_FILE)).unwrap();
    let broken = raw
        .prepare("PRAGMA foreign_key_check")
        .unwrap()
        .exists([])
        .unwrap();
    assert!(!broken);
    let check: String = raw
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let dangling: i64 = raw
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%\\_5%' ESCAPE '\\'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(dangling, 0);
}

async fn forget_bob(folder: &Folder, store: SqliteStore) {
    let deleted = store.append(draft("bob", Event::Deleted), Expect::Any, None);
    deleted.await.unwrap();
    assert!(store.scrub().await.unwrap());
    let mut all = Vec::new();
    for file in fs::read_dir(folder.0.path()).unwrap() {
        all.extend(fs::read(file.unwrap().path()).unwrap());
    }
    for text in ["bob@acme.test", "called his mother", "acme/bob"] {
        let stands = all.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!stands, "{text}");
    }
}
