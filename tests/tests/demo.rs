//! The demo, as a person would try it: bob is suspended by the printed command
//! and is out; alice notices nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::browser::{Browser, takes_back};
use portcullis_tests::client::{Answer, Ask, Wire, pieces};
use portcullis_tests::demo::Demo;
use portcullis_tests::patience::{LONG, within};
use portcullis_tests::socket::Socket;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const ACME: &str = "acme.localhost";
const WORDS: &str = "We noticed unusual activity on your account and locked it to protect you.";
/// What the product promises for live connections.
const A_SECOND: Duration = Duration::from_secs(1);

/// Types the guide's own lines into a shell: the exports, and the one command
/// that begins with `deed`.
fn paste(demo: &Demo, deed: &str) -> String {
    let guide = demo.guide();
    let line = |with: &str| {
        let mut lines = guide.lines().map(str::trim);
        lines
            .find(|line| line.contains(with))
            .expect(with)
            .to_owned()
    };
    let typed = format!("{}\n{}", line("export "), line(deed));
    let mut shell = Command::new("sh");
    let done = shell
        .args(["-ec", &typed])
        .current_dir(demo.folder())
        .output();
    let done = done.expect("a shell");
    let err = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{typed}\n{err}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Someone who goes on clicking until told to stop; every click must succeed.
struct Busy {
    stop: Arc<AtomicBool>,
    clicks: JoinHandle<usize>,
}

impl Busy {
    fn start(mut browser: Browser) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let clicks = tokio::spawn(async move {
            let mut count = 0;
            while !stopped.load(Ordering::SeqCst) {
                let answer = browser.api("/api/me").await;
                assert_eq!(answer.status, 200, "click {count}: {}", answer.text());
                assert_eq!(answer.json()["user"], "alice");
                count += 1;
            }
            count
        });
        Self { stop, clicks }
    }

    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.clicks.await.expect("no click failed")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bob_is_out_by_the_printed_command_and_alice_notices_nothing() {
    let demo = Demo::start();
    let mut alice = Browser::signed_in(demo.data, ACME, "alice").await;
    let mut bob = Browser::signed_in(demo.data, ACME, "bob").await;
    assert!(bob.page("/").await.text().contains("bob"));
    let mut bobs_socket = Socket::open(&bob, "/ws").await;
    let mut alices_socket = Socket::open(&alice, "/ws").await;
    bobs_socket.hear("tick 1").await;
    let busy = Busy::start(alice.clone());

    let said = paste(&demo, "user suspend bob");
    let close = within(A_SECOND, "bob's close frame", bobs_socket.closed()).await;
    assert_eq!(close, Some((1008, "account suspended".to_owned())));
    assert!(said.contains("bob") && said.contains("suspended"), "{said}");

    let old = bob.clone();
    let page = bob.page("/").await;
    assert_eq!(page.status, 403);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains(WORDS), "{}", page.text());
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(takes_back(&page, "demo_session"), "{:?}", page.headers);
    assert_eq!(bob.cookie("demo_session"), None);
    assert_refusal(&old.clone().api("/api/me").await);

    alices_socket.say("still here").await;
    alices_socket.hear("still here").await;
    assert!(busy.stop().await > 0);
    assert!(alice.page("/").await.text().contains("alice"));
    assert!(paste(&demo, "user show bob").contains("suspiciousUserNoGood"));

    paste(&demo, "user restore bob");
    stays_dead(&old).await;
    let mut anew = Browser::signed_in(demo.data, ACME, "bob").await;
    assert!(anew.page("/").await.text().contains("bob"));
    stays_dead(&old).await;
}

/// The refusal of a script's request, field for field.
fn assert_refusal(answer: &Answer) {
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(takes_back(answer, "demo_session"), "{:?}", answer.headers);
    let mut object = answer.json();
    let id = object.as_object_mut().unwrap().remove("error_id").unwrap();
    assert!(!id.as_str().unwrap().is_empty());
    let key = "error.account.temporarilySuspended.suspiciousUserNoGood";
    let expected = json!({
        "error": "access_denied",
        "error_description": key,
        "error_message_key": key,
        "error_user_msg": WORDS,
    });
    assert_eq!(object, expected);
}

/// A cookie from before the suspension opens nothing, and is taken back.
async fn stays_dead(old: &Browser) {
    let script = old.clone().api("/api/me").await;
    assert_eq!(script.status, 401, "{}", script.text());
    assert!(takes_back(&script, "demo_session"));
    let page = old.clone().page("/").await;
    assert_eq!((page.status, page.header("location")), (303, "/login"));
    assert!(takes_back(&page, "demo_session"));
}

#[tokio::test]
async fn an_old_session_stays_dead_through_a_restart_until_a_new_login() {
    let mut demo = Demo::start();
    let mut bob = Browser::signed_in(demo.data, ACME, "bob").await;
    let admin = demo.admin("acme");
    admin.suspend("bob", &json!({})).await;
    admin.restore("bob").await;
    stays_dead(&bob).await;
    demo.restart();
    bob.gate = demo.data;
    stays_dead(&bob).await;
    let mut anew = Browser::signed_in(demo.data, ACME, "bob").await;
    assert_eq!(anew.api("/api/me").await.status, 200);
}

