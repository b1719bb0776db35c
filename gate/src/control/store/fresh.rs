//! What was written last, kept in memory: who follows the ledger closely need not
//! read again from the disk what has just gone there.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::ledger::Entry;
use portcullis_core::user::User;

/// Some lots of a bulk call; who is further behind reads from the disk.
const ENTRIES_KEPT: usize = 2048;

#[derive(Clone)]
struct Fresh {
    entry: Entry,
    /// The user as the entry left it, and as it is called from then on.
    user: Option<(UserKey, User)>,
}

#[derive(Default)]
pub(super) struct Newest(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    /// Of the group that is being written. An entry that was taken back is replaced
    /// by the one that takes its number, or lies beyond the head in the end.
    pending: BTreeMap<Revision, Fresh>,
    /// Durable, in order and without gaps.
    durable: VecDeque<Fresh>,
}

impl Newest {
    pub(super) fn add(&self, entry: Entry, user: Option<(UserKey, User)>) {
        let fresh = Fresh { entry, user };
        self.lists().pending.insert(fresh.entry.seq, fresh);
    }

    /// The group is on disk, up to `head`.
    pub(super) fn commit(&self, head: Revision) {
        let mut lists = self.lists();
        let pending = std::mem::take(&mut lists.pending);
        for (seq, fresh) in pending.into_iter().filter(|(seq, _)| *seq <= head) {
            let last = lists.durable.back().map(|last| last.entry.seq.0);
            if last.is_some_and(|last| last + 1 != seq.0) {
                lists.durable.clear();
            }
            lists.durable.push_back(fresh);
        }
        while lists.durable.len() > ENTRIES_KEPT {
            lists.durable.pop_front();
        }
    }

    /// The group was taken back.
    pub(super) fn roll_back(&self) {
        self.lists().pending.clear();
    }

    /// As a reader of the ledger would find them; `None`: they have to be read.
    pub(super) fn entries_after(&self, after: Revision, limit: usize) -> Option<Vec<Entry>> {
        let lists = self.lists();
        let first = lists.durable.front()?.entry.seq.0;
        let skipped = usize::try_from((after.0 + 1).checked_sub(first)?).ok()?;
        let some = lists.durable.iter().skip(skipped).take(limit);
        let some: Vec<Entry> = some.map(|fresh| fresh.entry.clone()).collect();
        (!some.is_empty()).then_some(some)
    }

    /// The users as these entries left them, the last word on each; `None`: one of
    /// the entries is not here.
    pub(super) fn users_after(&self, entries: &[Entry]) -> Option<HashMap<UserKey, User>> {
        let lists = self.lists();
        let first = lists.durable.front()?.entry.seq.0;
        let mut users = HashMap::new();
        for entry in entries {
            let at = usize::try_from(entry.seq.0.checked_sub(first)?).ok()?;
            let fresh = lists.durable.get(at)?;
            users.extend(fresh.user.clone());
        }
        Some(users)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::control::ledger::conformance::{key, suspended};

    fn entry(seq: u64, user: &str) -> Entry {
        Entry {
            seq: Revision(seq),
            draft: suspended(user),
        }
    }

    fn add(newest: &Newest, seq: u64, user: &str) {
        let state = User {
            revision: Revision(seq),
            ..User::default()
        };
        newest.add(entry(seq, user), Some((key(user), state)));
    }

    fn after(newest: &Newest, after: u64) -> Option<Vec<u64>> {
        let entries = newest.entries_after(Revision(after), 10)?;
        Some(entries.iter().map(|entry| entry.seq.0).collect())
    }

    #[test]
    fn only_what_is_durable_is_handed_out_and_in_order() {
        let newest = Newest::default();
        add(&newest, 4, "bob");
        assert_eq!(after(&newest, 3), None, "not yet on disk");
        newest.commit(Revision(4));
        add(&newest, 5, "taken-back");
        add(&newest, 5, "eve");
        add(&newest, 6, "taken-back");
        newest.commit(Revision(5));
        add(&newest, 6, "lost");
        newest.roll_back();
        assert_eq!(after(&newest, 3), Some(vec![4, 5]));
        assert_eq!(after(&newest, 4), Some(vec![5]));
        assert_eq!(after(&newest, 5), None);
        assert_eq!(after(&newest, 2), None, "older ones are on disk alone");
        let users = newest
            .users_after(&[entry(4, "bob"), entry(5, "eve")])
            .unwrap();
        assert_eq!(users[&key("eve")].revision, Revision(5));
        assert_eq!(users.len(), 2);
        assert!(newest.users_after(&[entry(3, "bob")]).is_none());
        assert!(newest.users_after(&[entry(6, "bob")]).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_and_has_no_gaps() {
        let newest = Newest::default();
        for seq in 1..=ENTRIES_KEPT as u64 + 10 {
            add(&newest, seq, "bob");
            newest.commit(Revision(seq));
        }
        assert_eq!(after(&newest, 9), None);
        assert_eq!(after(&newest, 10).unwrap()[0], 11);
        add(&newest, 9_000, "eve");
        newest.commit(Revision(9_000));
        assert_eq!(after(&newest, 8_999), Some(vec![9_000]));
        assert_eq!(after(&newest, 10), None);
    }
}
