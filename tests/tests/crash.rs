//! kill -9 at any moment: what was acknowledged stands, and nothing needs repair.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use portcullis_tests::browser::Browser;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use serde_json::json;
use tokio::task::JoinSet;

const HOST: &str = "acme.localhost";
const ROUNDS: usize = 12;

async fn me(gate: &Gate, browser: &Browser) -> u16 {
    let mut browser = browser.clone();
    browser.gate = gate.data;
    browser.api("/me").await.status
}

#[tokio::test]
async fn a_suspension_survives_a_kill_right_after_its_acknowledgement() {
    let origin = Origin::start().await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    let alice = Browser::signed_in(gate.data, HOST, "alice").await;
    for round in 0..ROUNDS {
        let bob = Browser::signed_in(gate.data, HOST, &format!("bob{round}")).await;
        gate.admin()
            .suspend(&format!("bob{round}"), &json!({}))
            .await;
        gate.kill_9();
        gate.start_again();
        assert_eq!(me(&gate, &bob).await, 403, "round {round}");
        assert_eq!(me(&gate, &alice).await, 200, "round {round}");
    }
    gate.admin().restore("bob0").await;
    gate.kill_9();
    gate.start_again();
    Browser::signed_in(gate.data, HOST, "bob0").await;
}

#[tokio::test]
async fn a_session_learnt_right_before_a_kill_is_known_after_it() {
    let origin = Origin::start().await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    for round in 0..ROUNDS {
        let name = format!("bob{round}");
        let bob = Browser::signed_in(gate.data, HOST, &name).await;
        gate.kill_9();
        gate.start_again();
        assert_eq!(me(&gate, &bob).await, 200, "round {round}");
        let receipt = gate.admin().suspend(&name, &json!({})).await;
        assert_eq!(receipt["sessions_revoked"], 1, "round {round}");
        assert_eq!(me(&gate, &bob).await, 403, "round {round}");
    }
}

/// Many writers at once, killed in the middle: each one's answer is the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_suspensions_at_a_kill_those_that_were_acknowledged_are_in_force() {
    const WRITERS: usize = 24;
    let origin = Origin::start().await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    for round in 0..4 {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let admin = gate.admin();
            let name = format!("user-{round}-{writer}");
            writers.spawn(async move {
                admin.suspend(&name, &json!({})).await;
                name
            });
        }
        let mut acknowledged = Vec::new();
        while let Some(done) = writers.join_next().await {
            // The gate is gone for the others; only what it said counts.
            if let Ok(name) = done {
                acknowledged.push(name);
            }
            if acknowledged.len() == WRITERS / 4 {
                gate.kill_9();
            }
        }
        gate.start_again();
        assert!(acknowledged.len() >= WRITERS / 4);
        for name in acknowledged {
            let path = format!("/api/v1/users/{name}");
            let user = gate.admin().done(http::Method::GET, &path, None).await;
            assert_eq!(user["status"], "suspended", "{name}");
        }
    }
}

#[tokio::test]
async fn an_orderly_restart_disturbs_no_session() {
    let origin = Origin::start().await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    let alice = Browser::signed_in(gate.data, HOST, "alice").await;
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    gate.admin().suspend("bob", &json!({})).await;
    gate.admin().restore("bob").await;
    gate.restart();
    assert_eq!(me(&gate, &alice).await, 200);
    assert_eq!(me(&gate, &bob).await, 401);
    let anew = Browser::signed_in(gate.data, HOST, "bob").await;
    assert_eq!(me(&gate, &anew).await, 200);
    assert_eq!(me(&gate, &bob).await, 401);
}
