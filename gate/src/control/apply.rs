//! The one task that turns entries of the ledger into what the data wing sees, in
//! their order, and the effects that hang on each transition: sessions dead,
//! connections cut. It does not matter who appended the entry, or where.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::ledger::{Entry, Event};
use portcullis_core::limits;
use portcullis_core::plan::Agenda;
use portcullis_core::standing::{Leeway, Reach, Standing};
use portcullis_core::time::Timestamp;
use portcullis_core::user::User;
use tokio::sync::{mpsc, watch};

use super::ledger::{Ledger, ReadError, Tail};
use super::store::SqliteStore;
use crate::live::connections::CutWatch;
use crate::live::{Reader, Writer};

/// Effects remembered for receipts that are still being written.
const EFFECTS_KEPT: usize = 4096;

/// Between two tries to empty the store's log of what was forgotten.
const SCRUB_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What one entry brought about on this gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    pub seq: Revision,
    pub sessions_revoked: u64,
    pub connections_cut: u64,
    pub api_keys_disabled: u64,
    pub in_force_at: Timestamp,
}

/// Effects by their entry, in order; `None` while what was cut is being counted.
/// So an entry that is missing below the first was forgotten, and none that is
/// still being counted is taken for it.
type Kept = Arc<Mutex<BTreeMap<Revision, Option<Effect>>>>;

/// Where receipts wait for the effects of their entry.
#[derive(Clone)]
pub struct Effects {
    kept: Kept,
    changed: watch::Receiver<u64>,
    live: Reader,
    /// Asks the applier to cut by the clock.
    overdue: mpsc::UnboundedSender<UserKey>,
    /// Entries up to here were in force before this gate began to follow.
    loaded: Revision,
}

impl Effects {
    /// The effects of the entry at `seq`, once they are complete. `None`: this
    /// gate has stopped following the ledger.
    pub async fn of(&self, seq: Revision) -> Option<Effect> {
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            {
                let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(Some(effect)) = kept.get(&seq) {
                    return Some(effect.clone());
                }
                // Repeated long after: the effects are history, the entry stands.
                if seq <= self.loaded {
                    return Some(Effect {
                        seq,
                        ..Effect::default()
                    });
                }
                if kept
                    .first_key_value()
                    .is_some_and(|(first, _)| seq < *first)
                {
                    return Some(Effect {
                        seq,
                        ..Effect::default()
                    });
                }
            }
            changed.changed().await.ok()?;
        }
    }

    /// Cuts what a hold no longer allows that has come into force and can't be put on
    /// record: a disk that takes nothing must not leave connections open.
    pub fn cut_by_clock(&self, key: &UserKey) {
        let _ = self.overdue.send(key.clone());
    }

    /// What the step from `before` to `after` would bring about now.
    pub fn forecast(
        &self,
        key: &UserKey,
        before: &User,
        (event, after): (&Event, &User),
        now: Timestamp,
    ) -> Effect {
        let (old, new) = (Standing::of(before), Standing::of(after));
        let (leeway, _) = leeway(&old, &new, now);
        let names = names(key, before);
        let connections = self.live.connections();
        let one = if let Event::SessionRevoked { session } = event {
            Some(session.0)
        } else {
            None
        };
        let ends = one.is_some_and(|hash| self.live.sessions().is_alive(&hash));
        Effect {
            seq: after.revision,
            sessions_revoked: revoked(&self.live, &names, &old, &new) + u64::from(ends),
            connections_cut: match one {
                Some(session) => connections.in_session(&names, &session),
                None => connections.at_stake(&names, leeway),
            },
            api_keys_disabled: match old.api_keys_disabled {
                true => 0,
                false => keys_disabled(&self.live, key, before, &new),
            },
            in_force_at: now,
        }
    }
}

/// Follows the ledger until it closes.
pub struct Applier {
    store: Arc<SqliteStore>,
    live: Writer,
    tail: Tail,
    aliases: HashMap<UserKey, Vec<UserKey>>,
    clock: fn() -> Timestamp,
    /// Told when each user's holds begin and end by themselves.
    scheduled: Scheduled,
}

/// When the holds of a user begin and end by themselves, as of its latest change.
pub type Scheduled = mpsc::UnboundedSender<(UserKey, Agenda)>;

