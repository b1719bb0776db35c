//! Sessions of unchanged apps, learnt from their own login answers: which cookie
//! belongs to whom. The cookie's value is never kept, only its hash.
//!
//! A forgotten session could not be told from a stranger's and would slip past a
//! later suspension. So what ends (logout, revocation, too many of one user) is
//! remembered as ended, and forgotten only long after anyone last used it.

mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use futures_util::future::BoxFuture;
use moka::sync::Cache;
use portcullis_core::ids::{Revision, TenantId, UserKey};
use portcullis_core::limits;
use portcullis_core::share;
use portcullis_core::standing::Standing;
use portcullis_core::time::Timestamp;

use self::table::{ByUser, Interned, Table};

/// SHA-256 over tenant, cookie name and canonical value.
pub type SessionHash = [u8; 32];

/// The cookie that carries a session, with its scope, so that it can be taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    pub name: String,
    pub path: Option<String>,
    pub domain: Option<String>,
}

/// Why a session is over though its user may be active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    LoggedOut,
    /// By an administrator, this one alone.
    Revoked,
    /// The least used of a user who had too many.
    Displaced,
    /// Nobody used it for longer than its tenant says.
    Expired,
    /// It came with a login that the app did not answer: it may be anybody's.
    Unanswered,
}

impl End {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged-out",
            Self::Revoked => "revoked",
            Self::Displaced => "displaced",
            Self::Expired => "expired",
            Self::Unanswered => "unanswered",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::LoggedOut,
            Self::Revoked,
            Self::Displaced,
            Self::Expired,
            Self::Unanswered,
        ];
        all.into_iter().find(|end| end.as_str() == text)
    }

    const fn code(self) -> u8 {
        match self {
            Self::LoggedOut => 1,
            Self::Revoked => 2,
            Self::Displaced => 3,
            Self::Expired => 4,
            Self::Unanswered => 5,
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::LoggedOut),
            2 => Some(Self::Revoked),
            3 => Some(Self::Displaced),
            4 => Some(Self::Expired),
            5 => Some(Self::Unanswered),
            _ => None,
        }
    }
}

/// A session as it is learnt, or read back from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    pub hash: SessionHash,
    /// The name that logged in. It may be an alias: resolve it at each use.
    pub user: UserKey,
    /// The user's revision when the login was judged; an earlier one than the
    /// user's last revocation means that the session is dead.
    pub learnt_at: Revision,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub place: Place,
    /// Where the login came from, and by what.
    pub address: Option<IpAddr>,
    pub agent: Option<String>,
    pub ended: Option<End>,
}

/// What is known of one session. Small: there may be millions.
#[derive(Debug)]
pub struct Session {
    pub hash: SessionHash,
    pub user: UserKey,
    pub learnt_at: Revision,
    pub first_seen: Timestamp,
    pub place: Arc<Place>,
    pub address: Option<IpAddr>,
    pub agent: Option<Arc<str>>,
    last_seen: AtomicU64,
    ended: AtomicU8,
    /// Given out beside another credential, and nobody has come with it yet. Not
    /// stored: after a restart it counts as any other.
    untried: AtomicBool,
}

impl Session {
    pub fn last_seen(&self) -> Timestamp {
        Timestamp(self.last_seen.load(Ordering::Relaxed))
    }

