//! Rules about holds, good and bad.

use portcullis_core::ids::HoldName;
use portcullis_core::ledger::Role;

use super::faults::check;
use super::*;

#[test]
fn a_rule_says_who_lifts_the_holds_of_a_name_and_nothing_of_others() {
    let folder = folder();
    let rules = "[[tenants.holds]]\nname = \"legal\"\nlifted_by = \"tenant-admin\"\n";
    let config = parse(&format!("{TENANT}{rules}"), folder.path()).unwrap();
    let holds = &config.tenants[0].holds;
    let legal = HoldName::parse("legal").unwrap();
    assert_eq!(
        holds.lifters(&legal),
        [Role::GlobalAdmin, Role::TenantAdmin]
    );
    assert!(holds.may_lift(Role::Support, &HoldName::admin()));
}

#[test]
fn a_bad_rule_is_told_with_line_key_and_mend() {
    check(&[
        (
            "[[tenants.holds]]\nlifted_by = \"support\"\n",
            "9: tenants.holds.name: is missing; add name = \"legal\"",
        ),
        (
            "[[tenants.holds]]\nname = \"Legal\"\nlifted_by = \"support\"\n",
            "10: tenants.holds.name: \"Legal\" is no name of a hold: a hold name is 1 to 64 of a-z, 0-9, '-', '_' and '.'",
        ),
        (
            "[[tenants.holds]]\nname = \"legal\"\n",
            "9: tenants.holds.lifted_by: is missing; add lifted_by = [\"tenant-admin\"]",
        ),
        (
            "[[tenants.holds]]\nname = \"legal\"\nlifted_by = []\n",
            "11: tenants.holds.lifted_by: is an empty list; write one value or remove the key",
        ),
        (
            "[[tenants.holds]]\nname = \"legal\"\nlifted_by = [\"auditor\"]\n",
            "11: tenants.holds.lifted_by: must be one of \"global-admin\", \"tenant-admin\", \"support\", not \"auditor\"",
        ),
        (
            "[[tenants.holds]]\nname = \"legal\"\nlifted_by = \"support\"\n[[tenants.holds]]\nname = \"legal\"\nlifted_by = \"tenant-admin\"\n",
            "13: tenants.holds.name: is listed twice; keep one [[tenants.holds]] for each name",
        ),
    ]);
}
