//! Rules about holds: who may lift those of a name.

use portcullis_core::ids::HoldName;
use portcullis_core::ledger::Role;
use portcullis_core::lift::{LiftRule, LiftRules};
use toml::de::DeValue;

use super::fault::Noted;
use super::scalar;
use super::section::Section;

/// An auditor is not among them: it reads.
const LIFTERS: [(&str, Role); 3] = [
    ("global-admin", Role::GlobalAdmin),
    ("tenant-admin", Role::TenantAdmin),
    ("support", Role::Support),
];

pub(super) fn read_holds(tenant: &Section<'_>) -> Result<LiftRules, Noted> {
    let mut rules: Vec<LiftRule> = Vec::new();
    let mut outcome = Ok(());
    for section in tenant.sections("holds")? {
        match read_hold(&section) {
            Ok(rule) if rules.iter().any(|other| other.name == rule.name) => {
                let text = "is listed twice; keep one [[tenants.holds]] for each name";
                outcome = Err(section.note("name", text));
            }
            Ok(rule) => rules.push(rule),
            Err(noted) => outcome = Err(noted),
        }
    }
    outcome.map(|()| LiftRules::new(rules))
}

fn read_hold(section: &Section<'_>) -> Result<LiftRule, Noted> {
    let name = section.required("name", "name = \"legal\"", |value: &DeValue<'_>| {
        let text = scalar::text(value)?;
        HoldName::parse(text).map_err(|error| format!("{text:?} is no name of a hold: {error}"))
    });
    let lifted_by = section.one_or_more("lifted_by", |value| scalar::word(value, &LIFTERS));
    section.refuse_unknown();
    let (name, lifted_by) = (name?, lifted_by?);
    let Some(lifted_by) = lifted_by else {
        let text = "is missing; add lifted_by = [\"tenant-admin\"]";
        return Err(section.note("lifted_by", text));
    };
    Ok(LiftRule { name, lifted_by })
}
