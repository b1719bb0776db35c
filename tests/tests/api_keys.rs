//! API keys that were given to users by the admin API, by the hash of each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_lc_rs::digest::{SHA256, digest};
use http::Method;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use serde_json::{Value, json};

fn hash(key: &str) -> String {
    let digits = digest(&SHA256, key.as_bytes());
    let digits = digits.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", digits.collect::<String>())
}

async fn start() -> (Origin, Gate) {
    let origin = Origin::start().await;
    let header = "[[tenants.api_keys]]\nheader = \"X-API-Key\"\n";
    let gate = Gate::start(&format!("{}{header}", tenant("acme", origin.address)));
    (origin, gate)
}

async fn put(gate: &Gate, user: &str, fields: &Value) -> Answer {
    let path = format!("/api/v1/users/{user}");
    gate.admin().ask(Method::PUT, &path, Some(fields)).await
}

async fn give(gate: &Gate, user: &str, keys: &[&str]) {
    let keys: Vec<String> = keys.iter().map(|key| hash(key)).collect();
    let given = put(gate, user, &json!({"api_keys": keys})).await;
    assert_eq!(given.status, 200, "{}", given.text());
    assert_eq!(
        given.json()["user"]["api_keys"].as_array().unwrap().len(),
        keys.len()
    );
}

async fn visit(gate: &Gate, key: &str) -> u16 {
    let ask = Ask::get("/")
        .host("acme.localhost")
        .header("x-api-key", key);
    ask.send(gate.data).await.status
}

#[tokio::test]
async fn a_key_that_was_given_is_out_with_its_user_and_back_with_the_restore() {
    let (_origin, mut gate) = start().await;
    give(&gate, "bob", &["one", "two"]).await;
    assert_eq!(visit(&gate, "one").await, 200);
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["api_keys_disabled"], 2);
    for _ in 0..2 {
        assert_eq!(
            (visit(&gate, "one").await, visit(&gate, "two").await),
            (403, 403)
        );
        assert_eq!(visit(&gate, "nobodys").await, 200);
        gate.restart();
    }
    gate.admin().restore("bob").await;
    assert_eq!(visit(&gate, "two").await, 200);
}

#[tokio::test]
async fn a_key_that_was_taken_away_goes_on_meaning_its_user_until_it_is_anothers() {
    let (_origin, mut gate) = start().await;
    give(&gate, "bob", &["one"]).await;
    give(&gate, "bob", &[]).await;
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["api_keys_disabled"], 0);
    assert_eq!(visit(&gate, "one").await, 403, "the app may still take it");
    gate.restart();
    assert_eq!(visit(&gate, "one").await, 403);
    give(&gate, "alice", &["one"]).await;
    assert_eq!(visit(&gate, "one").await, 200);
    gate.restart();
    assert_eq!(visit(&gate, "one").await, 200);
}

#[tokio::test]
async fn a_key_is_one_users_and_never_taken_over() {
    let (_origin, gate) = start().await;
    give(&gate, "bob", &["one"]).await;
    let fields = json!({"api_keys": [hash("one")], "locale": "fr"});
    let taken = put(&gate, "alice", &fields).await;
    assert_eq!(
        (taken.status, &taken.json()["code"]),
        (409, &json!("api_key_taken"))
    );
    let unknown = gate
        .admin()
        .ask(Method::GET, "/api/v1/users/alice", None)
        .await;
    assert_eq!(unknown.status, 404, "nothing was done");
    let bad = put(&gate, "alice", &json!({"api_keys": ["one"]})).await;
    assert_eq!(
        (bad.status, &bad.json()["field"]),
        (400, &json!("api_keys"))
    );
}

#[tokio::test]
async fn a_key_of_the_configuration_is_nobody_elses() {
    let origin = Origin::start().await;
    let keys = format!(
        "[[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [{{ hash = \"{}\", user = \"bob\" }}]\n",
        hash("one")
    );
    let gate = Gate::start(&format!("{}{keys}", tenant("acme", origin.address)));
    let fields = json!({"api_keys": [hash("one")]});
    let taken = put(&gate, "alice", &fields).await;
    assert_eq!(
        (taken.status, &taken.json()["code"]),
        (409, &json!("api_key_taken"))
    );
    assert!(taken.text().contains("configuration"), "{}", taken.text());
    let own = put(&gate, "bob", &fields).await;
    assert_eq!(own.status, 200, "{}", own.text());
}

#[tokio::test]
async fn the_keys_of_who_is_deleted_are_refused_for_good() {
    let (_origin, mut gate) = start().await;
    give(&gate, "bob", &["one", "two"]).await;
    give(&gate, "bob", &["two"]).await;
    let path = "/api/v1/users/bob";
    let dry_run = json!({"dry_run": true});
    let tried = gate
        .admin()
        .done(Method::DELETE, path, Some(&dry_run))
        .await;
    assert_eq!(tried["receipt"]["api_keys_disabled"], 1, "{tried}");
    let deleted = gate.admin().done(Method::DELETE, path, None).await;
    assert_eq!(deleted["receipt"]["api_keys_disabled"], 1, "{deleted}");
    for _ in 0..2 {
        assert_eq!(
            (visit(&gate, "one").await, visit(&gate, "two").await),
            (403, 403)
        );
        let fields = json!({"api_keys": [hash("one")]});
        let taken = put(&gate, "alice", &fields).await;
        assert_eq!(
            taken.status,
            409,
            "who is gone knows it still: {}",
            taken.text()
        );
        gate.kill_9();
        gate.start_again();
    }
}