impl Applier {
    /// Reads everything that the store holds into `live`. When this returns, the
    /// data wing may open: every suspension ever acknowledged is in force.
    pub fn load(
        store: Arc<SqliteStore>,
        live: Writer,
        clock: fn() -> Timestamp,
        scheduled: Scheduled,
    ) -> Result<Self, ReadError> {
        // The head first: what is appended meanwhile is read again, harmlessly.
        let head = store.head();
        live.know_pseudonyms(store.pseudonyms());
        let mut aliases: HashMap<UserKey, Vec<UserKey>> = HashMap::new();
        store.load_users(|key, user| {
            live.apply(&key, Standing::of(&user));
            let agenda = Agenda::of(&user);
            if !agenda.is_empty() {
                let _ = scheduled.send((key, agenda));
            }
        })?;
        store.load_aliases(|tenant, alias, user| {
            if let Ok(alias) = UserId::parse(&alias) {
                let alias = UserKey::new(&tenant, &alias);
                if alias != user {
                    live.point_alias(alias.clone(), user.clone());
                    aliases.entry(user).or_default().push(alias);
                }
            }
        })?;
        store.load_api_keys(|tenant, key, user| live.point_api_key(&tenant, key, user))?;
        store.load_forgotten(|name, user| live.remember_forgotten(name, &user))?;
        let tail = store.tail(head);
        Ok(Self {
            store,
            live,
            tail,
            aliases,
            clock,
            scheduled,
        })
    }

    /// Starts to follow. The task ends when the ledger closes; should it end by an
    /// error, the data wing answers 503 from then on.
    pub fn start(mut self) -> Effects {
        let kept = Arc::new(Mutex::new(BTreeMap::new()));
        let (told, changed) = watch::channel(0);
        let (overdue, mut to_cut) = mpsc::unbounded_channel();
        let effects = Effects {
            kept: Arc::clone(&kept),
            changed,
            overdue,
            live: self.live.reader(),
            loaded: self.tail.after(),
        };
        tokio::spawn(async move {
            let told = Arc::new(told);
            loop {
                let page = tokio::select! {
                    page = self.tail.next_page() => page,
                    Some(key) = to_cut.recv() => {
                        self.cut_by_clock(&key);
                        continue;
                    }
                };
                match page {
                    Ok(page) => self.apply(&page, &kept, &told).await,
                    Err(ReadError::Closed) => return,
                    Err(error) => {
                        tracing::error!(%error, "the ledger can't be followed: answering 503 from now on");
                        self.live.go_blind();
                        return;
                    }
                }
            }
        });
        effects
    }

    /// Applies a page of entries. Their users are known from the writing of them, or
    /// else read together, or this would fall behind a bulk call. Nothing waits in
    /// between.
    async fn apply(&mut self, page: &[Entry], kept: &Kept, told: &Arc<watch::Sender<u64>>) {
        let users = match self.store.users_after(page) {
            Some(users) => {
                self.live.see_again();
                users
            }
            None => {
                let mut keys: Vec<UserKey> = page.iter().filter_map(changed_user).collect();
                keys.sort_unstable();
                keys.dedup();
                match self.read(keys).await {
                    Some(users) => users,
                    None => return,
                }
            }
        };
        let (mut effects, mut counting) = (Vec::with_capacity(page.len()), Vec::new());
        for entry in page {
            let key = changed_user(entry);
            let user = key.as_ref().and_then(|key| users.get(key));
            let mut effect = Effect {
                in_force_at: (self.clock)(),
                ..Effect::default()
            };
            let mut cut = None;
            if let Some((key, user)) = key.as_ref().zip(user) {
                (effect, cut) = self.transition(entry, key, user);
            }
            effect.seq = entry.seq;
            match cut.filter(|cut| !cut.is_empty()) {
                None => effects.push((entry.seq, Some(effect))),
                Some(cut) => {
                    effects.push((entry.seq, None));
                    counting.push((effect, cut));
                }
            }
        }
        for (key, user) in users {
            let _ = self.scheduled.send((key, Agenda::of(&user)));
        }
        // Before any is counted: none of the page may be taken for forgotten.
        keep(kept, effects, told);
        for (effect, cut) in counting {
            count(effect, cut, Arc::clone(kept), Arc::clone(told));
        }
    }

    fn cut_by_clock(&self, key: &UserKey) {
        let standing = self.live.standing(key);
        let (leeway, out) = leeway(&standing, &standing, (self.clock)());
        let mut names = vec![key.clone()];
        names.extend(self.aliases.get(key).into_iter().flatten().cloned());
        // Nobody waits for the count: there is no entry to give a receipt for.
        drop(self.live.cut(&names, leeway, out));
    }

