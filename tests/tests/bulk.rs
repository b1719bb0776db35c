//! Many users by one call: all of them are out, what breaks off goes on where it
//! ended, and a single change does not wait behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::admin::Admin;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Ask, Wire2};
use portcullis_tests::crowd::{Held, Kind, Stage, sign_in_all};
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, eventually, within};
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";
/// Of the batches that are broken off: several seconds' worth for a debug build.
const MANY: usize = 6_000;

/// A call that answers in lines.
async fn lines(admin: &Admin, path: &str, body: &Value) -> (Vec<Value>, Value) {
    let answer = admin.ask(Method::POST, path, Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<Value> = lines.collect();
    let summary = lines.pop().unwrap()["summary"].clone();
    assert_eq!(summary["complete"], true, "{summary}");
    lines.retain(|line| line.get("outcome").is_some());
    (lines, summary)
}

/// A bulk call whose answer is still to come.
async fn begin(gate: &Gate, key: &str, body: &Value) -> Response<Incoming> {
    Ask::new(Method::POST, "/api/v1/bulk")
        .header("host", &gate.admin.to_string())
        .header("authorization", &format!("Bearer {}", gate.token))
        .header("idempotency-key", key)
        .json(body)
        .begin(gate.admin)
        .await
}

/// Reads until the mark was told.
async fn read_until(answer: &mut Response<Incoming>, mark: &str) -> String {
    let mut text = String::new();
    while !text.contains(mark) {
        let frame = within(LONG, "a line", answer.body_mut().frame()).await;
        let data = frame.expect("not the end").unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    text
}

/// How many entries the batch has.
async fn entries(admin: &Admin, batch: &str) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let path = format!("/api/v1/audit?batch={batch}&limit=1000{cursor}");
        let page = admin.done(Method::GET, &path, None).await;
        count += page["entries"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

fn many() -> Vec<String> {
    (0..MANY).map(|n| format!("user{n}")).collect()
}

async fn me(gate: SocketAddr, browser: &Browser) -> u16 {
    let mut browser = browser.clone();
    browser.gate = gate;
    browser.api("/me").await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_suspension_cuts_what_each_of_its_users_has_open_and_nobody_elses() {
    let stage = Stage::start().await;
    let gate = Gate::start(&tenant("acme", stage.origin.address));
    let users: Vec<String> = ["alice", "bob", "carol", "dave"].map(str::to_owned).into();
    let browsers = sign_in_all(gate.data, HOST, &users).await;
    let mut shared = Wire2::open(gate.data).await;
    let kinds = [Kind::Socket, Kind::Events, Kind::Download, Kind::Stream];
    let mut open = Vec::new();
    for (who, user) in browsers.iter().zip(&users) {
        for kind in kinds {
            let id = open.len();
            open.push(Held::open(&stage, who, user, kind, id, &mut shared).await);
        }
    }
    let ask = json!({"action": "suspend", "users": ["bob", "carol", "dave"], "batch": "b1"});
    let (told, summary) = lines(&gate.admin(), "/api/v1/bulk", &ask).await;
    assert_eq!(summary["changed"], 3);
    assert_eq!(summary["receipt"]["connections_cut"], 3 * kinds.len());
    assert_eq!(summary["receipt"]["sessions_revoked"], 3);
    for line in &told {
        assert_eq!(line["receipt"]["connections_cut"], kinds.len(), "{line}");
    }
    for held in &open {
        if held.user == "alice" {
            held.pass().await;
        } else {
            held.end().await;
            held.broken().await;
        }
    }
    let (_, summary) = lines(&gate.admin(), "/api/v1/bulk/b1/undo", &json!({})).await;
    assert_eq!(summary["changed"], 3);
    // Sessions that were revoked stay dead; a new login is let in.
    assert_eq!(me(gate.data, &browsers[1]).await, 401);
    Browser::signed_in(gate.data, HOST, "bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_stops_it_and_the_retry_does_the_rest() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let ask = json!({"action": "suspend", "users": many()});
    let mut answer = begin(&gate, "night-shift", &ask).await;
    let first = read_until(&mut answer, "\"outcome\"").await;
    let first = serde_json::from_str::<Value>(first.lines().next().unwrap()).unwrap();
    let batch = first["progress"]["batch"].as_str().unwrap().to_owned();
    drop(answer);
    // It stops at its chunk, and the ledger says how far it came.
    eventually("the end of the call", || {
        gate.log().contains("nobody takes the answer")
    })
    .await;
    let now = entries(&gate.admin(), &batch).await;
    assert!((1..MANY).contains(&now), "{now}");
    let mut answer = begin(&gate, "night-shift", &ask).await;
    let rest = read_until(&mut answer, "\"summary\"").await;
    let summary: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    let summary = &summary["summary"];
    assert_eq!(
        (&summary["batch"], &summary["changed"]),
        (&json!(batch), &json!(MANY))
    );
    assert_eq!(summary["flags"]["repeated"], now);
    assert_eq!(entries(&gate.admin(), &batch).await, MANY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_before_a_kill_stands_and_the_retry_does_the_rest() {
    let origin = Origin::start().await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    let ask = json!({"action": "suspend", "users": many(), "batch": "b1"});
    let mut answer = begin(&gate, "k1", &ask).await;
    let told = read_until(&mut answer, "user300").await;
    gate.kill_9();
    gate.start_again();
    let admin = gate.admin();
    for line in told.lines().filter(|line| line.ends_with('}')) {
        let line: Value = serde_json::from_str(line).unwrap();
        if let Some(user) = line["user"].as_str() {
            let path = format!("/api/v1/users/{user}");
            let user = admin.done(Method::GET, &path, None).await;
            assert_eq!(user["status"], "suspended", "{line}");
        }
    }
    let mut answer = begin(&gate, "k1", &ask).await;
    read_until(&mut answer, "\"summary\"").await;
    assert_eq!(entries(&admin, "b1").await, MANY);
    let (_, summary) = lines(&admin, "/api/v1/bulk/b1/undo", &json!({})).await;
    assert_eq!(summary["changed"], MANY);
    let filter = json!({"action": "suspend", "filter": "status==\"suspended\"", "dry_run": true});
    let (_, summary) = lines(&admin, "/api/v1/bulk", &filter).await;
    assert_eq!(summary["done"], 0, "nobody is left out: {summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_suspension_does_not_wait_for_a_bulk_call_to_end() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let ask = json!({"action": "suspend", "users": many()});
    let mut answer = begin(&gate, "k1", &ask).await;
    read_until(&mut answer, "\"outcome\"").await;
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(me(gate.data, &bob).await, 403);
    let path = format!("/api/v1/users/user{}", MANY - 1);
    let last = gate.admin().ask(Method::GET, &path, None).await;
    assert_eq!(last.status, 404, "the bulk call is still under way");
    read_until(&mut answer, "\"summary\"").await;
}

/// No door leads around who may lift a hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_call_and_its_undo_lift_what_the_caller_may_lift() {
    const RULE: &str = "[[tenants.holds]]\nname = \"legal\"\nlifted_by = [\"tenant-admin\"]\n\n";
    let origin = Origin::start().await;
    let plan = Plan::new(&(tenant("acme", origin.address) + RULE));
    let support = plan.token("support", &["--tenant", "acme"]);
    let gate = plan.start();
    let (root, support) = (gate.admin(), Admin::new(gate.admin, &support));
    let bulk = "/api/v1/bulk";
    for hold in ["admin", "legal"] {
        let ask = json!({"action": "suspend", "users": ["bob"], "hold": hold, "batch": hold});
        lines(&root, bulk, &ask).await;
    }
    let ask = json!({"action": "restore", "users": ["bob"], "hold": "legal"});
    let (told, _) = lines(&support, bulk, &ask).await;
    assert_eq!(told[0]["code"], "may_not_lift");
    let ask = json!({"action": "suspend", "users": ["bob"], "hold": "legal", "kind": "temporary"});
    let (told, _) = lines(&support, bulk, &ask).await;
    assert_eq!(told[0]["code"], "may_not_lift");
    let (told, _) = lines(&support, "/api/v1/bulk/legal/undo", &json!({})).await;
    assert_eq!(told[0]["code"], "may_not_lift");
    let ask = json!({"action": "restore", "users": ["bob"]});
    let (told, _) = lines(&support, bulk, &ask).await;
    assert_eq!(
        (&told[0]["outcome"], &told[0]["holds_left"]),
        (&json!("changed"), &json!(["legal"]))
    );
    let bob = root.done(Method::GET, "/api/v1/users/bob", None).await;
    assert_eq!(bob["status"], "suspended");
    let (told, _) = lines(&root, "/api/v1/bulk/legal/undo", &json!({})).await;
    assert_eq!(told[0]["outcome"], "changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_call_leaves_the_last_administrator() {
    let origin = Origin::start().await;
    let plan = Plan::new(&tenant("acme", origin.address));
    for user in ["alice", "bob"] {
        plan.token("tenant-admin", &["--tenant", "acme", "--user", user]);
    }
    let gate = plan.start();
    let root = gate.admin();
    let users =
        json!({"action": "suspend", "users": ["carol", "alice", "bob", "dave"], "batch": "b1"});
    let (told, summary) = lines(&root, "/api/v1/bulk", &users).await;
    assert_eq!(summary["changed"], 3, "{told:?}");
    assert_eq!(told[2]["code"], "last_administrator");
    assert_eq!(told[1]["flags"], json!(["admin", "unknown"]));
    // Nor does taking a restore back.
    let back = json!({"action": "restore", "users": ["alice"], "batch": "b2"});
    lines(&root, "/api/v1/bulk", &back).await;
    root.suspend("bob", &json!({})).await;
    let (told, _) = lines(&root, "/api/v1/bulk/b2/undo", &json!({})).await;
    assert_eq!(told[0]["code"], "last_administrator");
}
