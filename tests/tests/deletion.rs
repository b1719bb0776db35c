//! Deletion is final: who is deleted is out by every name and every credential, the
//! gate keeps nothing that tells who it was, and both hold through crashes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use http::Method;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::Ask;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::program;
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";
const BOB: &str = "/api/v1/users/bob";

async fn start() -> (Origin, Gate) {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    (origin, gate)
}

/// Bob with a past: an email, signed in by id and by email, with a hold and a note.
async fn live(gate: &Gate) -> [Browser; 2] {
    let admin = gate.admin();
    let profile = json!({"email": "bob.builder@acme.test", "phone": "+33612345678"});
    admin.done(Method::PUT, BOB, Some(&profile)).await;
    let suspension = json!({"reason": "stole the silver", "comment": "told by his mother"});
    admin.suspend("bob", &suspension).await;
    admin.restore("bob").await;
    [
        Browser::signed_in(gate.data, HOST, "bob").await,
        Browser::signed_in(gate.data, HOST, "bob.builder@acme.test").await,
    ]
}

async fn delete(gate: &Gate) -> Value {
    let deleted = gate.admin().done(Method::DELETE, BOB, None).await;
    assert_eq!(deleted["status"], "SUCCESS");
    assert_eq!(deleted["user"]["status"], "deleted");
    deleted
}

/// Refused by every name, and with every credential from before.
async fn is_out(gate: &Gate, browsers: &[Browser]) {
    for browser in browsers {
        let mut browser = browser.clone();
        browser.gate = gate.data;
        assert_eq!(browser.api("/me").await.status, 403);
    }
    for name in [
        "bob",
        "BOB",
        "bob.builder@acme.test",
        "+33 6 12 34 56 78",
        "0033612345678",
    ] {
        let mut fresh = Browser::new(gate.data, HOST);
        let answer = fresh.sign_in(name, "demo").await;
        assert_eq!(answer.status, 403, "{name}");
        assert_eq!(fresh.cookie("sid"), None, "{name}");
    }
    let alice = Browser::signed_in(gate.data, HOST, "alice").await;
    assert_eq!(alice.clone().api("/me").await.status, 200);
}

async fn is_gone(gate: &Gate) {
    for name in ["bob", "bob.builder@acme.test"] {
        let path = |deed: &str| format!("/api/v1/users/{name}{deed}");
        for (method, deed, body) in [
            (Method::GET, "", None),
            (Method::GET, "/export", None),
            (Method::DELETE, "", None),
            (Method::PUT, "", Some(json!({"status": "active"}))),
            (Method::PUT, "", Some(json!({"locale": "fr"}))),
            (Method::POST, "/suspend", Some(json!({}))),
            (Method::POST, "/restore", Some(json!({}))),
            (Method::GET, "/sessions", None),
            (Method::DELETE, "/sessions", None),
            (Method::DELETE, "/sessions/0123456789abcdef", None),
        ] {
            let (admin, path) = (gate.admin(), path(deed));
            let answer = admin.ask(method.clone(), &path, body.as_ref()).await;
            let code = answer.json()["code"].clone();
            assert_eq!(
                (answer.status, code),
                (410, json!("deleted")),
                "{method} {name}{deed}"
            );
        }
    }
}

#[tokio::test]
async fn who_is_deleted_is_out_by_every_name_through_a_crash_and_a_restart() {
    let (_origin, mut gate) = start().await;
    let browsers = live(&gate).await;
    let receipt = &delete(&gate).await["receipt"];
    assert_eq!(receipt["sessions_revoked"], 2);
    assert_eq!(receipt["gates"], json!({"total": 1, "in_force": 1}));
    is_out(&gate, &browsers).await;
    is_gone(&gate).await;
    gate.kill_9();
    gate.start_again();
    is_out(&gate, &browsers).await;
    is_gone(&gate).await;
    gate.restart();
    is_out(&gate, &browsers).await;
}

