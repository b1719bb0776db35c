//! Promises of deletion: nobody can be told from what is left, and everybody who
//! comes under one of the names is still known to be deleted.

use std::fs;

use portcullis_core::ids::{ReasonKey, Revision, UserId};
use portcullis_core::ledger::{Event, Role};
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Hold, Profile};

use super::{Folder, SqliteStore, learn, session};
use crate::control::ledger::conformance::{draft, hold, key, tenant};
use crate::control::ledger::{AppendError, Expect, IdempotencyKey, Ledger};
use crate::control::store::{AuditQuery, One, TokenRow};
use crate::live::sessions::{End, Learnt};

/// Every text that tells of the user, as it is written somewhere.
const TELLING: [&str; 10] = [
    "theodora",
    "teddy@acme.test",
    "dora@acme.test",
    "+33612345678",
    "stole the silver",
    "called her mother",
    "stolenSilver",
    "198.51.100.23",
    "Dora-Browser",
    "retry-of-theodora",
];

async fn write(store: &SqliteStore, event: Event) -> Revision {
    let mut draft = draft("theodora", event);
    draft.comment = Some("called her mother".into());
    draft.ticket = Some("SEC-42".into());
    let retry = IdempotencyKey::new("ops", "retry-of-theodora", b"x").ok();
    let retry = retry.filter(|_| matches!(draft.event, Event::SessionsRevoked));
    let appended = store.append(draft, Expect::Any, retry).await;
    appended.unwrap().entry.seq
}

fn profile(email: &str) -> Event {
    let profile = Profile {
        email: Some(email.into()),
        phone: Some("+33612345678".into()),
        ..Profile::default()
    };
    Event::ProfileChanged { profile }
}

/// Writes all that a store may come to know about a user.
async fn live_a_life(store: &SqliteStore) {
    write(store, profile("teddy@acme.test")).await;
    write(store, profile("dora@acme.test")).await;
    let hold = Hold {
        reason: ReasonKey::parse("stolenSilver").ok(),
        reason_text: Some("stole the silver".into()),
        ..hold("admin")
    };
    write(store, Event::HoldPlaced { hold }).await;
    let refused = Event::Refused {
        error_id: "e1".into(),
        code: "error.account.permanentlySuspended.stolenSilver".into(),
        policy: "sha256:1".into(),
    };
    write(store, refused).await;
    write(store, Event::SessionsRevoked).await;
    for (mark, name) in [(1, "theodora"), (2, "teddy@acme.test"), (2, "theodora")] {
        let learnt = Learnt {
            address: Some([198, 51, 100, 23].into()),
            agent: Some("Dora-Browser/1".into()),
            ..session(mark, name, 1)
        };
        learn(store, learnt).await.unwrap();
    }
    let token = TokenRow {
        id: "t1".into(),
        hash: [7; 32],
        role: Role::Support,
        tenant: Some(tenant("acme")),
        user: Some(key("theodora")),
        name: "theodora's laptop".into(),
        created_at: Timestamp(1),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        old: None,
    };
    let created = Event::TokenCreated {
        token_id: "t1".into(),
        role: Role::Support,
        expires_at: None,
    };
    let created = draft("theodora", created);
    store.create_token(token, created, None).await.unwrap();
}

/// The texts that stand in any file of the store.
fn found(folder: &Folder) -> Vec<&'static str> {
    let mut all = Vec::new();
    for file in fs::read_dir(folder.0.path()).unwrap() {
        all.extend(fs::read(file.unwrap().path()).unwrap());
    }
    let stands = |text: &&str| all.windows(text.len()).any(|part| part == text.as_bytes());
    TELLING.into_iter().filter(stands).collect()
}

async fn delete(store: &SqliteStore) -> Revision {
    let mut deletion = draft("theodora", Event::Deleted);
    deletion.ticket = Some("DPO-7".into());
    let deleted = store.append(deletion, Expect::Any, None).await.unwrap();
    assert!(store.scrub().await.unwrap());
    deleted.entry.seq
}

