//! A user as the data wing needs to know it: the small, immutable extract of
//! [`User`] that requests are judged by, with the revision it was taken at.

use crate::deed::Deed;
use crate::ids::{ReasonKey, Revision};
use crate::time::Timestamp;
use crate::user::{Access, Hold, Kind, Source, User, precedence};

/// One hold, as far as a refusal needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingHold {
    pub kind: Kind,
    pub access: Access,
    pub reason: Option<ReasonKey>,
    pub reason_text: Option<String>,
    pub source: Source,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    pub disables_api_keys: bool,
    pub revokes_sessions: bool,
    /// What it does when it comes into force is on record.
    pub begun: bool,
}

/// What requests of one user are judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub revision: Revision,
    pub deleted: bool,
    pub holds: Vec<StandingHold>,
    pub sessions_revoked_at: Revision,
    pub sessions_not_before: Option<Timestamp>,
    pub api_keys_disabled: bool,
}

/// The suspension that a refusal speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    pub kind: Kind,
    pub reason: Option<ReasonKey>,
    pub reason_text: Option<String>,
    pub source: Source,
    pub since: Timestamp,
    pub until: Option<Timestamp>,
}

/// How far a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Nothing,
    Looking,
    Everything,
}

impl Reach {
    pub const fn allows(self, deed: Deed) -> bool {
        match (self, deed) {
            (Self::Nothing, Deed::Act | Deed::Look) | (Self::Looking, Deed::Act) => false,
            (Self::Looking, Deed::Look) | (Self::Everything, Deed::Act | Deed::Look) => true,
        }
    }
}

/// What is left to a user, by what a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeway {
    /// Of everything but API keys.
    pub people: Reach,
    pub api_keys: Reach,
}

impl Leeway {
    pub const NONE: Self = Self {
        people: Reach::Nothing,
        api_keys: Reach::Nothing,
    };
    pub const FULL: Self = Self {
        people: Reach::Everything,
        api_keys: Reach::Everything,
    };

    pub const fn of(&self, by_api_key: bool) -> Reach {
        if by_api_key {
            self.api_keys
        } else {
            self.people
        }
    }

    /// What both leave.
    fn and(self, other: Self) -> Self {
        Self {
            people: self.people.min(other.people),
            api_keys: self.api_keys.min(other.api_keys),
        }
    }
}

/// A standing at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Active,
    Suspended {
        suspension: Suspension,
        leeway: Leeway,
    },
    Deleted,
}

impl Standing {
    pub fn of(user: &User) -> Self {
        Self {
            revision: user.revision,
            deleted: user.deleted_at.is_some(),
            holds: user.holds.iter().map(StandingHold::of).collect(),
            sessions_revoked_at: user.sessions_revoked_at,
            sessions_not_before: user.sessions_not_before,
            api_keys_disabled: user.api_keys_disabled,
        }
    }

    /// Time decides here, on each reading, so that a hold with an end ends on
    /// time though nobody recorded it yet.
    pub fn judge(&self, now: Timestamp) -> Verdict {
        if self.deleted {
            return Verdict::Deleted;
        }
        let in_force = self.holds.iter().filter(|hold| hold.in_force(now));
        let leading = in_force
            .min_by_key(|hold| precedence((hold.access, hold.kind), hold.starts_at, hold.ends_at));
        let Some(leading) = leading else {
            return Verdict::Active;
        };
        let suspension = Suspension {
            kind: leading.kind,
            reason: leading.reason.clone(),
            reason_text: leading.reason_text.clone(),
            source: leading.source,
            since: leading.starts_at,
            until: leading.ends_at,
        };
        Verdict::Suspended {
            suspension,
            leeway: self.leeway(now),
        }
    }

    /// What is left to the user at a moment.
    pub fn leeway(&self, now: Timestamp) -> Leeway {
        if self.deleted {
            return Leeway::NONE;
        }
        let in_force = self.holds.iter().filter(|hold| hold.in_force(now));
        let mut leeway = in_force.fold(Leeway::FULL, |left, hold| left.and(hold.leeway()));
        if self.api_keys_disabled {
            leeway.api_keys = Reach::Nothing;
        }
        leeway
    }