#[tokio::test]
async fn a_deletion_right_before_a_kill_stands_and_tells_of_nobody() {
    let (_origin, mut gate) = start().await;
    let browsers = live(&gate).await;
    delete(&gate).await;
    gate.kill_9();
    gate.start_again();
    is_out(&gate, &browsers).await;
    assert_eq!(told(&gate), [""; 0]);
}

/// What in the state folder, or in what the API hands out, tells who bob was.
fn told(gate: &Gate) -> Vec<&'static str> {
    let all = gate.state().concat();
    let texts = [
        "bob.builder",
        "33612345678",
        "stole the silver",
        "his mother",
        "acme/bob",
    ];
    let stands = |text: &&str| all.windows(text.len()).any(|part| part == text.as_bytes());
    texts.into_iter().filter(stands).collect()
}

#[tokio::test]
async fn the_audit_goes_on_telling_what_was_done_and_of_a_pseudonym() {
    let (_origin, gate) = start().await;
    live(&gate).await;
    assert!(told(&gate).contains(&"bob.builder"));
    let pseudonym = delete(&gate).await["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(pseudonym.starts_with("deleted-"), "{pseudonym}");
    let mut by_name = Vec::new();
    for name in ["bob", "bob.builder@acme.test", &pseudonym] {
        let path = format!("/api/v1/audit?user={name}");
        by_name.push(gate.admin().done(Method::GET, &path, None).await);
    }
    let all = gate.admin().done(Method::GET, "/api/v1/audit", None).await;
    for listed in [&by_name[0], &all] {
        let text = listed.to_string();
        assert!(
            !text.contains("bob") && !text.contains("silver") && !text.contains("mother"),
            "{text}"
        );
    }
    assert!(by_name.iter().all(|listed| *listed == by_name[0]));
    let entries = by_name[0]["entries"].as_array().unwrap();
    let actions: Vec<&str> = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["deleted", "holds_lifted", "hold_placed", "profile_changed"]
    );
    for entry in entries {
        assert_eq!(entry["user"], json!(pseudonym));
    }
    assert_eq!(entries[1]["detail"], json!({"forgotten": true}));
}

#[tokio::test]
async fn an_alias_of_who_is_deleted_may_be_given_to_somebody_and_the_id_may_not() {
    let (_origin, mut gate) = start().await;
    live(&gate).await;
    delete(&gate).await;
    let put = |fields: Value| {
        let admin = gate.admin();
        async move {
            admin
                .ask(Method::PUT, "/api/v1/users/robert", Some(&fields))
                .await
        }
    };
    let taken = put(json!({"username": "bob"})).await;
    assert_eq!(
        (taken.status, &taken.json()["code"]),
        (409, &json!("alias_taken"))
    );
    let mend = taken.json()["mend"].clone();
    assert_eq!(mend, "choose another name: an id means its user for ever");
    let given = put(json!({"email": "bob.builder@acme.test"})).await;
    assert_eq!(given.status, 200, "{}", given.text());
    for _ in 0..2 {
        let robert = Browser::signed_in(gate.data, HOST, "bob.builder@acme.test").await;
        assert_eq!(robert.clone().api("/me").await.status, 200);
        let bob = Browser::new(gate.data, HOST).sign_in("bob", "demo").await;
        assert_eq!(bob.status, 403);
        gate.restart();
    }
}

