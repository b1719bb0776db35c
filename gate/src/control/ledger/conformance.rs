//! What every ledger promises, as tests: `ledger_promises!(home)` in the tests of
//! a ledger runs them all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use portcullis_core::ids::{HoldName, Revision, TenantId, UserId, UserKey};
use portcullis_core::ledger::{Draft, Entry, Event};
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Access, Hold, Kind, Profile, Source};

use super::{AppendError, Expect, IdempotencyKey, Ledger, ReadError};

/// Where a ledger lives: what was opened, used and dropped can be opened again.
pub(crate) trait Home: Send + Sync {
    fn open(&self) -> Arc<dyn Ledger>;
}

/// Runs each promise against a fresh home.
macro_rules! ledger_promises {
    ($home:expr) => {
        $crate::control::ledger::conformance::ledger_promises!($home =>
            of_many_writers_one_wins_each_revision,
            a_retry_gets_the_first_answer_whatever_has_happened_since,
            an_append_that_nobody_waited_for_is_written_once_or_not_at_all,
            a_key_for_another_request_is_refused_and_writes_nothing,
            entries_come_back_as_they_were_written_and_in_order,
            a_tail_misses_nothing_across_a_restart_while_writers_write,
            a_tail_that_waits_is_woken_and_ends_with_the_ledger,
            the_last_change_of_a_user_is_known,
            an_entry_that_cannot_be_folded_is_refused);
    };
    ($home:expr => $($promise:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $promise() {
                $crate::control::ledger::conformance::$promise(&$home).await;
            }
        )+
    };
}
pub(crate) use ledger_promises;

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn key(user: &str) -> UserKey {
    UserKey::new(&tenant("acme"), &UserId::parse(user).unwrap())
}

/// Something that happened to a user of acme.
pub(crate) fn draft(user: &str, event: Event) -> Draft {
    Draft {
        at: Timestamp(1_000),
        tenant: Some(tenant("acme")),
        user: Some(UserId::parse(user).unwrap()),
        actor: "ops".into(),
        token: None,
        source: Source::Api,
        approver: None,
        ticket: None,
        comment: None,
        batch: None,
        event,
    }
}

pub(crate) fn hold(name: &str) -> Hold {
    Hold {
        name: HoldName::parse(name).unwrap(),
        kind: Kind::Permanent,
        access: Access::None,
        reason: None,
        reason_text: None,
        source: Source::Api,
        actor: "ops".into(),
        approver: None,
        ticket: None,
        comment: None,
        placed_at: Timestamp(1_000),
        starts_at: Timestamp(1_000),
        ends_at: None,
        disables_api_keys: true,
        revokes_sessions: true,
        begun: false,
    }
}

pub(crate) fn suspended(user: &str) -> Draft {
    draft(
        user,
        Event::HoldPlaced {
            hold: hold("admin"),
        },
    )
}

fn idempotency(key: &str, request: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey::new("acme\nops", key, request.as_bytes()).unwrap())
}

async fn all(ledger: &Arc<dyn Ledger>) -> Vec<Entry> {
    ledger.read(Revision(0), 1_000_000).await.unwrap()
}

fn assert_gapless(entries: &[Entry]) {
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.seq, Revision(index as u64 + 1));
    }
}

pub(crate) async fn of_many_writers_one_wins_each_revision(home: &dyn Home) {
    let ledger = home.open();
    let mut revision = Revision(0);
    for _round in 0..8 {
        let race = (0..32).map(|_| {
            let ledger = Arc::clone(&ledger);
            let append = async move {
                ledger
                    .append(suspended("bob"), Expect::At(revision), None)
                    .await
            };
            tokio::spawn(append)
        });
        let outcomes: Vec<_> = join_all(race)
            .await
            .into_iter()
            .map(|outcome| outcome.unwrap())
            .collect();
        let won: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().ok())
            .collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        revision = won[0].entry.seq;
        for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert_eq!(*lost, AppendError::Conflict { actual: revision });
        }
    }
    assert_eq!(all(&ledger).await.len(), 8);
}

pub(crate) async fn a_retry_gets_the_first_answer_whatever_has_happened_since(home: &dyn Home) {
    let ledger = home.open();
    let none = Expect::At(Revision(0));
    let request = || idempotency("k1", "suspend bob");
    let first = ledger
        .append(suspended("bob"), none, request())
        .await
        .unwrap();
    assert!(!first.repeated);
    ledger
        .append(suspended("bob"), Expect::Any, None)
        .await
        .unwrap();
    // A retry is made later, so that its entry isn't the same to the byte.
    let mut later = suspended("bob");
    later.at = Timestamp(9_999);
    let again = ledger.append(later, none, request()).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.entry, first.entry);
    drop(ledger);
    let ledger = home.open();
    let after_restart = ledger
        .append(suspended("bob"), none, request())
        .await
        .unwrap();
    assert!(after_restart.repeated);
    assert_eq!(after_restart.entry, first.entry);
    assert_eq!(all(&ledger).await.len(), 2);
}

pub(crate) async fn an_append_that_nobody_waited_for_is_written_once_or_not_at_all(
    home: &dyn Home,
) {
    let ledger = home.open();
    for round in 0..20 {
        let request = || idempotency(&round.to_string(), "suspend bob");
        // Polled once and dropped: the caller never learns the outcome.
        let _unknown = ledger
            .append(suspended("bob"), Expect::Any, request())
            .now_or_never();
        let retried = ledger
            .append(suspended("bob"), Expect::Any, request())
            .await
            .unwrap();
        assert_eq!(retried.entry.seq, Revision(round + 1));
    }
    assert_gapless(&all(&ledger).await);
}

