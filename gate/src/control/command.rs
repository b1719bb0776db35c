//! The one way to change a user: plan (pure), append (durable), and wait until the
//! change is in force on this gate. Handlers translate and call this, nothing else.

mod ask;
mod outcome;

use std::sync::{Arc, OnceLock};

use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::ledger::{Draft, Entry, Event, SessionName, apply};
use portcullis_core::lift::{self, LiftRules, Lifting};
use portcullis_core::plan::{self, Plan, PlanError};
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Hold, Profile, User};
use tokio::sync::MutexGuard;

use self::ask::hold;
use super::apply::Effects;
use super::ledger::ReadError;
use super::store::{One, SqliteStore};
use super::tokens::Tokens;
use crate::live::Reader;
use crate::live::sessions::SessionHash;

pub use ask::{Caller, Note, Restore, Suspend, Terms};
pub use outcome::{CommandError, Done, Receipt};

/// Holds the ledger's pen.
pub struct Commander {
    store: Arc<SqliteStore>,
    effects: Effects,
    tokens: Arc<Tokens>,
    live: Reader,
    clock: fn() -> Timestamp,
}

impl Commander {
    pub fn new(
        store: Arc<SqliteStore>,
        effects: Effects,
        tokens: Arc<Tokens>,
        live: Reader,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            store,
            effects,
            tokens,
            live,
            clock,
        }
    }

    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn effects(&self) -> &Effects {
        &self.effects
    }

    pub fn store(&self) -> &Arc<SqliteStore> {
        &self.store
    }

    pub async fn suspend(
        &self,
        by: &Caller,
        key: &UserKey,
        ask: &Suspend,
        note: &Note,
        terms: Terms,
    ) -> Result<Done, CommandError> {
        let _one_at_a_time = self.may_put_out(by, key).await?;
        let plan = self.suspension(by, key, ask, note);
        // Only the plan sees the user as it was.
        let (before, now) = (Arc::new(OnceLock::new()), self.now());
        let seen = Arc::clone(&before);
        let plan = move |user: &User| {
            let plan = plan(user)?;
            if let Some(hold) = replaced(user, &plan, now) {
                let _ = seen.set(hold.clone());
            }
            Ok(plan)
        };
        let mut done = self.change(by, key, note, terms, plan).await?;
        done.replaced = before.get().cloned();
        Ok(done)
    }

    /// What a suspension comes to for each user that it is applied to.
    pub fn suspension(
        &self,
        by: &Caller,
        key: &UserKey,
        ask: &Suspend,
        note: &Note,
    ) -> impl Fn(&User) -> Result<Plan, PlanError> + Send + 'static {
        let (now, role, rules) = (self.now(), by.role, self.lift_rules(key));
        let hold = hold(by, ask, note, now);
        move |user| {
            let plan = plan::suspend(user, hold.clone(), now);
            lift::place(plan, user, role, &rules, now)
        }
    }

    pub async fn restore(
        &self,
        by: &Caller,
        key: &UserKey,
        ask: &Restore,
        note: &Note,
        terms: Terms,
    ) -> Result<Done, CommandError> {
        let plan = self.restoration(by, key, ask);
        self.change(by, key, note, terms, plan).await
    }

    /// As [`Commander::suspension`], of a restore.
    pub fn restoration(
        &self,
        by: &Caller,
        key: &UserKey,
        ask: &Restore,
    ) -> impl Fn(&User) -> Result<Plan, PlanError> + Send + 'static {
        let (role, rules, ask) = (by.role, self.lift_rules(key), ask.clone());
        move |user| {
            let lifting = Lifting {
                hold: ask.hold.as_ref(),
                whole: ask.whole,
                restores_api_keys: ask.restore_api_keys,
                role,
                rules: &rules,
            };
            plan::restore(user, &lifting)
        }
    }

    /// Who may lift which hold of this user's tenant.
    pub fn lift_rules(&self, key: &UserKey) -> LiftRules {
        let tenants = self.live.tenants();
        let tenant = tenants.of_id(key.tenant());
        tenant.map_or_else(LiftRules::default, |tenant| tenant.config.holds.clone())
    }

    /// What is asked before anyone is put out, by suspension or deletion: nobody
    /// puts out itself or the last administrator. To be held until the change is
    /// in force.
    pub async fn may_put_out(
        &self,
        by: &Caller,
        key: &UserKey,
    ) -> Result<Option<MutexGuard<'_, ()>>, CommandError> {
        refuse_oneself(by, key)?;
        if !self.tokens.admins(self.now()).owns(key) {
            return Ok(None);
        }
        let one_at_a_time = self.tokens.administrators().await;
        if self.tokens.is_last_administrator(key, self.now()) {
            return Err(CommandError::LastAdministrator);
        }
        Ok(Some(one_at_a_time))
    }

    pub async fn change_profile(
        &self,
        by: &Caller,
        key: &UserKey,
        edit: impl Fn(&Profile) -> Profile + Send + 'static,
        terms: Terms,
    ) -> Result<Done, CommandError> {
        self.change(by, key, &Note::default(), terms, move |user| {
            plan::change_profile(user, edit(&user.profile))
        })
        .await
    }

    pub async fn revoke_sessions(
        &self,
        by: &Caller,
        key: &UserKey,
        note: &Note,
        terms: Terms,
    ) -> Result<Done, CommandError> {
        self.change(by, key, note, terms, plan::revoke_sessions)
            .await
    }

    pub async fn revoke_session(
        &self,
        by: &Caller,
        key: &UserKey,
        session: SessionHash,
        note: &Note,
        terms: Terms,
    ) -> Result<Done, CommandError> {
        self.change(by, key, note, terms, move |user| {
            plan::revoke_session(user, SessionName(session))
        })
        .await
    }

    /// Puts a user out for good, and forgets whom it was.
    pub async fn delete(
        &self,
        by: &Caller,
        key: &UserKey,
        note: &Note,
        terms: Terms,
    ) -> Result<Done, CommandError> {
        let _one_at_a_time = self.may_put_out(by, key).await?;
        let theirs = self.tokens.owned_by(key);
        let done = self.change(by, key, note, terms, plan::delete).await?;
        if !done.dry_run {
            // Dead by their user's standing already.
            self.tokens.forget_owner(&theirs, self.now());
        }
        Ok(done)
    }

    /// Puts on record that all that is held about a user is handed out.
    pub async fn hand_out(
        &self,
        by: &Caller,
        key: &UserKey,
        terms: Terms,
    ) -> Result<Done, CommandError> {
        self.change(by, key, &Note::default(), terms, plan::hand_out)
            .await
    }

    /// Records what time has brought about for `key`: the first of it, if there is
    /// anything.
    pub async fn record_due(&self, key: &UserKey) -> Result<Done, CommandError> {
        let by = Caller::gate();
        let clock = self.clock;
        self.change(&by, key, &Note::default(), Terms::default(), move |user| {
            Ok(plan::due(user, clock()).map_or(Plan::Nothing, Plan::Append))
        })
        .await
    }

    /// Cuts by the clock what [`Commander::record_due`] failed to record.
    pub fn cut_by_clock(&self, key: &UserKey) {
        self.effects.cut_by_clock(key);
    }

    /// Plans by the state that the user is in when its turn to be written comes, so
    /// that nobody can interfere; and waits for the effects.
    async fn change(
        &self,
        by: &Caller,
        key: &UserKey,
        note: &Note,
        terms: Terms,
        plan: impl FnOnce(&User) -> Result<Plan, PlanError> + Send + 'static,
    ) -> Result<Done, CommandError> {
        let ask = Planning {
            by: by.clone(),
            key: key.clone(),
            note: note.clone(),
            at_revision: terms.at_revision,
            clock: self.clock,
        };
        let decide = move |user: &User| ask.decide(user, plan);
        if terms.dry_run {
            let user = self.read(key).await?;
            return Ok(match decide(&user)? {
                None => unchanged(key, user, true),
                Some(draft) => self.rehearsed(key, &user, draft),
            });
        }
        let changed = self
            .store
            .change_one(key, terms.idempotency, decide)
            .await?;
        match changed {
            One::Written { entry, key, user } => self.done(key, *user, &entry).await,
            One::Repeated(entry) => {
                let user = self.read(key).await?;
                if user.deleted_at.is_some() && entry.draft.event != Event::Deleted {
                    return Err(PlanError::Deleted.into());
                }
                if user.revision != entry.seq {
                    // Done then, and something else since: what the first answer said
                    // is not true any more.
                    return Ok(unchanged(key, user, false));
                }
                self.done(key.clone(), user, &entry).await
            }
            One::Nothing(user) => Ok(unchanged(key, *user, false)),
            One::Refused(error) => Err(error),
        }
    }

    pub(super) fn draft(&self, by: &Caller, key: &UserKey, note: &Note, event: Event) -> Draft {
        draft(by, key, note, event, self.now())
    }

    /// The user as the store has it; one never heard of is a default one.
    pub async fn read(&self, key: &UserKey) -> Result<User, CommandError> {
        let (store, key) = (Arc::clone(&self.store), key.clone());
        let read = tokio::task::spawn_blocking(move || store.user(&key)).await;
        let user = read.map_err(|_| ReadError::Closed)??;
        Ok(user.unwrap_or_default())
    }

    async fn done(&self, key: UserKey, user: User, entry: &Entry) -> Result<Done, CommandError> {
        let effect = self.effects.of(entry.seq).await;
        let effect = effect.ok_or(CommandError::NotInForce)?;
        let mut receipt = Receipt::of(&effect);
        let waits = |hold: &Hold| user.hold(&hold.name).is_some_and(|hold| !hold.begun);
        if let Event::HoldPlaced { hold } = &entry.draft.event
            && waits(hold)
        {
            receipt.gates_in_force = 0;
            receipt.in_force_at = None;
        }
        Ok(Done {
            key,
            user,
            unchanged: false,
            dry_run: false,
            receipt,
            replaced: None,
        })
    }

    /// What the change would do, without doing it.
    fn rehearsed(&self, key: &UserKey, user: &User, draft: Draft) -> Done {
        let (after, receipt) = self.rehearse(key, user, draft);
        Done {
            key: key.clone(),
            user: after,
            unchanged: false,
            dry_run: true,
            receipt,
            replaced: None,
        }
    }

    /// The receipt that there would be.
    pub(super) fn forecast(&self, key: &UserKey, user: &User, draft: Draft) -> Receipt {
        self.rehearse(key, user, draft).1
    }

    fn rehearse(&self, key: &UserKey, user: &User, draft: Draft) -> (User, Receipt) {
        let seq = Revision(user.revision.0 + 1);
        let event = draft.event.clone();
        let after = apply(user, &Entry { seq, draft });
        let effect = self
            .effects
            .forecast(key, user, (&event, &after), self.now());
        let mut receipt = Receipt::of(&effect);
        receipt.revision = user.revision;
        receipt.gates_in_force = 0;
        receipt.in_force_at = None;
        (after, receipt)
    }
}