#[tokio::test]
async fn the_token_of_an_earlier_start_opens_nothing_after_the_next() {
    let mut demo = Demo::start();
    let old = demo.token();
    demo.restart();
    assert_ne!(demo.token(), old);
    let asked = Ask::new(Method::GET, "/api/v1/tokens?in_force=true")
        .header("host", &demo.admin.to_string())
        .header("authorization", &format!("Bearer {old}"));
    assert_eq!(asked.send(demo.admin).await.status, 401);
    let listed = demo.command(&["token", "list", "--in-force", "--json"]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1, "{listed}");
}

/// Reads until the body ends or breaks; whether it broke.
async fn broke_off(mut body: Incoming) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_bob_has_open_is_cut_within_a_second_and_the_receipt_counts_it() {
    let demo = Demo::start();
    let mut bob = Browser::signed_in(demo.data, ACME, "bob").await;
    let second = Browser::signed_in(demo.data, ACME, "bob").await;
    let alice = Browser::signed_in(demo.data, ACME, "alice").await;
    let begin = |browser: &Browser, path: &str| browser.ask(Method::GET, path).begin(demo.data);

    let mut socket = Socket::open(&second, "/ws").await;
    let mut alices_socket = Socket::open(&alice, "/ws").await;
    let mut events = begin(&bob, "/events").await.into_body();
    let mut alices_events = begin(&alice, "/events").await.into_body();
    first_piece(&mut events).await;
    let mut download = begin(&bob, "/download?mb=4096").await.into_body();
    first_piece(&mut download).await;
    let download = tokio::spawn(broke_off(download));
    let (send, body) = pieces();
    let mut wire = Wire::open(demo.data).await;
    let ask = bob.ask(Method::POST, "/upload");
    let upload = tokio::spawn(async move { wire.upload(ask, body).await });
    // The channel holds one piece: when the second is taken, the first is under way.
    for _ in 0..3 {
        send.send("half of it".into()).await.unwrap();
    }

    let terms = json!({"reason": "suspiciousUserNoGood", "kind": "temporary"});
    let admin = demo.admin("acme");
    let suspending = tokio::spawn(async move { admin.suspend("bob", &terms).await });
    let cut = async {
        assert_eq!(socket.closed().await.map(|(code, _)| code), Some(1008));
        broke_off(events).await;
        assert!(download.await.unwrap(), "the download came to a good end");
        if let Ok(answer) = upload.await.unwrap() {
            assert_eq!(answer.status(), 403);
        }
    };
    within(A_SECOND, "the end of all that is bob's", cut).await;
    let receipt = suspending.await.unwrap();
    let counted = |name: &str| receipt[name].as_u64().unwrap();
    assert_eq!(counted("connections_cut"), 4, "{receipt}");
    assert_eq!(counted("sessions_revoked"), 2, "{receipt}");
    assert_eq!(counted("api_keys_disabled"), 1, "{receipt}");
    assert_eq!(receipt["gates"], json!({"total": 1, "in_force": 1}));
    assert!(receipt["in_force_at"].is_string());

    assert_eq!(bob.api("/api/me").await.status, 403);
    assert!(Socket::try_open(&second, "/ws").await.is_err());
    alices_socket.say("still here").await;
    alices_socket.hear("still here").await;
    first_piece(&mut alices_events).await;
}

async fn first_piece(body: &mut Incoming) {
    let piece = within(LONG, "a piece", body.frame()).await;
    piece.expect("a piece").expect("it is whole");
}

#[tokio::test]
async fn the_other_tenant_has_its_own_bob_its_own_login_and_its_own_language() {
    let demo = Demo::start();
    let mut acmes = Browser::signed_in(demo.data, ACME, "bob").await;
    let mut bob = Browser::new(demo.data, "globex.localhost");
    let login = json!({"email": "bob@globex.test", "password": "demo"});
    assert_eq!(bob.submit_json("/login", &login).await.status, 200);
    assert_eq!(bob.api("/api/me").await.json()["user"], "bob");
    let receipt = demo
        .admin("globex")
        .suspend("bob", &json!({"reason": "suspiciousUserNoGood"}))
        .await;
    assert_eq!(
        receipt["sessions_revoked"], 1,
        "learnt by the alias: {receipt}"
    );
    assert_eq!(acmes.api("/api/me").await.status, 200);
    let spoken = |language: &str| {
        bob.ask(Method::GET, "/api/me")
            .header("accept", "application/json")
            .header("accept-language", language)
    };
    let german = spoken("de").send(demo.data).await;
    let english = spoken("en").send(demo.data).await;
    assert_eq!((german.status, english.status), (403, 403));
    assert_eq!(german.header("content-language"), "de");
    assert_eq!(english.header("content-language"), "en");
    let words = |answer: &Answer| answer.json()["error_user_msg"].clone();
    assert_ne!(words(&german), words(&english));
    for name in ["bob@globex.test", "BOB@globex.test", "bob"] {
        let mut again = Browser::new(demo.data, "globex.localhost");
        let login: Value = json!({"email": name, "password": "demo"});
        let refused = again.submit_json("/login", &login).await;
        // The app knows no BOB; to whoever has no password nothing is told.
        let expected = if name.starts_with("BOB") { 401 } else { 403 };
        assert_eq!(refused.status, expected, "{name}: {}", refused.text());
        assert!(
            refused
                .set_cookies()
                .iter()
                .all(|line| line.contains("Max-Age=0"))
        );
    }
}
