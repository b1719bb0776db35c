//! Programs that call with a token or a key and keep no cookies, in front of an app
//! that gives each of their calls a session.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use http::StatusCode;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use serde_json::json;

const HOST: &str = "acme.localhost";
/// Of `bobs-key`.
const KEY: &str = "sha256:d4dec180a993cd5fa065cac46b9bbfd1528c39080afa14d683a5bc657c453892";

/// Gives whoever comes without a session a new one, and honours each for ever.
async fn generous_app() -> Origin {
    let given = Arc::new(AtomicUsize::new(0));
    Origin::answering(move |request| {
        let given = Arc::clone(&given);
        async move {
            let mut answer = say(StatusCode::OK, "hello");
            if request.uri().path() == "/login" {
                *answer.status_mut() = StatusCode::SEE_OTHER;
            }
            if !request.headers().contains_key("cookie") {
                let number = given.fetch_add(1, Ordering::SeqCst);
                let line = format!("sid=s{number}; Path=/").parse().unwrap();
                answer.headers_mut().append("set-cookie", line);
                let other = "theme=dark; Path=/".parse().unwrap();
                answer.headers_mut().append("set-cookie", other);
            }
            answer
        }
    })
    .await
}

fn gate(app: &Origin) -> Gate {
    let key = format!(
        "[[tenants.api_keys]]\nheader = \"X-API-Key\"\nkeys = [{{ hash = \"{KEY}\", user = \"bob\" }}]\n"
    );
    let bound = "[sessions]\nper_user = 2\n\n";
    Gate::start(&format!("{bound}{}{key}", tenant("acme", app.address)))
}

async fn call(gate: &Gate, agent: &str) -> Option<String> {
    let ask = Ask::get("/api").host(HOST).header("x-api-key", "bobs-key");
    let answer = ask.header("user-agent", agent).send(gate.data).await;
    assert_eq!(answer.status, 200);
    session_of(&answer)
}

fn session_of(answer: &Answer) -> Option<String> {
    let set = answer.set_cookies();
    assert!(set.iter().any(|line| line.starts_with("theme=")), "{set:?}");
    let session = set.iter().find(|line| line.starts_with("sid="))?;
    session.split(';').next().map(str::to_owned)
}

async fn log_in(gate: &Gate) -> String {
    let ask = Ask::post("/login").host(HOST);
    let ask = ask.form(&[("username", "bob"), ("password", "demo")]);
    session_of(&ask.send(gate.data).await).unwrap()
}

async fn status(gate: &Gate, cookie: &str) -> u16 {
    let ask = Ask::get("/").host(HOST).cookie(cookie);
    ask.send(gate.data).await.status
}

fn written(gate: &Gate) -> Vec<(String, u64, SystemTime)> {
    let files = fs::read_dir(gate.plan().folder().join("state")).unwrap();
    let mut files: Vec<_> = files
        .map(|file| {
            let file = file.unwrap();
            let meta = file.metadata().unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, meta.len(), meta.modified().unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_program_without_cookies_costs_few_sessions_and_no_write_a_call() {
    let app = generous_app().await;
    let mut gate = gate(&app);
    let browsers = [log_in(&gate).await, log_in(&gate).await];
    let mut given = Vec::new();
    while let Some(session) = call(&gate, "Program/1").await {
        given.push(session);
        assert!(given.len() < 20, "each call is given a session");
    }
    assert_eq!(given.len(), 8);
    let before = written(&gate);
    for _ in 0..200 {
        assert_eq!(call(&gate, "Program/1").await, None);
    }
    assert_eq!(written(&gate), before, "a file of the store was written");
    let told = gate
        .log()
        .matches("of a client that never comes with one")
        .count();
    assert_eq!(told, 1);
    for browser in &browsers {
        assert_eq!(status(&gate, browser).await, 200, "bob's own session ended");
    }
    // All that was given out is bob's, used or not, and through a crash.
    gate.kill_9();
    gate.start_again();
    gate.admin().suspend("bob", &json!({})).await;
    app.take_seen();
    for session in &given {
        assert_eq!(status(&gate, session).await, 403);
    }
    gate.admin().restore("bob").await;
    for session in &given {
        assert_eq!(status(&gate, session).await, 401);
    }
    assert!(app.take_seen().is_empty());
}

#[tokio::test]
async fn a_client_that_comes_with_its_session_has_it_beside_a_program_that_does_not() {
    let app = generous_app().await;
    let gate = gate(&app);
    while call(&gate, "Program/1").await.is_some() {}
    // A page that trades its key for a session, again and again.
    for _ in 0..20 {
        let session = call(&gate, "Browser/1").await.expect("a session");
        assert_eq!(status(&gate, &session).await, 200);
    }
    assert_eq!(call(&gate, "Program/1").await, None);
}
