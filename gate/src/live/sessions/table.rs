//! Where sessions lie: by hash, by user, and what many of them share kept once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hashbrown::HashTable;
use portcullis_core::ids::{Revision, UserKey};
use portcullis_core::limits;
use portcullis_core::time::Timestamp;

use super::{Session, SessionHash};
use crate::live::sharded::Sharded;

const SHARDS: usize = 64;

/// Sessions by hash. The hash is kept in the session alone and not again as a key;
/// one hash may have several owners.
pub(super) struct Table(Vec<RwLock<HashTable<Arc<Session>>>>);

impl Default for Table {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| RwLock::default()).collect())
    }
}

/// SHA-256 spreads evenly, and to choose its beginning costs more than the
/// collisions would gain.
fn spread(hash: &SessionHash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(first)
}

impl Table {
    fn shard(&self, hash: &SessionHash) -> &RwLock<HashTable<Arc<Session>>> {
        // Another byte than those that place it within its shard.
        &self.0[usize::from(hash[8]) % SHARDS]
    }

    pub(super) fn each(&self, hash: &SessionHash, mut take: impl FnMut(&Arc<Session>)) {
        let shard = self
            .shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard
            .iter_hash(spread(hash))
            .filter(|session| session.hash == *hash)
            .for_each(&mut take);
    }

    pub(super) fn has(&self, hash: &SessionHash) -> bool {
        let shard = self
            .shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard
            .find(spread(hash), |session| session.hash == *hash)
            .is_some()
    }

    pub(super) fn owned(&self, hash: &SessionHash, user: &UserKey) -> Option<Arc<Session>> {
        let shard = self
            .shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let same = |session: &Arc<Session>| session.hash == *hash && session.user == *user;
        shard.find(spread(hash), same).cloned()
    }