    /// Notes a use. In memory alone: no request waits for a disk to say so.
    pub fn touch(&self, now: Timestamp) {
        const OFTEN_ENOUGH: u64 = 1_000;
        if self.is_untried() {
            self.untried.store(false, Ordering::Relaxed);
        }
        if now.0.saturating_sub(self.last_seen().0) >= OFTEN_ENOUGH {
            self.last_seen.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    fn is_untried(&self) -> bool {
        self.untried.load(Ordering::Relaxed)
    }

    pub fn ended(&self) -> Option<End> {
        End::of_code(self.ended.load(Ordering::Acquire))
    }

    /// Whether nobody has used it for longer than a session of its tenant may rest.
    pub fn has_expired(&self, now: Timestamp, kept: Duration) -> bool {
        Duration::from_millis(now.0.saturating_sub(self.last_seen().0)) > kept
    }

    /// The beginning of its hash: tells a user's sessions apart, and is of no use
    /// to whoever wants the cookie.
    pub fn id(&self) -> String {
        id_of(&self.hash)
    }
}

/// The name of a session in the admin API.
pub fn id_of(hash: &SessionHash) -> String {
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    #[error("the gate holds {0} sessions and takes no more; raise sessions.max")]
    Full(usize),
    #[error(
        "{user} has {ended} sessions that are over, more than the room that is left allows; \
         let the client keep its session instead of logging in anew, shorten the cookie's kept, \
         or raise sessions.max"
    )]
    Share { user: String, ended: usize },
    #[error("the session could not be stored: {0}")]
    Store(String),
}

/// What the store is to keep of a change.
#[derive(Clone, Debug)]
pub enum Change {
    Learnt(Arc<Session>),
    Ended(Arc<Session>, End),
}

/// Keeps sessions across restarts. The future is done when all is durable.
pub trait SessionStore: Send + Sync {
    fn keep(&self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), LearnError>>;
}

/// How many sessions are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all users together, those that have ended included.
    pub all: usize,
    /// Alive ones of one user; over it, the one that was used least recently ends.
    pub per_user: usize,
}

pub struct Sessions {
    table: Table,
    by_user: ByUser,
    places: Interned<Place>,
    agents: Interned<str>,
    count: AtomicUsize,
    bounds: Bounds,
    births: Cache<SessionHash, Revision>,
    store: Arc<dyn SessionStore>,
}

pub fn hash(tenant: &TenantId, cookie: &str, value: &[u8]) -> SessionHash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [tenant.as_str().as_bytes(), cookie.as_bytes()] {
        context.update(part);
        context.update(&[0]);
    }
    context.update(value);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// What stands for a cookie's name where the session is a token; no cookie can be
/// called so (RFC 6265 §4.1.1).
pub const TOKEN_PLACE: &str = "(token)";

impl Sessions {
    pub(super) fn new(store: Arc<dyn SessionStore>, bounds: Bounds) -> Self {
        Self {
            table: Table::default(),
            by_user: ByUser::default(),
            places: Interned::default(),
            agents: Interned::default(),
            count: AtomicUsize::new(0),
            bounds,
            births: Cache::builder()
                .max_capacity(limits::SESSION_BIRTHS_MAX)
                .time_to_live(limits::SESSION_BIRTH_KEPT)
                .build(),
            store,
        }
    }

    /// Everyone to whom the session belongs: mostly one, or nobody. It is of two
    /// where somebody logged in over another's session and the app kept its id.
    pub fn owners(&self, hash: &SessionHash, take: impl FnMut(&Arc<Session>)) {
        self.table.each(hash, take);
    }

    pub fn is_known(&self, hash: &SessionHash) -> bool {
        self.table.has(hash)
    }

    pub fn is_alive(&self, hash: &SessionHash) -> bool {
        let mut alive = false;
        self.table
            .each(hash, |session| alive |= session.ended().is_none());
        alive
    }

    pub fn is_owned(&self, hash: &SessionHash, user: &UserKey) -> bool {
        self.table.owned(hash, user).is_some()
    }

    /// Notes a session that came into being after `begun`, though nobody knows yet
    /// whose it is. The app may say so later.
    pub fn note_birth(&self, hash: SessionHash, begun: Revision) {
        self.births.entry(hash).or_insert(begun);
    }

    /// Where the ledger stood when the session came into being, if that was seen.
    pub fn birth(&self, hash: &SessionHash) -> Option<Revision> {
        self.births.get(hash)
    }

