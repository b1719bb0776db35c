//! The status of users: moka in front, and behind it the exact set of every user
//! who was ever changed.
//!
//! A user who is in neither was never heard of and is active. A suspension can't
//! be evicted, because the exact set evicts nothing; a miss touches no disk. A
//! loaded answer can't outlive a newer one: see [`StatusTable::standing`].

use std::sync::Arc;

use moka::ops::compute::Op;
use moka::sync::Cache;
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use portcullis_core::standing::Standing;

use super::forgotten::{Forgotten, Remains};
use super::sharded::Sharded;

pub(super) struct StatusTable {
    cache: Cache<UserKey, Arc<Standing>>,
    exact: Sharded<UserKey, Arc<Standing>>,
    /// Deleted users, by what is left of their names.
    forgotten: Forgotten,
    never_heard_of: Arc<Standing>,
}

impl StatusTable {
    pub(super) fn new() -> Self {
        Self::with_cache_entries(limits::STATUS_CACHE_ENTRIES_MAX)
    }

    fn with_cache_entries(entries_max: u64) -> Self {
        Self {
            cache: Cache::new(entries_max),
            exact: Sharded::default(),
            forgotten: Forgotten::default(),
            never_heard_of: Arc::default(),
        }
    }

    pub(super) fn standing(&self, user: &UserKey) -> Arc<Standing> {
        if let Some(standing) = self.cache.get(user) {
            return standing;
        }
        self.load(user)
    }

    pub(super) const fn forgotten(&self) -> &Forgotten {
        &self.forgotten
    }

    /// The miss. The exact set is read inside the entry's own lock, and a writer
    /// changes the exact set before it takes that lock: so either this reading is
    /// the new one, or the writer's turn comes after and puts the new one in.
    /// Revisions are compared besides, so that the order of turns can't matter.
    fn load(&self, user: &UserKey) -> Arc<Standing> {
        let mut answer = Arc::clone(&self.never_heard_of);
        let _ = self.cache.entry_by_ref(user).and_compute_with(|cached| {
            let loaded = self.exact(user);
            match cached {
                Some(cached) if cached.value().revision >= loaded.revision => {
                    answer = Arc::clone(cached.value());
                    Op::Nop
                }
                Some(_) | None => {
                    answer = Arc::clone(&loaded);
                    Op::Put(loaded)
                }
            }
        });
        answer
    }

    /// Whether the user was ever changed, or had that name and is deleted.
    pub(super) fn knows(&self, user: &UserKey) -> bool {
        self.exact.read(user).contains_key(user) || self.forgotten.find(user).is_some()
    }

    fn exact(&self, user: &UserKey) -> Arc<Standing> {
        let known = self.exact.read(user).get(user).cloned();
        known
            .or_else(|| Some(self.forgotten.find(user)?.standing))
            .unwrap_or_else(|| Arc::clone(&self.never_heard_of))
    }

    pub(super) fn apply(&self, user: &UserKey, standing: Standing) {
        let standing = Arc::new(standing);
        {
            let mut exact = self.exact.write(user);
            match exact.get(user) {
                Some(known) if known.revision >= standing.revision => return,
                Some(_) | None => {
                    exact.insert(user.clone(), Arc::clone(&standing));
                }
            }
        }
        self.put(user, &standing);
    }

    fn put(&self, user: &UserKey, standing: &Arc<Standing>) {
        let _ = self
            .cache
            .entry_by_ref(user)
            .and_compute_with(|cached| match cached {
                Some(cached) if cached.value().revision >= standing.revision => Op::Nop,
                Some(_) | None => Op::Put(Arc::clone(standing)),
            });
    }

    /// Whoever comes under this name of a deleted user is refused from then on, and
    /// the name itself is forgotten. In this order: a miss finds the name among those
    /// that are known, or else among the forgotten.
    pub(super) fn forget(&self, name: &UserKey, remains: Remains) {
        let standing = Arc::clone(&remains.standing);
        self.forgotten.forget(name, remains);
        self.exact.write(name).remove(name);
        self.put(name, &standing);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering};

    use portcullis_core::ids::{Revision, TenantId, UserId};

    use super::*;

    fn key(name: &str) -> UserKey {
        UserKey::new(
            &TenantId::parse("acme").unwrap(),
            &UserId::parse(name).unwrap(),
        )
    }

    fn at(revision: u64) -> Standing {
        Standing {
            revision: Revision(revision),
            deleted: true,
            ..Standing::default()
        }
    }

    #[test]
    fn a_user_never_heard_of_is_active() {
        let table = StatusTable::new();
        assert_eq!(*table.standing(&key("alice")), Standing::default());
    }

    #[test]
    fn a_suspension_outlives_its_cache_entry() {
        let table = StatusTable::with_cache_entries(2);
        table.apply(&key("bob"), at(1));
        for n in 0..1_000 {
            table.standing(&key(&format!("user{n}")));
        }
        table.cache.run_pending_tasks();
        assert!(table.standing(&key("bob")).deleted);
    }

    #[test]
    fn an_older_revision_never_replaces_a_newer_one() {
        let table = StatusTable::new();
        table.apply(&key("bob"), at(5));
        table.apply(
            &key("bob"),
            Standing {
                revision: Revision(4),
                ..Standing::default()
            },
        );
        assert!(table.standing(&key("bob")).deleted);
    }

    #[test]
    fn a_forgotten_name_stays_out_of_the_cache_and_in() {
        let table = StatusTable::with_cache_entries(1);
        let pseudonyms = super::super::forgotten::Pseudonyms::new(&[7; 32]);
        table.forgotten().know(pseudonyms.clone());
        let (bob, mail) = (key("bob"), key("bob@acme.test"));
        table.apply(&bob, Standing::default());
        for name in [&bob, &mail] {
            assert!(!table.standing(name).deleted);
            let remains = Remains {
                user: pseudonyms.key(&bob).unwrap(),
                standing: Arc::new(at(2)),
            };
            table.forget(name, remains);
            assert!(table.standing(name).deleted, "{name:?}");
        }
        for n in 0..100 {
            assert!(!table.standing(&key(&format!("user{n}"))).deleted);
        }
        table.cache.run_pending_tasks();
        assert!(table.standing(&bob).deleted && table.standing(&mail).deleted);
        assert!(table.exact.read(&bob).get(&bob).is_none());
    }

    /// Readers that keep missing (the cache holds almost nothing) race a writer;
    /// after the writer has returned, nobody may read an older revision again.
    #[test]
    fn a_revocation_that_races_a_miss_wins() {
        let table = StatusTable::with_cache_entries(1);
        let bob = key("bob");
        let applied = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while applied.load(Ordering::Acquire) < 3_000 {
                        let floor = applied.load(Ordering::Acquire);
                        let seen = table.standing(&bob).revision.0;
                        assert!(seen >= floor, "read {seen} after {floor} was applied");
                        table.cache.invalidate(&bob);
                    }
                });
            }
            for revision in 1..=3_000 {
                table.apply(&bob, at(revision));
                applied.store(revision, Ordering::Release);
            }
        });
    }
}