pub(crate) async fn a_key_for_another_request_is_refused_and_writes_nothing(home: &dyn Home) {
    let ledger = home.open();
    let suspend = idempotency("k1", "suspend bob");
    ledger
        .append(suspended("bob"), Expect::Any, suspend)
        .await
        .unwrap();
    let other = idempotency("k1", "suspend alice");
    let refused = ledger.append(suspended("alice"), Expect::Any, other).await;
    assert_eq!(refused.unwrap_err(), AppendError::KeyReused);
    assert_eq!(ledger.last(&key("alice")).await.unwrap(), None);
    assert_eq!(ledger.head(), Revision(1));
}

pub(crate) async fn entries_come_back_as_they_were_written_and_in_order(home: &dyn Home) {
    let ledger = home.open();
    let mut written = Vec::new();
    for number in 0..50_u64 {
        let mut draft = suspended(&format!("user{}", number % 7));
        draft.at = Timestamp(number);
        draft.comment = Some(format!("line {number}\n\"quoted\" é"));
        written.push(ledger.append(draft, Expect::Any, None).await.unwrap().entry);
        assert_eq!(ledger.head(), Revision(number + 1));
    }
    assert_eq!(all(&ledger).await, written);
    assert_eq!(ledger.read(Revision(10), 5).await.unwrap(), written[10..15]);
    assert_eq!(ledger.read(Revision(50), 5).await.unwrap(), []);
    drop(ledger);
    let ledger = home.open();
    assert_eq!(ledger.head(), Revision(50));
    assert_eq!(all(&ledger).await, written);
}

pub(crate) async fn a_tail_misses_nothing_across_a_restart_while_writers_write(home: &dyn Home) {
    let mut seen = Vec::new();
    let mut after = Revision(0);
    for round in 1..=3_u64 {
        let ledger = home.open();
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let ledger = Arc::clone(&ledger);
                tokio::spawn(async move {
                    for _ in 0..25 {
                        let draft = suspended(&format!("user{writer}"));
                        ledger.append(draft, Expect::Any, None).await.unwrap();
                    }
                })
            })
            .collect();
        // Stops short of the head, so that the next tail has something to catch up with.
        let mut tail = ledger.tail(after);
        while after < Revision(round * 200 - 50) {
            seen.push(tail.next().await.unwrap());
            after = tail.after();
        }
        for writer in writers {
            writer.await.unwrap();
        }
    }
    assert_gapless(&seen);
    assert_eq!(seen, all(&home.open()).await[..seen.len()]);
}

pub(crate) async fn a_tail_that_waits_is_woken_and_ends_with_the_ledger(home: &dyn Home) {
    let ledger = home.open();
    let mut tail = ledger.tail(Revision(0));
    assert!(tail.next().now_or_never().is_none(), "nothing to read yet");
    let waiting = tokio::spawn(async move { (tail.next().await, tail) });
    ledger
        .append(suspended("bob"), Expect::Any, None)
        .await
        .unwrap();
    let (woken, mut tail) = waiting.await.unwrap();
    assert_eq!(woken.unwrap().seq, Revision(1));
    drop(ledger);
    assert_eq!(tail.next().await, Err(ReadError::Closed));
}

pub(crate) async fn the_last_change_of_a_user_is_known(home: &dyn Home) {
    let ledger = home.open();
    assert_eq!(ledger.last(&key("bob")).await.unwrap(), None);
    let first = ledger
        .append(suspended("bob"), Expect::Any, None)
        .await
        .unwrap();
    ledger
        .append(suspended("alice"), Expect::Any, None)
        .await
        .unwrap();
    let refused = Event::Refused {
        error_id: "e".into(),
        code: "suspended".into(),
        policy: "builtin".into(),
    };
    ledger
        .append(draft("bob", refused), Expect::At(first.entry.seq), None)
        .await
        .unwrap();
    assert_eq!(ledger.last(&key("bob")).await.unwrap(), Some(first.entry));
}

pub(crate) async fn an_entry_that_cannot_be_folded_is_refused(home: &dyn Home) {
    let ledger = home.open();
    let mut nameless = draft("bob", Event::SessionsRevoked);
    nameless.user = None;
    let refused = ledger.append(nameless, Expect::Any, None).await;
    assert_eq!(refused.unwrap_err(), AppendError::Nameless);
    let mut long = suspended("bob");
    long.comment = Some("x".repeat(1 << 20));
    let refused = ledger.append(long, Expect::Any, None).await;
    assert!(matches!(refused.unwrap_err(), AppendError::TooLarge { .. }));
    let email = |text: &str| Event::ProfileChanged {
        profile: Profile {
            email: Some(text.into()),
            ..Profile::default()
        },
    };
    ledger
        .append(draft("bob", email("b@acme.test")), Expect::Any, None)
        .await
        .unwrap();
    for taken in ["b@acme.test", "bob"] {
        let refused = ledger
            .append(draft("eve", email(taken)), Expect::Any, None)
            .await;
        let error = AppendError::AliasTaken {
            alias: taken.into(),
            user: key("bob"),
        };
        assert_eq!(refused.unwrap_err(), error);
    }
    // An alias is no user of its own: a hold on it would keep nobody out.
    let refused = ledger
        .append(suspended("b@acme.test"), Expect::Any, None)
        .await;
    assert!(matches!(
        refused.unwrap_err(),
        AppendError::AliasTaken { .. }
    ));
    assert_eq!(ledger.head(), Revision(1));
    assert_eq!(ledger.last(&key("eve")).await.unwrap(), None);
}
