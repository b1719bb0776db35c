//! What is wrong is said: what, where, and the mend. Nothing panics, and nothing
//! is half done.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::{SocketAddr, TcpListener};

use http::Method;
use portcullis_tests::admin::Admin;
use portcullis_tests::client::Ask;
use portcullis_tests::gate::{Gate, Plan, tenant};
use portcullis_tests::guests;
use portcullis_tests::program::Ended;
use serde_json::{Value, json};

fn nowhere() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

fn acme() -> String {
    tenant("acme", nowhere())
}

/// It ended with `code`, said each of `words` in one line, and did not panic.
fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.err);
    let named = ended
        .err
        .lines()
        .any(|line| words.iter().all(|word| line.contains(word)));
    assert!(named, "{words:?} not in one line of:\n{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}

#[test]
fn a_configuration_with_faults_is_refused_with_file_line_and_key() {
    let cases = [
        (
            "\n[data]\nlissten = \"127.0.0.1:0\"\n",
            "portcullis.toml:3",
            "lissten",
        ),
        (
            "[data]\nlisten = 8080\n",
            "portcullis.toml:2",
            "data.listen",
        ),
        (
            "[data]\nlisten = \"here\"\n",
            "portcullis.toml:2",
            "data.listen",
        ),
        (
            "[log]\nlevel = \"loud\"\n",
            "portcullis.toml:2",
            "log.level",
        ),
        (
            "[data.deadlines]\ndrain = \"soon\"\n",
            "portcullis.toml:2",
            "data.deadlines.drain",
        ),
        ("[data\n", "portcullis.toml:1", ""),
    ];
    for (text, place, key) in cases {
        let plan = Plan::whole(&format!("{text}\n{}", acme()));
        for command in ["run", "check"] {
            says(&plan.run(&[command]), 2, &[place, key]);
        }
        assert!(
            !plan.folder().join("state").exists(),
            "{text}: a state was made"
        );
    }
    let none = Plan::whole("");
    says(&none.run(&["check"]), 2, &["tenants"]);
    says(
        &none.run(&["run", "--config", "other.toml"]),
        2,
        &["other.toml"],
    );
    says(&none.run(&["run", "--confg", "x"]), 2, &["--confg"]);
}

#[test]
fn a_policy_that_is_none_is_refused_by_its_name_before_anything_starts() {
    let with_policy = |folder: &str| {
        Plan::new(&format!(
            "{}[tenants.policy]\nfolder = \"{folder}\"\n",
            acme()
        ))
    };
    let manifest = "module = \"policy.wasm\"\n";
    let with_module = |wasm: Vec<u8>| {
        with_policy("p")
            .with("p/policy.toml", manifest)
            .with("p/policy.wasm", wasm)
    };
    let cases = [
        ("missing", with_policy("nowhere"), "nowhere"),
        (
            "no module",
            with_policy("p").with("p/policy.toml", manifest),
            "policy.wasm",
        ),
        (
            "no wasm",
            with_module(b"<!doctype html>".to_vec()),
            "not WebAssembly",
        ),
        (
            "core module",
            with_module(b"\0asm\x01\0\0\0".to_vec()),
            "not a component",
        ),
        (
            "empty",
            with_module(guests::empty()),
            "portcullis:policy@1.0.0",
        ),
        (
            "other world",
            with_module(guests::importing_interface("wasi:cli/environment@0.2.0")),
            "wasi:cli/environment",
        ),
        (
            "unknown key",
            with_policy("p").with(
                "p/policy.toml",
                "module = \"builtin:standard\"\nmodul = 1\n",
            ),
            "modul",
        ),
        (
            "bad setting",
            with_policy("p").with(
                "p/policy.toml",
                "module = \"builtin:standard\"\n[settings]\nno_such_setting = \"x\"\n",
            ),
            "no_such_setting",
        ),
    ];
    for (what, plan, word) in cases {
        let checked = plan.run(&["check"]);
        assert_eq!(checked.code, 2, "{what}: {}", checked.err);
        says(&checked, 2, &[word]);
        let run = plan.run(&["run"]);
        assert_ne!(run.code, 0, "{what}");
        says(&run, run.code, &[word]);
    }
}

#[test]
fn an_address_in_use_is_named_and_nothing_is_started() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for (key, data, admin) in [
        ("data.listen", taken.as_str(), "127.0.0.1:0"),
        ("admin.listen", "127.0.0.1:0", taken.as_str()),
    ] {
        let text = format!(
            "[data]\nlisten = \"{data}\"\n[admin]\nlisten = \"{admin}\"\n{}",
            acme()
        );
        let plan = Plan::whole(&text);
        says(&plan.run(&["run"]), 1, &[key, &taken]);
        assert!(!plan.folder().join("state").exists());
    }
}