    /// Whether there is room for one more session of `user`. What has ended can't be
    /// forgotten for new ones, so who ends many is the one who has to stop: others
    /// find room.
    ///
    /// # Errors
    /// Where there is none.
    pub fn room_for(&self, user: &UserKey) -> Result<(), LearnError> {
        let free = self.bounds.all.saturating_sub(self.count());
        if free == 0 {
            return Err(LearnError::Full(self.bounds.all));
        }
        let ended = self.by_user.ended(user);
        if share::may_take(ended, free, limits::SESSIONS_ENDED_PART) {
            return Ok(());
        }
        Err(LearnError::Share {
            user: user.user().to_owned(),
            ended,
        })
    }

    /// Learns a session; when this returns, it is durable. Learning it again for
    /// the same user changes nothing, so that a session revoked meanwhile can't
    /// be refreshed by an app that sets the same cookie over and over. `by_login`:
    /// the password was just proven, so that a session that had ended is new.
    /// `dead_before`: where the user's last revocation stands. Returns the sessions
    /// that had to end for it.
    pub async fn learn(
        &self,
        learnt: Learnt,
        by_login: bool,
        dead_before: Revision,
    ) -> Result<Vec<Arc<Session>>, LearnError> {
        if let Some(known) = self.table.owned(&learnt.hash, &learnt.user) {
            let begins_anew = by_login && known.ended().is_some();
            if known.learnt_at >= learnt.learnt_at && !begins_anew {
                known.touch(learnt.last_seen);
                return Ok(Vec::new());
            }
        }
        self.room_for(&learnt.user)?;
        // In force before durable: should the store fail, the answer that carries
        // the cookie is withheld, and an entry too many lets nobody in.
        let session = self.insert(learnt);
        let most = self.bounds.per_user;
        let displaced = self.by_user.displace(&session.user, most, dead_before);
        self.keep(session, displaced).await
    }

    async fn keep(
        &self,
        session: Arc<Session>,
        displaced: Vec<Arc<Session>>,
    ) -> Result<Vec<Arc<Session>>, LearnError> {
        let mut changes = vec![Change::Learnt(session)];
        for over in &displaced {
            over.ended.store(End::Displaced.code(), Ordering::Release);
            changes.push(Change::Ended(Arc::clone(over), End::Displaced));
        }
        self.store.keep(changes).await?;
        Ok(displaced)
    }

    /// Whether the user may be given one more session beside another credential that
    /// `learnt` tells of. A program that calls with a token or a key, and keeps no
    /// cookies, is given one with each answer by many an app.
    pub fn has_room_beside(&self, learnt: &Learnt, dead_before: Revision) -> bool {
        let client = (learnt.address, learnt.agent.as_deref());
        let (user, now) = (&learnt.user, learnt.first_seen);
        self.by_user
            .has_room_untried(user, client, now, dead_before)
    }

    /// Learns a session that was given out beside another credential; durable when
    /// this returns. Until somebody comes with it, it takes the place of another such
    /// one and of none that a login began. Returns those that had to end for it.
    pub async fn learn_beside(
        &self,
        learnt: Learnt,
        dead_before: Revision,
    ) -> Result<Vec<Arc<Session>>, LearnError> {
        if self.table.owned(&learnt.hash, &learnt.user).is_some() {
            return Ok(Vec::new());
        }
        self.room_for(&learnt.user)?;
        let session = self.put(learnt, true);
        let displaced = self.by_user.displace_untried(&session, dead_before);
        self.keep(session, displaced).await
    }

    /// Puts a session in whatever the bounds say, unless it is the user's already.
    pub async fn bury(&self, learnt: Learnt) -> Result<(), LearnError> {
        if self.table.owned(&learnt.hash, &learnt.user).is_some() {
            return Ok(());
        }
        let session = self.insert(learnt);
        self.store.keep(vec![Change::Learnt(session)]).await
    }

    /// Puts in a session that is durable already (at start).
    pub fn insert(&self, learnt: Learnt) -> Arc<Session> {
        self.put(learnt, false)
    }