    /// Makes the user's new state what requests are judged by, and cuts.
    fn transition(
        &mut self,
        entry: &Entry,
        key: &UserKey,
        user: &User,
    ) -> (Effect, Option<CutWatch>) {
        let (old, new) = (self.live.standing(key), Standing::of(user));
        let now = (self.clock)();
        if entry.draft.event == Event::Deleted {
            return self.farewell(entry, key, new);
        }
        let mut names = names(key, user);
        names.extend(self.aliases.get(key).into_iter().flatten().cloned());
        let mut sessions_revoked = revoked(&self.live.reader(), &names, &old, &new);
        // The same before and after, but for a change of the keys themselves, which
        // disables none.
        let api_keys_disabled = match old.api_keys_disabled {
            true => 0,
            false => keys_disabled(&self.live.reader(), key, user, &new),
        };
        let (leeway, out) = leeway(&old, &new, now);
        self.point_aliases(key, user);
        self.point_api_keys(key, user);
        self.live.apply(key, new);
        let mut cut = None;
        if let Event::SessionRevoked { session } = &entry.draft.event {
            sessions_revoked += u64::from(self.live.end_session(&session.0));
            cut = Some(self.live.cut_session(&names, &session.0));
        }
        // Under every name: a request may have come before the gate knew that the
        // name is this user's.
        if leeway != Leeway::FULL {
            let beyond = self.live.cut(&names, leeway, out);
            cut = Some(match cut {
                Some(of_session) => beyond.and(of_session),
                None => beyond,
            });
        }
        let effect = Effect {
            seq: entry.seq,
            sessions_revoked,
            connections_cut: 0,
            api_keys_disabled,
            in_force_at: (self.clock)(),
        };
        (effect, cut)
    }

    /// A user is deleted: whoever comes under any of the names is refused from now on,
    /// and nobody here keeps the names.
    fn farewell(
        &mut self,
        entry: &Entry,
        key: &UserKey,
        new: Standing,
    ) -> (Effect, Option<CutWatch>) {
        let mut names = self.store.take_farewell(entry.seq);
        // The first is the id, by which the user is known here.
        let id = names.first().cloned().unwrap_or_else(|| key.clone());
        names.extend(self.aliases.remove(&id).into_iter().flatten());
        let old = self.live.standing(&id);
        let sessions_revoked = revoked(&self.live.reader(), &names, &old, &new);
        let configured = keys_configured(&self.live.reader(), &id);
        let given = self.live.forget(&names, key, new);
        let api_keys_disabled = match old.api_keys_disabled {
            true => 0,
            false => configured + given,
        };
        let cut = self.live.cut(&names, Leeway::NONE, true);
        let _ = self.scheduled.send((id, Agenda::default()));
        self.scrub();
        let effect = Effect {
            seq: entry.seq,
            sessions_revoked,
            connections_cut: 0,
            api_keys_disabled,
            in_force_at: (self.clock)(),
        };
        (effect, Some(cut))
    }

    /// Sees to it that nothing of what was forgotten stays behind in the log of the
    /// store, whoever happens to be reading there now.
    fn scrub(&self) {
        let store = Arc::downgrade(&self.store);
        tokio::spawn(async move {
            while let Some(store) = store.upgrade() {
                if let Ok(true) = store.scrub().await {
                    return;
                }
                drop(store);
                tokio::time::sleep(SCRUB_EVERY).await;
            }
        });
    }

    /// The states after the entries, or later ones: revisions keep them in order.
    /// An unreadable store must not lose a suspension, so it is asked until it
    /// answers.
    async fn read(&self, keys: Vec<UserKey>) -> Option<HashMap<UserKey, User>> {
        if keys.is_empty() {
            return Some(HashMap::new());
        }
        let keys = Arc::new(keys);
        loop {
            let (store, wanted) = (Arc::clone(&self.store), Arc::clone(&keys));
            match tokio::task::spawn_blocking(move || store.users_of(&wanted)).await {
                Ok(Ok(users)) => {
                    self.live.see_again();
                    let users = keys.iter().cloned().zip(users);
                    return Some(users.filter_map(|(key, user)| Some((key, user?))).collect());
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "a changed user can't be read: answering 503 until it can");
                    self.live.go_blind();
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
                Err(_) => return None,
            }
        }
    }