#[test]
fn a_state_folder_that_cannot_be_used_is_named() {
    let listeners = "[data]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let with_folder = |folder: &str| {
        Plan::whole(&format!(
            "{listeners}[store]\nfolder = \"{folder}\"\n{}",
            acme()
        ))
    };
    let file = with_folder("portcullis.toml");
    says(&file.run(&["run"]), 1, &["store.folder", "portcullis.toml"]);
    let below = with_folder("portcullis.toml/state");
    says(
        &below.run(&["run"]),
        1,
        &["store.folder", "portcullis.toml/state"],
    );
    // Even root cannot write there.
    let unwritable = with_folder("/proc/portcullis");
    says(
        &unwritable.run(&["run"]),
        1,
        &["store.folder", "/proc/portcullis"],
    );
    for plan in [file, below, unwritable] {
        let made = plan.run(&["token", "create", "--role", "global-admin"]);
        says(&made, 1, &["state folder"]);
        assert_eq!(made.out, "");
    }
}

#[test]
fn a_state_folder_in_use_is_refused_and_the_gate_that_uses_it_goes_on() {
    let gate = Gate::start(&acme());
    says(&gate.plan().run(&["run"]), 1, &["store.folder", "in use"]);
    let token = gate
        .plan()
        .run(&["token", "create", "--role", "global-admin"]);
    says(&token, 1, &["in use"]);
}

/// A gate, and a token of each kind.
struct Callers {
    gate: Gate,
    auditor: Admin,
    support: Admin,
    other: Admin,
}

fn callers() -> Callers {
    let plan = Plan::new(&format!("{}{}", acme(), tenant("globex", nowhere())));
    let token = |role: &str, tenant: &str| plan.token(role, &["--tenant", tenant]);
    let tokens = [
        token("auditor", "acme"),
        token("support", "acme"),
        token("tenant-admin", "globex"),
    ];
    let gate = plan.start();
    let [auditor, support, other] = tokens.map(|token| Admin::new(gate.admin, &token));
    Callers {
        gate,
        auditor,
        support,
        other,
    }
}

/// A problem (RFC 9457) of this status that names `word`.
async fn refused(caller: &Admin, path: &str, body: &Value, status: u16, word: &str) {
    let answer = caller.ask(Method::POST, path, Some(body)).await;
    assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    let named = ["detail", "field"].map(|member| problem[member].as_str().unwrap_or_default());
    assert!(
        named.iter().any(|text| text.contains(word)),
        "{word:?} not in {problem}"
    );
}

