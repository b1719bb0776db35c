//! Who may lift a hold, by its name and the role of who asks. Replacing a hold
//! would lift it on the way, so the same right is asked for then.

use crate::ids::HoldName;
use crate::ledger::{Event, Role};
use crate::plan::{Plan, PlanError};
use crate::time::Timestamp;
use crate::user::User;

/// Who lifts holds that no rule names: all who may restore at all.
const WITHOUT_A_RULE: [Role; 2] = [Role::TenantAdmin, Role::Support];

/// A rule for the holds of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiftRule {
    pub name: HoldName,
    /// A global-admin may lift every hold, listed or not.
    pub lifted_by: Vec<Role>,
}

/// The rules of one tenant; each name is in one of them at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiftRules(Vec<LiftRule>);

impl LiftRules {
    pub const fn new(rules: Vec<LiftRule>) -> Self {
        Self(rules)
    }

    pub fn may_lift(&self, role: Role, hold: &HoldName) -> bool {
        role == Role::GlobalAdmin || self.listed(hold).contains(&role)
    }

    /// The roles that may lift `hold`, the mightiest first.
    pub fn lifters(&self, hold: &HoldName) -> Vec<Role> {
        let all = Role::ALL.into_iter();
        all.filter(|role| self.may_lift(*role, hold)).collect()
    }

    fn listed(&self, hold: &HoldName) -> &[Role] {
        let rule = self.0.iter().find(|rule| rule.name == *hold);
        rule.map_or(&WITHOUT_A_RULE, |rule| &rule.lifted_by)
    }

    fn refuse(&self, hold: &HoldName) -> PlanError {
        PlanError::MayNotLift {
            hold: hold.clone(),
            lifted_by: self.lifters(hold),
        }
    }
}

/// What is to be lifted, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Lifting<'a> {
    /// `None`: every hold that the role may lift.
    pub hold: Option<&'a HoldName>,
    /// All or nothing: a hold that the role may not lift stops the rest, too.
    pub whole: bool,
    pub restores_api_keys: bool,
    pub role: Role,
    pub rules: &'a LiftRules,
}

impl Lifting<'_> {
    /// The holds of `user` that are to go.
    pub(crate) fn of(&self, user: &User) -> Result<Vec<HoldName>, PlanError> {
        let may = |name: &HoldName| self.rules.may_lift(self.role, name);
        if let Some(name) = self.hold {
            return match user.hold(name) {
                None => Err(PlanError::NoSuchHold(name.clone())),
                Some(_) if !may(name) => Err(self.rules.refuse(name)),
                Some(_) => Ok(vec![name.clone()]),
            };
        }
        let mut names = user.holds.iter().map(|hold| &hold.name);
        if self.whole
            && let Some(stays) = names.clone().find(|name| !may(name))
        {
            return Err(self.rules.refuse(stays));
        }
        Ok(names.by_ref().filter(|name| may(name)).cloned().collect())
    }
}

/// Lets a suspension through unless it would take the place of a hold that `role`
/// may not lift, which is told before anything else. What changes nothing may be
/// asked for by anyone.
pub fn place(
    plan: Result<Plan, PlanError>,
    user: &User,
    role: Role,
    rules: &LiftRules,
    now: Timestamp,
) -> Result<Plan, PlanError> {
    let name = match &plan {
        Ok(Plan::Append(Event::HoldPlaced { hold })) => &hold.name,
        Err(PlanError::WouldLetIn { hold, .. }) => hold,
        Ok(_) | Err(_) => return plan,
    };
    let stands = |end: Option<Timestamp>| end.is_none_or(|end| now < end);
    let old = user.hold(name).filter(|old| stands(old.ends_at));
    match old {
        Some(old) if !rules.may_lift(role, &old.name) => Err(rules.refuse(&old.name)),
        Some(_) | None => plan,
    }
}

