//! Promises of bulk calls.

use serde_json::{Value, json};

use super::*;

/// What a bulk call told: lines about users, and the summary.
struct Told {
    batch: String,
    users: Vec<Value>,
    summary: Value,
}

impl Told {
    fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("content-type"), "application/x-ndjson");
        let lines = reply.text.lines();
        let mut lines: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let summary = lines.pop().unwrap()["summary"].clone();
        assert!(summary.is_object(), "{}", reply.text);
        let batch = lines[0]["progress"]["batch"].as_str().unwrap().to_owned();
        assert_eq!(summary["batch"], batch);
        lines.retain(|line| line.get("progress").is_none());
        assert_eq!(summary["done"], lines.len());
        Self {
            batch,
            users: lines,
            summary,
        }
    }

    fn line(&self, user: &str) -> &Value {
        let found = self.users.iter().find(|line| line["user"] == user);
        found.unwrap_or_else(|| panic!("no line of {user}: {:?}", self.users))
    }

    /// Changed, unchanged, refused.
    fn counts(&self) -> [u64; 3] {
        ["changed", "unchanged", "refused"].map(|name| self.summary[name].as_u64().unwrap())
    }
}

impl Gate {
    async fn bulk(&self, body: &Value) -> Told {
        Told::of(&self.root("POST /api/v1/bulk", &body.to_string()).await)
    }

    async fn undo(&self, batch: &str, body: &str) -> Told {
        Told::of(
            &self
                .root(&format!("POST /api/v1/bulk/{batch}/undo"), body)
                .await,
        )
    }

    async fn status(&self, user: &str) -> Value {
        self.root(&format!("GET /api/v1/users/{user}"), "")
            .await
            .json["status"]
            .clone()
    }
}

