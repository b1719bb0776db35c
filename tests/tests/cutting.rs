//! A suspension reaches what is under way: wherever it is, whoever else is near,
//! and whenever it begins and ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Ask, Wire2, pieces};
use portcullis_tests::demo::Demo;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, eventually, within};
use portcullis_tests::raw::Raw;
use portcullis_tests::socket::Socket;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

const HOST: &str = "acme.localhost";
const A_SECOND: Duration = Duration::from_secs(1);

async fn piece(body: &mut Incoming) -> Option<Bytes> {
    let frame = within(LONG, "a piece", body.frame()).await?;
    frame.ok()?.into_data().ok()
}

#[tokio::test]
async fn on_one_http2_connection_only_the_suspended_users_streams_are_cut() {
    let demo = Demo::start();
    let alice = Browser::signed_in(demo.data, HOST, "alice").await;
    let bob = Browser::signed_in(demo.data, HOST, "bob").await;
    let mut wire = Wire2::open(demo.data).await;
    let events = format!("http://{HOST}/events");
    let ask = |who: &Browser| Ask::get(&events).cookie(&who.cookies());
    let mut his = wire.begin(ask(&bob)).await.into_body();
    let mut hers = wire.begin(ask(&alice)).await.into_body();
    assert!(piece(&mut his).await.is_some());
    assert!(piece(&mut hers).await.is_some());
    let receipt = demo.admin("acme").suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    let ended = async { while piece(&mut his).await.is_some() {} };
    within(A_SECOND, "the end of his stream", ended).await;
    assert!(piece(&mut hers).await.is_some());
    let me = format!("http://{HOST}/api/me");
    assert_eq!(
        wire.send(Ask::get(&me).cookie(&bob.cookies())).await.status,
        403
    );
    assert_eq!(
        wire.send(Ask::get(&me).cookie(&alice.cookies()))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_all_the_same() {
    let demo = Demo::start();
    let bob = Browser::signed_in(demo.data, HOST, "bob").await;
    let mut raw = Raw::open(demo.data).await;
    let cookies = bob.cookies();
    raw.send(format!(
        "GET /download?mb=4096 HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookies}\r\n\r\n"
    ))
    .await;
    raw.read_until("\r\n\r\n").await;
    let receipt = demo.admin("acme").suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    raw.read_to_close().await;
}

/// An app whose answers to `/slow` wait for the test.
async fn slow_app() -> (Origin, Arc<Notify>, Arc<Semaphore>) {
    let (asked, answers) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (told, waited) = (Arc::clone(&asked), Arc::clone(&answers));
    let origin = Origin::answering(move |request| {
        let (told, waited) = (Arc::clone(&told), Arc::clone(&waited));
        async move {
            let is_login = request.method() == Method::POST;
            if request.uri().query() == Some("slow") {
                told.notify_one();
                waited.acquire().await.unwrap().forget();
            }
            let mut answer = say(
                if is_login {
                    StatusCode::SEE_OTHER
                } else {
                    StatusCode::OK
                },
                "hello",
            );
            if is_login {
                answer
                    .headers_mut()
                    .insert("set-cookie", "sid=secret; Path=/".parse().unwrap());
            }
            answer
        }
    })
    .await;
    (origin, asked, answers)
}

#[tokio::test]
async fn a_request_that_the_app_is_thinking_about_is_refused_at_once() {
    let (origin, asked, _answers) = slow_app().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let mut waiting = bob.clone();
    let request = tokio::spawn(async move { waiting.api("/x?slow").await });
    within(LONG, "the app's turn", asked.notified()).await;
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    let answer = within(A_SECOND, "the refusal", request).await.unwrap();
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[tokio::test]
async fn a_login_that_a_suspension_overtakes_hands_out_no_session() {
    let (origin, asked, answers) = slow_app().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut bob = Browser::new(gate.data, HOST);
    let login = tokio::spawn(async move {
        let fields = [("username", "bob"), ("password", "demo")];
        let answer = bob.submit("/login?slow", &fields).await;
        (bob, answer)
    });
    within(LONG, "the app's turn", asked.notified()).await;
    gate.admin().suspend("bob", &json!({})).await;
    answers.add_permits(1);
    let (bob, answer) = within(LONG, "an answer", login).await.unwrap();
    assert!(bob.cookie("sid").is_none(), "{answer:?}");
    assert!(!answer.text().contains("secret"));
}

#[tokio::test]
async fn a_suspension_for_later_begins_and_ends_by_itself_with_all_its_effects() {
    let demo = Demo::start();
    let bob = Browser::signed_in(demo.data, HOST, "bob").await;
    let mut socket = Socket::open(&bob, "/ws").await;
    let terms = json!({"starts_at": "1s", "ends_at": "3s"});
    let asked_at = Instant::now();
    demo.admin("acme").suspend("bob", &terms).await;
    assert_eq!(bob.clone().api("/api/me").await.status, 200, "not yet");
    let close = within(LONG, "the start", socket.closed()).await;
    assert_eq!(close.map(|(code, _)| code), Some(1008));
    assert!(
        asked_at.elapsed() >= Duration::from_millis(900),
        "too early"
    );
    assert_eq!(bob.clone().api("/api/me").await.status, 403);
    let mut anew = Browser::new(demo.data, HOST);
    let started = Instant::now();
    while anew.sign_in("bob", "demo").await.status != 303 {
        assert!(started.elapsed() < LONG, "it does not end");
    }
    assert_eq!(anew.api("/api/me").await.status, 200);
    assert_eq!(
        bob.clone().api("/api/me").await.status,
        401,
        "the old session"
    );
}

#[tokio::test]
async fn sessions_that_were_spared_live_again_and_those_that_were_revoked_do_not() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let spared = gate
        .admin()
        .suspend("bob", &json!({"revoke_sessions": false}))
        .await;
    assert_eq!(spared["sessions_revoked"], 0, "{spared}");
    assert_eq!(bob.clone().api("/me").await.status, 403);
    gate.admin().restore("bob").await;
    assert_eq!(bob.clone().api("/me").await.status, 200);
    let revoked = gate
        .admin()
        .done(Method::DELETE, "/api/v1/users/bob/sessions", None)
        .await;
    assert_eq!(revoked["receipt"]["sessions_revoked"], 1, "{revoked}");
    assert_eq!(bob.clone().api("/me").await.status, 401);
    let mut anew = Browser::signed_in(gate.data, HOST, "bob").await;
    assert_eq!(anew.api("/me").await.status, 200);
}

#[tokio::test]
async fn lifting_one_hold_leaves_the_others() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let admin = gate.admin();
    for hold in ["admin", "fraud"] {
        admin.suspend("bob", &json!({"hold": hold})).await;
    }
    let lift = |hold: &str| json!({"hold": hold});
    let path = "/api/v1/users/bob/restore";
    admin.done(Method::POST, path, Some(&lift("admin"))).await;
    let refused = Browser::new(gate.data, HOST).sign_in("bob", "demo").await;
    assert_eq!(refused.status, 403);
    admin.done(Method::POST, path, Some(&lift("fraud"))).await;
    Browser::signed_in(gate.data, HOST, "bob").await;
}

/// Names that an app may fold into `bob` are bob, or are refused.
#[tokio::test]
async fn no_spelling_of_a_name_logs_a_suspended_user_in() {
    let origin = Origin::answering(|_| async {
        let mut answer = say(StatusCode::SEE_OTHER, "welcome");
        answer
            .headers_mut()
            .insert("set-cookie", "sid=any; Path=/".parse().unwrap());
        answer
    })
    .await;
    let gate = Gate::start(&tenant("acme", origin.address));
    gate.admin().suspend("bob", &json!({})).await;
    for name in [
        "bob",
        "BOB",
        "Bob",
        " bob",
        "bob ",
        "\tbob",
        "ｂｏｂ",
        "bob\0",
        "b\u{200b}ob",
    ] {
        let answer = Browser::new(gate.data, HOST).sign_in(name, "demo").await;
        assert!(
            [400, 403].contains(&answer.status),
            "{name:?}: {}",
            answer.status
        );
        assert!(
            answer
                .set_cookies()
                .iter()
                .all(|line| line.contains("Max-Age=0")),
            "{name:?}"
        );
    }
}

/// Suspended and restored under load, over and over: no request is let through
/// between an acknowledged suspension and its restore.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_acknowledgement_to_the_restore_no_request_passes() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let admin = gate.admin();
    for round in 0..20 {
        let bob = Browser::signed_in(gate.data, HOST, "bob").await;
        let (clicking, data) = (bob.clone(), gate.data);
        // Until it is refused, or cut with the answer half-way.
        let clicks = tokio::spawn(async move {
            let click = || clicking.ask(Method::GET, "/me").try_send(data);
            while click().await.is_ok_and(|answer| answer.status == 200) {}
        });
        admin.suspend("bob", &json!({})).await;
        origin.take_seen();
        for _ in 0..5 {
            assert_eq!(bob.clone().api("/me").await.status, 403, "round {round}");
        }
        within(LONG, "the refusal", clicks).await.unwrap();
        assert!(origin.take_seen().is_empty(), "round {round}");
        admin.restore("bob").await;
        assert_eq!(bob.clone().api("/me").await.status, 401, "round {round}");
    }
}