#[tokio::test]
async fn after_a_deletion_no_file_of_the_store_tells_of_the_user() {
    let folder = Folder::fresh();
    let store = folder.store();
    live_a_life(&store).await;
    let known: Vec<&str> = TELLING
        .into_iter()
        .filter(|text| !text.starts_with("retry"))
        .collect();
    assert!(
        found(&folder).len() >= known.len() - 2,
        "{:?}",
        found(&folder)
    );
    let seq = delete(&store).await;
    assert_eq!(found(&folder), [""; 0], "while the store is open");
    let farewell = store.take_farewell(seq);
    assert_eq!(farewell.names[0], key("theodora"));
    assert_eq!(
        farewell.names.len(),
        5,
        "the phone in both spellings: {farewell:?}"
    );
    assert!(store.take_farewell(seq).names.is_empty(), "it is told once");
    drop(store);
    let store = folder.store();
    assert_eq!(found(&folder), [""; 0], "and after a restart");
    drop(store);
}

#[tokio::test]
async fn the_record_says_what_happened_when_and_by_whom_and_not_to_whom() {
    let folder = Folder::fresh();
    let store = folder.store();
    live_a_life(&store).await;
    let seq = delete(&store).await;
    let pseudonym = store.pseudonyms().key(&key("theodora")).unwrap();
    let query = AuditQuery {
        user: Some(pseudonym.clone()),
        limit: 100,
        ..AuditQuery::default()
    };
    let entries = store.audit(&query).unwrap().entries;
    let actions: Vec<&str> = entries
        .iter()
        .map(|entry| entry.draft.event.action())
        .collect();
    let expected = [
        "deleted",
        "token_created",
        "sessions_revoked",
        "refused",
        "hold_placed",
        "profile_changed",
        "profile_changed",
    ];
    assert_eq!(actions, expected);
    for entry in &entries {
        let draft = &entry.draft;
        assert_eq!(draft.user, UserId::parse(pseudonym.user()).ok());
        assert_eq!((draft.actor.as_str(), draft.at), ("ops", Timestamp(1_000)));
        assert_eq!(draft.comment, None);
    }
    assert_eq!(entries[0].seq, seq);
    assert_eq!(entries[0].draft.ticket.as_deref(), Some("DPO-7"));
    assert_eq!(entries[4].draft.ticket.as_deref(), Some("SEC-42"));
    assert!(matches!(entries[4].draft.event, Event::Forgotten { .. }));
    assert!(matches!(entries[1].draft.event, Event::TokenCreated { .. }));
}

#[tokio::test]
async fn whoever_comes_under_a_forgotten_name_meets_the_deleted_user() {
    let folder = Folder::fresh();
    let store = folder.store();
    live_a_life(&store).await;
    delete(&store).await;
    for name in [
        "theodora",
        "dora@acme.test",
        "teddy@acme.test",
        "+33612345678",
    ] {
        let user = store.user(&key(name)).unwrap().unwrap();
        assert!(user.deleted_at.is_some(), "{name}");
        let decide = |user: &portcullis_core::user::User| {
            assert!(user.deleted_at.is_some());
            Err::<Option<portcullis_core::ledger::Draft>, ()>(())
        };
        let one = store.change_one(&key(name), None, decide).await.unwrap();
        assert!(matches!(one, One::Refused(())), "{name}");
    }
    let pseudonym = store.pseudonyms().key(&key("theodora")).unwrap();
    let mut left = Vec::new();
    store.load_forgotten(|_, user| left.push(user)).unwrap();
    assert_eq!(
        left,
        vec![pseudonym.clone(); 5],
        "the phone in both spellings"
    );
    let mut users = Vec::new();
    store.load_users(|key, _| users.push(key)).unwrap();
    assert_eq!(users, std::slice::from_ref(&pseudonym));
    let mut sessions = Vec::new();
    store
        .load_sessions(|session| sessions.push(session))
        .unwrap();
    assert_eq!(sessions.len(), 2, "one of two names is enough");
    for session in sessions {
        assert_eq!(session.user, pseudonym);
        assert_eq!(session.ended, Some(End::Revoked));
    }
}