    fn put(&self, learnt: Learnt, untried: bool) -> Arc<Session> {
        let user = self.by_user.shared(&learnt.user);
        let session = Arc::new(Session {
            hash: learnt.hash,
            user,
            learnt_at: learnt.learnt_at,
            first_seen: learnt.first_seen,
            place: self
                .places
                .share(&learnt.place, |place| Arc::new(place.clone())),
            address: learnt.address,
            agent: learnt
                .agent
                .map(|agent| self.agents.share(agent.as_str(), |agent| Arc::from(agent))),
            last_seen: AtomicU64::new(learnt.last_seen.0),
            ended: AtomicU8::new(learnt.ended.map_or(0, End::code)),
            untried: AtomicBool::new(untried),
        });
        let before = self.table.put(Arc::clone(&session));
        match before {
            None => {
                self.count.fetch_add(1, Ordering::Relaxed);
            }
            Some(before) => self.by_user.forget(&before),
        }
        self.by_user.add(&session);
        session
    }

    /// Gives the sessions that were learnt under `name` to `user`, before the name
    /// comes to mean somebody else. Those that have ended are refused either way.
    pub fn rename(&self, name: &UserKey, user: &UserKey) {
        self.hand_over(name, user, true);
    }

    /// As [`Sessions::rename`], for a name that is to be forgotten: and where its
    /// logins came from.
    pub(super) fn forget_name(&self, name: &UserKey, user: &UserKey) {
        self.hand_over(name, user, false);
    }

    fn hand_over(&self, name: &UserKey, user: &UserKey, keep_client: bool) {
        for session in self.by_user.of(name) {
            if self.is_owned(&session.hash, user) {
                self.forget(&session);
                continue;
            }
            self.insert(Learnt {
                hash: session.hash,
                user: user.clone(),
                learnt_at: session.learnt_at,
                first_seen: session.first_seen,
                last_seen: session.last_seen(),
                place: (*session.place).clone(),
                address: session.address.filter(|_| keep_client),
                agent: session
                    .agent
                    .as_deref()
                    .filter(|_| keep_client)
                    .map(str::to_owned),
                ended: session.ended(),
            });
            self.forget(&session);
        }
    }

    /// Ends sessions for good; durable when this returns.
    pub async fn end(&self, sessions: &[Arc<Session>], why: End) -> Result<(), LearnError> {
        let ended = sessions.iter().filter(|session| self.mark(session, why));
        let changes: Vec<Change> = ended
            .map(|session| Change::Ended(Arc::clone(session), why))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        self.store.keep(changes).await
    }

    /// Ends the session of that hash, which is on record already; `true`: it was
    /// known and had not ended.
    pub(super) fn end_recorded(&self, hash: &SessionHash) -> bool {
        let mut was_alive = false;
        let mut owners = Vec::new();
        self.table
            .each(hash, |owner| owners.push(Arc::clone(owner)));
        for owner in owners {
            was_alive |= self.mark(&owner, End::Revoked);
        }
        was_alive
    }

    /// `true`: it had not ended before.
    fn mark(&self, session: &Arc<Session>, why: End) -> bool {
        let alive =
            session
                .ended
                .compare_exchange(0, why.code(), Ordering::AcqRel, Ordering::Acquire);
        if alive.is_ok() {
            self.by_user.end(session);
        }
        alive.is_ok()
    }

    /// The sessions of `user` that have not ended and that `standing` leaves alive.
    pub fn alive(&self, user: &UserKey, standing: &Standing) -> Vec<Arc<Session>> {
        let mut sessions = self.by_user.of(user);
        sessions.retain(|session| {
            session.ended().is_none() && !standing.killed_session(session.learnt_at)
        });
        sessions
    }

    /// The sessions of `user` that have not ended, though a revocation may have
    /// killed them.
    pub fn of(&self, user: &UserKey) -> Vec<Arc<Session>> {
        self.by_user.of(user)
    }

    /// Hands out every session, a part of the table at a time.
    pub fn each(&self, take: impl FnMut(&Arc<Session>)) {
        self.table.each_of_all(take);
    }

    /// Forgets a session; its cookie names nobody from now on.
    pub fn forget(&self, session: &Arc<Session>) {
        if self.table.remove(session) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.by_user.forget(session);
        }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