#[tokio::test]
async fn a_deletion_can_be_rehearsed_retried_and_tied_to_a_revision() {
    let (_origin, mut gate) = start().await;
    let browsers = live(&gate).await;
    let rehearsed = gate
        .admin()
        .done(Method::DELETE, BOB, Some(&json!({"dry_run": true})))
        .await;
    assert_eq!(
        (&rehearsed["dry_run"], &rehearsed["changed"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(rehearsed["receipt"]["sessions_revoked"], 2);
    assert_eq!(browsers[0].clone().api("/me").await.status, 200);
    let ask = |gate: &Gate| {
        Ask::new(Method::DELETE, BOB)
            .host(&gate.admin.to_string())
            .header("authorization", &format!("Bearer {}", gate.token))
    };
    let stale = ask(&gate)
        .header("if-match", "\"1\"")
        .send(gate.admin)
        .await;
    assert_eq!(stale.status, 412);
    let once = ask(&gate)
        .header("idempotency-key", "once")
        .send(gate.admin)
        .await;
    assert_eq!(once.status, 200, "{}", once.text());
    let again = ask(&gate)
        .header("idempotency-key", "once")
        .send(gate.admin)
        .await;
    assert_eq!(again.json(), once.json());
    gate.restart();
    let later = ask(&gate)
        .header("idempotency-key", "once")
        .send(gate.admin)
        .await;
    assert_eq!(
        (later.status, &later.json()["user"]["status"]),
        (200, &json!("deleted"))
    );
    assert_eq!(ask(&gate).send(gate.admin).await.status, 410);
}

#[tokio::test]
async fn who_was_never_heard_of_can_be_deleted_before_the_first_login() {
    let (_origin, gate) = start().await;
    gate.admin()
        .done(Method::DELETE, "/api/v1/users/mallory", None)
        .await;
    let refused = Browser::new(gate.data, HOST)
        .sign_in("mallory", "demo")
        .await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn an_export_has_all_that_is_held_and_is_on_record() {
    let (_origin, gate) = start().await;
    live(&gate).await;
    let token = json!({"role": "support", "tenant": "acme", "user": "bob", "name": "bob's laptop"});
    let made = gate
        .admin()
        .ask(Method::POST, "/api/v1/tokens", Some(&token))
        .await;
    assert_eq!(made.status, 201);
    let export = gate
        .admin()
        .done(Method::GET, "/api/v1/users/bob/export", None)
        .await;
    assert_eq!(
        (&export["id"], &export["user"]["id"]),
        (&json!("bob"), &json!("bob"))
    );
    assert_eq!(
        export["names"],
        json!(["+33612345678", "bob", "bob.builder@acme.test"])
    );
    let sessions = export["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert!(
        sessions
            .iter()
            .all(|session| session["address"] == "127.0.0.1")
    );
    assert_eq!(export["tokens"][0]["name"], "bob's laptop");
    let history = export["history"].as_array().unwrap();
    let actions: Vec<&str> = history
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    let expected = [
        "profile_changed",
        "hold_placed",
        "holds_lifted",
        "token_created",
        "exported",
    ];
    assert_eq!(actions, expected);
    assert_eq!(
        history[1]["detail"]["hold"]["reason_text"],
        "stole the silver"
    );
    assert!(
        !export
            .to_string()
            .contains(made.json()["token"].as_str().unwrap())
    );
}

#[tokio::test]
async fn a_long_history_is_exported_whole() {
    let (_origin, gate) = start().await;
    for round in 0..150 {
        let comment = json!({"comment": format!("round {round}")});
        gate.admin()
            .done(Method::DELETE, "/api/v1/users/bob/sessions", Some(&comment))
            .await;
    }
    let export = gate
        .admin()
        .done(Method::GET, "/api/v1/users/bob/export", None)
        .await;
    let history = export["history"].as_array().unwrap();
    assert_eq!(history.len(), 151);
    assert_eq!(history[149]["comment"], "round 149");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_export_and_delete() {
    let (_origin, gate) = start().await;
    live(&gate).await;
    let url = format!("http://{}", gate.admin);
    let variables = [
        ("PORTCULLIS_ADMIN_URL", url.as_str()),
        ("PORTCULLIS_TOKEN", &gate.token),
    ];
    let folder = gate.plan().folder();
    let file = folder.join("bob.json");
    let export = ["user", "export", "bob", "--output", file.to_str().unwrap()];
    let done = program::run(folder, &export, &variables);
    assert_eq!(done.code, 0, "{}", done.err);
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["user"]["email"], "bob.builder@acme.test");
    let delete = ["user", "delete", "bob", "--yes", "--ticket", "DPO-7"];
    let done = program::run(folder, &delete, &variables);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out
            .starts_with("bob is deleted, for good; the audit calls what is left deleted-"),
        "{}",
        done.out
    );
    let again = program::run(folder, &delete, &variables);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("deleted"), "{}", again.err);
}

const DIALLED: &str = "0049894766938";

/// Whoever asks by the number, however it is spelt.
async fn calls(gate: &Gate, name: &str) -> u16 {
    Browser::new(gate.data, HOST)
        .sign_in(name, "demo")
        .await
        .status
}

#[tokio::test]
async fn a_phone_number_is_refused_in_both_spellings_whoever_asked_by_it_before() {
    let (_origin, mut gate) = start().await;
    // Asked for, and so remembered as nobody's, before anybody has the number.
    let mut before = Browser::signed_in(gate.data, HOST, DIALLED).await;
    let phone = json!({"phone": "+49894766938"});
    gate.admin().done(Method::PUT, BOB, Some(&phone)).await;
    delete(&gate).await;
    for _ in 0..2 {
        assert_eq!(calls(&gate, DIALLED).await, 403);
        assert_eq!(calls(&gate, "+49894766938").await, 403);
        assert_eq!(before.clone().api("/me").await.status, 403);
        assert_eq!(told(&gate), [""; 0]);
        let state = gate.plan().folder().join("state/ledger.db");
        let file = fs::read(state).unwrap();
        assert!(!file.windows(13).any(|part| part == DIALLED.as_bytes()));
        gate.restart();
        before.gate = gate.data;
    }
}

#[tokio::test]
async fn an_id_that_is_a_phone_number_is_one_user_in_both_spellings() {
    let (_origin, gate) = start().await;
    let admin = gate.admin();
    admin.suspend("%2B4930111222", &json!({})).await;
    assert_eq!(calls(&gate, "004930111222").await, 403);
    admin.suspend("0049827771111", &json!({})).await;
    admin
        .done(Method::DELETE, "/api/v1/users/0049837771111", None)
        .await;
    for phone in ["+49827771111", "+49837771111", "0049 30 111222"] {
        let fields = json!({"phone": phone});
        let taken = admin
            .ask(Method::PUT, "/api/v1/users/newbie", Some(&fields))
            .await;
        assert_eq!(
            (taken.status, &taken.json()["code"]),
            (409, &json!("alias_taken")),
            "{phone}"
        );
    }
    assert_eq!(calls(&gate, "0049827771111").await, 403);
    assert_eq!(calls(&gate, "0049837771111").await, 403);
    let fields = json!({"phone": "0049 40 999888"});
    let given = admin
        .done(Method::PUT, "/api/v1/users/newbie", Some(&fields))
        .await;
    assert_eq!(given["user"]["phone"], "+4940999888");
}

#[tokio::test]
async fn answers_that_were_kept_for_retries_tell_of_a_deleted_user_no_more() {
    let (_origin, gate) = start().await;
    let ask = |method: Method, deed: &str, body: Value| {
        let ask = Ask::new(method, &format!("{BOB}{deed}"))
            .host(&gate.admin.to_string())
            .header("authorization", &format!("Bearer {}", gate.token))
            .header("idempotency-key", &format!("once{deed}"));
        ask.json(&body).send(gate.admin)
    };
    let fields = || json!({"email": "bob.builder@acme.test"});
    assert_eq!(ask(Method::PUT, "", fields()).await.status, 200);
    let words = || json!({"reason": "stole the silver"});
    assert_eq!(ask(Method::POST, "/suspend", words()).await.status, 200);
    delete(&gate).await;
    for (method, deed, body) in [
        (Method::PUT, "", fields()),
        (Method::POST, "/suspend", words()),
    ] {
        let again = ask(method, deed, body).await.text();
        assert!(
            !again.contains("silver") && !again.contains("builder"),
            "{again}"
        );
    }
}
