//! What suspended users try, and what strangers try on others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_core::limits;
use portcullis_tests::client::{Ask, Body, Wire2, pieces};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, within};
use portcullis_tests::raw::Raw;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

const HOST: &str = "acme.localhost";

/// Writes whoever logs in into the session that the visitor brought (`sid`), and
/// says who it is; `/events` stays open. A login waits for the test.
struct Keeper {
    origin: Origin,
    asked: Arc<Notify>,
    answers: Arc<Semaphore>,
}

fn stream() -> Response<Body> {
    let (pieces, body) = pieces();
    tokio::spawn(async move {
        let _ = pieces.send("tick".into()).await;
        pieces.closed().await;
    });
    Response::new(body)
}

async fn keeper() -> Keeper {
    let users: Arc<Mutex<HashMap<String, String>>> = Arc::default();
    let (asked, answers) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&answers));
    let origin = Origin::answering(move |request| {
        let (users, tell, wait) = (Arc::clone(&users), Arc::clone(&tell), Arc::clone(&wait));
        async move {
            let (head, body) = request.into_parts();
            let cookie = head
                .headers
                .get("cookie")
                .map(|line| line.to_str().unwrap().to_owned());
            let url = head
                .uri
                .path()
                .split_once(";sid=")
                .map(|(_, sid)| sid.to_owned());
            let sid = cookie.and_then(|line| line.strip_prefix("sid=").map(str::to_owned));
            let sid = sid.or(url).unwrap_or_default();
            match head.uri.path() {
                "/login" => {
                    let form = body.collect().await.unwrap().to_bytes();
                    let form = String::from_utf8_lossy(&form).into_owned();
                    tell.notify_one();
                    wait.acquire().await.unwrap().forget();
                    let Some(name) = form.strip_suffix("&password=demo") else {
                        return say(StatusCode::OK, "wrong password");
                    };
                    let name = name.trim_start_matches("username=").to_owned();
                    users.lock().unwrap().insert(sid, name);
                    say(StatusCode::SEE_OTHER, "welcome")
                }
                "/events" => stream(),
                _ => {
                    let user = users.lock().unwrap().get(&sid).cloned();
                    say(StatusCode::OK, user.as_deref().unwrap_or("nobody"))
                }
            }
        }
    })
    .await;
    Keeper {
        origin,
        asked,
        answers,
    }
}

fn keeping(app: &Keeper) -> Gate {
    let config = tenant("acme", app.origin.address)
        .replace(
            "path = \"/login\"",
            "path = \"/login\"\nsuccess_statuses = [303]\nsuccess_sets_cookie = false",
        )
        .replace("[tenants.logout]\npath = \"/logout\"\n", "");
    Gate::start(&config)
}

async fn get(gate: &Gate, path: &str, cookie: &str) -> (u16, String) {
    let answer = Ask::get(path)
        .host(HOST)
        .cookie(cookie)
        .send(gate.data)
        .await;
    (answer.status, answer.text())
}

fn login(name: &str, cookie: &str) -> Ask {
    Ask::post("/login")
        .host(HOST)
        .cookie(cookie)
        .form(&[("username", name), ("password", "demo")])
}

async fn ends(stream: Response<Incoming>) {
    let mut body = stream.into_body();
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    within(LONG, "the end of the stream", reading).await;
}

