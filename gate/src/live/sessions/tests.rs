//! Sessions while they live, when they end, and when there are too many.

#![allow(clippy::unwrap_used)]

use futures_util::FutureExt;
use portcullis_core::ids::UserId;

use super::*;

struct Kept;

impl SessionStore for Kept {
    fn keep(&self, _: Vec<Change>) -> BoxFuture<'static, Result<(), LearnError>> {
        std::future::ready(Ok(())).boxed()
    }
}

fn table(all: usize, per_user: usize) -> Sessions {
    Sessions::new(Arc::new(Kept), Bounds { all, per_user })
}

fn key(name: &str) -> UserKey {
    let tenant = TenantId::parse("acme").unwrap();
    UserKey::new(&tenant, &UserId::parse(name).unwrap())
}

fn learnt(mark: u8, name: &str, learnt_at: u64, seen: u64) -> Learnt {
    Learnt {
        hash: [mark; 32],
        user: key(name),
        learnt_at: Revision(learnt_at),
        first_seen: Timestamp(seen),
        last_seen: Timestamp(seen),
        place: Place::default(),
        address: None,
        agent: Some("Tests/1".into()),
        ended: None,
    }
}

async fn learn(sessions: &Sessions, learnt: Learnt, by_login: bool) {
    sessions.learn(learnt, by_login, Revision(0)).await.unwrap();
}

fn found(sessions: &Sessions, mark: u8) -> Vec<Arc<Session>> {
    let mut found = Vec::new();
    sessions.owners(&[mark; 32], |session| found.push(Arc::clone(session)));
    found
}

#[test]
fn a_session_is_found_by_tenant_cookie_and_value_together() {
    let acme = TenantId::parse("acme").unwrap();
    let globex = TenantId::parse("globex").unwrap();
    let one = hash(&acme, "sid", b"1");
    assert_ne!(one, hash(&globex, "sid", b"1"));
    assert_ne!(one, hash(&acme, "sid", b"2"));
    assert_ne!(hash(&acme, "a", b"b"), hash(&acme, "ab", b""));
}

#[tokio::test]
async fn a_dead_session_is_not_revived_by_the_app_setting_it_again() {
    let sessions = table(9, 9);
    learn(&sessions, learnt(1, "bob", 4, 0), true).await;
    learn(&sessions, learnt(1, "bob", 2, 0), false).await;
    assert_eq!(found(&sessions, 1)[0].learnt_at, Revision(4));
    sessions
        .end(&found(&sessions, 1), End::LoggedOut)
        .await
        .unwrap();
    learn(&sessions, learnt(1, "bob", 4, 0), false).await;
    assert_eq!(found(&sessions, 1)[0].ended(), Some(End::LoggedOut));
    assert!(sessions.of(&key("bob")).is_empty());
    // But whoever proves the password again may be given the same value again.
    learn(&sessions, learnt(1, "bob", 4, 0), true).await;
    assert_eq!(found(&sessions, 1)[0].ended(), None);
    assert_eq!((sessions.count(), sessions.of(&key("bob")).len()), (1, 1));
}

#[tokio::test]
async fn the_sessions_of_a_user_are_counted_while_they_live() {
    let sessions = table(9, 9);
    learn(&sessions, learnt(1, "bob", 1, 0), true).await;
    learn(&sessions, learnt(2, "bob", 3, 0), true).await;
    learn(&sessions, learnt(3, "alice", 1, 0), true).await;
    let alive = |standing: &Standing| sessions.alive(&key("bob"), standing).len();
    assert_eq!(alive(&Standing::default()), 2);
    let revoked = Standing {
        sessions_revoked_at: Revision(2),
        ..Standing::default()
    };
    assert_eq!(alive(&revoked), 1);
    assert!(sessions.end_recorded(&[2; 32]), "it was alive");
    assert!(!sessions.end_recorded(&[2; 32]), "and is not any more");
    assert_eq!(alive(&Standing::default()), 1);
    assert_eq!(sessions.count(), 3, "what has ended is remembered");
}