    /// Whether a hold that kills what came before it has come into force without
    /// anybody's recording it yet: sessions and tokens can't show that they are
    /// younger. For a moment after its start, or while the ledger takes nothing.
    pub fn revokes_unseen(&self, now: Timestamp) -> bool {
        let unseen =
            |hold: &StandingHold| hold.revokes_sessions && !hold.begun && hold.starts_at <= now;
        self.holds.iter().any(unseen)
    }

    /// Whether a session learnt when the ledger stood at `learnt_at` is dead.
    /// Places in the ledger are compared, not times: no clock step revives one.
    pub fn killed_session(&self, learnt_at: Revision) -> bool {
        self.deleted || learnt_at < self.sessions_revoked_at
    }

    /// Whether a token issued at `issued_at` (its `iat`) is dead. NumericDates are
    /// mostly whole seconds, so a token of the very second of the revocation
    /// counts as older; one without `iat` can't show that it is younger.
    pub fn killed_token(&self, issued_at: Option<Timestamp>) -> bool {
        let Some(not_before) = self.sessions_not_before else {
            return self.deleted;
        };
        self.deleted || issued_at.is_none_or(|at| at.seconds() <= not_before.seconds())
    }
}

impl StandingHold {
    fn of(hold: &Hold) -> Self {
        Self {
            kind: hold.kind,
            access: hold.access,
            reason: hold.reason.clone(),
            reason_text: hold.reason_text.clone(),
            source: hold.source,
            starts_at: hold.starts_at,
            ends_at: hold.ends_at,
            disables_api_keys: hold.disables_api_keys,
            revokes_sessions: hold.revokes_sessions,
            begun: hold.begun,
        }
    }

    /// As [`Hold::in_force`].
    fn in_force(&self, now: Timestamp) -> bool {
        let begun = self.begun || self.starts_at <= now;
        begun && self.ends_at.is_none_or(|end| now < end)
    }

