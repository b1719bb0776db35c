//! What is written beside the entries: users, names, sessions, tokens.

use portcullis_core::ids::{HoldName, Revision};
use portcullis_core::ledger::{Event, Role};
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Profile, Status};
use rusqlite::Connection;
use tokio::join;

use super::{Folder, SessionRow, SqliteStore, session};
use crate::control::ledger::conformance::{draft, key, suspended, tenant};
use crate::control::ledger::{AppendError, Expect, Ledger};
use crate::control::store::TokenRow;
use crate::control::store::append::{Refused, append};

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

fn sessions(store: &SqliteStore) -> Vec<SessionRow> {
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
    assert_eq!(
        means("eve"),
        Some(key("eve")),
        "the id of who is deleted stays taken"
    );
}

#[tokio::test]
async fn one_bad_job_does_not_spoil_its_group() {
    let folder = Folder::fresh();
    let store = folder.store();
    let half_done = store.write(|tx: &Connection| -> Result<(), Refused> {
        append(tx, suspended("eve"), Expect::Any, None)?;
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
async fn a_session_is_learnt_once_and_again_only_by_a_later_login_or_for_another_user() {
    let folder = Folder::fresh();
    let store = folder.store();
    let first = session(1, "bob", 5);
    for _ in 0..2 {
        store.learn_session(first.clone()).await.unwrap();
    }
    store.learn_session(session(1, "bob", 4)).await.unwrap();
    assert_eq!(sessions(&store), [first]);
    store.learn_session(session(1, "bob", 6)).await.unwrap();
    // The same browser, another user: their revisions can't be compared.
    let later = session(1, "alice", 2);
    store.learn_session(later.clone()).await.unwrap();
    drop(store);
    let store = folder.store();
    assert_eq!(sessions(&store), std::slice::from_ref(&later));
    assert_eq!(store.sessions_of(&key("alice"), 10).unwrap(), [later]);
    assert_eq!(store.session_count(&key("alice")).unwrap(), 1);
    assert_eq!(store.session_count(&key("bob")).unwrap(), 0);
}

#[tokio::test]
async fn expired_sessions_are_forgotten_but_never_dead_ones() {
    let folder = Folder::fresh();
    let store = folder.store();
    write(&store, "held", suspended("held").event)
        .await
        .unwrap();
    write(&store, "deleted", Event::Deleted).await.unwrap();
    write(&store, "revoked", Event::SessionsRevoked)
        .await
        .unwrap();
    let users = ["held", "deleted", "revoked", "unheard-of"];
    for (mark, user) in users.into_iter().enumerate() {
        store
            .learn_session(session(mark as u8, user, 0))
            .await
            .unwrap();
    }
    // Learnt after the revocation, and so alive.
    store.learn_session(session(9, "revoked", 3)).await.unwrap();
    let mut endless = session(10, "unheard-of", 0);
    endless.expires_at = None;
    store.learn_session(endless).await.unwrap();
    assert_eq!(
        store.forget_sessions(Timestamp(2_000)).await.unwrap(),
        0,
        "none has expired"
    );
    assert_eq!(store.forget_sessions(Timestamp(2_001)).await.unwrap(), 2);
    let mut kept: Vec<_> = sessions(&store)
        .into_iter()
        .map(|session| session.hash[0])
        .collect();
    kept.sort_unstable();
    assert_eq!(kept, [0, 1, 2, 10]);
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
        name: "helpdesk".into(),
        created_at: Timestamp(1),
        expires_at: Some(Timestamp(9)),
        revoked_at: None,
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
        .create_token(token.clone(), entry(created.clone()))
        .await
        .unwrap();
    assert_eq!(first.seq, Revision(1));
    let again = store.create_token(token.clone(), entry(created)).await;
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