#[tokio::test]
async fn a_session_that_changed_hands_belongs_to_both() {
    let sessions = table(9, 9);
    learn(&sessions, learnt(1, "alice", 1, 0), true).await;
    learn(&sessions, learnt(1, "bob", 1, 0), true).await;
    let mut owners: Vec<String> = found(&sessions, 1)
        .iter()
        .map(|session| session.user.user().to_owned())
        .collect();
    owners.sort_unstable();
    assert_eq!(owners, ["alice", "bob"]);
}

#[tokio::test]
async fn with_too_many_sessions_the_least_used_one_ends() {
    let sessions = table(9, 2);
    for (mark, seen) in [(1, 5_000), (2, 1_000), (3, 6_000)] {
        learn(&sessions, learnt(mark, "bob", 1, seen), true).await;
    }
    learn(&sessions, learnt(4, "alice", 1, 0), true).await;
    let ended: Vec<Option<End>> = (1..=4)
        .map(|mark| found(&sessions, mark)[0].ended())
        .collect();
    assert_eq!(ended, [None, Some(End::Displaced), None, None]);
}

#[tokio::test]
async fn at_the_bound_a_login_is_refused_and_nothing_is_forgotten() {
    let sessions = table(2, 9);
    learn(&sessions, learnt(1, "bob", 1, 0), true).await;
    learn(&sessions, learnt(2, "bob", 1, 0), true).await;
    let third = sessions
        .learn(learnt(3, "bob", 1, 0), true, Revision(0))
        .await;
    assert_eq!(third.map(drop), Err(LearnError::Full(2)));
    assert!(sessions.is_known(&[1; 32]) && !sessions.is_known(&[3; 32]));
    sessions.forget(&found(&sessions, 1)[0]);
    assert!(!sessions.is_known(&[1; 32]));
    learn(&sessions, learnt(3, "bob", 1, 0), true).await;
}

#[tokio::test]
async fn a_session_at_rest_for_too_long_has_expired() {
    let sessions = table(9, 9);
    learn(&sessions, learnt(1, "bob", 1, 10_000), true).await;
    let session = &found(&sessions, 1)[0];
    let kept = Duration::from_secs(60);
    assert!(!session.has_expired(Timestamp(70_000), kept));
    assert!(session.has_expired(Timestamp(70_001), kept));
    session.touch(Timestamp(20_000));
    assert!(!session.has_expired(Timestamp(70_001), kept));
    // A clock that was set back is no reason.
    assert!(!session.has_expired(Timestamp(0), kept));
}

/// Logs in and out again.
async fn come_and_go(sessions: &Sessions, mark: u8, name: &str) -> Result<(), LearnError> {
    let learnt = learnt(mark, name, 1, 0);
    sessions.learn(learnt, true, Revision(0)).await?;
    sessions.end(&found(sessions, mark), End::LoggedOut).await
}

#[tokio::test]
async fn who_ends_session_after_session_leaves_room_for_others_and_stays_out_of_all_of_them() {
    let sessions = table(100, 9);
    let mut ended = 0;
    let refused = loop {
        match come_and_go(&sessions, ended, "bob").await {
            Ok(()) => ended += 1,
            Err(refused) => break refused,
        }
    };
    let share = LearnError::Share {
        user: "bob".into(),
        ended: usize::from(ended),
    };
    assert_eq!((refused, ended), (share, 20), "a fifth");
    assert!(sessions.room_for(&key("bob")).is_err());
    for mark in 0..ended {
        assert_eq!(found(&sessions, mark)[0].ended(), Some(End::LoggedOut));
    }
    for mark in 100..110 {
        come_and_go(&sessions, mark, "alice").await.unwrap();
    }
    // One that is forgotten, long after its last use, gives its room back.
    sessions.forget(&found(&sessions, 0)[0]);
    sessions.forget(&found(&sessions, 1)[0]);
    sessions.forget(&found(&sessions, 2)[0]);
    sessions.room_for(&key("bob")).unwrap();
}