    /// What stood there for the same user is returned.
    pub(super) fn put(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let mut shard = self
            .shard(&session.hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let same = |other: &Arc<Session>| other.hash == session.hash && other.user == session.user;
        if let Some(place) = shard.find_mut(spread(&session.hash), same) {
            return Some(std::mem::replace(place, session));
        }
        shard.insert_unique(spread(&session.hash), session, |other| spread(&other.hash));
        None
    }

    pub(super) fn remove(&self, session: &Arc<Session>) -> bool {
        let mut shard = self
            .shard(&session.hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let same = |other: &Arc<Session>| Arc::ptr_eq(other, session);
        match shard.find_entry(spread(&session.hash), same) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    pub(super) fn each_of_all(&self, mut take: impl FnMut(&Arc<Session>)) {
        for shard in &self.0 {
            // Copied out, so that nobody waits for what is done with them.
            let some: Vec<Arc<Session>> = {
                let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
                shard.iter().cloned().collect()
            };
            some.iter().for_each(&mut take);
        }
    }
}

/// What each user has: a session of the table is either on the list of its user or
/// counted among those that are over.
#[derive(Default)]
pub(super) struct ByUser(Sharded<UserKey, Theirs>);

#[derive(Default)]
struct Theirs {
    /// That have not ended.
    alive: Vec<Arc<Session>>,
    /// How many are over, and remembered.
    over: usize,
}

/// Where a session was given out to, and to what.
type Client<'a> = (Option<IpAddr>, Option<&'a str>);

fn is_of(session: &Session, client: Client<'_>) -> bool {
    (session.address, session.agent.as_deref()) == client
}

/// Whether it has waited long enough for somebody to come with it.
fn may_go(session: &Session, now: Timestamp) -> bool {
    session.has_expired(now, limits::SESSION_UNTRIED_KEPT)
}

impl Theirs {
    fn untried(&self, dead_before: Revision) -> impl Iterator<Item = &Arc<Session>> {
        let alive = self.alive.iter();
        alive.filter(move |session| session.is_untried() && session.learnt_at >= dead_before)
    }

    /// Takes it off the list; `false`: it was not there, and so counts as over.
    fn take_off(&mut self, session: &Arc<Session>) -> bool {
        let before = self.alive.len();
        self.alive.retain(|other| !Arc::ptr_eq(other, session));
        self.alive.len() < before
    }
}

impl ByUser {
    /// The key itself where the user has sessions, so that they share it.
    pub(super) fn shared(&self, user: &UserKey) -> UserKey {
        let shard = self.0.read(user);
        let known = shard.get_key_value(user).map(|(key, _)| key.clone());
        known.unwrap_or_else(|| user.clone())
    }

    pub(super) fn add(&self, session: &Arc<Session>) {
        let mut shard = self.0.write(&session.user);
        let theirs = shard.entry(session.user.clone()).or_default();
        // Asked under the lock: who ends it looks for it here after that.
        if session.ended().is_none() {
            theirs.alive.push(Arc::clone(session));
        } else {
            theirs.over += 1;
        }
    }

    /// It has ended, and stays remembered.
    pub(super) fn end(&self, session: &Arc<Session>) {
        let mut shard = self.0.write(&session.user);
        if let Some(theirs) = shard.get_mut(&session.user)
            && theirs.take_off(session)
        {
            theirs.over += 1;
        }
    }

    /// It is in the table no more.
    pub(super) fn forget(&self, session: &Arc<Session>) {
        let mut shard = self.0.write(&session.user);
        if let Some(theirs) = shard.get_mut(&session.user) {
            if !theirs.take_off(session) {
                theirs.over = theirs.over.saturating_sub(1);
            }
            if theirs.alive.is_empty() && theirs.over == 0 {
                shard.remove(&session.user);
            }
        }
    }

    pub(super) fn of(&self, user: &UserKey) -> Vec<Arc<Session>> {
        let shard = self.0.read(user);
        let theirs = shard.get(user);
        theirs
            .map(|theirs| theirs.alive.clone())
            .unwrap_or_default()
    }

    /// How many sessions of the user are over.
    pub(super) fn ended(&self, user: &UserKey) -> usize {
        self.0.read(user).get(user).map_or(0, |theirs| theirs.over)
    }

    /// Takes off the list, and returns, what the user has beyond `most`: the least
    /// recently used. Those that a revocation killed go on the way.
    pub(super) fn displace(
        &self,
        user: &UserKey,
        most: usize,
        dead_before: Revision,
    ) -> Vec<Arc<Session>> {
        let mut shard = self.0.write(user);
        let Some(theirs) = shard.get_mut(user) else {
            return Vec::new();
        };
        let before = theirs.alive.len();
        if before <= most {
            return Vec::new();
        }
        let alive = &mut theirs.alive;
        alive.retain(|session| session.learnt_at >= dead_before);
        alive.sort_by_key(|session| std::cmp::Reverse(session.last_seen()));
        let mut counted = 0;
        let (kept, displaced) = alive.drain(..).partition(|session| {
            counted += usize::from(!session.is_untried());
            session.is_untried() || counted <= most
        });
        *alive = kept;
        theirs.over += before - theirs.alive.len();
        displaced
    }

    /// Whether one more that nobody has come with yet has room, or may have another's.
    pub(super) fn has_room_untried(
        &self,
        user: &UserKey,
        client: Client<'_>,
        now: Timestamp,
        dead_before: Revision,
    ) -> bool {
        let shard = self.0.read(user);
        let Some(theirs) = shard.get(user) else {
            return true;
        };
        let untried = || theirs.untried(dead_before);
        let has_room = |most, some: &mut dyn Iterator<Item = &Arc<Session>>| {
            let (mut count, mut oldest) = (0, None::<&Arc<Session>>);
            for session in some {
                count += 1;
                oldest = oldest
                    .filter(|other| other.first_seen <= session.first_seen)
                    .or(Some(session));
            }
            count < most || oldest.is_some_and(|oldest| may_go(oldest, now))
        };
        let mut of_client = untried().filter(|session| is_of(session, client));
        has_room(limits::SESSIONS_UNTRIED_PER_CLIENT_MAX, &mut of_client)
            && has_room(limits::SESSIONS_UNTRIED_PER_USER_MAX, &mut untried())
    }

    /// Takes off the list, and returns, those whose room `fresh` took: the oldest of
    /// its client's, and the oldest of all its user's.
    pub(super) fn displace_untried(
        &self,
        fresh: &Arc<Session>,
        dead_before: Revision,
    ) -> Vec<Arc<Session>> {
        let client = (fresh.address, fresh.agent.as_deref());
        let mut displaced = Vec::new();
        let mut shard = self.0.write(&fresh.user);
        let Some(theirs) = shard.get_mut(&fresh.user) else {
            return displaced;
        };
        for (most, any) in [
            (limits::SESSIONS_UNTRIED_PER_CLIENT_MAX, false),
            (limits::SESSIONS_UNTRIED_PER_USER_MAX, true),
        ] {
            let counts = |session: &&Arc<Session>| any || is_of(session, client);
            let count = theirs.untried(dead_before).filter(counts).count();
            let oldest = theirs
                .untried(dead_before)
                .filter(counts)
                .min_by_key(|session| session.first_seen)
                .filter(|oldest| count > most && may_go(oldest, fresh.first_seen))
                .cloned();
            if let Some(oldest) = oldest
                && theirs.take_off(&oldest)
            {
                theirs.over += 1;
                displaced.push(oldest);
            }
        }
        displaced
    }
}

/// Values that many sessions have in common.
pub(super) struct Interned<T: ?Sized>(Mutex<HashMap<Arc<T>, ()>>);

impl<T: ?Sized + Hash + Eq> Default for Interned<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// More different ones than this are not shared any more: clients choose them.
const INTERNED_MAX: usize = 10_000;

impl<T: ?Sized + Hash + Eq> Interned<T> {
    pub(super) fn share(&self, value: &T, make: impl FnOnce(&T) -> Arc<T>) -> Arc<T>
    where
        Arc<T>: Borrow<T>,
    {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((shared, ())) = known.get_key_value(value) {
            return Arc::clone(shared);
        }
        let fresh = make(value);
        if known.len() < INTERNED_MAX {
            known.insert(Arc::clone(&fresh), ());
        }
        fresh
    }
}
