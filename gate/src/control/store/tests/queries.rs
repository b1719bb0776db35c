//! Finding users and entries, page by page.

use portcullis_core::ids::{ReasonKey, Revision};
use portcullis_core::ledger::Event;
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Hold, Kind, Profile, Status};
use rusqlite::Connection;

use super::{Folder, SqliteStore};
use crate::control::ledger::conformance::{draft, hold, key, tenant};
use crate::control::ledger::{Expect, Ledger};
use crate::control::store::{AuditQuery, LEDGER_FILE, UserFilter, UserQuery};

const NOW: Timestamp = Timestamp(10_000);

async fn write(store: &SqliteStore, user: &str, event: Event) {
    store
        .append(draft(user, event), Expect::Any, None)
        .await
        .unwrap();
}

async fn place(store: &SqliteStore, user: &str, change: impl FnOnce(&mut Hold)) {
    let mut hold = hold("admin");
    change(&mut hold);
    write(store, user, Event::HoldPlaced { hold }).await;
}

/// All pages of a search, as ids; checks that each but the last is full.
fn search(store: &SqliteStore, query: &UserQuery) -> Vec<String> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = store.users(&query).unwrap();
        found.extend(page.users.iter().map(|(key, _)| key.user().to_owned()));
        if page.next.is_none() {
            return found;
        }
        assert_eq!(page.users.len(), query.limit);
        query.after = page.next;
    }
}

fn query(filter: UserFilter) -> UserQuery {
    UserQuery {
        tenant: Some(tenant("acme")),
        filter,
        now: NOW,
        limit: 2,
        ..UserQuery::default()
    }
}

fn status(status: Status) -> UserFilter {
    UserFilter {
        status: Some(status),
        ..UserFilter::default()
    }
}

#[expect(clippy::too_many_lines, reason = "a table of searches")]
#[tokio::test]
async fn users_are_found_by_what_holds_them_now_in_full_pages() {
    let folder = Folder::fresh();
    let store = folder.store();
    let reason = ReasonKey::parse("chargeback").unwrap();
    for number in 0..5 {
        place(&store, &format!("held{number}"), |_| {}).await;
    }
    place(&store, "temporary", |hold| hold.kind = Kind::Temporary).await;
    place(&store, "reasoned", |hold| {
        hold.reason = Some(reason.clone())
    })
    .await;
    place(&store, "later", |hold| hold.starts_at = Timestamp(20_000)).await;
    place(&store, "over", |hold| hold.ends_at = Some(NOW)).await;
    // Two holds: the stricter one speaks, with its own reason.
    place(&store, "twice", |hold| {
        hold.kind = Kind::Temporary;
        hold.reason = Some(reason.clone());
    })
    .await;
    let hr = Event::HoldPlaced {
        hold: Hold {
            ends_at: None,
            ..hold("hr")
        },
    };
    write(&store, "twice", hr).await;
    write(&store, "gone", Event::Deleted).await;
    write(
        &store,
        "renamed",
        Event::ProfileChanged {
            profile: Profile::default(),
        },
    )
    .await;
    let mut elsewhere = draft(
        "held9",
        Event::HoldPlaced {
            hold: hold("admin"),
        },
    );
    elsewhere.tenant = Some(tenant("acme-2"));
    store.append(elsewhere, Expect::Any, None).await.unwrap();

    let held = ["held0", "held1", "held2", "held3", "held4"];
    let find = |filter: UserFilter| search(&store, &query(filter));
    let gone = store.pseudonyms().key(&key("gone")).unwrap();
    assert_eq!(find(status(Status::Deleted)), [gone.user()]);
    assert_eq!(find(status(Status::Active)), ["later", "over", "renamed"]);
    let suspended = find(status(Status::Suspended));
    assert_eq!(
        suspended,
        [&held[..], &["reasoned", "temporary", "twice"]].concat()
    );
    let kind = |kind| {
        find(UserFilter {
            kind: Some(kind),
            ..UserFilter::default()
        })
    };
    assert_eq!(kind(Kind::Temporary), ["temporary"]);
    assert_eq!(
        kind(Kind::Permanent),
        [&held[..], &["reasoned", "twice"]].concat()
    );
    let reasoned = UserFilter {
        reason: Some(reason),
        ..UserFilter::default()
    };
    assert_eq!(find(reasoned.clone()), ["reasoned"]);
    assert_eq!(
        find(UserFilter {
            kind: Some(Kind::Permanent),
            ..reasoned.clone()
        }),
        ["reasoned"]
    );
    assert!(
        find(UserFilter {
            status: Some(Status::Active),
            ..reasoned
        })
        .is_empty()
    );
    assert_eq!(find(UserFilter::default()).len(), 12);
    let later = UserQuery {
        now: Timestamp(20_000),
        ..query(status(Status::Active))
    };
    assert_eq!(search(&store, &later), ["over", "renamed"]);
    let everywhere = UserQuery {
        tenant: None,
        ..query(status(Status::Suspended))
    };
    assert_eq!(search(&store, &everywhere).len(), 9);
}

