//! The ledger's entries and their fold. Status is the fold of the ledger and
//! nothing else: whatever the gate believes can be recomputed from the entries.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{BatchId, HoldName, Revision, TenantId, UserId};
use crate::time::Timestamp;
use crate::user::{Hold, Profile, Source, User};

/// Who may do what in the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    GlobalAdmin,
    TenantAdmin,
    /// Searches, suspends, restores, revokes sessions.
    Support,
    /// Reads.
    Auditor,
}

impl Role {
    pub const ALL: [Self; 4] = [
        Self::GlobalAdmin,
        Self::TenantAdmin,
        Self::Support,
        Self::Auditor,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GlobalAdmin => "global-admin",
            Self::TenantAdmin => "tenant-admin",
            Self::Support => "support",
            Self::Auditor => "auditor",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// Which session: SHA-256 over tenant, cookie name and value, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName(pub [u8; 32]);

impl Serialize for SessionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for SessionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bad = || D::Error::custom("a session is 64 hexadecimal digits");
        let text = String::deserialize(deserializer)?;
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut name = [0; 32];
        for (byte, pair) in name.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(name))
    }
}

/// What happened. Each variant says all that is needed to fold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Event {
    /// A hold was placed, or took the place of one of the same name.
    HoldPlaced {
        hold: Hold,
    },
    /// A hold that was to start later came into force: its effects happen now.
    HoldStarted {
        hold: HoldName,
    },
    HoldsLifted {
        holds: Vec<HoldName>,
        restores_api_keys: bool,
    },
    /// A hold reached its end.
    HoldEnded {
        hold: HoldName,
    },
    /// What a batch had done was undone, in one step: nobody is let in between.
    HoldsPutBack {
        lifted: Vec<HoldName>,
        /// As they were before the batch.
        placed: Vec<Hold>,
        /// Whether the API keys stay disabled, whatever the holds say.
        api_keys_withheld: bool,
    },
    SessionsRevoked,
    /// One session of the user was ended by an administrator.
    SessionRevoked {
        session: SessionName,
    },
    ProfileChanged {
        profile: Profile,
    },
    /// Final: the id stays refused for ever.
    Deleted,
    /// What is left of an entry whose user is deleted: that it was, and when.
    Forgotten {
        /// As [`Event::action`] named it.
        was: String,
    },
    /// An admin token was made. The token itself is never written, only its id.
    TokenCreated {
        token_id: String,
        role: Role,
        expires_at: Option<Timestamp>,
    },
    TokenRevoked {
        token_id: String,
    },
    /// The token has a new secret.
    TokenRotated {
        token_id: String,
        expires_at: Option<Timestamp>,
        /// Until when the old secret works as well; `None`: it is dead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old_until: Option<Timestamp>,
    },
    /// Everything that is held about the user was handed out.
    Exported,
    /// Another policy is in force.
    PolicyChanged {
        step: PolicyStep,
        /// Counts the policies of the tenant; 0 is the configuration's.
        generation: u64,
        /// SHA-256 of the module, and of the one before.
        policy: String,
        was: String,
    },
    /// The gate refused a suspended user; kept for the audit, changes nothing.
    Refused {
        error_id: String,
        code: String,
        policy: String,
    },
}

/// How another policy came into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyStep {
    Put,
    RolledBack,
    /// It failed its first users, and the gate took it back.
    Failed,
}

/// Everything that [`Event::action`] says.
pub const ACTIONS: [&str; 15] = [
    "hold_placed",
    "hold_started",
    "holds_lifted",
    "hold_ended",
    "holds_put_back",
    "sessions_revoked",
    "session_revoked",
    "profile_changed",
    "deleted",
    "token_created",
    "token_revoked",
    "token_rotated",
    "exported",
    "policy_changed",
    "refused",
];

