//! A user as the ledger's fold knows it: holds, tombstone, profile.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::ids::{ApiKeyHash, HoldName, ReasonKey, Revision};
use crate::time::Timestamp;

/// Derived from holds and tombstone, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    Suspended,
    Deleted,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

/// Whether the user may come back by a password reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Temporary,
    /// Only an administrator may lift it. It has no end by itself either way.
    Permanent,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
        }
    }
}

/// What a suspended user may still do; the strictest comes first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Nothing.
    #[default]
    None,
    /// Look, log in and log out: see [`crate::deed`].
    ReadOnly,
}

impl Access {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Where a change came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Api,
    Circularo,
    ReachFive,
    Command,
    Gate,
}

impl Source {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Circularo => "circularo",
            Self::ReachFive => "reach_five",
            Self::Command => "command",
            Self::Gate => "gate",
        }
    }
}

/// One reason to keep a user out. A user is suspended while any hold is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub name: HoldName,
    pub kind: Kind,
    /// What the user may still do while the hold is in force.
    #[serde(default)]
    pub access: Access,
    /// Key that the policy maps to words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonKey>,
    /// Free text for administrators; the policy decides whether a user sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_text: Option<String>,
    pub source: Source,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub placed_at: Timestamp,
    /// In force from here on.
    pub starts_at: Timestamp,
    /// In force until just before here; `None`: until lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Whether the user's API keys are refused while the hold is in force.
    pub disables_api_keys: bool,
    /// Whether the user's sessions and tokens die when the hold comes into force.
    pub revokes_sessions: bool,
    /// Whether what the hold does when it comes into force has been done.
    #[serde(default)]
    pub begun: bool,
}

impl Hold {
    /// A hold that has begun stays begun: a clock that is set back lets nobody in.
    pub fn in_force(&self, now: Timestamp) -> bool {
        let begun = self.begun || self.starts_at <= now;
        begun && self.ends_at.is_none_or(|end| now < end)
    }

    /// Whether both would keep a user out in the same way for the same reason,
    /// whoever placed them and when: placing the second over the first is no change.
    pub fn same_effect(&self, other: &Self) -> bool {
        self.name == other.name
            && self.kind == other.kind
            && self.access == other.access
            && self.reason == other.reason
            && self.reason_text == other.reason_text
            && self.approver == other.approver
            && self.ticket == other.ticket
            && self.comment == other.comment
            && self.ends_at == other.ends_at
            && self.disables_api_keys == other.disables_api_keys
            && self.revokes_sessions == other.revokes_sessions
    }
}

/// Of several holds in force, the one that is least by this speaks for the
/// suspension: the one that leaves least, then a permanent one, then the one that
/// lasts longest, then the oldest.
pub(crate) fn precedence(
    (access, kind): (Access, Kind),
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
) -> impl Ord {
    let lasts = ends_at.map_or(u64::MAX, |end| end.0);
    (access, Reverse(kind), Reverse(lasts), starts_at)
}

/// What is known about the person; each of the first four is an alias of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// In order, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<ApiKeyHash>,
}

impl Profile {
    /// The names by which the user may be called besides the id.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        [&self.email, &self.phone, &self.username, &self.employee_id]
            .into_iter()
            .filter_map(|alias| alias.as_deref())
    }
}

/// Everything that the ledger says about one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The ledger sequence this state was last changed at; 0: never heard of.
    pub revision: Revision,
    #[serde(default)]
    pub created_at: Timestamp,
    #[serde(default)]
    pub updated_at: Timestamp,
    #[serde(default)]
    pub profile: Profile,
    #[serde(default)]
    pub holds: Vec<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Sessions that were learnt before this place in the ledger are dead.
    #[serde(default)]
    pub sessions_revoked_at: Revision,
    /// Tokens issued at or before this second are dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_not_before: Option<Timestamp>,
    /// Whether the API keys are refused: a hold disables them, or whoever lifted
    /// one did not give them back.
    #[serde(default)]
    pub api_keys_disabled: bool,
    /// Whoever lifted a hold did not give the API keys back: they stay disabled
    /// until a restore does, whichever holds come and go meanwhile.
    #[serde(default)]
    pub api_keys_withheld: bool,
}

impl User {
    pub fn status(&self, now: Timestamp) -> Status {
        if self.deleted_at.is_some() {
            Status::Deleted
        } else if self.holds.iter().any(|hold| hold.in_force(now)) {
            Status::Suspended
        } else {
            Status::Active
        }
    }

    /// The hold that speaks for the suspension: the strictest in force, among
    /// equals the one that lasts longest, then the oldest.
    pub fn leading_hold(&self, now: Timestamp) -> Option<&Hold> {
        let in_force = self.holds.iter().filter(|hold| hold.in_force(now));
        in_force
            .min_by_key(|hold| precedence((hold.access, hold.kind), hold.starts_at, hold.ends_at))
    }

    pub fn hold(&self, name: &HoldName) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.name == *name)
    }
}
