//! What is written beside the entries: users, names, sessions, tokens.

use portcullis_core::ids::{HoldName, Revision, UserId, UserKey};
use portcullis_core::ledger::{Event, Role, SessionName};
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Profile, Status};
use rusqlite::Connection;

use crate::control::store::vault::Vault;
use tokio::join;

use super::{Folder, Learnt, SqliteStore, learn, session};
use crate::control::ledger::conformance::{draft, key, suspended, tenant};
use crate::control::ledger::{AppendError, Expect, Ledger};
use crate::control::store::append::{Refused, append};
use crate::control::store::{SessionWrite, TokenRow};
use crate::live::sessions::End;

fn named(email: Option<&str>, username: Option<&str>) -> Event {
    let text = |name: Option<&str>| name.map(str::to_owned);
    let profile = Profile {
        email: text(email),
        username: text(username),
        ..Profile::default()
    };
    Event::ProfileChanged { profile }
}

async fn write(store: &SqliteStore, user: &str, event: Event) -> Result<Revision, AppendError> {
    let appended = store.append(draft(user, event), Expect::Any, None).await?;
    Ok(appended.entry.seq)
}

fn sessions(store: &SqliteStore) -> Vec<Learnt> {
    let mut sessions = Vec::new();
    store
        .load_sessions(|session| sessions.push(session))
        .unwrap();
    sessions
}

#[tokio::test]
async fn a_user_is_the_fold_of_the_entries_and_survives_a_restart() {
    let folder = Folder::fresh();
    let store = folder.store();
    assert_eq!(store.user(&key("bob")).unwrap(), None);
    write(&store, "bob", suspended("bob").event).await.unwrap();
    let user = store.user(&key("bob")).unwrap().unwrap();
    assert_eq!(user.status(Timestamp(5_000)), Status::Suspended);
    assert_eq!(user.revision, Revision(1));
    let lifted = Event::HoldsLifted {
        holds: vec![HoldName::admin()],
        restores_api_keys: true,
    };
    write(&store, "bob", lifted).await.unwrap();
    drop(store);
    let user = folder.store().user(&key("bob")).unwrap().unwrap();
    assert_eq!(user.status(Timestamp(5_000)), Status::Active);
    assert_eq!(
        (user.revision, user.sessions_revoked_at),
        (Revision(2), Revision(1))
    );
}

#[tokio::test]
async fn a_name_means_one_user_and_is_free_again_when_given_up() {
    let folder = Folder::fresh();
    let store = folder.store();
    let means = |name: &str| store.resolve(&tenant("acme"), name).unwrap();
    write(&store, "bob", named(Some("b@acme.test"), Some("bob")))
        .await
        .unwrap();
    assert_eq!(means("b@acme.test"), Some(key("bob")));
    let mut aliases = Vec::new();
    store
        .load_aliases(|tenant, alias, user| aliases.push((tenant, alias, user)))
        .unwrap();
    assert_eq!(
        aliases,
        [(tenant("acme"), "b@acme.test".to_owned(), key("bob"))]
    );
    let taken = write(&store, "eve", named(Some("b@acme.test"), None)).await;
    assert!(
        matches!(taken, Err(AppendError::AliasTaken { .. })),
        "{taken:?}"
    );
    write(&store, "bob", named(Some("bob@acme.test"), None))
        .await
        .unwrap();
    assert_eq!(means("b@acme.test"), None);
    write(&store, "eve", named(Some("b@acme.test"), None))
        .await
        .unwrap();
    assert_eq!(means("b@acme.test"), Some(key("eve")));
    write(&store, "eve", Event::Deleted).await.unwrap();
    assert_eq!(means("b@acme.test"), None);
    assert_eq!(means("eve"), None);
    let taken = write(&store, "bob", named(None, Some("eve"))).await;
    assert!(
        matches!(taken, Err(AppendError::AliasTaken { .. })),
        "the id of who is deleted stays taken: {taken:?}"
    );
    write(&store, "bob", named(Some("b@acme.test"), None))
        .await
        .unwrap();
    assert_eq!(means("b@acme.test"), Some(key("bob")), "an alias does not");
}

#[tokio::test]
async fn one_bad_job_does_not_spoil_its_group() {
    let folder = Folder::fresh();
    let store = folder.store();
    let half_done = store.write(|tx: &Connection, vault: &Vault| -> Result<(), Refused> {
        append(tx, vault, suspended("eve"), Expect::Any, None)?;
        tx.execute_batch("INSERT INTO nowhere VALUES (1)")?;
        Ok(())
    });
    let one = store.append(suspended("alice"), Expect::Any, None);
    let other = store.append(suspended("bob"), Expect::Any, None);
    let (one, half_done, other) = join!(one, half_done, other);
    assert!(
        matches!(half_done, Err(AppendError::Unavailable(_))),
        "{half_done:?}"
    );
    assert_eq!(one.unwrap().entry.seq, Revision(1));
    assert_eq!(other.unwrap().entry.seq, Revision(2));
    assert_eq!(store.user(&key("eve")).unwrap(), None);
}