impl Event {
    /// The name of the event as the audit shows it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::HoldPlaced { .. } => "hold_placed",
            Self::HoldStarted { .. } => "hold_started",
            Self::HoldsLifted { .. } => "holds_lifted",
            Self::HoldEnded { .. } => "hold_ended",
            Self::HoldsPutBack { .. } => "holds_put_back",
            Self::SessionsRevoked => "sessions_revoked",
            Self::SessionRevoked { .. } => "session_revoked",
            Self::ProfileChanged { .. } => "profile_changed",
            Self::Deleted => "deleted",
            Self::Forgotten { was } => {
                let named = ACTIONS.into_iter().find(|action| action == was);
                named.unwrap_or("forgotten")
            }
            Self::TokenCreated { .. } => "token_created",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::TokenRotated { .. } => "token_rotated",
            Self::Exported => "exported",
            Self::PolicyChanged { .. } => "policy_changed",
            Self::Refused { .. } => "refused",
        }
    }

    /// The holds that the event placed.
    pub fn placed(&self) -> &[Hold] {
        match self {
            Self::HoldPlaced { hold } => std::slice::from_ref(hold),
            Self::HoldsPutBack { placed, .. } => placed,
            Self::HoldStarted { .. }
            | Self::HoldsLifted { .. }
            | Self::HoldEnded { .. }
            | Self::SessionsRevoked
            | Self::SessionRevoked { .. }
            | Self::ProfileChanged { .. }
            | Self::Deleted
            | Self::Forgotten { .. }
            | Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::TokenRotated { .. }
            | Self::Exported
            | Self::PolicyChanged { .. }
            | Self::Refused { .. } => &[],
        }
    }

    /// Whether it tells of the user what is forgotten with them. The deletion itself,
    /// and what happened to admin tokens, stay on record.
    const fn is_personal(&self) -> bool {
        match self {
            Self::HoldPlaced { .. }
            | Self::HoldStarted { .. }
            | Self::HoldsLifted { .. }
            | Self::HoldEnded { .. }
            | Self::HoldsPutBack { .. }
            | Self::SessionsRevoked
            | Self::SessionRevoked { .. }
            | Self::ProfileChanged { .. }
            | Self::Exported
            | Self::Refused { .. } => true,
            Self::Deleted
            | Self::Forgotten { .. }
            | Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::TokenRotated { .. }
            | Self::PolicyChanged { .. } => false,
        }
    }

    /// Whether the event changes what is known about a user.
    pub const fn changes_user(&self) -> bool {
        match self {
            Self::HoldPlaced { .. }
            | Self::HoldStarted { .. }
            | Self::HoldsLifted { .. }
            | Self::HoldEnded { .. }
            | Self::HoldsPutBack { .. }
            | Self::SessionsRevoked
            | Self::SessionRevoked { .. }
            | Self::ProfileChanged { .. }
            | Self::Deleted => true,
            Self::Forgotten { .. }
            | Self::TokenCreated { .. }
            | Self::TokenRevoked { .. }
            | Self::TokenRotated { .. }
            | Self::Exported
            | Self::PolicyChanged { .. }
            | Self::Refused { .. } => false,
        }
    }
}

/// An entry before the ledger has numbered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub at: Timestamp,
    /// `None`: about the gate as a whole (an admin token for all tenants).
    pub tenant: Option<TenantId>,
    pub user: Option<UserId>,
    pub actor: String,
    /// The id of the admin token that the actor came with: names can be chosen, and
    /// two may share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The bulk call that the change is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    pub event: Event,
}

impl Draft {
    /// What stays of the entry for ever, whatever becomes of the user's data; `None`:
    /// all of it may stay. Whom it is about is said beside it.
    pub fn what_remains(&self) -> Option<Self> {
        self.event.is_personal().then(|| Self {
            user: None,
            comment: None,
            event: Event::Forgotten {
                was: self.event.action().to_owned(),
            },
            ..self.clone()
        })
    }
}

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: Revision,
    pub draft: Draft,
}

/// The state after `entry`. An entry at or before the state's revision has been
/// folded already and changes nothing, so that a replay is harmless.
pub fn apply(user: &User, entry: &Entry) -> User {
    let draft = &entry.draft;
    if entry.seq <= user.revision || !draft.event.changes_user() {
        return user.clone();
    }
    let mut next = user.clone();
    if next.revision == Revision(0) {
        next.created_at = draft.at;
    }
    next.revision = entry.seq;
    next.updated_at = draft.at;
    match &draft.event {
        Event::HoldPlaced { hold } => {
            remove(&mut next, std::slice::from_ref(&hold.name), entry);
            next.holds.push(hold.clone());
            if hold.in_force(draft.at) {
                begin(&mut next, &hold.name, entry);
            }
        }
        Event::HoldStarted { hold: name } => begin(&mut next, name, entry),
        Event::HoldsLifted {
            holds,
            restores_api_keys,
        } => {
            let disables = |hold: &Hold| hold.in_force(draft.at) && hold.disables_api_keys;
            let disabled = next.api_keys_disabled || next.holds.iter().any(disables);
            next.api_keys_withheld = disabled && !restores_api_keys;
            remove(&mut next, holds, entry);
        }
        Event::HoldsPutBack {
            lifted,
            placed,
            api_keys_withheld,
        } => {
            put_back(&mut next, lifted, placed, entry);
            next.api_keys_withheld = *api_keys_withheld;
        }
        Event::HoldEnded { hold } => remove(&mut next, std::slice::from_ref(hold), entry),
        Event::SessionsRevoked => revoke_sessions(&mut next, entry),
        Event::ProfileChanged { profile } => next.profile = profile.clone(),
        Event::Deleted => {
            next.deleted_at = Some(draft.at);
            next.profile = Profile::default();
            next.holds.clear();
            revoke_sessions(&mut next, entry);
        }
        // The session itself is marked where sessions are kept.
        Event::SessionRevoked { .. }
        | Event::Forgotten { .. }
        | Event::PolicyChanged { .. }
        | Event::TokenCreated { .. }
        | Event::TokenRevoked { .. }
        | Event::TokenRotated { .. }
        | Event::Exported
        | Event::Refused { .. } => {}
    }
    let disables = |hold: &Hold| hold.begun && hold.disables_api_keys;
    next.api_keys_disabled =
        next.deleted_at.is_some() || next.api_keys_withheld || next.holds.iter().any(disables);
    next
}