#[tokio::test]
async fn who_hangs_up_during_the_login_is_seen_all_the_same() {
    let app = keeper().await;
    let gate = keeping(&app);
    gate.admin().suspend("bob", &json!({})).await;
    let body = "username=bob&password=demo";
    let mut raw = Raw::open(gate.data).await;
    raw.send(format!(
        "POST /login HTTP/1.1\r\nHost: {HOST}\r\nCookie: sid=x1\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    within(LONG, "the app to be asked", app.asked.notified()).await;
    drop(raw);
    app.answers.add_permits(1);
    let known = async { while get(&gate, "/", "sid=x1").await.0 == 200 {} };
    within(LONG, "the session to be known", known).await;
    assert_ne!(get(&gate, "/", "sid=x1").await.1, "bob");
    gate.admin().restore("bob").await;
    assert_eq!(get(&gate, "/", "sid=x1").await.0, 401);
}

#[tokio::test]
async fn a_wrong_password_in_flight_does_not_tell_when_the_user_is_suspended() {
    let app = keeper().await;
    let gate = keeping(&app);
    let data = gate.data;
    let attempt = |name: &'static str| {
        let ask = Ask::post("/login")
            .host(HOST)
            .form(&[("username", name), ("password", "x")]);
        tokio::spawn(async move { ask.send(data).await })
    };
    let (bobs, alices) = (attempt("bob"), attempt("alice"));
    for _ in 0..2 {
        within(LONG, "the app to be asked", app.asked.notified()).await;
    }
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(
        receipt["connections_cut"], 0,
        "an attempt is nobody's connection"
    );
    app.answers.add_permits(2);
    let (bobs, alices) = (bobs.await.unwrap(), alices.await.unwrap());
    assert_eq!((bobs.status, bobs.text()), (alices.status, alices.text()));
    assert_eq!(bobs.text(), "wrong password");
}

#[tokio::test]
async fn what_a_visitor_has_open_is_cut_with_the_user_that_the_visitor_became() {
    let app = keeper().await;
    let gate = keeping(&app);
    let open = Ask::get("/events")
        .host(HOST)
        .cookie("sid=x1")
        .begin(gate.data)
        .await;
    app.answers.add_permits(1);
    assert_eq!(login("bob", "sid=x1").send(gate.data).await.status, 303);
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    ends(open).await;
}

#[tokio::test]
async fn a_name_that_was_the_users_does_not_let_the_user_in() {
    let app = keeper().await;
    let mut gate = keeping(&app);
    let put = |gate: &Gate, body: serde_json::Value| {
        let admin = gate.admin();
        async move {
            admin
                .done(Method::PUT, "/api/v1/users/bob", Some(&body))
                .await
        }
    };
    app.answers.add_permits(9);
    put(&gate, json!({"email": "bob@acme.test"})).await;
    assert_eq!(
        login("bob@acme.test", "sid=x1")
            .send(gate.data)
            .await
            .status,
        303
    );
    put(
        &gate,
        json!({"email": "b2@acme.test", "phone": "+49 170 123"}),
    )
    .await;
    gate.admin().suspend("bob", &json!({})).await;
    for _ in 0..2 {
        assert_eq!(get(&gate, "/", "sid=x1").await.0, 403);
        for name in [
            "bob@acme.test",
            "b2@acme.test",
            "+49170123",
            "+49 170 123",
            "0049170-123",
        ] {
            let answer = login(name, "sid=x2").send(gate.data).await;
            assert_eq!(answer.status, 403, "{name}");
        }
        gate.restart();
    }
    // The admin API means the same user by each of them.
    let path = "/api/v1/users/%2B49%20170%20123";
    let found = gate.admin().done(Method::GET, path, None).await;
    assert_eq!(found["id"], "bob");
}

#[tokio::test]
async fn a_session_in_the_path_is_judged() {
    let app = keeper().await;
    let gate = keeping(&app);
    app.answers.add_permits(1);
    assert_eq!(login("bob", "sid=x1").send(gate.data).await.status, 303);
    assert_eq!(get(&gate, "/me;sid=x1", "").await, (200, "bob".to_owned()));
    gate.admin().suspend("bob", &json!({})).await;
    for path in ["/me;sid=x1", "/me;SID=x1", "/me?sid=x1", "/me;%73id=x1"] {
        assert_eq!(get(&gate, path, "").await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn nobody_is_displaced_by_a_stranger_who_uses_their_name() {
    let app = Origin::start().await;
    let config = format!(
        "[sessions]\nper_user = 2\n\n{}[tenants.basic]\n",
        tenant("acme", app.address)
    );
    let gate = Gate::start(&config);
    let answer = login("alice", "").send(gate.data).await;
    let hers = answer.set_cookies()[0]
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    for _ in 0..4 {
        // The app lets anybody renew what is alice's by her own cookie; a stranger
        // comes by her name alone.
        let ask = Ask::get("/rotate")
            .host(HOST)
            .header("authorization", "Basic YWxpY2U6eA==");
        ask.send(gate.data).await;
    }
    assert_eq!(get(&gate, "/me", &hers).await, (200, "alice".to_owned()));
    let path = "/api/v1/users/alice/sessions";
    let listed = gate.admin().done(Method::GET, path, None).await;
    assert_eq!(listed["total"], 1, "{listed}");
}

/// An app that closes the connection on whoever logs in.
async fn crashing() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.unwrap();
            if head[..count].starts_with(b"GET") {
                let hello =
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
                stream.write_all(hello).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_login_that_the_app_does_not_answer_tells_nothing_of_the_user() {
    let app = crashing().await;
    let mut gate = Gate::start(&tenant("acme", app));
    gate.admin().suspend("bob", &json!({})).await;
    for (name, cookie) in [
        ("bob", "sid=x1-0123456789abcdef"),
        ("alice", "sid=x2-0123456789abcdef"),
    ] {
        assert_eq!(login(name, cookie).send(gate.data).await.status, 502);
    }
    for _ in 0..2 {
        // The app may have taken the password, so nobody is to have the session.
        let told = async |cookie: &str| {
            let answer = Ask::get("/")
                .host(HOST)
                .cookie(cookie)
                .send(gate.data)
                .await;
            (answer.status, answer.json()["code"].clone())
        };
        let (bobs, alices) = (
            told("sid=x1-0123456789abcdef").await,
            told("sid=x2-0123456789abcdef").await,
        );
        assert_eq!(bobs, alices);
        assert_eq!(bobs.0, 401);
        gate.restart();
    }
    gate.admin().restore("bob").await;
    assert_eq!(get(&gate, "/", "sid=x1-0123456789abcdef").await.0, 401);
}

#[tokio::test]
async fn logins_that_never_reach_the_app_leave_nothing_behind() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::start(&tenant("acme", closed.local_addr().unwrap()));
    drop(closed);
    assert_eq!(
        login("bob", "sid=x1-0123456789abcdef")
            .send(gate.data)
            .await
            .status,
        502
    );
    let (status, text) = get(&gate, "/", "sid=x1-0123456789abcdef").await;
    assert_eq!(
        status, 502,
        "the session was taken for one of somebody: {text}"
    );
}

#[tokio::test]
async fn a_flood_of_logins_that_are_left_is_bounded() {
    let app = keeper().await;
    let gate = keeping(&app);
    let mut wire = Wire2::open(gate.data).await;
    let ask = || {
        Ask::post(&format!("http://{HOST}/login")).form(&[("username", "bob"), ("password", "x")])
    };
    for _ in 0..limits::LOGINS_LEFT_MAX {
        tokio::select! {
            answer = wire.begin(ask()) => panic!("{}", answer.status()),
            () = app.asked.notified() => {}
        }
    }
    // The last of them may still be on its way out; then this is one more.
    let refused = loop {
        tokio::select! {
            answer = wire.begin(ask()) => break answer.status(),
            () = app.asked.notified() => {}
        }
    };
    assert_eq!(refused, 503);
    app.answers.add_permits(2 * limits::LOGINS_LEFT_MAX);
    let taken = async { while wire.send(ask()).await.status == 503 {} };
    within(LONG, "the places to be free again", taken).await;
}
