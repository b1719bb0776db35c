//! What users have open right now, so that it can be cut.
//!
//! A request registers before its user is judged and leaves when its last byte
//! has passed. A suspension is applied before it cuts. So a request is either
//! judged by the new standing or found here: none slips between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use portcullis_core::deed::Deed;
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use portcullis_core::standing::Leeway;
use tokio::sync::Notify;

use super::sessions::SessionHash;
use super::sharded::Sharded;

#[derive(Default)]
pub struct Connections {
    open: Sharded<UserKey, HashMap<u64, Registered>>,
    /// Requests by sessions that are nobody's yet.
    strangers: Sharded<SessionHash, HashMap<u64, Stranger>>,
    next: AtomicU64,
    count: AtomicUsize,
}

struct Registered {
    cut: Arc<Cut>,
    by_api_key: bool,
    sessions: Vec<SessionHash>,
}

/// Under whom a request is registered; `None`: it has ended.
type Users = Arc<Mutex<Option<Vec<UserKey>>>>;

struct Stranger {
    cut: Arc<Cut>,
    users: Users,
}

/// Someone whom a request names: whose suspension would end it.
#[derive(Clone, Debug)]
pub struct Stake {
    pub user: UserKey,
    /// Only an API key named the user.
    pub by_api_key: bool,
    /// The user's sessions that came along.
    pub sessions: Vec<SessionHash>,
}

impl Stake {
    pub const fn of(user: UserKey, by_api_key: bool) -> Self {
        Self {
            user,
            by_api_key,
            sessions: Vec::new(),
        }
    }
}

/// The wire from a suspension to one request under way.
#[derive(Default)]
pub struct Cut {
    /// What the request is about: who may look keeps what looks.
    deed: Deed,
    fired: AtomicBool,
    /// Not because the user is out, but because the session has ended.
    by_session: AtomicBool,
    /// The request did end because of the cut, not by itself.
    obeyed: AtomicBool,
    ended: AtomicBool,
    has_ended: Notify,
    /// One for each [`Side`]: different tasks may wait for the same cut.
    wakers: [AtomicWaker; 3],
}

/// Who waits for a cut. Each may be a task of its own, and one task at a time may
/// wait for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request itself: its handler, its answer's body, its tunnel.
    Request,
    /// Whatever carries the answer to the client: an HTTP/1 connection, an HTTP/2
    /// stream.
    Client,
    /// Whatever carries the request to the app. It may go on after the answer.
    Upstream,
}

/// A request under way. Dropping it takes it off the table.
pub struct Ticket {
    connections: Arc<dyn Leave>,
    users: Users,
    sessions: Vec<SessionHash>,
    id: u64,
    cut: Arc<Cut>,
}

trait Leave: Send + Sync {
    fn leave(&self, users: &[UserKey], sessions: &[SessionHash], id: u64);
}

impl Leave for super::Shared {
    fn leave(&self, users: &[UserKey], sessions: &[SessionHash], id: u64) {
        self.connections.remove(users, id);
        self.connections.remove_strangers(sessions, id);
    }
}

impl super::Reader {
    /// Registers a request under each user that it names, each once, and under its
    /// sessions that are nobody's yet. `None`: the gate is at its limit of requests
    /// under way.
    pub fn register(
        &self,
        stakes: Vec<Stake>,
        unknown: &[SessionHash],
        deed: Deed,
    ) -> Option<Ticket> {
        let cut = Arc::new(Cut {
            deed,
            ..Cut::default()
        });
        let table = &self.0.connections;
        if table.count.fetch_add(1, Ordering::Relaxed) >= limits::REQUESTS_UNDER_WAY_MAX {
            table.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let id = table.next.fetch_add(1, Ordering::Relaxed);
        let mut users = Vec::with_capacity(stakes.len());
        for stake in stakes {
            users.push(stake.user.clone());
            table.put(id, &cut, stake);
        }
        let users = Arc::new(Mutex::new(Some(users)));
        for session in unknown {
            let stranger = Stranger {
                cut: Arc::clone(&cut),
                users: Arc::clone(&users),
            };
            let mut shard = table.strangers.write(session);
            shard.entry(*session).or_default().insert(id, stranger);
        }
        let connections: Arc<dyn Leave> = Arc::clone(&self.0) as Arc<dyn Leave>;
        Some(Ticket {
            connections,
            users,
            sessions: unknown.to_vec(),
            id,
            cut,
        })
    }

    /// Registers a request under one user more, whom only the app's answer named.
    pub fn enlist(&self, ticket: &Ticket, user: &UserKey) {
        let stake = Stake::of(user.clone(), false);
        self.0
            .connections
            .join(ticket.id, &ticket.cut, &ticket.users, stake);
    }

    /// What is open by a session that was nobody's is `user`'s from now on.
    pub fn adopt(&self, session: &SessionHash, user: &UserKey) {
        self.0.connections.adopt(session, user);
    }

    /// Cuts what `user` has open in one session, but for the request that says so.
    pub fn cut_session(&self, user: &UserKey, session: &SessionHash, spared: &Ticket) {
        let cuts = self.0.connections.of_session(user, session);
        cuts.iter()
            .filter(|cut| !Arc::ptr_eq(cut, &spared.cut))
            .for_each(|cut| cut.fire_for_session());
    }
}

impl Connections {
    fn put(&self, id: u64, cut: &Arc<Cut>, stake: Stake) {
        let entry = Registered {
            cut: Arc::clone(cut),
            by_api_key: stake.by_api_key,
            sessions: stake.sessions,
        };
        let mut shard = self.open.write(&stake.user);
        shard.entry(stake.user).or_default().insert(id, entry);
    }