/// Lets holds be put back as they were before a batch, unless one that stands would
/// be lifted or replaced that `role` may not lift.
pub fn put_back(
    event: &Event,
    user: &User,
    role: Role,
    rules: &LiftRules,
    now: Timestamp,
) -> Result<(), PlanError> {
    let Event::HoldsPutBack { lifted, placed, .. } = event else {
        return Ok(());
    };
    let replaced = placed.iter().map(|hold| &hold.name);
    let stands = |name: &&HoldName| {
        let old = user.hold(name);
        old.is_some_and(|old| old.ends_at.is_none_or(|end| now < end))
    };
    let mut going = lifted.iter().chain(replaced).filter(stands);
    match going.find(|name| !rules.may_lift(role, name)) {
        Some(name) => Err(rules.refuse(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::restore;
    use crate::user::{Access, Hold, Kind, Source};

    const NOW: Timestamp = Timestamp(100);

    fn name(text: &str) -> HoldName {
        HoldName::parse(text).unwrap()
    }

    fn hold(text: &str, ends_at: Option<u64>) -> Hold {
        Hold {
            name: name(text),
            kind: Kind::Permanent,
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
            ends_at: ends_at.map(Timestamp),
            disables_api_keys: true,
            revokes_sessions: true,
            begun: true,
        }
    }

    fn held(names: &[&str]) -> User {
        User {
            holds: names.iter().map(|name| hold(name, None)).collect(),
            api_keys_disabled: true,
            ..User::default()
        }
    }

    /// `legal` is the tenant's own matter, `court` nobody's but the operator's.
    fn rules() -> LiftRules {
        let rule = |text, lifted_by: &[Role]| LiftRule {
            name: name(text),
            lifted_by: lifted_by.to_vec(),
        };
        LiftRules::new(vec![
            rule("legal", &[Role::TenantAdmin]),
            rule("court", &[Role::GlobalAdmin]),
        ])
    }

    fn lifting<'a>(rules: &'a LiftRules, role: Role) -> Lifting<'a> {
        Lifting {
            hold: None,
            whole: false,
            restores_api_keys: true,
            role,
            rules,
        }
    }

    #[test]
    fn who_may_lift_what() {
        use Role::{Auditor, GlobalAdmin, Support, TenantAdmin};
        let rules = rules();
        for (hold, lifters) in [
            ("admin", &[GlobalAdmin, TenantAdmin, Support][..]),
            ("legal", &[GlobalAdmin, TenantAdmin]),
            ("court", &[GlobalAdmin]),
        ] {
            assert_eq!(rules.lifters(&name(hold)), lifters, "{hold}");
            assert!(!rules.may_lift(Auditor, &name(hold)));
        }
    }

    #[test]
    fn a_restore_lifts_what_the_role_may_lift_and_leaves_the_rest() {
        let (rules, user) = (rules(), held(&["admin", "legal", "court"]));
        for (role, lifted) in [
            (Role::GlobalAdmin, &["admin", "legal", "court"][..]),
            (Role::TenantAdmin, &["admin", "legal"]),
            (Role::Support, &["admin"]),
        ] {
            let plan = restore(&user, &lifting(&rules, role)).unwrap();
            let holds = lifted.iter().map(|text| name(text)).collect();
            let restores_api_keys = true;
            let expected = Event::HoldsLifted {
                holds,
                restores_api_keys,
            };
            assert_eq!(plan, Plan::Append(expected), "{role:?}");
        }
    }

    #[test]
    fn where_nothing_may_be_lifted_nothing_changes_the_api_keys_included() {
        let rules = rules();
        let stuck = restore(&held(&["court"]), &lifting(&rules, Role::Support));
        assert_eq!(stuck, Ok(Plan::Nothing));
    }

    #[test]
    fn a_hold_that_is_named_and_not_ours_to_lift_is_refused_with_whose_it_is() {
        let (rules, legal) = (rules(), name("legal"));
        let refused = PlanError::MayNotLift {
            hold: legal.clone(),
            lifted_by: vec![Role::GlobalAdmin, Role::TenantAdmin],
        };
        let named = Lifting {
            hold: Some(&legal),
            ..lifting(&rules, Role::Support)
        };
        assert_eq!(restore(&held(&["admin", "legal"]), &named), Err(refused));
        assert_eq!(
            restore(&held(&["admin"]), &named),
            Err(PlanError::NoSuchHold(legal.clone())),
            "one that is not there is not there for anyone"
        );
    }

    #[test]
    fn all_or_nothing_lifts_nothing_where_one_hold_would_stay() {
        let rules = rules();
        let whole = |role| Lifting {
            whole: true,
            ..lifting(&rules, role)
        };
        let user = held(&["admin", "legal"]);
        let refused = restore(&user, &whole(Role::Support));
        assert!(
            matches!(refused, Err(PlanError::MayNotLift { hold, .. }) if hold == name("legal"))
        );
        let both = restore(&user, &whole(Role::TenantAdmin));
        assert!(
            matches!(both, Ok(Plan::Append(Event::HoldsLifted { holds, .. })) if holds.len() == 2)
        );
    }

    #[test]
    fn a_hold_that_is_not_ours_to_lift_is_not_ours_to_replace() {
        let rules = rules();
        let placed = |end| {
            Plan::Append(Event::HoldPlaced {
                hold: hold("legal", end),
            })
        };
        let put = |user: &User, role| place(Ok(placed(Some(900))), user, role, &rules, NOW);
        assert!(put(&held(&[]), Role::Support).is_ok(), "none stands yet");
        let stands = held(&["legal"]);
        assert!(matches!(
            put(&stands, Role::Support),
            Err(PlanError::MayNotLift { .. })
        ));
        assert!(put(&stands, Role::TenantAdmin).is_ok());
        let over = User {
            holds: vec![hold("legal", Some(100))],
            ..User::default()
        };
        assert!(
            put(&over, Role::Support).is_ok(),
            "one that is over is gone"
        );
        let same = place(Ok(Plan::Nothing), &stands, Role::Support, &rules, NOW);
        assert_eq!(same, Ok(Plan::Nothing), "asking for what is so");
    }
}