#[tokio::test]
async fn users_are_found_once_by_the_beginning_of_any_name() {
    let folder = Folder::fresh();
    let store = folder.store();
    for (id, email) in [
        ("bob", "bob@x.test"),
        ("u1", "bobby@x.test"),
        ("u2", "z@x.test"),
    ] {
        let profile = Profile {
            email: Some(email.into()),
            phone: (id == "u1").then(|| "bob-phone".into()),
            ..Profile::default()
        };
        write(&store, id, Event::ProfileChanged { profile }).await;
    }
    place(&store, "u1", |_| {}).await;
    for tenant in [Some(tenant("acme")), None] {
        let find = |prefix: &str, filter: UserFilter| {
            let query = UserQuery {
                tenant: tenant.clone(),
                prefix: Some(prefix.into()),
                limit: 1,
                ..query(filter)
            };
            search(&store, &query)
        };
        assert_eq!(find("bob", UserFilter::default()), ["bob", "u1"]);
        assert_eq!(find("bobb", UserFilter::default()), ["u1"]);
        assert_eq!(find("u", UserFilter::default()), ["u1", "u2"]);
        assert_eq!(find("", UserFilter::default()), ["bob", "u1", "u2"]);
        assert_eq!(find("bob", status(Status::Suspended)), ["u1"]);
        assert!(find("%", UserFilter::default()).is_empty());
    }
}

#[tokio::test]
async fn a_search_of_all_tenants_goes_from_one_to_the_next() {
    let folder = Folder::fresh();
    let store = folder.store();
    for (name, user) in [
        ("acme", "bob"),
        ("acme", "zoe"),
        ("globex", "bea"),
        ("globex", "bob"),
        ("initech", "ann"),
        ("umbrella", "bill"),
    ] {
        let mut draft = draft(user, Event::SessionsRevoked);
        draft.tenant = Some(tenant(name));
        store.append(draft, Expect::Any, None).await.unwrap();
    }
    for limit in 1..6 {
        let found = |prefix: &str| {
            let query = UserQuery {
                tenant: None,
                prefix: Some(prefix.into()),
                limit,
                ..query(UserFilter::default())
            };
            search(&store, &query)
        };
        assert_eq!(found("b"), ["bob", "bea", "bob", "bill"], "{limit} a page");
        assert_eq!(found("a"), ["ann"], "{limit} a page");
        assert_eq!(found("bobb"), [""; 0], "{limit} a page");
    }
}

/// A deletion looks for all of them while everybody waits to write.
#[test]
fn the_names_of_a_user_are_found_without_reading_those_of_others() {
    let folder = Folder::fresh();
    drop(folder.store());
    let file = Connection::open(folder.0.path().join(LEDGER_FILE)).unwrap();
    for sql in [
        "SELECT name FROM names WHERE key = ?",
        "DELETE FROM names WHERE key = ?",
        "DELETE FROM former_names WHERE key = ?",
        "DELETE FROM holds WHERE key = ?",
        "UPDATE users SET key = 'a/b' WHERE number = ?",
    ] {
        let mut plan = file.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = plan.query_map(["acme/bob"], |row| row.get::<_, String>(3));
        let lines: Vec<String> = lines.unwrap().map(Result::unwrap).collect();
        let searched = lines.iter().all(|line| line.starts_with("SEARCH"));
        assert!(searched && !lines.is_empty(), "{sql}: {lines:?}");
    }
}