#[tokio::test]
async fn each_user_of_a_bulk_call_is_told_and_one_refused_stops_no_other() {
    let gate = Gate::start(&["acme"]).await;
    gate.log_in("acme", "bob", 1).await;
    gate.log_in("acme", "bob", 2).await;
    gate.root("POST /api/v1/users/carol/suspend", "{\"ends_at\":null}")
        .await;
    let told = gate
        .bulk(&json!({
            "action": "suspend", "reason": "suspiciousUserNoGood", "ticket": "SEC-1",
            "users": ["bob", "root", "dave", "", "Dave "],
        }))
        .await;
    assert_eq!(told.counts(), [2, 1, 2], "{:?}", told.users);
    let bob = told.line("bob");
    assert_eq!(
        (&bob["outcome"], &bob["receipt"]["sessions_revoked"]),
        (&json!("changed"), &json!(2))
    );
    assert_eq!(bob["flags"], json!(["unknown"]));
    let oneself = told.line("root");
    assert_eq!(
        (&oneself["outcome"], &oneself["code"]),
        (&json!("refused"), &json!("oneself"))
    );
    assert_eq!(oneself["flags"], json!(["self", "admin", "unknown"]));
    assert_eq!(told.users[3]["code"], "invalid_field");
    let again = &told.users[4];
    assert_eq!(
        (&again["user"], &again["asked"], &again["outcome"]),
        (&json!("dave"), &json!("Dave "), &json!("unchanged"))
    );
    assert_eq!(told.summary["complete"], true);
    assert_eq!(
        (&told.summary["total"], &told.summary["flags"]["self"]),
        (&json!(5), &json!(1))
    );
    assert_eq!(told.summary["receipt"]["sessions_revoked"], 2);
    assert_eq!(
        told.summary["receipt"]["gates"],
        json!({"total": 1, "in_force": 1})
    );
    assert_eq!(gate.status("bob").await, "suspended");
    let audit = gate
        .root(&format!("GET /api/v1/audit?batch={}", told.batch), "")
        .await;
    let entries = audit.json["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert!(
        entries
            .iter()
            .all(|entry| entry["batch"] == told.batch && entry["ticket"] == "SEC-1")
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_bulk_call_repeated_changes_nothing_and_says_so() {
    let gate = Gate::start(&["acme"]).await;
    let ask = json!({"action": "suspend", "users": ["bob", "dave", "bob"]});
    assert_eq!(gate.bulk(&ask).await.counts(), [2, 1, 0]);
    assert_eq!(gate.bulk(&ask).await.counts(), [0, 3, 0]);
    let back = json!({"action": "restore", "users": ["bob", "dave", "erin"]});
    assert_eq!(gate.bulk(&back).await.counts(), [2, 1, 0]);
    assert_eq!(gate.status("bob").await, "active");
    gate.stop().await;
}

#[tokio::test]
async fn a_retry_with_the_same_key_goes_on_and_does_nothing_twice() {
    let gate = Gate::start(&["acme"]).await;
    let key = ("idempotency-key", "k1");
    let ask = |users: Value| json!({"action": "suspend", "users": users}).to_string();
    let first = gate
        .root_with(key, "POST /api/v1/bulk", &ask(json!(["bob"])))
        .await;
    let first = Told::of(&first);
    // Somebody lets bob in meanwhile: the retry must not put him out again.
    gate.root("POST /api/v1/users/bob/restore", "{}").await;
    let second = gate
        .root_with(key, "POST /api/v1/bulk", &ask(json!(["bob", "dave"])))
        .await;
    let second = Told::of(&second);
    assert_eq!(second.batch, first.batch);
    assert_eq!(second.counts(), [2, 0, 0]);
    assert_eq!(second.line("bob")["flags"], json!(["repeated"]));
    assert_eq!(
        second.line("bob")["receipt"]["revision"],
        first.line("bob")["receipt"]["revision"]
    );
    assert_eq!(gate.status("bob").await, "active");
    assert_eq!(gate.status("dave").await, "suspended");
    let other = json!({"action": "suspend", "users": ["bob"], "ticket": "T"}).to_string();
    let other = Told::of(&gate.root_with(key, "POST /api/v1/bulk", &other).await);
    assert_eq!(other.line("bob")["code"], "idempotency_key_reused");
    gate.stop().await;
}

#[tokio::test]
async fn a_dry_run_counts_and_flags_and_changes_nothing() {
    let gate = Gate::start(&["acme"]).await;
    gate.token(Role::TenantAdmin, Some("acme"), "alice").await;
    gate.log_in("acme", "alice", 1).await;
    gate.root("POST /api/v1/users/carol/suspend", "{}").await;
    let users = json!(["alice", "root", "carol", "erin"]);
    let told = gate
        .bulk(&json!({"action": "suspend", "users": users, "dry_run": true}))
        .await;
    assert_eq!(told.counts(), [2, 1, 1]);
    assert_eq!(told.line("alice")["flags"], json!(["admin", "unknown"]));
    let flags = &told.summary["flags"];
    assert_eq!(
        (&flags["self"], &flags["admin"], &flags["unknown"]),
        (&json!(1), &json!(2), &json!(3))
    );
    let receipt = &told.summary["receipt"];
    assert_eq!(
        (&receipt["sessions_revoked"], &receipt["in_force_at"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(told.summary["dry_run"], true);
    assert_eq!(gate.root("GET /api/v1/users/erin", "").await.status, 404);
    gate.stop().await;
}

#[tokio::test]
async fn a_filter_names_those_whom_it_finds_each_once() {
    let gate = Gate::start(&["acme"]).await;
    let users: Vec<String> = (0..600).map(|n| format!("user{n}")).collect();
    let told = gate
        .bulk(&json!({"action": "suspend", "users": users, "reason": "violatedTrustByeBye"}))
        .await;
    assert_eq!(told.counts(), [600, 0, 0]);
    gate.root("POST /api/v1/users/bob/suspend", "{\"reason\":\"other\"}")
        .await;
    let filter = "suspension_reason==\"violatedTrustByeBye\"";
    let told = gate
        .bulk(&json!({"action": "restore", "filter": filter}))
        .await;
    assert_eq!(told.counts(), [600, 0, 0]);
    assert_eq!(told.summary["total"], 600);
    assert_eq!(gate.status("bob").await, "suspended");
    assert_eq!(gate.status("user599").await, "active");
    gate.stop().await;
}

#[tokio::test]
async fn lines_of_json_are_taken_too_and_a_broken_one_changes_nobody() {
    let gate = Gate::start(&["acme"]).await;
    let bearer = format!("Bearer {}", gate.root);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/x-ndjson"),
    ];
    let send = |body: &'static str| gate.send("POST /api/v1/bulk", &headers, body);
    let broken = send("{\"action\":\"suspend\"}\n\"bob\"\ndave\n").await;
    assert_eq!(broken.problem(), (400, "malformed_json", "users"));
    assert!(broken.text.contains("line 3"), "{}", broken.text);
    assert_eq!(gate.root("GET /api/v1/users/bob", "").await.status, 404);
    let told =
        Told::of(&send("{\"action\":\"suspend\",\"batch\":\"mine\"}\n\"bob\"\n\n\"dave\"").await);
    assert_eq!((told.counts(), told.batch.as_str()), ([2, 0, 0], "mine"));
    gate.stop().await;
}

/// Bodies of bulk calls with the code and the field that they are refused by.
const WRONG: [(&str, &str, &str); 12] = [
    (r#"{}"#, "invalid_field", "action"),
    (
        r#"{"action":"delete","users":["bob"]}"#,
        "invalid_field",
        "action",
    ),
    (r#"{"action":"suspend"}"#, "invalid_field", "users"),
    (
        r#"{"action":"suspend","users":[]}"#,
        "invalid_field",
        "users",
    ),
    (
        r#"{"action":"suspend","users":["bob",7]}"#,
        "invalid_field",
        "users[1]",
    ),
    (
        r#"{"action":"suspend","users":["bob"],"filter":"status==\"active\""}"#,
        "invalid_field",
        "filter",
    ),
    (
        r#"{"action":"suspend","filter":""}"#,
        "invalid_field",
        "filter",
    ),
    (
        r#"{"action":"suspend","users":["bob"],"batch":"a b"}"#,
        "invalid_field",
        "batch",
    ),
    (
        r#"{"action":"suspend","users":["bob"],"restore_api_keys":true}"#,
        "unknown_field",
        "restore_api_keys",
    ),
    (
        r#"{"action":"restore","users":["bob"],"kind":"permanent"}"#,
        "unknown_field",
        "kind",
    ),
    (
        r#"{"action":"suspend","users":["bob"],"raison":"x"}"#,
        "unknown_field",
        "raison",
    ),
    (
        r#"{"action":"suspend","users":["bob"],"ends_at":"soon"}"#,
        "invalid_field",
        "ends_at",
    ),
];

#[tokio::test]
async fn what_is_wrong_with_a_bulk_call_is_told_before_anything_is_done() {
    let gate = Gate::start(&["acme"]).await;
    for (body, code, field) in WRONG {
        let reply = gate.root("POST /api/v1/bulk", body).await;
        assert_eq!(
            reply.problem(),
            (400, code, field),
            "{body}: {}",
            reply.text
        );
    }
    let matched = gate
        .root_with(("if-match", "\"1\""), "POST /api/v1/bulk", "{}")
        .await;
    assert_eq!(matched.problem(), (400, "invalid_field", "If-Match"));
    assert_eq!(
        gate.root("POST /api/v1/bulk/none/undo", "")
            .await
            .problem()
            .0,
        404
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_batch_is_undone_by_one_call_and_what_changed_since_is_left() {
    let gate = Gate::start(&["acme"]).await;
    gate.root(
        "POST /api/v1/users/carol/suspend",
        r#"{"kind":"temporary","ticket":"OLD"}"#,
    )
    .await;
    let told = gate
        .bulk(&json!({"action": "suspend", "users": ["bob", "carol", "dave"], "batch": "b1"}))
        .await;
    assert_eq!(told.counts(), [3, 0, 0]);
    gate.root(
        "POST /api/v1/users/dave/suspend",
        r#"{"comment":"mine now"}"#,
    )
    .await;
    let dry = gate.undo("b1", r#"{"dry_run":true}"#).await;
    assert_eq!(dry.counts(), [2, 1, 0]);
    assert_eq!(gate.status("bob").await, "suspended");
    let undone = gate.undo("b1", "").await;
    assert_eq!(undone.counts(), [2, 1, 0]);
    assert_eq!(undone.line("dave")["holds_changed_since"], json!(["admin"]));
    assert_eq!(gate.status("bob").await, "active");
    let carol = gate.root("GET /api/v1/users/carol", "").await.json;
    assert_eq!(
        (&carol["status"], &carol["holds"][0]["ticket"]),
        (&json!("suspended"), &json!("OLD"))
    );
    assert_eq!(carol["suspension_status"], "temporary");
    assert_eq!(gate.status("dave").await, "suspended");
    assert_eq!(gate.undo("b1", "").await.counts(), [0, 3, 0]);
    let entry = gate
        .root("GET /api/v1/audit?user=bob&limit=1", "")
        .await
        .json["entries"][0]
        .clone();
    assert_eq!(
        (&entry["action"], &entry["comment"]),
        (&json!("holds_put_back"), &json!("undo of b1"))
    );
    // An undoing is a batch itself.
    let redone = gate.undo(&undone.batch, "").await;
    assert_eq!(redone.counts(), [2, 0, 0]);
    assert_eq!(gate.status("bob").await, "suspended");
    gate.stop().await;
}

#[tokio::test]
async fn nobody_undoes_the_batch_of_another_tenant() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let ask = r#"{"action":"suspend","users":["bob"],"batch":"b1"}"#;
    gate.root("POST /api/v1/bulk?tenant=acme", ask).await;
    let other = gate.token(Role::TenantAdmin, Some("globex"), "gina").await;
    let undo = gate.by(&other, "POST /api/v1/bulk/b1/undo", "").await;
    assert_eq!(undo.problem().0, 404);
    gate.stop().await;
}

#[tokio::test]
async fn more_bulk_calls_than_there_are_places_are_turned_away() {
    let gate = Gate::start(&["acme"]).await;
    let body = json!({"action": "suspend", "users": (0..2_000).map(|n| format!("u{n}")).collect::<Vec<_>>()});
    let text = body.to_string();
    let calls = (0..6).map(|_| gate.root("POST /api/v1/bulk", &text));
    let replies = futures_util::future::join_all(calls).await;
    let busy = replies.iter().filter(|reply| reply.status == 503).count();
    assert!(busy < 6, "some get through");
    for reply in replies {
        if reply.status == 503 {
            assert_eq!(reply.problem(), (503, "busy", ""));
            assert_eq!(reply.header("retry-after"), "1");
        }
    }
    assert_eq!(gate.bulk(&body).await.counts(), [0, 2_000, 0]);
    gate.stop().await;
}

#[tokio::test]
async fn large_bodies_that_do_not_come_keep_nobody_elses_call_out() {
    use tokio::io::AsyncWriteExt;

    let gate = Gate::start(&["acme", "globex"]).await;
    let slow = gate.token(Role::TenantAdmin, Some("globex"), "slow").await;
    let mut open = Vec::new();
    for call in ["POST /api/v1/bulk", "PUT /api/v1/tenants/globex/policy"].repeat(8) {
        let mut stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
        let head = format!(
            "{call} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {slow}\r\n\
             Content-Type: application/json\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n",
            gate.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The gate asks for the body, or turns the call away: it has got that far.
        let mut said = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut said)
            .await
            .unwrap();
        open.push((stream, String::from_utf8_lossy(&said).into_owned()));
    }
    let asked_for = open.iter().filter(|(_, said)| said.ends_with("100"));
    assert!((2..=8).contains(&asked_for.count()));
    let settings = r#"{"settings":{"contact":"a@b.test"}}"#;
    let put = gate.root("PUT /api/v1/tenants/acme/policy", settings).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let ask = r#"{"action":"suspend","users":["bob"]}"#;
    let root = gate.root("POST /api/v1/bulk?tenant=acme", ask).await;
    assert_eq!(root.status, 200, "{}", root.text);
    gate.stop().await;
}

/// Holds of one call are planned at different moments, and all of them begin then.
#[tokio::test]
async fn a_hold_that_begins_now_is_not_said_to_begin_later() {
    let gate = Gate::start(&["acme"]).await;
    let users: Vec<String> = (0..3_000).map(|number| format!("u{number}")).collect();
    let ask = json!({"action": "suspend", "users": users}).to_string();
    let reply = gate.root("POST /api/v1/bulk", &ask).await;
    assert!(
        reply.text.contains("\"waiting\":0"),
        "{}",
        &reply.text[reply.text.len() - 300..]
    );
    gate.stop().await;
}
