//! Admin tokens on a running gate: whose they are, how they end, and that none
//! is ever written where it could be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use http::Method;
use portcullis_tests::admin::Admin;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::program::{Ended, run};
use serde_json::{Value, json};

async fn start() -> (Origin, Gate) {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    (origin, gate)
}

async fn make(gate: &Gate, body: &Value) -> (String, String) {
    let made = gate
        .admin()
        .ask(Method::POST, "/api/v1/tokens", Some(body))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    (text("token"), text("id"))
}

async fn read_by(gate: &Gate, token: &str) -> Answer {
    Admin::new(gate.admin, token)
        .ask(Method::GET, "/api/v1/users", None)
        .await
}

/// `portcullis token …` against the running gate.
async fn command(gate: &Gate, line: &str) -> Ended {
    let (folder, line) = (gate.plan().folder().to_owned(), line.to_owned());
    let (url, token) = (format!("http://{}", gate.admin), gate.token.clone());
    let ran = tokio::task::spawn_blocking(move || {
        let words: Vec<&str> = std::iter::once("token").chain(line.split(' ')).collect();
        let variables = [
            ("PORTCULLIS_ADMIN_URL", &*url),
            ("PORTCULLIS_TOKEN", &*token),
        ];
        run(&folder, &words, &variables)
    });
    ran.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_and_no_hash_of_one_is_ever_written_where_it_could_be_read() {
    let (_origin, mut gate) = start().await;
    let body = json!({"role": "support", "tenant": "acme", "user": "ann"});
    let (first, id) = make(&gate, &body).await;
    let rotate = format!("/api/v1/tokens/{id}/rotate");
    let rotated = gate
        .admin()
        .done(Method::POST, &rotate, Some(&json!({"grace": "1h"})))
        .await;
    let second = rotated["token"].as_str().unwrap().to_owned();
    let made = command(&gate, "create --role auditor --tenant acme").await;
    let third = made.out.trim().to_owned();
    let mut said = made.err;
    for token in [&first, &second, &third] {
        said += &read_by(&gate, token).await.text();
        // Where a token has no business: another scheme, the query, a path, a body.
        let admin = gate.admin.to_string();
        let ask = |path: &str| Ask::get(path).host(&admin);
        for ask in [
            ask("/api/v1/users").header("authorization", &format!("Basic {token}")),
            ask("/api/v1/users").header("authorization", &format!("Bearer {token} {token}")),
            ask(&format!("/api/v1/users?token={token}")),
            ask(&format!("/api/v1/users/ann?token={token}&token={token}")),
            ask("/api/v1/audit").header("authorization", &format!("Bearer x{token}")),
        ] {
            said += &ask.send(gate.admin).await.text();
        }
    }
    said += &gate
        .admin()
        .ask(Method::GET, "/api/v1/tokens", None)
        .await
        .text();
    said += &gate
        .admin()
        .ask(Method::GET, "/api/v1/audit", None)
        .await
        .text();
    said += &command(&gate, "list").await.out;
    said += &command(&gate, &format!("revoke {id} --yes")).await.out;
    gate.restart();
    said += &gate.log();
    said += &fs::read_to_string(gate.plan().folder().join("gate.out")).unwrap();
    for token in [&first, &second, &third, &gate.token] {
        let secret = token.strip_prefix("portcullis_").unwrap();
        assert!(!said.contains(secret), "a token shows: {said}");
        // Nothing of the state is the token, either.
        for bytes in gate.state() {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "a token is in the store");
        }
    }
    // Hashes as anything would print them: hexadecimal, or a list of numbers.
    let store = fs::read(gate.plan().folder().join("state/ledger.db")).unwrap();
    assert!(!store.is_empty());
    for line in said.lines() {
        // Whose module is named by its digest.
        if line.contains("a policy was compiled") {
            continue;
        }
        for word in line.split(|c: char| !c.is_ascii_hexdigit()) {
            assert!(word.len() < 64, "a hash shows: {line}");
        }
    }
    assert!(!said.contains("hash: ["), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_tokens_outlives_a_crash_and_their_last_use_a_restart() {
    let (_origin, mut gate) = start().await;
    let body = |name: &str| json!({"role": "auditor", "tenant": "acme", "name": name});
    let (used, id) = make(&gate, &body("used")).await;
    let (revoked, revoked_id) = make(&gate, &body("revoked")).await;
    let (old, rotated_id) = make(&gate, &body("rotated")).await;
    assert_eq!(read_by(&gate, &used).await.status, 200);
    let admin = gate.admin();
    admin
        .done(
            Method::DELETE,
            &format!("/api/v1/tokens/{revoked_id}"),
            None,
        )
        .await;
    let path = format!("/api/v1/tokens/{rotated_id}/rotate");
    let new = admin.done(Method::POST, &path, None).await["token"].clone();
    let seen = last_used(&gate, &id).await;
    assert!(seen.is_string());
    gate.restart();
    assert_eq!(last_used(&gate, &id).await, seen);
    gate.kill_9();
    gate.start_again();
    for (token, status) in [
        (&*used, 200),
        (&*revoked, 401),
        (&*old, 401),
        (new.as_str().unwrap(), 200),
    ] {
        assert_eq!(read_by(&gate, token).await.status, status);
    }
}

async fn last_used(gate: &Gate, id: &str) -> Value {
    let list = gate.admin().done(Method::GET, "/api/v1/tokens", None).await;
    let mut tokens = list["tokens"].as_array().unwrap().iter();
    tokens.find(|token| token["id"] == id).unwrap()["last_used_at"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_from_one_address_is_slowed_and_fills_no_log() {
    let (_origin, gate) = start().await;
    let guess = |from: [u8; 4], token: &str| {
        let ask = Ask::get("/api/v1/users")
            .host(&gate.admin.to_string())
            .header("authorization", &format!("Bearer {token}"));
        ask.send_from(IpAddr::V4(Ipv4Addr::from(from)), gate.admin)
    };
    let (mut told, mut limited) = (0, 0);
    for _ in 0..60 {
        let answer = guess([127, 0, 0, 2], "portcullis_guess").await;
        match answer.status {
            401 => told += 1,
            429 => {
                assert!(!answer.header("retry-after").is_empty());
                limited += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(
        (20..30).contains(&told) && limited >= 30,
        "{told} {limited}"
    );
    assert_eq!(
        guess([127, 0, 0, 2], &gate.token).await.status,
        200,
        "a good one is taken"
    );
    assert_eq!(
        guess([127, 0, 0, 3], "portcullis_guess").await.status,
        401,
        "another address"
    );
    let log = gate.log();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert!((1..=10).contains(&lines("too many admin calls")), "{log}");
    assert!(log.contains("127.0.0.2"));
    assert_eq!(lines("admin call refused"), told + 1, "none for the 429s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_made_listed_rotated_and_revoked_by_command() {
    let (_origin, gate) = start().await;
    let made = command(
        &gate,
        "create --role support --tenant acme --user ANN --name desk --json",
    )
    .await;
    assert_eq!(made.code, 0, "{}", made.err);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(made["user"], "ann", "in the tenant's spelling");
    let (id, first) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    assert_eq!(read_by(&gate, first).await.status, 200);
    let list = command(&gate, "list --user ann --tenant acme").await;
    assert!(
        list.out.contains(id) && list.out.contains("in force"),
        "{}{}",
        list.out,
        list.err
    );
    let second = command(&gate, &format!("rotate {id}")).await;
    assert_eq!(second.code, 0, "{}", second.err);
    assert_eq!(read_by(&gate, first).await.status, 401);
    assert_eq!(read_by(&gate, second.out.trim()).await.status, 200);
    let revoked = command(&gate, &format!("revoke {id} --yes")).await;
    assert_eq!(
        revoked.out,
        format!("Token {id} is revoked: it opens nothing any more.\n")
    );
    assert_eq!(read_by(&gate, second.out.trim()).await.status, 401);
    let unknown = command(&gate, "revoke tok_x --yes").await;
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.err.contains("there is no token \"tok_x\""),
        "{}",
        unknown.err
    );
}

/// A call by `token` under the key.
async fn keyed(gate: &Gate, token: &str, key: &str, call: &str, body: &Value) -> Answer {
    let (method, path) = call.split_once(' ').unwrap();
    Ask::new(method.parse().unwrap(), path)
        .host(&gate.admin.to_string())
        .header("authorization", &format!("Bearer {token}"))
        .header("idempotency-key", key)
        .json(body)
        .send(gate.admin)
        .await
}

/// As [`keyed`]; status and `code`.
async fn keyed_code(
    gate: &Gate,
    token: &str,
    key: &str,
    call: &str,
    body: &Value,
) -> (u16, String) {
    let answer = keyed(gate, token, key, call, body).await;
    let code = answer.json()["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_known_by_its_token_whatever_secret_that_has_and_over_a_restart() {
    let (_origin, mut gate) = start().await;
    let body = json!({"role": "tenant-admin", "tenant": "acme", "name": "desk"});
    let (first, id) = make(&gate, &body).await;
    let suspend = "POST /api/v1/users/ida/suspend";
    let done = keyed(&gate, &first, "k1", suspend, &json!({})).await;
    assert_eq!(done.json()["changed"], true);
    let rotate = format!("POST /api/v1/tokens/{id}/rotate");
    let grace = json!({"grace": "1h"});
    let rotated = keyed(&gate, &first, "k2", &rotate, &grace).await;
    let second = rotated.json()["token"].as_str().unwrap().to_owned();
    gate.admin().restore("ida").await;
    let again = keyed(&gate, &second, "k1", suspend, &json!({})).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let same = keyed(&gate, &second, "k2", &rotate, &grace).await;
    assert_eq!(same.json()["token"], second.as_str());
    gate.restart();
    for secret in [&first, &second] {
        let once = keyed_code(&gate, secret, "k2", &rotate, &grace).await;
        assert_eq!(once, (409, "secret_shown".into()));
        let retried = keyed(&gate, secret, "k1", suspend, &json!({})).await.json();
        assert_eq!(retried["changed"], false, "{retried}");
        assert_eq!(retried["user"]["status"], "active", "{retried}");
    }
    let ida = gate.admin();
    let deleted = ida.done(Method::DELETE, "/api/v1/users/ida", None).await;
    assert_eq!(deleted["status"], "SUCCESS");
    let late = keyed_code(&gate, &second, "k1", suspend, &json!({})).await;
    assert_eq!(late, (410, "deleted".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_used_is_refused_for_any_other_call_also_after_a_restart() {
    let (_origin, mut gate) = start().await;
    let body = json!({"role": "auditor", "tenant": "acme"});
    let (_, id) = make(&gate, &body).await;
    let rotate = format!("POST /api/v1/tokens/{id}/rotate");
    let token = gate.token.clone();
    let calls = [
        ("suspend", "POST /api/v1/users/bob/suspend", json!({})),
        ("restore", "POST /api/v1/users/bob/restore", json!({})),
        ("create", "POST /api/v1/tokens", body),
        ("rotate", rotate.as_str(), json!({})),
        (
            "edit",
            "PUT /api/v1/users/bob",
            json!({"email": "bob@acme.test"}),
        ),
        ("revoke", "DELETE /api/v1/users/bob/sessions", json!({})),
    ];
    for (key, call, body) in &calls {
        let answer = keyed(&gate, &token, key, call, body).await;
        assert!(
            (200..300).contains(&answer.status),
            "{call}: {}",
            answer.text()
        );
    }
    for restarted in [false, true] {
        if restarted {
            gate.restart();
        }
        for (key, _, _) in &calls {
            for (_, call, body) in calls.iter().filter(|(own, _, _)| own != key) {
                assert_eq!(
                    keyed_code(&gate, &token, key, call, body).await,
                    (422, "idempotency_key_reused".into()),
                    "{key} for {call}, restarted: {restarted}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_of_a_token_lets_the_audit_show_somebody_else() {
    let (_origin, gate) = start().await;
    let admin = gate.admin();
    let name = |name: &str| json!({"role": "support", "tenant": "acme", "name": name});
    for misleading in [
        "gate",
        " Gate",
        "command line",
        "tok_abc",
        "a\nb",
        "a\u{202e}b",
    ] {
        let answer = admin
            .ask(Method::POST, "/api/v1/tokens", Some(&name(misleading)))
            .await;
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!("name"))
        );
    }
    let (mut ids, mut seen) = (Vec::new(), Vec::new());
    for user in ["bob", "carol"] {
        let (secret, id) = make(&gate, &name("ann")).await;
        let ann = Admin::new(gate.admin, &secret);
        ann.suspend(user, &json!({})).await;
        ids.push(json!(id));
        let path = format!("/api/v1/audit?user={user}&action=hold_placed");
        let audit = admin.done(Method::GET, &path, None).await;
        assert_eq!(audit["entries"][0]["actor"], "ann");
        seen.push(audit["entries"][0]["token_id"].clone());
    }
    assert_eq!(ids, seen, "two tokens of one name are told apart");
}
