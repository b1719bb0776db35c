//! Who may lift which hold: some are the tenant's own matter, some nobody's but
//! the operator's, and no door leads around that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::Method;
use portcullis_tests::admin::Admin;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::Answer;
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, within};
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";
const RULES: &str = "[[tenants.holds]]\nname = \"legal\"\nlifted_by = [\"tenant-admin\"]\n\n\
     [[tenants.holds]]\nname = \"court\"\nlifted_by = \"global-admin\"\n\n";

struct Stage {
    gate: Gate,
    support: Admin,
    boss: Admin,
    _origin: Origin,
}

impl Stage {
    async fn start() -> Self {
        let origin = Origin::start().await;
        let plan = Plan::new(&(tenant("acme", origin.address) + RULES));
        let support = plan.token("support", &["--tenant", "acme"]);
        let boss = plan.token("tenant-admin", &["--tenant", "acme"]);
        let gate = plan.start();
        Self {
            support: Admin::new(gate.admin, &support),
            boss: Admin::new(gate.admin, &boss),
            gate,
            _origin: origin,
        }
    }

    /// Places holds on bob, as the global-admin.
    async fn hold(&self, names: &[&str]) {
        for name in names {
            self.gate
                .admin()
                .suspend("bob", &json!({"hold": name}))
                .await;
        }
    }

    async fn bob(&self) -> Value {
        self.gate
            .admin()
            .done(Method::GET, "/api/v1/users/bob", None)
            .await
    }
}

async fn post(by: &Admin, path: &str, body: &Value) -> Answer {
    by.ask(Method::POST, &format!("/api/{path}"), Some(body))
        .await
}

fn refused(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(
        (&problem["code"], &problem["field"]),
        (&json!("may_not_lift"), &json!("hold"))
    );
    assert!(
        problem["detail"].as_str().unwrap().contains(words),
        "{problem}"
    );
}

#[tokio::test]
async fn a_restore_lifts_what_the_caller_may_lift_and_says_what_stays_and_whose_it_is() {
    let stage = Stage::start().await;
    let bob = Browser::signed_in(stage.gate.data, HOST, "bob").await;
    stage.hold(&["admin", "legal", "court"]).await;
    let done = stage.support.restore("bob").await;
    assert_eq!(done["holds_lifted"], json!(["admin"]));
    assert_eq!(done["holds_left"], json!(["legal", "court"]));
    let kept = json!([
        {"name": "legal", "lifted_by": ["global-admin", "tenant-admin"]},
        {"name": "court", "lifted_by": ["global-admin"]},
    ]);
    assert_eq!(done["holds_kept"], kept);
    let again = stage.support.restore("bob").await;
    assert_eq!(
        (&again["unchanged"], &again["holds_kept"]),
        (&json!(true), &kept)
    );
    let refused = bob.clone().api("/me").await;
    assert_eq!(refused.status, 403, "bob is out all the same");

    let done = stage.boss.restore("bob").await;
    assert_eq!(done["holds_lifted"], json!(["legal"]));
    assert_eq!(done["holds_left"], json!(["court"]));
    let done = stage.gate.admin().restore("bob").await;
    assert_eq!(
        (&done["holds_left"], &done["holds_kept"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(stage.bob().await["status"], "active");
}

#[tokio::test]
async fn a_hold_that_is_named_is_lifted_by_those_who_may_and_else_by_nobody() {
    let stage = Stage::start().await;
    stage.hold(&["legal"]).await;
    let before = stage.bob().await;
    for dry_run in [true, false] {
        let body = json!({"hold": "legal", "dry_run": dry_run});
        let answer = post(&stage.support, "v1/users/bob/restore", &body).await;
        refused(&answer, "global-admin or tenant-admin");
    }
    assert_eq!(stage.bob().await, before);
    let body = json!({"hold": "legal"});
    let answer = post(&stage.boss, "v1/users/bob/restore", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn who_may_not_lift_a_hold_may_place_it_and_not_replace_it() {
    let stage = Stage::start().await;
    let suspend = "v1/users/bob/suspend";
    let first = json!({"hold": "legal", "reason": "subpoena 7"});
    let placed = post(&stage.support, suspend, &first).await;
    assert_eq!(placed.status, 200, "{}", placed.text());
    let before = stage.bob().await;
    for other in [
        json!({"hold": "legal", "kind": "temporary"}),
        json!({"hold": "legal", "reason": "another"}),
        json!({"hold": "legal", "reason": "subpoena 7", "ticket": "LEG-8"}),
    ] {
        refused(
            &post(&stage.support, suspend, &other).await,
            "neither lift nor replace",
        );
    }
    assert_eq!(stage.bob().await, before);
    let again = post(&stage.support, suspend, &first).await;
    assert_eq!(
        (again.status, &again.json()["unchanged"]),
        (200, &json!(true))
    );
    let own = post(
        &stage.support,
        "v1/users/bob/restore",
        &json!({"hold": "legal"}),
    )
    .await;
    refused(&own, "tenant-admin");
    let mended = post(
        &stage.boss,
        suspend,
        &json!({"hold": "legal", "reason": "another"}),
    )
    .await;
    assert_eq!(mended.status, 200, "{}", mended.text());
}

#[tokio::test]
async fn who_is_to_be_active_is_so_wholly_or_nothing_changes() {
    let stage = Stage::start().await;
    stage.hold(&["admin", "legal"]).await;
    let before = stage.bob().await;
    let active = json!({"status": "active", "locale": "fr"});
    let path = "/api/v1/users/bob";
    let only = json!({"status": "active"});
    refused(
        &stage.support.ask(Method::PUT, path, Some(&only)).await,
        "'legal'",
    );
    refused(
        &post(&stage.support, "v2/users/bob/unsuspend", &json!({})).await,
        "'legal'",
    );
    assert_eq!(stage.bob().await, before);
    let done = stage.boss.ask(Method::PUT, path, Some(&active)).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["user"]["status"], "active");
    stage.hold(&["admin", "court"]).await;
    let before = stage.bob().await;
    let attributes_too = json!({"status": "active", "locale": "de"});
    refused(
        &stage
            .boss
            .ask(Method::PUT, path, Some(&attributes_too))
            .await,
        "'court'",
    );
    assert_eq!(stage.bob().await, before, "the attributes neither");
    let done = post(&stage.gate.admin(), "v2/users/bob/unsuspend", &json!({})).await;
    assert_eq!(done.json()["suspended"], false);
}

#[tokio::test]
async fn a_hold_that_ends_by_itself_asks_nobody() {
    let stage = Stage::start().await;
    let body = json!({"hold": "court", "ends_at": "500ms"});
    let placed = post(&stage.support, "v1/users/bob/suspend", &body).await;
    assert_eq!(placed.status, 200, "{}", placed.text());
    within(LONG, "the end of the hold", async {
        while stage.bob().await["status"] != "active" {}
    })
    .await;
}