/// What is no JSON, no JSON object that can be read one way, or too long.
async fn unreadable_bodies_are_refused(gate: &Gate) {
    const SUSPEND: &str = "/api/v1/users/bob/suspend";
    let raw = |media_type: &str, body: &'static str| {
        let ask = Ask::post(&format!("{SUSPEND}?tenant=acme"))
            .host(&gate.admin.to_string())
            .header("authorization", &format!("Bearer {}", gate.token))
            .header("content-type", media_type);
        ask.body(body).send(gate.admin)
    };
    for (status, media_type, body) in [
        (400, "application/json", "{\"reason\": "),
        (
            400,
            "application/json",
            "{\"reason\": \"a\", \"reason\": \"b\"}",
        ),
        (415, "text/plain", "{}"),
    ] {
        let answer = raw(media_type, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let long = json!({"comment": "a".repeat(512 * 1024)});
    let answer = gate
        .admin()
        .of("acme")
        .ask(Method::POST, SUSPEND, Some(&long))
        .await;
    assert_eq!(answer.status, 413);
}

#[expect(clippy::too_many_lines, reason = "a table of calls")]
#[tokio::test]
async fn a_call_that_is_not_allowed_or_not_understood_changes_nothing() {
    const SUSPEND: &str = "/api/v1/users/bob/suspend";
    let Callers {
        gate,
        auditor,
        support,
        other,
    } = callers();
    let admin = gate.admin().of("acme");
    let nothing = json!({});
    refused(&auditor, SUSPEND, &nothing, 403, "auditor").await;
    refused(
        &other,
        &format!("{SUSPEND}?tenant=acme"),
        &nothing,
        404,
        "acme",
    )
    .await;
    refused(
        &Admin::new(gate.admin, "wrong"),
        SUSPEND,
        &nothing,
        401,
        "token",
    )
    .await;
    refused(&gate.admin(), SUSPEND, &nothing, 400, "tenant").await;
    refused(&gate.admin().of("nobody"), SUSPEND, &nothing, 404, "nobody").await;
    refused(&admin, SUSPEND, &json!({"resaon": "x"}), 400, "resaon").await;
    refused(
        &admin,
        SUSPEND,
        &json!({"revoke_sessions": "yes"}),
        400,
        "revoke_sessions",
    )
    .await;
    refused(&admin, SUSPEND, &json!({"kind": "forever"}), 400, "kind").await;
    let both = json!({"kind": "permanent", "allow_password_reset": true});
    refused(&admin, SUSPEND, &both, 400, "allow_password_reset").await;
    refused(
        &admin,
        SUSPEND,
        &json!({"suspension_reason": "Not A Key"}),
        400,
        "suspension_reason",
    )
    .await;
    refused(
        &admin,
        SUSPEND,
        &json!({"ends_at": "yesterday"}),
        400,
        "ends_at",
    )
    .await;
    refused(
        &admin,
        SUSPEND,
        &json!({"ends_at": "2001-01-01T00:00:00Z"}),
        400,
        "ends_at",
    )
    .await;
    refused(&admin, SUSPEND, &json!(["bob"]), 400, "object").await;

    unreadable_bodies_are_refused(&gate).await;

    let unheard = support.ask(Method::GET, "/api/v1/users/bob", None).await;
    assert_eq!(
        unheard.status,
        404,
        "bob came into being: {}",
        unheard.text()
    );
    let token = admin.ask(Method::GET, "/api/v1/audit?user=bob", None).await;
    assert_eq!(token.json()["entries"], json!([]));
    support.suspend("bob", &nothing).await;
}

#[tokio::test]
async fn what_is_not_there_and_what_a_browser_was_tricked_into_is_refused() {
    let Callers { gate, .. } = callers();
    let admin = gate.admin().of("acme");
    let ask = async |method, path: &str| admin.ask(method, path, None).await.status;
    assert_eq!(ask(Method::GET, "/api/v1/nothing").await, 404);
    assert_eq!(ask(Method::PATCH, "/api/v1/users/bob").await, 405);
    let ready = Ask::get("/readyz").host("localhost").send(gate.admin).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    let rebound = Ask::get("/readyz").host("evil.test").send(gate.admin).await;
    assert_eq!(rebound.status, 421);
    let forged = Ask::post("/api/v1/users/bob/suspend?tenant=acme")
        .host(&gate.admin.to_string())
        .header("origin", "http://evil.test")
        .header("authorization", &format!("Bearer {}", gate.token))
        .json(&json!({}));
    assert_eq!(forged.send(gate.admin).await.status, 403);
    let nobody = Ask::get("/api/v1/users").host(&gate.admin.to_string());
    let nobody = nobody.send(gate.admin).await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
    // The admin API is nowhere on the data listener.
    let outside = Ask::get("/api/v1/users").host(&gate.data.to_string());
    assert_eq!(outside.send(gate.data).await.status, 421);
}

#[test]
fn commands_without_their_surroundings_say_which_is_missing() {
    let plan = Plan::new(&acme());
    says(
        &plan.run(&["user", "suspend", "bob"]),
        2,
        &["PORTCULLIS_ADMIN_URL"],
    );
    says(
        &plan.run(&["token", "create", "--role", "king"]),
        2,
        &["king"],
    );
    says(
        &plan.run(&["token", "create", "--role", "support"]),
        2,
        &["--tenant"],
    );
    says(
        &plan.run(&["token", "create", "--role", "support", "--tenant", "other"]),
        2,
        &["other"],
    );
    assert!(!plan.folder().join("state").exists());
    assert_eq!(plan.run(&["check"]).code, 0);
    assert!(
        !fs::exists(plan.folder().join("state")).unwrap(),
        "check made a state"
    );
}
