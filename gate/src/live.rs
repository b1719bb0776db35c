//! The room where the wings meet: what the data wing reads of each request's
//! user, held in memory and complete. Control holds the [`Writer`]; the data wing
//! holds the [`Reader`], which can change nothing but what it sees itself
//! (sessions learnt, connections open).

pub mod aliases;
mod api_keys;
pub mod attempts;
pub mod connections;
pub mod contradictions;
pub mod doors;
pub mod forgotten;
pub mod introspection;
pub mod judges;
pub mod keys;
pub mod passwords;
pub mod refusals;
pub mod repeats;
pub mod seals;
pub mod sessions;
mod sharded;
pub mod status;
pub mod tenants;
pub mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use portcullis_core::ids::{ApiKeyHash, Revision, TenantId, UserKey};
use portcullis_core::standing::{Leeway, Standing};

use self::aliases::Aliases;
use self::api_keys::ApiKeys;
use self::attempts::Attempts;
use self::connections::{Connections, CutWatch};
use self::contradictions::Contradictions;
use self::doors::Doors;
use self::forgotten::{Pseudonym, Pseudonyms, Remains};
use self::passwords::Passwords;
use self::refusals::Refusals;
use self::repeats::Repeats;
use self::seals::Seals;
use self::sessions::{SessionStore, Sessions};
use self::status::StatusTable;
use self::tenants::Tenants;

/// Everything both halves share.
struct Shared {
    status: StatusTable,
    sessions: Sessions,
    seals: Seals,
    doors: Doors,
    aliases: Aliases,
    api_keys: ApiKeys,
    connections: Connections,
    attempts: Arc<Attempts>,
    refusals: Refusals,
    passwords: Passwords,
    contradictions: Contradictions,
    repeats: Repeats,
    tenants: ArcSwap<Tenants>,
    blind: AtomicBool,
    /// The newest revision in force.
    latest: AtomicU64,
}

/// The data wing's half.
#[derive(Clone)]
pub struct Reader(Arc<Shared>);

/// The control wing's half. There is one, and one task that applies with it.
pub struct Writer(Arc<Shared>);

/// Makes the room. `store` keeps learnt sessions durably, `seal_key` has to be the
/// same at each start; `refused` is told of each refusal that is to be on record.
pub fn open(
    tenants: Tenants,
    store: Arc<dyn SessionStore>,
    bounds: sessions::Bounds,
    seal_key: &[u8; 32],
    refused: Box<dyn Fn(refusals::Record) + Send + Sync>,
) -> (Reader, Writer) {
    let shared = Arc::new(Shared {
        status: StatusTable::new(),
        sessions: Sessions::new(store, bounds),
        seals: Seals::new(seal_key),
        doors: Doors::default(),
        aliases: Aliases::default(),
        api_keys: ApiKeys::default(),
        connections: Connections::default(),
        attempts: Arc::default(),
        refusals: Refusals::new(refused),
        passwords: Passwords::default(),
        contradictions: Contradictions::default(),
        repeats: Repeats::default(),
        tenants: ArcSwap::from_pointee(tenants),
        blind: AtomicBool::new(false),
        latest: AtomicU64::new(0),
    });
    (Reader(Arc::clone(&shared)), Writer(shared))
}

impl Reader {
    pub fn tenants(&self) -> arc_swap::Guard<Arc<Tenants>> {
        self.0.tenants.load()
    }

    /// Whether the gate has lost sight of the ledger: it must not answer then.
    pub fn is_blind(&self) -> bool {
        self.0.blind.load(Ordering::Acquire)
    }

    pub fn standing(&self, user: &UserKey) -> Arc<Standing> {
        self.0.status.standing(user)
    }

    /// Every change up to here is in force; one that is being made may be, too.
    pub fn latest(&self) -> Revision {
        Revision(self.0.latest.load(Ordering::Acquire))
    }

    /// The user whom `name` points to: itself, unless it is an alias.
    pub fn resolve(&self, name: UserKey) -> UserKey {
        if let Some(user) = self.0.aliases.find(&name) {
            return user;
        }
        // A phone number may begin with `00` instead of `+`, whether it is an alias, an
        // id, or has been forgotten. A user of the very name is that one.
        let Some(phone) = aliases::dialled(&name).filter(|_| !self.0.status.knows(&name)) else {
            return name;
        };
        match self.0.aliases.find(&phone) {
            Some(user) => user,
            None if self.0.status.knows(&phone) => phone,
            None => name,
        }
    }

