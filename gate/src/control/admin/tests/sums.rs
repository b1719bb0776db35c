//! What the summary of a bulk call counts.

use serde_json::json;

use super::*;

impl Gate {
    async fn sums(&self, path: &str, body: &Value) -> (Vec<Value>, Value) {
        let reply = self.root(path, &body.to_string()).await;
        let lines = reply.text.lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut lines: Vec<Value> = lines
            .filter(|line| line.get("progress").is_none())
            .collect();
        let summary = lines.pop().unwrap()["summary"].clone();
        (lines, summary)
    }
}

const BULK: &str = "POST /api/v1/bulk";

#[tokio::test]
async fn a_dry_run_counts_who_is_listed_twice_once() {
    let gate = Gate::start(&["acme"]).await;
    gate.root("PUT /api/v1/users/bob", r#"{"email":"bob@acme.test"}"#)
        .await;
    let ask = json!({"action": "suspend", "users": ["bob", "bob@acme.test", "bob", "dave"]});
    let mut dry = ask.clone();
    dry["dry_run"] = json!(true);
    let (_, tried) = gate.sums(BULK, &dry).await;
    let (_, done) = gate.sums(BULK, &ask).await;
    for summary in [&tried, &done] {
        assert_eq!([&summary["changed"], &summary["unchanged"]], [2, 2]);
    }
    gate.stop().await;
}

#[tokio::test]
async fn holds_that_wait_are_counted_and_those_that_are_replaced() {
    let gate = Gate::start(&["acme"]).await;
    gate.root(
        "POST /api/v1/users/bob/suspend",
        r#"{"hold":"w","starts_at":"1h"}"#,
    )
    .await;
    for dry_run in [true, false] {
        let ask = json!({"action": "suspend", "users": ["bob", "dave"], "hold": "w",
                         "starts_at": "2h", "dry_run": dry_run});
        let (lines, summary) = gate.sums(BULK, &ask).await;
        assert_eq!([&summary["changed"], &summary["waiting"]], [2, 2]);
        assert_eq!(summary["flags"]["replaced"], 1);
        assert_eq!(lines[0]["flags"], json!(["replaced"]));
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_restore_counts_who_stays_out_and_an_undo_whom_it_left_alone() {
    let gate = Gate::start(&["acme"]).await;
    let suspend = |user: &str, body: &'static str| {
        let call = format!("POST /api/v1/users/{user}/suspend");
        async { gate.root(&{ call }, body).await }
    };
    suspend("bob", r#"{"hold":"fraud"}"#).await;
    suspend("eve", r#"{"hold":"leave","starts_at":"2h"}"#).await;
    let ask = json!({"action": "suspend", "users": ["bob", "eve"], "batch": "b1"});
    gate.sums(BULK, &ask).await;
    let back =
        json!({"action": "restore", "users": ["bob", "eve"], "hold": "admin", "dry_run": true});
    let (lines, summary) = gate.sums(BULK, &back).await;
    assert_eq!([&summary["changed"], &summary["stay_out"]], [2, 1]);
    assert_eq!(lines[0]["holds_left"], json!(["fraud"]));
    assert!(lines[0].get("holds_kept").is_none(), "{}", lines[0]);
    suspend("bob", r#"{"ticket":"SEC-9"}"#).await;
    let (_, summary) = gate.sums("POST /api/v1/bulk/b1/undo", &json!({})).await;
    let counts = ["changed", "unchanged", "left_alone"].map(|name| &summary[name]);
    assert_eq!(counts, [1, 1, 1]);
    gate.stop().await;
}