/// What the app still has open for a user who was cut is closed too.
#[tokio::test]
async fn the_apps_end_of_a_cut_stream_is_closed() {
    let (tell, body) = pieces();
    let body = Arc::new(tokio::sync::Mutex::new(Some(body)));
    let origin = Origin::answering(move |request| {
        let body = Arc::clone(&body);
        async move {
            if request.method() == Method::POST {
                let mut answer = say(StatusCode::SEE_OTHER, "welcome");
                answer
                    .headers_mut()
                    .insert("set-cookie", "sid=any; Path=/".parse().unwrap());
                return answer;
            }
            Response::new(body.lock().await.take().expect("one stream"))
        }
    })
    .await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let mut stream = bob
        .ask(Method::GET, "/stream")
        .begin(gate.data)
        .await
        .into_body();
    tell.send("one".into()).await.unwrap();
    assert_eq!(piece(&mut stream).await.unwrap(), "one");
    gate.admin().suspend("bob", &json!({})).await;
    eventually("the end of the app's stream", || {
        tell.is_closed() || tell.try_send("more".into()).is_err() && tell.is_closed()
    })
    .await;
}

/// An app may answer early and go on reading: the upload is the user's still.
#[tokio::test]
async fn an_upload_that_outlives_its_answer_is_cut_and_counted() {
    let ended = Arc::new(Notify::new());
    let told = Arc::clone(&ended);
    let origin = Origin::answering(move |request| {
        let told = Arc::clone(&told);
        async move {
            let login = request.uri().path() == "/login";
            let mut answer = say(StatusCode::OK, "early");
            if login {
                *answer.status_mut() = StatusCode::SEE_OTHER;
                let cookie = "sid=any; Path=/".parse().unwrap();
                answer.headers_mut().insert("set-cookie", cookie);
            } else {
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    while let Some(Ok(_)) = body.frame().await {}
                    told.notify_one();
                });
            }
            answer
        }
    })
    .await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let (tell, body) = pieces();
    tell.send("one".into()).await.unwrap();
    let mut wire = Wire2::open(gate.data).await;
    let answer = wire
        .upload(bob.ask(Method::POST, "/up"), body)
        .await
        .unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "early"
    );
    tell.send("two".into()).await.unwrap();
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    within(LONG, "the end of what the app reads", ended.notified()).await;
}