fn put_back(user: &mut User, lifted: &[HoldName], placed: &[Hold], entry: &Entry) {
    remove(user, lifted, entry);
    for hold in placed {
        remove(user, std::slice::from_ref(&hold.name), entry);
        user.holds.push(hold.clone());
        if hold.in_force(entry.draft.at) {
            begin(user, &hold.name, entry);
        }
    }
}

/// Takes holds away. One that came into force without anybody's noticing has done
/// what it does all the same: the sessions of its time stay dead.
fn remove(user: &mut User, names: &[HoldName], entry: &Entry) {
    for name in names {
        let unseen = |hold: &Hold| !hold.begun && hold.starts_at <= entry.draft.at;
        if user.hold(name).is_some_and(unseen) {
            begin(user, name, entry);
        }
        user.holds.retain(|hold| hold.name != *name);
    }
}

/// What a hold does when it comes into force.
fn begin(user: &mut User, name: &HoldName, entry: &Entry) {
    let Some(hold) = user.holds.iter_mut().find(|hold| hold.name == *name) else {
        return;
    };
    hold.begun = true;
    if hold.revokes_sessions {
        revoke_sessions(user, entry);
    }
}

fn revoke_sessions(user: &mut User, entry: &Entry) {
    user.sessions_revoked_at = entry.seq;
    // A clock that was set back must not bring old tokens back to life.
    user.sessions_not_before = user.sessions_not_before.max(Some(entry.draft.at));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::user::{Access, Kind, Status};

    fn hold(name: &str, kind: Kind) -> Hold {
        Hold {
            name: HoldName::parse(name).unwrap(),
            kind,
            access: Access::None,
            reason: None,
            reason_text: None,
            source: Source::Api,
            actor: "ops".into(),
            approver: None,
            ticket: None,
            comment: None,
            placed_at: Timestamp(10),
            starts_at: Timestamp(10),
            ends_at: None,
            disables_api_keys: true,
            revokes_sessions: true,
            begun: false,
        }
    }

    fn entry(seq: u64, event: Event) -> Entry {
        let draft = Draft {
            at: Timestamp(seq * 10),
            tenant: Some(TenantId::parse("acme").unwrap()),
            user: Some(UserId::parse("bob").unwrap()),
            actor: "ops".into(),
            token: None,
            source: Source::Api,
            approver: None,
            ticket: None,
            comment: None,
            batch: None,
            event,
        };
        Entry {
            seq: Revision(seq),
            draft,
        }
    }

    fn placed(seq: u64, hold: Hold) -> Entry {
        entry(seq, Event::HoldPlaced { hold })
    }

    fn lifted(seq: u64, name: &str, restores_api_keys: bool) -> Entry {
        let holds = vec![HoldName::parse(name).unwrap()];
        entry(
            seq,
            Event::HoldsLifted {
                holds,
                restores_api_keys,
            },
        )
    }

    fn fold(entries: &[Entry]) -> User {
        entries
            .iter()
            .fold(User::default(), |user, entry| apply(&user, entry))
    }

    #[test]
    fn a_user_is_out_while_any_hold_is_in_force() {
        let two = [
            placed(1, hold("admin", Kind::Temporary)),
            placed(2, hold("hr", Kind::Permanent)),
        ];
        let mut user = fold(&two);
        assert_eq!(user.status(Timestamp(30)), Status::Suspended);
        assert_eq!(
            user.leading_hold(Timestamp(30)).unwrap().kind,
            Kind::Permanent
        );
        user = apply(&user, &lifted(3, "hr", true));
        assert_eq!(
            user.status(Timestamp(30)),
            Status::Suspended,
            "the other hold stays"
        );
        user = apply(&user, &lifted(4, "admin", true));
        assert_eq!(user.status(Timestamp(40)), Status::Active);
    }

    #[test]
    fn folding_an_entry_again_changes_nothing() {
        let first = placed(5, hold("admin", Kind::Permanent));
        let once = fold(std::slice::from_ref(&first));
        assert_eq!(apply(&once, &first), once);
        assert_eq!(
            apply(&once, &lifted(4, "admin", true)),
            once,
            "an older entry is ignored"
        );
    }

    #[test]
    fn sessions_die_with_the_hold_and_stay_dead_after_it() {
        let user = fold(&[
            placed(1, hold("admin", Kind::Permanent)),
            lifted(2, "admin", true),
        ]);
        assert_eq!(user.sessions_revoked_at, Revision(1));
        assert_eq!(user.sessions_not_before, Some(Timestamp(10)));
    }

    #[test]
    fn a_hold_that_starts_later_takes_effect_when_it_starts() {
        let mut later = hold("leave", Kind::Permanent);
        later.starts_at = Timestamp(500);
        let before = fold(&[placed(1, later)]);
        assert_eq!(before.status(Timestamp(499)), Status::Active);
        assert_eq!(before.status(Timestamp(500)), Status::Suspended);
        assert_eq!(before.sessions_revoked_at, Revision(0));
        let name = HoldName::parse("leave").unwrap();
        let after = apply(&before, &entry(50, Event::HoldStarted { hold: name }));
        assert_eq!(after.sessions_revoked_at, Revision(50));
        assert!(after.api_keys_disabled);
    }

    #[test]
    fn api_keys_come_back_with_the_last_hold_unless_withheld() {
        let both = [
            placed(1, hold("a", Kind::Temporary)),
            placed(2, hold("b", Kind::Temporary)),
        ];
        let user = fold(&both);
        let one_left = apply(&user, &lifted(3, "a", true));
        assert!(one_left.api_keys_disabled);
        assert!(!apply(&one_left, &lifted(4, "b", true)).api_keys_disabled);
        assert!(apply(&one_left, &lifted(4, "b", false)).api_keys_disabled);
    }

    #[test]
    fn keys_that_were_withheld_stay_so_whichever_holds_come_and_go() {
        let user = fold(&[
            placed(1, hold("a", Kind::Temporary)),
            lifted(2, "a", false),
            placed(3, hold("b", Kind::Temporary)),
            entry(
                4,
                Event::HoldEnded {
                    hold: HoldName::parse("b").unwrap(),
                },
            ),
        ]);
        assert!(user.holds.is_empty() && user.api_keys_disabled);
        let none = Event::HoldsLifted {
            holds: vec![],
            restores_api_keys: true,
        };
        assert!(!apply(&user, &entry(5, none)).api_keys_disabled);
    }

    #[test]
    fn a_hold_that_waits_keeps_no_keys_from_coming_back() {
        let mut later = hold("leave", Kind::Permanent);
        later.starts_at = Timestamp(500);
        let user = fold(&[
            placed(1, later),
            placed(2, hold("a", Kind::Temporary)),
            lifted(3, "a", true),
        ]);
        assert!(!user.api_keys_disabled);
    }

    #[test]
    fn a_hold_that_began_unseen_has_done_what_it_does_when_it_goes() {
        let mut later = hold("leave", Kind::Permanent);
        later.starts_at = Timestamp(500);
        let name = later.name.clone();
        let before = fold(&[placed(1, later)]);
        let gone = [
            lifted(60, "leave", true),
            lifted(60, "leave", false),
            entry(60, Event::HoldEnded { hold: name }),
        ];
        for entry in &gone {
            let after = apply(&before, entry);
            assert!(after.holds.is_empty());
            assert_eq!(after.sessions_revoked_at, Revision(60));
        }
        assert!(apply(&before, &gone[1]).api_keys_disabled, "withheld");
        assert!(!apply(&before, &gone[2]).api_keys_disabled);
        let early = apply(&before, &lifted(40, "leave", false));
        assert_eq!(early.sessions_revoked_at, Revision(0));
        assert!(!early.api_keys_disabled);
    }

    #[test]
    fn a_clock_that_is_set_back_lets_nobody_in() {
        let user = fold(&[placed(1, hold("admin", Kind::Permanent))]);
        assert_eq!(user.status(Timestamp(0)), Status::Suspended);
    }

    #[test]
    fn deletion_is_final_and_forgets_the_person() {
        let profile = Profile {
            email: Some("bob@acme.test".into()),
            ..Profile::default()
        };
        let user = fold(&[
            entry(1, Event::ProfileChanged { profile }),
            entry(2, Event::Deleted),
            lifted(3, "admin", true),
        ]);
        assert_eq!(user.status(Timestamp(99)), Status::Deleted);
        assert_eq!(user.profile, Profile::default());
    }

    #[test]
    fn a_refusal_is_on_record_but_changes_no_revision() {
        let user = fold(&[placed(1, hold("admin", Kind::Permanent))]);
        let refused = Event::Refused {
            error_id: "x".into(),
            code: "suspended".into(),
            policy: "builtin".into(),
        };
        assert_eq!(apply(&user, &entry(2, refused)), user);
    }
}