#[tokio::test]
async fn a_session_comes_back_as_it_was_after_a_restart() {
    let folder = Folder::fresh();
    let store = folder.store();
    let (bobs, alices) = (session(1, "bob", 5), session(1, "alice", 2));
    for written in [session(1, "bob", 4), bobs.clone(), alices.clone()] {
        learn(&store, written).await.unwrap();
    }
    drop(store);
    assert_eq!(
        sessions(&folder.store()),
        [alices, bobs],
        "one cookie, two owners"
    );
}

#[tokio::test]
async fn what_becomes_of_a_session_is_kept() {
    let folder = Folder::fresh();
    let store = folder.store();
    for mark in 1..=3 {
        learn(&store, session(mark, "bob", 1)).await.unwrap();
    }
    let ended = SessionWrite::Ended {
        user: key("bob"),
        hash: [1; 32],
        why: End::LoggedOut,
    };
    store.write_sessions(vec![ended]).await.unwrap();
    let seen = vec![(key("bob"), [2; 32], Timestamp(9_000))];
    store.note_seen(seen).await.unwrap();
    let earlier = vec![(key("bob"), [2; 32], Timestamp(8_000))];
    store.note_seen(earlier).await.unwrap();
    store
        .forget_sessions(vec![(key("bob"), [3; 32])])
        .await
        .unwrap();
    let expected = [
        Learnt {
            ended: Some(End::LoggedOut),
            ..session(1, "bob", 1)
        },
        Learnt {
            last_seen: Timestamp(9_000),
            ..session(2, "bob", 1)
        },
    ];
    assert_eq!(sessions(&store), expected);
}

#[tokio::test]
async fn an_entry_that_ends_a_session_ends_it_in_the_same_breath() {
    let folder = Folder::fresh();
    let store = folder.store();
    learn(&store, session(1, "bob", 0)).await.unwrap();
    learn(&store, session(2, "bob", 0)).await.unwrap();
    let event = Event::SessionRevoked {
        session: SessionName([2; 32]),
    };
    write(&store, "bob", event).await.unwrap();
    let ended: Vec<Option<End>> = sessions(&store)
        .iter()
        .map(|session| session.ended)
        .collect();
    assert_eq!(ended, [None, Some(End::Revoked)]);
}

#[tokio::test]
async fn a_token_and_its_entry_are_written_together_or_not_at_all() {
    let folder = Folder::fresh();
    let store = folder.store();
    let token = TokenRow {
        id: "t1".into(),
        hash: [7; 32],
        role: Role::Support,
        tenant: Some(tenant("acme")),
        user: Some(UserKey::new(
            &tenant("acme"),
            &UserId::parse("ann").unwrap(),
        )),
        name: "helpdesk".into(),
        created_at: Timestamp(1),
        expires_at: Some(Timestamp(9)),
        revoked_at: None,
        last_used_at: None,
        old: None,
    };
    let entry = |event: Event| {
        let mut draft = draft("nobody", event);
        draft.user = None;
        draft
    };
    let created = Event::TokenCreated {
        token_id: "t1".into(),
        role: Role::Support,
        expires_at: Some(Timestamp(9)),
    };
    let first = store
        .create_token(token.clone(), entry(created.clone()), None)
        .await
        .unwrap();
    assert_eq!(first.seq, Revision(1));
    let again = store
        .create_token(token.clone(), entry(created), None)
        .await;
    assert_eq!(again, Err(AppendError::TokenTaken));
    let revoked = entry(Event::TokenRevoked {
        token_id: "t1".into(),
    });
    let revoke = |id: &'static str| store.revoke_token(id, Timestamp(5), revoked.clone());
    assert_eq!(revoke("t2").await.unwrap(), None);
    assert_eq!(
        revoke("t1").await.unwrap().map(|entry| entry.seq),
        Some(Revision(2))
    );
    assert_eq!(revoke("t1").await.unwrap(), None);
    assert_eq!(store.head(), Revision(2));
    let mut tokens = Vec::new();
    store.load_tokens(|token| tokens.push(token)).unwrap();
    assert_eq!(
        tokens,
        [TokenRow {
            revoked_at: Some(Timestamp(5)),
            ..token
        }]
    );
}

#[tokio::test]
async fn the_tokens_of_a_deleted_user_are_dead_and_nobodys() {
    let folder = Folder::fresh();
    let store = folder.store();
    for (id, user) in [("t1", "ann"), ("t2", "bob")] {
        let token = TokenRow {
            id: id.into(),
            hash: [id.as_bytes()[1]; 32],
            role: Role::Support,
            tenant: Some(tenant("acme")),
            user: Some(key(user)),
            name: format!("{user}'s laptop"),
            created_at: Timestamp(1),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            old: None,
        };
        let created = Event::TokenCreated {
            token_id: id.into(),
            role: Role::Support,
            expires_at: None,
        };
        store
            .create_token(token, draft(user, created), None)
            .await
            .unwrap();
    }
    write(&store, "ann", Event::Deleted).await.unwrap();
    let mut tokens = Vec::new();
    store.load_tokens(|token| tokens.push(token)).unwrap();
    let dead = &tokens[0];
    assert!(dead.revoked_at.is_some() && dead.user.is_none() && dead.name.is_empty());
    assert_eq!(
        (tokens[1].revoked_at, &tokens[1].user),
        (None, &Some(key("bob")))
    );
}