/// What a change is planned with, wherever that is done.
struct Planning {
    by: Caller,
    key: UserKey,
    note: Note,
    at_revision: Option<Revision>,
    clock: fn() -> Timestamp,
}

impl Planning {
    fn decide(
        &self,
        user: &User,
        plan: impl FnOnce(&User) -> Result<Plan, PlanError>,
    ) -> Result<Option<Draft>, CommandError> {
        if let Some(expected) = self.at_revision
            && expected != user.revision
        {
            return Err(CommandError::Stale {
                actual: user.revision,
            });
        }
        Ok(match plan(user)? {
            Plan::Nothing => None,
            Plan::Append(event) => {
                let now = (self.clock)();
                Some(draft(&self.by, &self.key, &self.note, event, now))
            }
        })
    }
}

fn draft(by: &Caller, key: &UserKey, note: &Note, event: Event, now: Timestamp) -> Draft {
    // A hold that starts now is in force at its entry's own time, wherever the clock
    // goes meanwhile.
    let at = if let Event::HoldPlaced { hold } = &event {
        hold.placed_at
    } else {
        now
    };
    Draft {
        at,
        tenant: TenantId::parse(key.tenant()).ok(),
        user: UserId::parse(key.user()).ok(),
        actor: by.actor.clone(),
        token: by.token.clone(),
        source: by.source,
        approver: note.approver.clone(),
        ticket: note.ticket.clone(),
        comment: note.comment.clone(),
        batch: note.batch.clone(),
        event,
    }
}