    fn point_api_keys(&self, key: &UserKey, user: &User) {
        let Ok(tenant) = TenantId::parse(key.tenant()) else {
            return;
        };
        for hash in &user.profile.api_keys {
            self.live.point_api_key(&tenant, *hash, key.clone());
        }
    }

    /// A name that the user had before goes on meaning the user, until it means
    /// another: sessions were learnt under it, and the app may still take it.
    fn point_aliases(&mut self, key: &UserKey, user: &User) {
        let names = names(key, user).into_iter();
        for alias in names.filter(|name| name != key) {
            let meant = self.live.reader().resolve(alias.clone());
            if meant != alias && meant != *key {
                self.live.sessions().rename(&alias, &meant);
            }
            let before = self.live.point_alias(alias.clone(), key.clone());
            let others = before.filter(|before| before != key);
            if let Some(theirs) = others.and_then(|other| self.aliases.get_mut(&other)) {
                theirs.retain(|name| *name != alias);
            }
            let known = self.aliases.entry(key.clone()).or_default();
            if !known.contains(&alias) {
                known.push(alias);
            }
        }
    }
}

/// Whom the entry changes.
fn changed_user(entry: &Entry) -> Option<UserKey> {
    let draft = &entry.draft;
    let (tenant, user) = (draft.tenant.as_ref()?, draft.user.as_ref()?);
    draft
        .event
        .changes_user()
        .then(|| UserKey::new(tenant, user))
}

/// Counting waits for connections to be gone; the next entry does not.
fn count(mut effect: Effect, cut: CutWatch, kept: Kept, told: Arc<watch::Sender<u64>>) {
    tokio::spawn(async move {
        effect.connections_cut = cut.count(limits::CUT_WAIT).await;
        keep(&kept, vec![(effect.seq, Some(effect))], &told);
    });
}

fn keep(kept: &Kept, effects: Vec<(Revision, Option<Effect>)>, told: &watch::Sender<u64>) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    for (seq, effect) in effects {
        kept.insert(seq, effect);
    }
    while kept.len() > EFFECTS_KEPT
        && kept
            .first_key_value()
            .is_some_and(|(_, effect)| effect.is_some())
    {
        kept.pop_first();
    }
    drop(kept);
    told.send_modify(|count| *count += 1);
}

/// What the user may have open from now on, and whether that is less because the
/// user is out: what comes of sessions that have died is closed too.
fn leeway(old: &Standing, new: &Standing, now: Timestamp) -> (Leeway, bool) {
    let mut leeway = new.leeway(now);
    let out = leeway.people != Reach::Everything;
    if new.sessions_revoked_at > old.sessions_revoked_at || new.revokes_unseen(now) {
        leeway.people = Reach::Nothing;
    }
    (leeway, out)
}

/// The user's id and aliases: the names under which sessions may have been learnt.
fn names(key: &UserKey, user: &User) -> Vec<UserKey> {
    let tenant = TenantId::parse(key.tenant());
    let mut names = vec![key.clone()];
    if let Ok(tenant) = tenant {
        let aliases = user
            .profile
            .aliases()
            .filter_map(|alias| UserId::parse(alias).ok());
        names.extend(aliases.map(|alias| UserKey::new(&tenant, &alias)));
    }
    names
}

/// Sessions that lived under `old` and do not under `new`.
fn revoked(live: &Reader, names: &[UserKey], old: &Standing, new: &Standing) -> u64 {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let alive = names
        .iter()
        .flat_map(|name| live.sessions().alive(name, old));
    alive
        .filter(|session| new.killed_session(session.learnt_at))
        .count() as u64
}

/// API keys of the user that do not work under `new`.
fn keys_disabled(live: &Reader, key: &UserKey, user: &User, new: &Standing) -> u64 {
    if !new.api_keys_disabled {
        return 0;
    }
    keys_configured(live, key) + user.profile.api_keys.len() as u64
}

/// How many API keys the configuration gives to the user.
fn keys_configured(live: &Reader, key: &UserKey) -> u64 {
    let tenants = live.tenants();
    let tenant = tenants
        .all()
        .iter()
        .find(|tenant| tenant.id().as_str() == key.tenant());
    let Some(tenant) = tenant else { return 0 };
    let users = tenant
        .config
        .api_keys
        .iter()
        .flat_map(|keys| keys.users.values());
    let owners = users.map(|user| live.resolve(UserKey::new(tenant.id(), user)));
    owners.filter(|owner| owner == key).count() as u64
}