    fn join(&self, id: u64, cut: &Arc<Cut>, users: &Users, stake: Stake) {
        let mut users = users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(users) = users.as_mut()
            && !users.contains(&stake.user)
        {
            users.push(stake.user.clone());
            self.put(id, cut, stake);
        }
    }

    fn adopt(&self, session: &SessionHash, user: &UserKey) {
        let strangers: Vec<(u64, Arc<Cut>, Users)> = {
            let shard = self.strangers.read(session);
            let open = shard.get(session).into_iter().flatten();
            open.map(|(id, stranger)| (*id, Arc::clone(&stranger.cut), Arc::clone(&stranger.users)))
                .collect()
        };
        for (id, cut, users) in strangers {
            let mut stake = Stake::of(user.clone(), false);
            stake.sessions.push(*session);
            self.join(id, &cut, &users, stake);
        }
    }

    fn remove_strangers(&self, sessions: &[SessionHash], id: u64) {
        for session in sessions {
            let mut shard = self.strangers.write(session);
            if let Some(open) = shard.get_mut(session) {
                open.remove(&id);
                if open.is_empty() {
                    shard.remove(session);
                }
            }
        }
    }

    fn of_session(&self, user: &UserKey, session: &SessionHash) -> Vec<Arc<Cut>> {
        let shard = self.open.read(user);
        let open = shard.get(user).into_iter().flat_map(HashMap::values);
        open.filter(|entry| entry.sessions.contains(session))
            .map(|entry| Arc::clone(&entry.cut))
            .collect()
    }

    pub(super) fn cut_session(&self, names: &[UserKey], session: &SessionHash) -> CutWatch {
        let cuts = names.iter().flat_map(|name| self.of_session(name, session));
        CutWatch::of(cuts.collect(), true)
    }

    fn remove(&self, users: &[UserKey], id: u64) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        for user in users {
            let mut shard = self.open.write(user);
            if let Some(open) = shard.get_mut(user) {
                open.remove(&id);
                if open.is_empty() {
                    shard.remove(user);
                }
            }
        }
    }

    /// Requests under way.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Requests under way that name `user`.
    pub fn open_of(&self, user: &UserKey) -> u64 {
        self.open.read(user).get(user).map_or(0, HashMap::len) as u64
    }

    pub(super) fn cut(&self, names: &[UserKey], leeway: Leeway, out: bool) -> CutWatch {
        CutWatch::of(self.beyond(names, leeway), !out)
    }

    /// What goes further than `leeway` allows.
    fn beyond(&self, names: &[UserKey], leeway: Leeway) -> Vec<Arc<Cut>> {
        let cuts = names.iter().flat_map(|name| self.of(name, leeway));
        let mut cuts: Vec<Arc<Cut>> = cuts.collect();
        cuts.sort_unstable_by_key(Arc::as_ptr);
        cuts.dedup_by(|one, other| Arc::ptr_eq(one, other));
        cuts
    }

    /// How many requests a cut would hit.
    pub fn at_stake(&self, names: &[UserKey], leeway: Leeway) -> u64 {
        self.beyond(names, leeway).len() as u64
    }

    /// How many requests the end of a session would hit.
    pub fn in_session(&self, names: &[UserKey], session: &SessionHash) -> u64 {
        let open = names
            .iter()
            .map(|name| self.of_session(name, session).len());
        open.sum::<usize>() as u64
    }