fn unchanged(key: &UserKey, user: User, dry_run: bool) -> Done {
    let receipt = Receipt {
        revision: user.revision,
        gates_total: 1,
        gates_in_force: u64::from(!dry_run),
        ..Receipt::default()
    };
    Done {
        key: key.clone(),
        user,
        unchanged: true,
        dry_run,
        receipt,
        replaced: None,
    }
}

/// The hold in whose place the plan puts another: its reason, ticket and the like
/// are gone from the user then. One that is over is nobody's loss.
pub(super) fn replaced<'a>(user: &'a User, plan: &Plan, now: Timestamp) -> Option<&'a Hold> {
    let Plan::Append(Event::HoldPlaced { hold }) = plan else {
        return None;
    };
    let before = user.hold(&hold.name)?;
    before.ends_at.is_none_or(|end| now < end).then_some(before)
}

/// An administrator who is also a user must not lock itself out by a slip: the user
/// of its token, or one by the token's name.
pub(super) fn refuse_oneself(by: &Caller, key: &UserKey) -> Result<(), CommandError> {
    let own_tenant = by
        .tenant
        .as_ref()
        .is_none_or(|tenant| tenant.as_str() == key.tenant());
    if by.user.as_ref() == Some(key) || (own_tenant && by.actor == key.user()) {
        Err(CommandError::Oneself)
    } else {
        Ok(())
    }
}