    /// The user whom the admin API gave the API key to.
    pub fn owner_of(&self, tenant: &TenantId, key: ApiKeyHash) -> Option<UserKey> {
        self.0.api_keys.find(tenant, key)
    }

    /// As [`Reader::resolve`], and a deleted user by the pseudonym: for who looks into
    /// the ledger or the store. Requests are judged by [`Reader::standing`], which
    /// knows what names are forgotten.
    pub fn whom(&self, name: UserKey) -> UserKey {
        let user = self.resolve(name);
        match self.0.status.forgotten().find(&user) {
            Some(remains) => remains.user,
            None => user,
        }
    }

    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub fn doors(&self) -> &Doors {
        &self.0.doors
    }

    pub fn seals(&self) -> &Seals {
        &self.0.seals
    }

    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub fn attempts(&self) -> &Arc<Attempts> {
        &self.0.attempts
    }

    pub fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub fn contradictions(&self) -> &Contradictions {
        &self.0.contradictions
    }

    pub fn repeats(&self) -> &Repeats {
        &self.0.repeats
    }
}

impl Writer {
    /// Makes `standing` what every later request of `user` is judged by. An older
    /// revision than the one in force is ignored.
    pub fn apply(&self, user: &UserKey, standing: Standing) {
        let revision = standing.revision;
        self.0.status.apply(user, standing);
        self.0.latest.fetch_max(revision.0, Ordering::AcqRel);
    }

    pub fn standing(&self, user: &UserKey) -> Arc<Standing> {
        self.0.status.standing(user)
    }

    /// Says how the store makes pseudonyms; before it hands over any.
    pub fn know_pseudonyms(&self, pseudonyms: Pseudonyms) {
        self.0.status.forgotten().know(pseudonyms);
    }

    /// Puts back what is left of a name of a deleted user.
    pub fn remember_forgotten(&self, name: Pseudonym, user: &UserKey) {
        let remains = Remains {
            user: user.clone(),
            standing: self.0.status.standing(user),
        };
        self.0.status.forgotten().insert(name, remains);
    }

    /// Makes `standing` what every later request under any of `names` is judged by,
    /// and forgets the names: `user` is what their deleted user is called from now on.
    /// Returns how many API keys the user had from the admin API.
    pub fn forget(&self, names: &[UserKey], user: &UserKey, standing: Standing) -> u64 {
        let remains = Remains {
            user: user.clone(),
            standing: Arc::new(standing.clone()),
        };
        self.apply(user, standing);
        for name in names {
            self.0.status.forget(name, remains.clone());
            for known in names {
                self.0.aliases.unpoint(name, known);
            }
            self.0.sessions.forget_name(name, user);
        }
        let keys = names
            .iter()
            .map(|name| self.0.api_keys.hand_over(name, user));
        keys.sum()
    }

    /// Cuts what the user of these names has open beyond `leeway`. Call it after
    /// [`Writer::apply`]: connections register before they are judged, so whatever is
    /// not cut here was judged by the new standing.
    pub fn cut(&self, names: &[UserKey], leeway: Leeway, out: bool) -> CutWatch {
        self.0.connections.cut(names, leeway, out)
    }

    /// Cuts what the user of these names has open in one session.
    pub fn cut_session(&self, names: &[UserKey], session: &sessions::SessionHash) -> CutWatch {
        self.0.connections.cut_session(names, session)
    }

    /// Ends one session, which is on record as ended already. `true`: it was alive.
    pub fn end_session(&self, hash: &sessions::SessionHash) -> bool {
        self.0.sessions.end_recorded(hash)
    }

    /// Says whose an API key is.
    pub fn point_api_key(&self, tenant: &TenantId, key: ApiKeyHash, user: UserKey) {
        self.0.api_keys.point(tenant, key, user);
    }

    /// Points `alias` to `user`; returns to whom it pointed before.
    pub fn point_alias(&self, alias: UserKey, user: UserKey) -> Option<UserKey> {
        self.0.aliases.point(alias, user)
    }

    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub fn publish_tenants(&self, tenants: Tenants) {
        self.0.tenants.store(Arc::new(tenants));
    }

    /// Makes the data wing answer 503 to everything: the ledger can't be followed.
    pub fn go_blind(&self) {
        self.0.blind.store(true, Ordering::Release);
    }

    /// The ledger can be followed again.
    pub fn see_again(&self) {
        self.0.blind.store(false, Ordering::Release);
    }

    pub fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.0))
    }
}