#[tokio::test]
async fn what_is_over_is_counted_however_it_ended() {
    let sessions = table(100, 2);
    // Three that are displaced, and two that a revocation kills.
    for (mark, learnt_at) in [(1, 1), (2, 1), (3, 5), (4, 5), (5, 5)] {
        learn(&sessions, learnt(mark, "bob", learnt_at, mark.into()), true).await;
    }
    assert_eq!(sessions.by_user.ended(&key("bob")), 3);
    let last = learnt(6, "bob", 6, 6);
    sessions.learn(last, true, Revision(6)).await.unwrap();
    assert_eq!(sessions.by_user.ended(&key("bob")), 5);
    // Ended once more, come alive by its password, read from the store, forgotten.
    sessions
        .end(&found(&sessions, 6), End::LoggedOut)
        .await
        .unwrap();
    sessions
        .end(&found(&sessions, 6), End::LoggedOut)
        .await
        .unwrap();
    assert_eq!(sessions.by_user.ended(&key("bob")), 6);
    learn(&sessions, learnt(6, "bob", 6, 7), true).await;
    assert_eq!(sessions.by_user.ended(&key("bob")), 5);
    let ended = Some(End::Expired);
    sessions.insert(Learnt {
        ended,
        ..learnt(7, "bob", 6, 8)
    });
    assert_eq!(sessions.by_user.ended(&key("bob")), 6);
    for mark in 1..=7 {
        sessions.forget(&found(&sessions, mark)[0]);
    }
    assert_eq!(
        (sessions.by_user.ended(&key("bob")), sessions.count()),
        (0, 0)
    );
}

/// One of `bob`'s that was given out beside another credential.
async fn beside(sessions: &Sessions, mark: u8, agent: &str, seen: u64) -> bool {
    let agent = Some(agent.into());
    let learnt = Learnt {
        agent,
        ..learnt(mark, "bob", 1, seen)
    };
    let has_room = sessions.has_room_beside(&learnt, Revision(0));
    if has_room {
        sessions.learn_beside(learnt, Revision(0)).await.unwrap();
    }
    has_room
}

#[tokio::test]
async fn a_client_that_keeps_no_cookies_costs_few_sessions_and_ends_none_of_the_users_own() {
    let sessions = table(1_000, 2);
    learn(&sessions, learnt(101, "bob", 1, 0), true).await;
    learn(&sessions, learnt(102, "bob", 1, 0), true).await;
    let most = u8::try_from(limits::SESSIONS_UNTRIED_PER_CLIENT_MAX).unwrap();
    for mark in 1..=most {
        assert!(beside(&sessions, mark, "Program/1", mark.into()).await);
    }
    assert!(!beside(&sessions, 50, "Program/1", 1_000).await);
    assert!(found(&sessions, 50).is_empty());
    // Another client of bob's has room of its own; one that is used makes room.
    assert!(beside(&sessions, 60, "Browser/1", 1_000).await);
    found(&sessions, 1)[0].touch(Timestamp(5_000));
    assert!(beside(&sessions, 51, "Program/1", 5_000).await);
    assert!(!beside(&sessions, 52, "Program/1", 5_000).await);
    // Much later the oldest ends for a new one, and is remembered.
    let hour = u64::try_from(limits::SESSION_UNTRIED_KEPT.as_millis()).unwrap();
    assert!(beside(&sessions, 53, "Program/1", 2 * hour).await);
    assert_eq!(found(&sessions, 2)[0].ended(), Some(End::Displaced));
    assert!(!beside(&sessions, 54, "Program/1", hour).await);
    for mark in [101, 102, 1, 51, 60] {
        assert_eq!(found(&sessions, mark)[0].ended(), None, "{mark}");
    }
    // One that was used counts as any other: with a new login the least used ends.
    learn(&sessions, learnt(103, "bob", 1, 3 * hour), true).await;
    let ended = |mark| found(&sessions, mark)[0].ended().is_some();
    assert_eq!(
        [101, 102, 103, 1, 51].map(ended),
        [true, true, false, false, false]
    );
}

#[tokio::test]
async fn clients_of_one_user_share_a_bound_however_they_call_themselves() {
    let sessions = table(1_000, 2);
    let mut given: u8 = 0;
    while beside(&sessions, given, &format!("Program/{given}"), 0).await {
        given += 1;
    }
    assert_eq!(usize::from(given), limits::SESSIONS_UNTRIED_PER_USER_MAX);
    // What a revocation killed is no bar.
    let fresh = Learnt {
        agent: None,
        ..learnt(200, "bob", 2, 0)
    };
    assert!(sessions.has_room_beside(&fresh, Revision(2)));
}