#[tokio::test]
async fn what_happens_after_a_deletion_names_the_user_no_more() {
    let folder = Folder::fresh();
    let store = folder.store();
    live_a_life(&store).await;
    delete(&store).await;
    let refused = Event::Refused {
        error_id: "e2".into(),
        code: "error.account.deleted".into(),
        policy: "sha256:1".into(),
    };
    let written = store.append(draft("theodora", refused), Expect::Any, None);
    let user = written.await.unwrap().entry.draft.user.unwrap();
    assert!(user.as_str().starts_with("deleted-"), "{user}");
    let late = Learnt {
        address: Some([198, 51, 100, 23].into()),
        agent: Some("Dora-Browser/1".into()),
        ..session(9, "teddy@acme.test", 1)
    };
    learn(&store, late).await.unwrap();
    assert_eq!(found(&folder), [""; 0]);
    let token = TokenRow {
        id: "t2".into(),
        hash: [8; 32],
        role: Role::Support,
        tenant: Some(tenant("acme")),
        user: Some(key("dora@acme.test")),
        name: String::new(),
        created_at: Timestamp(1),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        old: None,
    };
    let created = Event::TokenCreated {
        token_id: "t2".into(),
        role: Role::Support,
        expires_at: None,
    };
    let made = store
        .create_token(token, draft("theodora", created), None)
        .await;
    assert_eq!(made, Err(AppendError::UserDeleted));
}

#[tokio::test]
async fn a_retry_of_a_deletion_finds_it_and_another_request_with_its_key_is_refused() {
    let folder = Folder::fresh();
    let store = folder.store();
    let retry = |request: &[u8]| IdempotencyKey::new("ops", "1", request).ok();
    let ask = |request: &'static [u8]| {
        store.append(
            draft("theodora", Event::Deleted),
            Expect::Any,
            retry(request),
        )
    };
    let first = ask(b"x").await.unwrap();
    let again = ask(b"x").await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.entry, first.entry);
    assert!(matches!(ask(b"y").await, Err(AppendError::KeyReused)));
}

#[tokio::test]
async fn a_deletion_that_was_not_written_forgets_nobody() {
    let folder = Folder::fresh();
    let store = folder.store();
    live_a_life(&store).await;
    let broken = store.write(|tx, vault| {
        let deleted = draft("theodora", Event::Deleted);
        super::super::append::append(tx, vault, deleted, Expect::Any, None)?;
        tx.execute_batch("INSERT INTO nowhere VALUES (1)")?;
        Ok(())
    });
    assert!(broken.await.is_err());
    assert!(
        store
            .user(&key("theodora"))
            .unwrap()
            .unwrap()
            .deleted_at
            .is_none()
    );
    let mut forgotten = 0;
    store.load_forgotten(|_, _| forgotten += 1).unwrap();
    assert_eq!(forgotten, 0);
}

/// Rows grow and pages are split meanwhile, which leaves parts of rows behind in them.
#[tokio::test]
async fn of_many_users_no_key_of_a_deleted_one_stays_and_after_a_start_no_name() {
    const USERS: usize = 300;
    let folder = Folder::fresh();
    let store = folder.store();
    let name = |at: usize| format!("person{at:03}-{}", "x".repeat(at * 7 % 60));
    for round in 0..3 {
        for at in 0..USERS {
            let email = format!("{}-{round}@{}.test", name(at), "y".repeat(at * 11 % 70));
            let mut draft = draft("x", profile(&email));
            draft.user = UserId::parse(&name(at)).ok();
            if let Event::ProfileChanged { profile } = &mut draft.event {
                profile.phone = None;
            }
            store.append(draft, Expect::Any, None).await.unwrap();
        }
    }
    let file = folder.0.path().join(crate::control::store::LEDGER_FILE);
    let raw = rusqlite::Connection::open(&file).unwrap();
    let mut all = raw.prepare("SELECT seal FROM seals").unwrap();
    let seals = all.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let seals: Vec<Vec<u8>> = seals.map(Result::unwrap).collect();
    drop(all);
    drop(raw);
    assert_eq!(seals.len(), USERS);
    for at in 0..USERS {
        let mut deletion = draft("x", Event::Deleted);
        deletion.user = UserId::parse(&name(at)).ok();
        store.append(deletion, Expect::Any, None).await.unwrap();
    }
    assert!(store.scrub().await.unwrap());
    let stands = |part: &[u8]| {
        let bytes = fs::read(&file).unwrap();
        bytes.windows(part.len()).any(|window| window == part)
    };
    assert_eq!(seals.iter().filter(|seal| stands(seal)).count(), 0);
    drop(store);
    drop(folder.store());
    assert!(!stands(b"person"));
}