    fn leeway(&self) -> Leeway {
        let (people, keys) = match self.access {
            // Who spares the keys of a user who is out means them to go on working.
            Access::None => (Reach::Nothing, Reach::Everything),
            Access::ReadOnly => (Reach::Looking, Reach::Looking),
        };
        let api_keys = if self.disables_api_keys {
            Reach::Nothing
        } else {
            keys
        };
        Leeway { people, api_keys }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    fn held(starts: u64, ends: Option<u64>, disables_api_keys: bool) -> StandingHold {
        StandingHold {
            kind: Kind::Temporary,
            access: Access::None,
            reason: None,
            reason_text: None,
            source: Source::Api,
            starts_at: Timestamp(starts),
            ends_at: ends.map(Timestamp),
            disables_api_keys,
            revokes_sessions: true,
            begun: false,
        }
    }

    fn looking(starts: u64, ends: Option<u64>, disables_api_keys: bool) -> StandingHold {
        StandingHold {
            access: Access::ReadOnly,
            ..held(starts, ends, disables_api_keys)
        }
    }

    fn left(holds: Vec<StandingHold>) -> (Reach, Reach) {
        let standing = Standing {
            holds,
            ..Standing::default()
        };
        let leeway = standing.leeway(Timestamp(10));
        (leeway.people, leeway.api_keys)
    }

    #[test]
    fn a_hold_with_an_end_ends_by_itself() {
        let standing = Standing {
            holds: vec![held(10, Some(20), true)],
            ..Standing::default()
        };
        assert_eq!(standing.judge(Timestamp(9)), Verdict::Active);
        assert!(matches!(
            standing.judge(Timestamp(10)),
            Verdict::Suspended { .. }
        ));
        assert!(matches!(
            standing.judge(Timestamp(19)),
            Verdict::Suspended { .. }
        ));
        assert_eq!(standing.judge(Timestamp(20)), Verdict::Active);
    }

    #[test]
    fn what_is_left_is_what_every_hold_in_force_leaves() {
        use Reach::{Everything, Looking, Nothing};
        assert_eq!(left(vec![]), (Everything, Everything));
        assert_eq!(left(vec![held(1, None, true)]), (Nothing, Nothing));
        assert_eq!(left(vec![held(1, None, false)]), (Nothing, Everything));
        assert_eq!(left(vec![looking(1, None, false)]), (Looking, Looking));
        assert_eq!(left(vec![looking(1, None, true)]), (Looking, Nothing));
        let both = vec![looking(1, None, false), held(1, None, false)];
        assert_eq!(left(both), (Nothing, Looking));
        let later = vec![looking(1, None, false), held(99, None, true)];
        assert_eq!(left(later), (Looking, Looking));
        let over = vec![looking(1, None, false), held(1, Some(10), true)];
        assert_eq!(left(over), (Looking, Looking));
    }

    #[test]
    fn keys_that_are_withheld_reach_nothing() {
        let standing = Standing {
            api_keys_disabled: true,
            holds: vec![looking(1, None, false)],
            ..Standing::default()
        };
        assert_eq!(standing.leeway(Timestamp(10)).api_keys, Reach::Nothing);
    }

    #[test]
    fn the_hold_that_leaves_least_speaks() {
        let mut full = held(5, None, true);
        full.kind = Kind::Temporary;
        let mut look = looking(1, None, false);
        look.kind = Kind::Permanent;
        let standing = Standing {
            holds: vec![look, full],
            ..Standing::default()
        };
        let Verdict::Suspended { suspension, .. } = standing.judge(Timestamp(10)) else {
            panic!("suspended");
        };
        assert_eq!(suspension.since, Timestamp(5));
    }

    #[test]
    fn a_hold_that_has_begun_stays_begun_when_the_clock_is_set_back() {
        let mut begun = held(10, Some(20), true);
        begun.begun = true;
        let standing = Standing {
            holds: vec![begun],
            ..Standing::default()
        };
        assert_eq!(standing.leeway(Timestamp(3)), Leeway::NONE);
        assert_eq!(standing.leeway(Timestamp(20)), Leeway::FULL);
    }

    #[test]
    fn what_a_hold_kills_is_dead_before_anybody_recorded_that_it_began() {
        let standing = |hold| Standing {
            holds: vec![hold],
            ..Standing::default()
        };
        let unseen = standing(held(10, Some(20), true));
        let at = [9, 10, 25].map(|now| unseen.revokes_unseen(Timestamp(now)));
        assert_eq!(at, [false, true, true], "even when it is over by now");
        let mut spares = held(10, None, true);
        spares.revokes_sessions = false;
        assert!(!standing(spares).revokes_unseen(Timestamp(10)));
        let mut begun = held(10, None, true);
        begun.begun = true;
        assert!(!standing(begun).revokes_unseen(Timestamp(10)));
    }

    #[test]
    fn sessions_and_tokens_from_before_a_revocation_are_dead() {
        let standing = Standing {
            sessions_revoked_at: Revision(7),
            sessions_not_before: Some(Timestamp(5_400)),
            ..Standing::default()
        };
        assert!(standing.killed_session(Revision(6)));
        assert!(!standing.killed_session(Revision(7)));
        assert!(standing.killed_token(Some(Timestamp::from_seconds(5))));
        assert!(!standing.killed_token(Some(Timestamp::from_seconds(6))));
        assert!(standing.killed_token(None));
        assert!(!Standing::default().killed_token(None));
    }

    #[test]
    fn a_deleted_user_is_out_for_good() {
        let standing = Standing {
            deleted: true,
            ..Standing::default()
        };
        assert_eq!(standing.judge(Timestamp(1)), Verdict::Deleted);
        assert!(standing.killed_session(Revision(99)));
    }
}
