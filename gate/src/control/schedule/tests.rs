//! Time as a source of change: a calendar, and a clock that tests move.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use portcullis_core::deed::Deed;
use portcullis_core::ids::{HoldName, Revision, TenantId, UserId};
use portcullis_core::user::{Status, User};

use super::*;
use crate::control::apply::Applier;
use crate::control::command::{Caller, Note, Suspend, Terms};
use crate::control::ledger::Ledger;
use crate::control::sessions::KeptSessions;
use crate::control::store::SqliteStore;
use crate::control::tokens::Tokens;
use crate::live::connections::Stake;
use crate::live::sessions::Bounds;
use crate::live::tenants::Tenants;
use crate::live::{self, Reader};

fn key(name: &str) -> UserKey {
    UserKey::new(
        &TenantId::parse("acme").unwrap(),
        &UserId::parse(name).unwrap(),
    )
}

fn agenda(begins: Option<u64>, ends: Option<u64>) -> Agenda {
    Agenda {
        begins: begins.map(Timestamp),
        ends: ends.map(Timestamp),
    }
}

fn names(keys: &[UserKey]) -> Vec<&str> {
    keys.iter().map(UserKey::user).collect()
}

#[test]
fn what_is_due_comes_in_its_order_and_beginnings_first() {
    let mut calendar = Calendar::default();
    calendar.note(&key("late"), agenda(Some(900), None));
    calendar.note(&key("ends"), agenda(None, Some(10)));
    calendar.note(&key("second"), agenda(Some(30), None));
    calendar.note(&key("both"), agenda(Some(20), Some(5)));
    assert_eq!(calendar.next(), Some(Timestamp(5)));
    let ripe = calendar.take_ripe(Timestamp(100), 3);
    assert_eq!(names(&ripe), ["both", "second", "ends"]);
    assert!(calendar.take_ripe(Timestamp(100), 3).is_empty());
    assert_eq!(calendar.next(), Some(Timestamp(900)));
}

#[test]
fn a_change_takes_the_place_of_what_was_noted() {
    let mut calendar = Calendar::default();
    calendar.note(&key("bob"), agenda(Some(10), Some(20)));
    calendar.note(&key("bob"), agenda(None, Some(50)));
    assert_eq!(calendar.next(), Some(Timestamp(50)));
    calendar.note(&key("bob"), agenda(None, Some(50)));
    calendar.note(&key("bob"), Agenda::default());
    assert_eq!(calendar.next(), None);
    let queues = [&calendar.begins, &calendar.ends];
    assert!(
        queues
            .iter()
            .all(|queue| queue.by_user.is_empty() && queue.by_time.is_empty())
    );
}

/// Looking at everybody each time would be ten thousand million steps.
#[test]
fn users_whose_holds_end_another_day_cost_nothing_today() {
    let mut calendar = Calendar::default();
    for n in 0..100_000_u64 {
        calendar.note(&key(&format!("user{n}")), agenda(None, Some(n)));
    }
    let mut taken = 0;
    for now in 0..100_000 {
        taken += calendar.take_ripe(Timestamp(now), 256).len();
    }
    assert_eq!(taken, 100_000);
}

const LONG: Duration = Duration::from_secs(30);

/// A gate's control wing, whose scheduler runs.
struct World {
    live: Reader,
    commander: Arc<Commander>,
    folder: tempfile::TempDir,
}

impl World {
    fn start(clock: fn() -> Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let bounds = Bounds {
            all: 9,
            per_user: 9,
        };
        let kept = Arc::new(KeptSessions(Arc::clone(&store)));
        let (live, writer) =
            live::open(Tenants::default(), kept, bounds, &[0; 32], Box::new(|_| ()));
        let (scheduled, changed) = mpsc::unbounded_channel();
        let applier = Applier::load(Arc::clone(&store), writer, clock, scheduled).unwrap();
        let tokens = Tokens::load(Arc::clone(&store)).unwrap();
        let tokens = Arc::new(tokens.judged_by(live.clone()));
        let commander = Commander::new(store, applier.start(), tokens, live.clone(), clock);
        let commander = Arc::new(commander);
        tokio::spawn(run(Arc::clone(&commander), changed));
        Self {
            live,
            commander,
            folder,
        }
    }

