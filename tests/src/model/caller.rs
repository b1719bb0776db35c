//! Who calls the admin API, and which holds each of them may lift.

use std::fmt::Write;

use super::person::Wish;

/// One for each role that may suspend and restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Root,
    Boss,
    Support,
}

/// Who lifts the holds of a name, besides a global-admin. Of the two below it,
/// neither may all that the other may.
const RULES: [(&str, Caller); 2] = [("legal", Caller::Boss), ("hr", Caller::Support)];

/// By whom a change is made, through which door, and as part of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// As the audit names it.
    pub actor: &'static str,
    /// `None`: the gate itself.
    pub caller: Option<Caller>,
    pub source: &'static str,
    pub batch: Option<String>,
}

impl By {
    pub const GATE: Self = Self {
        actor: "gate",
        caller: None,
        source: "gate",
        batch: None,
    };

    pub fn caller(caller: Caller, source: &'static str) -> Self {
        Self {
            actor: caller.name(),
            caller: Some(caller),
            source,
            batch: None,
        }
    }

    pub fn may_ask_for(&self, wish: &Wish) -> bool {
        let may_edit = self.caller.is_none_or(Caller::may_edit);
        match wish {
            Wish::Name(_) | Wish::Delete => may_edit,
            Wish::Suspend(_) | Wish::Restore { .. } | Wish::EndSessions | Wish::Undo(_) => true,
        }
    }

    pub fn may_lift(&self, hold: &str) -> bool {
        self.caller.is_none_or(|caller| caller.may_lift(hold))
    }
}

impl Caller {
    /// The mightiest first.
    pub const ALL: [Self; 3] = [Self::Root, Self::Boss, Self::Support];

    pub const fn role(self) -> &'static str {
        match self {
            Self::Root => "global-admin",
            Self::Boss => "tenant-admin",
            Self::Support => "support",
        }
    }

    /// The name of its token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Boss => "boss",
            Self::Support => "helpdesk",
        }
    }

    /// Changes attributes, and deletes.
    pub fn may_edit(self) -> bool {
        match self {
            Self::Root | Self::Boss => true,
            Self::Support => false,
        }
    }

    pub fn may_lift(self, hold: &str) -> bool {
        let rule = RULES.into_iter().find(|(name, _)| *name == hold);
        self == Self::Root || rule.is_none_or(|(_, lifter)| lifter == self)
    }
}

/// The roles that may lift a hold.
pub fn lifters(hold: &str) -> Vec<&'static str> {
    let may = Caller::ALL.into_iter().filter(|one| one.may_lift(hold));
    may.map(Caller::role).collect()
}

/// The rules as a tenant's configuration has them.
///
/// # Panics
/// Never: a text can be written to.
#[expect(clippy::expect_used, reason = "a text can be written to")]
pub fn configuration() -> String {
    let mut text = String::new();
    for (name, lifter) in RULES {
        let role = lifter.role();
        writeln!(
            text,
            "[[tenants.holds]]\nname = \"{name}\"\nlifted_by = [\"{role}\"]\n"
        )
        .expect("a text can be written to");
    }
    text
}