#[tokio::test]
async fn no_search_sorts_or_reads_more_than_its_range() {
    let folder = Folder::fresh();
    let store = folder.store();
    let reason = ReasonKey::parse("chargeback").ok();
    let filters = [
        UserFilter::default(),
        status(Status::Suspended),
        status(Status::Active),
        status(Status::Deleted),
        UserFilter {
            kind: Some(Kind::Temporary),
            ..UserFilter::default()
        },
        UserFilter {
            reason: reason.clone(),
            ..UserFilter::default()
        },
        UserFilter {
            reason,
            kind: Some(Kind::Temporary),
            ..status(Status::Suspended)
        },
    ];
    for filter in filters {
        for (tenant, prefix) in [
            (Some(tenant("acme")), None),
            (Some(tenant("acme")), Some("b".to_owned())),
            // All tenants by a prefix: one after the other, as the second.
            (None, None),
        ] {
            let after = Some("acme/x".to_owned());
            let query = UserQuery {
                tenant,
                prefix,
                after,
                ..query(filter.clone())
            };
            let plan = store.explain(&query);
            assert!(!plan.contains("TEMP B-TREE"), "{query:?}\n{plan}");
            let whole = |line: &str| line.starts_with("SCAN") && !line.contains("INDEX");
            assert!(
                query.tenant.is_none() || !plan.lines().any(whole),
                "{query:?}\n{plan}"
            );
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a table of searches")]
#[tokio::test]
async fn the_audit_is_found_by_user_actor_action_ticket_and_time_in_pages() {
    let folder = Folder::fresh();
    let store = folder.store();
    for number in 0..10_u64 {
        let user = if number % 2 == 0 { "bob" } else { "alice" };
        let mut draft = draft(user, Event::SessionsRevoked);
        draft.at = Timestamp(number * 100);
        draft.actor = if number < 5 {
            "ops".into()
        } else {
            "hr".into()
        };
        draft.ticket = (number % 4 == 3).then(|| format!("SEC-{number}"));
        store.append(draft, Expect::Any, None).await.unwrap();
    }
    place(&store, "bob", |_| {}).await;
    let find = |query: AuditQuery| -> Vec<u64> {
        let mut query = AuditQuery { limit: 3, ..query };
        let mut found = Vec::new();
        loop {
            let page = store.audit(&query).unwrap();
            found.extend(page.entries.iter().map(|entry| entry.seq.0));
            let Some(next) = page.next else { return found };
            assert_eq!(page.entries.len(), 3);
            match query.after {
                Some(_) => query.after = Some(next),
                None => query.before = Some(next),
            }
        }
    };
    let all = AuditQuery::default;
    assert_eq!(find(all()), (1..=11).rev().collect::<Vec<_>>());
    assert_eq!(
        find(AuditQuery {
            after: Some(Revision(7)),
            ..all()
        }),
        [8, 9, 10, 11]
    );
    let of_bob = AuditQuery {
        tenant: Some(tenant("acme")),
        user: Some(key("bob")),
        ..all()
    };
    assert_eq!(find(of_bob), [11, 9, 7, 5, 3, 1]);
    assert!(
        find(AuditQuery {
            tenant: Some(tenant("globex")),
            ..all()
        })
        .is_empty()
    );
    let by_hr = AuditQuery {
        actor: Some("hr".into()),
        ..all()
    };
    assert_eq!(find(by_hr), [10, 9, 8, 7, 6]);
    assert_eq!(
        find(AuditQuery {
            action: Some("hold_placed".into()),
            ..all()
        }),
        [11]
    );
    let by_ticket = AuditQuery {
        ticket: Some("SEC-3".into()),
        ..all()
    };
    assert_eq!(find(by_ticket), [4]);
    let some_time = AuditQuery {
        since: Some(Timestamp(300)),
        until: Some(Timestamp(600)),
        ..all()
    };
    assert_eq!(find(some_time), [6, 5, 4]);
}