    fn of(&self, user: &UserKey, leeway: Leeway) -> Vec<Arc<Cut>> {
        let shard = self.open.read(user);
        let open = shard.get(user).into_iter().flat_map(HashMap::values);
        open.filter(|entry| !leeway.of(entry.by_api_key).allows(entry.cut.deed))
            .map(|entry| Arc::clone(&entry.cut))
            .collect()
    }
}

impl Cut {
    pub(crate) fn fire(&self) {
        self.fired.store(true, Ordering::Release);
        for waker in &self.wakers {
            waker.wake();
        }
    }

    pub fn has_fired(&self) -> bool {
        self.fired.load(Ordering::Acquire)
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Says that the session has ended, before the cut fires.
    fn fire_for_session(&self) {
        self.by_session.store(true, Ordering::Release);
        self.fire();
    }

    /// What the client is told, where it can be told.
    pub fn reason(&self) -> &'static str {
        if self.by_session.load(Ordering::Acquire) {
            "session ended"
        } else {
            "account suspended"
        }
    }

    /// Whether the request ended, or is ending, because of the cut.
    pub fn was_obeyed(&self) -> bool {
        self.obeyed.load(Ordering::Acquire)
    }

    /// Says that the request ends because of the cut.
    pub fn obey(&self) {
        self.obeyed.store(true, Ordering::Release);
    }

    /// Ready when the cut has fired.
    pub fn poll_fired(&self, side: Side, context: &mut Context<'_>) -> Poll<()> {
        if self.has_fired() {
            return Poll::Ready(());
        }
        self.wakers[side as usize].register(context.waker());
        if self.has_fired() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub async fn fired(&self) {
        std::future::poll_fn(|context| self.poll_fired(Side::Request, context)).await;
    }
}

impl Ticket {
    pub fn cut(&self) -> &Arc<Cut> {
        &self.cut
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let users = {
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            users.take().unwrap_or_default()
        };
        self.connections.leave(&users, &self.sessions, self.id);
        self.cut.ended.store(true, Ordering::Release);
        self.cut.has_ended.notify_waiters();
    }
}

/// What a cut hit, to be counted when it is gone.
pub struct CutWatch {
    cuts: Vec<Arc<Cut>>,
}

impl CutWatch {
    fn of(cuts: Vec<Arc<Cut>>, for_session: bool) -> Self {
        for cut in &cuts {
            if for_session {
                cut.fire_for_session();
            } else {
                cut.fire();
            }
        }
        Self { cuts }
    }

    /// Whether there was nothing to cut.
    pub const fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Both as one; what both hit counts once.
    pub fn and(mut self, other: Self) -> Self {
        for cut in other.cuts {
            if !self.cuts.iter().any(|known| Arc::ptr_eq(known, &cut)) {
                self.cuts.push(cut);
            }
        }
        self
    }

    /// How many requests ended because of the cut, waiting at most `wait` for all
    /// of them to be gone.
    pub async fn count(self, wait: Duration) -> u64 {
        let gone = async {
            for cut in &self.cuts {
                loop {
                    let ended = cut.has_ended.notified();
                    if cut.has_ended() {
                        break;
                    }
                    // `notified` is armed on its first poll; look again after it.
                    tokio::pin!(ended);
                    if ended.as_mut().enable() || cut.has_ended() {
                        break;
                    }
                    ended.await;
                }
            }
        };
        let _ = tokio::time::timeout(wait, gone).await;
        let counts = |cut: &&Arc<Cut>| cut.has_ended() && cut.was_obeyed();
        self.cuts.iter().filter(counts).count() as u64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use portcullis_core::ids::{TenantId, UserId};
    use portcullis_core::standing::Reach;

    use super::*;
    use crate::live::{self, sessions};

    struct Kept;

    impl sessions::SessionStore for Kept {
        fn keep(
            &self,
            _: Vec<sessions::Change>,
        ) -> futures_util::future::BoxFuture<'static, Result<(), sessions::LearnError>> {
            Box::pin(async { Ok(()) })
        }
    }

    fn room() -> (live::Reader, live::Writer) {
        live::open(
            live::tenants::Tenants::default(),
            Arc::new(Kept),
            sessions::Bounds {
                all: 9,
                per_user: 9,
            },
            &[0; 32],
            Box::new(|_| ()),
        )
    }

