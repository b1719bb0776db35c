//! Who may look may look: a read-only hold lets through what changes nothing, and
//! cuts and refuses the rest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, SystemTime};

use http::Method;
use http_body_util::BodyExt;
use portcullis_tests::browser::{Browser, takes_back};
use portcullis_tests::client::Wire2;
use portcullis_tests::crowd::{Held, Kind, Stage, sign_in_all};
use portcullis_tests::demo::Demo;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::patience::{LONG, eventually, within};
use portcullis_tests::socket::Socket;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

const HOST: &str = "acme.localhost";
const A_SECOND: Duration = Duration::from_secs(1);

fn read_only() -> Value {
    json!({"access": "read-only"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_acts_is_cut_what_looks_stays_and_a_later_full_hold_takes_that_as_well() {
    const KINDS: [Kind; 6] = [
        Kind::Socket,
        Kind::Events,
        Kind::Download,
        Kind::Upload,
        Kind::Stream,
        Kind::Call,
    ];
    let looks = |kind| matches!(kind, Kind::Events | Kind::Download | Kind::Stream);
    let stage = Stage::start().await;
    let gate = Gate::start(&tenant("acme", stage.origin.address));
    let users = ["bob", "alice"].map(str::to_owned);
    let browsers = sign_in_all(gate.data, HOST, &users).await;
    let mut shared = Wire2::open(gate.data).await;
    let mut open = Vec::new();
    for (who, user) in browsers.iter().zip(&users) {
        for kind in KINDS {
            let id = open.len();
            open.push(Held::open(&stage, who, user, kind, id, &mut shared).await);
        }
    }
    let mut rehearsal = read_only();
    rehearsal["dry_run"] = json!(true);
    let rehearsed = gate.admin().suspend("bob", &rehearsal).await;
    assert_eq!(rehearsed["connections_cut"], 3, "{rehearsed}");
    assert!(open.iter().all(Held::is_open));

    let receipt = gate.admin().suspend("bob", &read_only()).await;
    assert_eq!(receipt["connections_cut"], 3, "{receipt}");
    assert_eq!(receipt["sessions_revoked"], 0, "{receipt}");
    let is_cut = |held: &Held| held.user == "bob" && !looks(held.kind);
    let (cut, kept): (Vec<Held>, Vec<Held>) = open.into_iter().partition(is_cut);
    for held in &cut {
        held.end().await;
        held.broken().await;
    }
    for held in &kept {
        held.pass().await;
    }

    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 3, "{receipt}");
    assert_eq!(receipt["sessions_revoked"], 1, "{receipt}");
    let (bobs, alices): (Vec<Held>, Vec<Held>) =
        kept.into_iter().partition(|held| held.user == "bob");
    for held in &bobs {
        held.end().await;
        held.broken().await;
    }
    for held in &alices {
        held.pass().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_demo_bob_may_look_and_go_and_come_again_but_change_nothing() {
    let demo = Demo::start();
    let mut bob = Browser::signed_in(demo.data, HOST, "bob").await;
    let mut socket = Socket::open(&bob, "/ws").await;
    socket.hear("tick 1").await;
    let events = bob.ask(Method::GET, "/events").begin(demo.data).await;
    let mut events = events.into_body();

    let arguments = ["user", "suspend", "bob", "--tenant", "acme", "--read-only"];
    let said = demo.command(&arguments);
    assert_eq!(said.code, 0, "{}", said.err);
    let words = "bob is suspended (permanent, read-only). No sessions revoked, 1 live connection cut, no API keys disabled";
    assert!(said.out.starts_with(words), "{}", said.out);
    let close = within(A_SECOND, "bob's close frame", socket.closed()).await;
    assert_eq!(close, Some((1008, "account suspended".to_owned())));
    let refused = Socket::try_open(&bob, "/ws").await;
    let Err(Error::Http(refused)) = refused.map(drop) else {
        panic!("the WebSocket was not refused");
    };
    assert_eq!(refused.status(), 403);
    // More than was under way: it goes on.
    for _ in 0..3 {
        let piece = within(LONG, "an event", events.frame()).await;
        piece.expect("an event").expect("it is whole");
    }

    assert_eq!(bob.api("/api/me").await.json()["user"], "bob");
    assert_eq!(bob.page("/").await.status, 200);
    let upload = bob.ask(Method::POST, "/upload").json(&json!({"a": 1}));
    let refused = bob.send(upload.header("accept", "application/json")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(refused.json()["access"], "read-only");
    assert_eq!(
        refused.json()["error_description"],
        "error.account.permanentlySuspended"
    );
    assert!(!takes_back(&refused, "demo_session"), "{refused:?}");
    let page = bob.submit("/upload", &[("a", "1")]).await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("read-only"), "{}", page.text());
    assert_eq!(bob.api("/api/me").await.status, 200, "still signed in");

    let key = |method, path| {
        let ask = Browser::new(demo.data, HOST).ask(method, path);
        ask.header("x-api-key", "demo-key-bob").send(demo.data)
    };
    assert_eq!(key(Method::GET, "/api/me").await.status, 200);
    assert_eq!(key(Method::POST, "/upload").await.status, 403);

    let left = bob.submit("/logout", &[]).await;
    assert!(left.status < 400, "{}", left.text());
    let mut anew = Browser::signed_in(demo.data, HOST, "bob").await;
    assert_eq!(anew.api("/api/me").await.json()["user"], "bob");
    assert_eq!(anew.submit("/upload", &[("a", "1")]).await.status, 403);
    let shown = demo.command(&["user", "show", "bob", "--tenant", "acme"]);
    assert!(shown.out.contains("read-only"), "{}", shown.out);
    demo.admin("acme").restore("bob").await;
    assert_ne!(anew.submit("/upload", &[("a", "1")]).await.status, 403);
}

#[tokio::test]
async fn a_method_in_disguise_does_not_pass_for_looking() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    gate.admin().suspend("bob", &read_only()).await;
    let status = async |method: Method, path: &str, header: (&str, &str)| {
        let ask = bob.ask(method, path).header(header.0, header.1);
        ask.send(gate.data).await.status
    };
    let none = ("x-none", "1");
    for (method, path, header) in [
        (Method::GET, "/me?_method=DELETE", none),
        (Method::GET, "/me", ("x-http-method-override", "DELETE")),
        (Method::GET, "/me", ("x_http_method_override", "DELETE")),
        (Method::GET, "/me?a=1&%5Fmethod=put", none),
        (Method::POST, "/me", ("x-http-method-override", "GET")),
        (Method::POST, "/me?_method=GET", none),
        (Method::PUT, "/me", none),
        (Method::DELETE, "/me", none),
        (Method::PATCH, "/me", none),
    ] {
        let found = status(method.clone(), path, header).await;
        assert_eq!(found, 403, "{method} {path} {header:?}");
    }
    for (method, path, header) in [
        (Method::GET, "/me", none),
        (Method::HEAD, "/me", none),
        (Method::OPTIONS, "/me", none),
        (Method::GET, "/me?_method=GET&x=DELETE", none),
        (Method::GET, "/me", ("x-http-method-override", "get")),
    ] {
        let found = status(method.clone(), path, header).await;
        assert_eq!(found, 200, "{method} {path} {header:?}");
    }
}

#[tokio::test]
async fn a_hold_for_later_begins_and_ends_while_the_gate_is_down_and_does_all_that_it_does() {
    let origin = Origin::start().await;
    let mut gate = Gate::start(&tenant("acme", origin.address));
    let names = ["bob", "carol"];
    let mut signed_in = Vec::new();
    for name in names {
        signed_in.push(Browser::signed_in(gate.data, HOST, name).await);
    }
    let admin = gate.admin();
    admin
        .suspend("bob", &json!({"starts_at": "1s", "ends_at": "1s"}))
        .await;
    let waiting = admin.suspend("carol", &json!({"starts_at": "1s"})).await;
    assert_eq!(waiting["in_force_at"], Value::Null, "{waiting}");
    gate.kill_9();
    let until = SystemTime::now() + Duration::from_millis(2_200);
    eventually("both to be due", || SystemTime::now() >= until).await;
    gate.start_again();
    let mut statuses = Vec::new();
    for browser in &mut signed_in {
        browser.gate = gate.data;
        statuses.push(browser.api("/me").await.status);
    }
    assert_eq!(statuses, [401, 403], "from the first request on");
    let admin = gate.admin();
    for (name, expected) in names.into_iter().zip([
        &["hold_ended", "hold_started", "hold_placed"][..],
        &["hold_started", "hold_placed"],
    ]) {
        let path = format!("/api/v1/audit?user={name}");
        let recorded = async {
            loop {
                let audit = admin.done(Method::GET, &path, None).await;
                let entries = audit["entries"].as_array().unwrap().iter();
                let actions: Vec<String> = entries
                    .map(|entry| entry["action"].as_str().unwrap().to_owned())
                    .filter(|action| action.starts_with("hold_"))
                    .collect();
                if actions == expected {
                    return;
                }
            }
        };
        within(LONG, name, recorded).await;
    }
    let bob = admin.done(Method::GET, "/api/v1/users/bob", None).await;
    assert_eq!(
        (&bob["status"], &bob["holds"]),
        (&json!("active"), &json!([]))
    );
    assert_eq!(bob["api_keys_disabled"], false);
    let mut anew = Browser::signed_in(gate.data, HOST, "bob").await;
    assert_eq!(anew.api("/me").await.status, 200);
}
