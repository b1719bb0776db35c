//! A user as the data wing needs to know it: the small, immutable extract of
//! [`User`] that requests are judged by, with the revision it was taken at.

use crate::ids::{ReasonKey, Revision};
use crate::time::Timestamp;
use crate::user::{Hold, Kind, Source, User, lasts};

/// One hold, as far as a refusal needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingHold {
    pub kind: Kind,
    pub reason: Option<ReasonKey>,
    pub reason_text: Option<String>,
    pub source: Source,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    pub disables_api_keys: bool,
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

/// A standing at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Active,
    /// `keys_work`: every hold in force leaves the user's API keys alone.
    Suspended {
        suspension: Suspension,
        keys_work: bool,
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
        let in_force = || self.holds.iter().filter(|hold| hold.in_force(now));
        let leading = in_force().min_by_key(|hold| {
            (
                std::cmp::Reverse(hold.kind),
                std::cmp::Reverse(lasts(hold.ends_at)),
                hold.starts_at,
            )
        });
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
        let keys_work = !self.api_keys_disabled && in_force().all(|hold| !hold.disables_api_keys);
        Verdict::Suspended {
            suspension,
            keys_work,
        }
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
            reason: hold.reason.clone(),
            reason_text: hold.reason_text.clone(),
            source: hold.source,
            starts_at: hold.starts_at,
            ends_at: hold.ends_at,
            disables_api_keys: hold.disables_api_keys,
        }
    }

    fn in_force(&self, now: Timestamp) -> bool {
        self.starts_at <= now && self.ends_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(starts: u64, ends: Option<u64>, disables_api_keys: bool) -> StandingHold {
        StandingHold {
            kind: Kind::Temporary,
            reason: None,
            reason_text: None,
            source: Source::Api,
            starts_at: Timestamp(starts),
            ends_at: ends.map(Timestamp),
            disables_api_keys,
        }
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
    fn api_keys_work_only_while_no_hold_disables_them() {
        let judge = |holds: Vec<StandingHold>| {
            let standing = Standing {
                holds,
                ..Standing::default()
            };
            match standing.judge(Timestamp(10)) {
                Verdict::Suspended { keys_work, .. } => Some(keys_work),
                Verdict::Active | Verdict::Deleted => None,
            }
        };
        assert_eq!(judge(vec![held(1, None, false)]), Some(true));
        assert_eq!(
            judge(vec![held(1, None, false), held(1, None, true)]),
            Some(false)
        );
        assert_eq!(
            judge(vec![held(99, None, true), held(1, None, false)]),
            Some(true)
        );
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