    fn key(name: &str) -> UserKey {
        UserKey::new(
            &TenantId::parse("acme").unwrap(),
            &UserId::parse(name).unwrap(),
        )
    }

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_cut_hits_every_request_of_the_user_and_no_other() {
        let (reader, writer) = room();
        let bobs = reader
            .register(vec![Stake::of(key("bob"), false)], &[], Deed::Act)
            .unwrap();
        let both = reader
            .register(
                vec![Stake::of(key("alice"), false), Stake::of(key("bob"), false)],
                &[],
                Deed::Act,
            )
            .unwrap();
        let alices = reader
            .register(vec![Stake::of(key("alice"), false)], &[], Deed::Act)
            .unwrap();
        let watch = writer.cut(&[key("bob")], Leeway::NONE, true);
        assert!(bobs.cut().has_fired() && both.cut().has_fired() && !alices.cut().has_fired());
        let obeying = [bobs, both].into_iter().map(|ticket| {
            tokio::spawn(async move {
                ticket.cut().fired().await;
                ticket.cut().obey();
            })
        });
        for task in obeying {
            task.await.unwrap();
        }
        assert_eq!(watch.count(SHORT).await, 2);
        assert_eq!(reader.connections().count(), 1);
    }

    #[tokio::test]
    async fn what_does_not_end_is_not_counted() {
        let (reader, writer) = room();
        let stuck = reader
            .register(vec![Stake::of(key("bob"), false)], &[], Deed::Act)
            .unwrap();
        assert_eq!(
            writer
                .cut(&[key("bob")], Leeway::NONE, true)
                .count(SHORT)
                .await,
            0
        );
        drop(stuck);
    }

    #[tokio::test]
    async fn the_table_has_a_size_and_who_leaves_makes_room() {
        let (reader, _writer) = room();
        let mut open: Vec<Ticket> = (0..limits::REQUESTS_UNDER_WAY_MAX)
            .map(|_| {
                reader
                    .register(vec![Stake::of(key("bob"), false)], &[], Deed::Act)
                    .unwrap()
            })
            .collect();
        assert!(
            reader
                .register(vec![Stake::of(key("alice"), false)], &[], Deed::Act)
                .is_none()
        );
        assert!(reader.register(vec![], &[], Deed::Act).is_none());
        drop(open.pop());
        assert!(reader.register(vec![], &[], Deed::Act).is_some());
    }

    #[tokio::test]
    async fn api_keys_can_be_spared() {
        let (reader, writer) = room();
        let by_key = reader
            .register(vec![Stake::of(key("bob"), true)], &[], Deed::Act)
            .unwrap();
        let spared = Leeway {
            api_keys: Reach::Everything,
            ..Leeway::NONE
        };
        let _ = writer.cut(&[key("bob")], spared, true);
        assert!(!by_key.cut().has_fired());
        let _ = writer.cut(&[key("bob")], Leeway::NONE, true);
        assert!(by_key.cut().has_fired());
    }

    #[tokio::test]
    async fn who_may_look_keeps_what_looks() {
        let (reader, writer) = room();
        let stakes = |by_api_key| vec![Stake::of(key("bob"), by_api_key)];
        let open = |by_api_key, deed| reader.register(stakes(by_api_key), &[], deed).unwrap();
        let looks = open(false, Deed::Look);
        let acts = open(false, Deed::Act);
        let key_looks = open(true, Deed::Look);
        let stranger = reader.register(vec![], &[[1; 32]], Deed::Act).unwrap();
        reader.adopt(&[1; 32], &key("bob"));
        let looking = Leeway {
            people: Reach::Looking,
            api_keys: Reach::Nothing,
        };
        let stakes = reader.connections().at_stake(&[key("bob")], looking);
        assert_eq!(stakes, 3);
        let _ = writer.cut(&[key("bob")], looking, true);
        let fired = [&looks, &acts, &key_looks, &stranger].map(|open| open.cut().has_fired());
        assert_eq!(fired, [false, true, true, true]);
        let _ = writer.cut(&[key("bob")], Leeway::NONE, true);
        assert!(looks.cut().has_fired(), "a later hold takes that as well");
    }

    #[tokio::test]
    async fn what_a_stranger_has_open_is_its_users_once_that_is_known() {
        let (reader, writer) = room();
        let early = reader.register(vec![], &[[1; 32]], Deed::Act).unwrap();
        let other = reader.register(vec![], &[[2; 32]], Deed::Act).unwrap();
        drop(reader.register(vec![], &[[1; 32]], Deed::Act));
        reader.adopt(&[1; 32], &key("bob"));
        reader.adopt(&[1; 32], &key("bob"));
        assert_eq!(reader.connections().open_of(&key("bob")), 1);
        let _ = writer.cut(&[key("bob")], Leeway::NONE, true);
        assert!(early.cut().has_fired() && !other.cut().has_fired());
        drop(early);
        assert_eq!(reader.connections().open_of(&key("bob")), 0);
    }
}