    async fn suspend(&self, name: &str, starts_at: Option<u64>, ends_at: Option<u64>) {
        let by = Caller::command_line();
        let ask = Suspend {
            hold: HoldName::admin(),
            starts_at: starts_at.map(Timestamp),
            ends_at: ends_at.map(Timestamp),
            ..Suspend::default()
        };
        let (key, note) = (key(name), Note::default());
        let suspending = self
            .commander
            .suspend(&by, &key, &ask, &note, Terms::default());
        suspending.await.unwrap();
    }

    async fn user(&self, name: &str) -> User {
        self.commander.read(&key(name)).await.unwrap()
    }

    /// Looks at a user until it is as described.
    async fn wait(&self, name: &str, like: impl Fn(&User) -> bool) -> User {
        let looking = async {
            loop {
                let user = self.user(name).await;
                if like(&user) {
                    return user;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, looking).await.expect(name)
    }

    /// From outside: every append fails, as on a disk that is full.
    fn outside(&self, sql: &str) {
        let path = Path::new(self.folder.path()).join(crate::control::store::LEDGER_FILE);
        let store = rusqlite::Connection::open(path).unwrap();
        store.execute_batch(sql).unwrap();
    }
}

#[tokio::test]
async fn a_beginning_that_cannot_be_recorded_cuts_all_the_same_and_is_recorded_when_it_can_be() {
    static TIME: AtomicU64 = AtomicU64::new(1_000_000);
    fn clock() -> Timestamp {
        Timestamp(TIME.load(Ordering::SeqCst))
    }
    let world = World::start(clock);
    let stakes = vec![Stake::of(key("bob"), false)];
    let open = world.live.register(stakes, &[], Deed::Act).unwrap();
    world.suspend("bob", Some(1_000_050), None).await;
    assert!(!open.cut().has_fired());
    world.outside(
        "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    TIME.store(1_000_100, Ordering::SeqCst);
    let cut = tokio::time::timeout(LONG, open.cut().fired());
    cut.await.expect("the cut");
    assert_eq!(world.commander.store().head(), Revision(1));
    world.outside("DROP TRIGGER full");
    let bob = world.wait("bob", |bob| bob.holds[0].begun).await;
    assert_eq!(bob.sessions_revoked_at, Revision(2));
    // The clock is set back: bob stays out.
    TIME.store(1_000_000, Ordering::SeqCst);
    assert_eq!(bob.status(clock()), Status::Suspended);
}

#[tokio::test]
async fn what_was_not_due_after_all_is_not_forgotten() {
    fn clock() -> Timestamp {
        Timestamp(1_000_000)
    }
    let world = World::start(clock);
    world.suspend("bob", Some(2_000_000), None).await;
    let mut calendar = Calendar::default();
    record(&world.commander, &mut calendar, vec![key("bob")]).await;
    assert_eq!(calendar.next(), Some(Timestamp(2_000_000)));
}

#[tokio::test]
async fn holds_of_many_that_end_at_one_moment_all_end_and_a_beginning_waits_for_none_of_them() {
    static TIME: AtomicU64 = AtomicU64::new(1_000_000);
    fn clock() -> Timestamp {
        Timestamp(TIME.load(Ordering::SeqCst))
    }
    let world = World::start(clock);
    let names: Vec<String> = (0..300).map(|n| format!("user{n}")).collect();
    let suspending = names
        .iter()
        .map(|name| world.suspend(name, None, Some(1_000_050)));
    join_all(suspending).await;
    world.suspend("bob", Some(1_000_060), None).await;
    TIME.store(1_000_100, Ordering::SeqCst);
    let mut last = Revision(0);
    for name in &names {
        let user = world.wait(name, |user| user.holds.is_empty()).await;
        last = last.max(user.revision);
    }
    let bob = world.user("bob").await;
    assert!(bob.holds[0].begun);
    assert!(bob.revision.0 + 40 < last.0, "{} {last}", bob.revision);
}
