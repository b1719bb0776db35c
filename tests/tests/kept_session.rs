//! Apps that give every visitor a session and write the user into it at login,
//! without another cookie (PHP's own way): the cookie is the user's all the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Ask, Body};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::eventually;
use serde_json::json;
use tokio::sync::Semaphore;

const HOST: &str = "acme.localhost";

type Sessions = Arc<Mutex<HashMap<String, Option<String>>>>;

async fn app() -> Origin {
    let always = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    app_answering_logins(Arc::default(), always).await
}

/// Sets `sid` on the first visit and takes it from a cookie, else from the path or
/// the query; a login with the password `demo` writes the name
/// into that session. It answers attempts when it `may`, having decided before.
async fn app_answering_logins(sessions: Sessions, may: Arc<Semaphore>) -> Origin {
    Origin::answering(move |request| {
        let (sessions, may) = (Arc::clone(&sessions), Arc::clone(&may));
        async move {
            let is_attempt = request.method() == Method::POST && request.uri().path() == "/login";
            let answer = answer(&sessions, request).await;
            if is_attempt {
                may.acquire().await.expect("it is not closed").forget();
            }
            answer
        }
    })
    .await
}

async fn answer(sessions: &Sessions, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let form = body.collect().await.expect("a body").to_bytes();
    let form = String::from_utf8_lossy(&form).into_owned();
    let mut sessions = sessions.lock().unwrap();
    let cookie = head
        .headers
        .get("cookie")
        .map(|line| line.to_str().unwrap());
    let in_path = head.uri.path().split_once(';').map(|(_, session)| session);
    let sid = cookie.or(in_path).or(head.uri.query());
    let sid = sid
        .and_then(|line| line.strip_prefix("sid="))
        .map(str::to_owned);
    let Some(sid) = sid.filter(|sid| sessions.contains_key(sid)) else {
        let sid = format!("visitor{}", sessions.len());
        let mut answer = say(StatusCode::OK, "nobody");
        let line = format!("sid={sid}; Path=/").parse().unwrap();
        answer.headers_mut().insert("set-cookie", line);
        sessions.insert(sid, None);
        return answer;
    };
    if head.uri.path() == "/logout" {
        sessions.remove(&sid);
        return say(StatusCode::OK, "bye");
    }
    if head.method == Method::POST {
        let Some(name) = form.strip_suffix("&password=demo") else {
            return say(StatusCode::OK, "wrong password");
        };
        let name = name.trim_start_matches("username=").to_owned();
        sessions.insert(sid, Some(name));
        return say(StatusCode::SEE_OTHER, "welcome");
    }
    let user = sessions[&sid].clone();
    say(StatusCode::OK, user.as_deref().unwrap_or("nobody"))
}

fn gate(app: &Origin, logout: bool) -> Gate {
    let mut config = tenant("acme", app.address).replace(
        "path = \"/login\"",
        "path = \"/login\"\nsuccess_statuses = [303]\nsuccess_sets_cookie = false",
    );
    if !logout {
        config = config.replace("[tenants.logout]\npath = \"/logout\"\n", "");
    }
    Gate::start(&config)
}

async fn visitor(gate: &Gate) -> Browser {
    let mut browser = Browser::new(gate.data, HOST);
    assert_eq!(browser.api("/").await.text(), "nobody");
    assert!(browser.cookie("sid").is_some());
    browser
}

#[tokio::test]
async fn a_session_that_the_login_kept_is_known_and_dies_with_a_suspension() {
    let app = app().await;
    let gate = gate(&app, true);
    let mut bob = visitor(&gate).await;
    assert_eq!(bob.sign_in("bob", "demo").await.status, 303);
    assert_eq!(bob.api("/").await.text(), "bob");
    let old = bob.clone();
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["sessions_revoked"], 1, "{receipt}");
    assert_eq!(old.clone().api("/").await.status, 403);
    gate.admin().restore("bob").await;
    assert_eq!(old.clone().api("/").await.status, 401);
}

#[tokio::test]
async fn a_withheld_login_does_not_let_in_by_the_cookie_that_was_there_before() {
    for logout in [true, false] {
        let app = app().await;
        let gate = gate(&app, logout);
        gate.admin().suspend("bob", &json!({})).await;
        let bob = visitor(&gate).await;
        assert_eq!(
            bob.clone().sign_in("bob", "wrong").await.text(),
            "wrong password"
        );
        assert_eq!(bob.clone().api("/").await.text(), "nobody");
        assert_eq!(bob.clone().sign_in("bob", "demo").await.status, 403);
        let after = bob.clone().api("/").await;
        assert_eq!(after.status, 403, "logout: {logout}; {}", after.text());
        gate.admin().restore("bob").await;
        assert_eq!(bob.clone().api("/").await.status, 401, "logout: {logout}");
    }
}

/// The form that is fetched with a dead cookie comes with a fresh session, which
/// holds what the form needs: it is not dead with the old one.
#[tokio::test]
async fn the_session_that_comes_with_the_login_form_is_not_the_dead_one() {
    let app = app().await;
    let gate = gate(&app, true);
    let mut bob = visitor(&gate).await;
    bob.sign_in("bob", "demo").await;
    let dead = bob.cookies();
    gate.admin().suspend("bob", &json!({})).await;
    gate.admin().restore("bob").await;
    assert_eq!(bob.page("/login").await.status, 200);
    let fresh = bob.cookies();
    assert_ne!(fresh, dead);
    assert_eq!(bob.sign_in("bob", "demo").await.status, 303);
    assert_eq!(bob.cookies(), fresh);
    assert_eq!(bob.api("/").await.text(), "bob");
}

/// From the moment that the app has accepted the password, the session is bob's to
/// the app; that the gate does not know it yet lets nobody through. It waits for
/// everyone's login, or the waiting would tell who is suspended.
#[tokio::test]
async fn what_comes_in_a_session_that_somebody_is_logging_in_with_waits_for_that() {
    let cases = [
        ("bob", "demo", "", 403, None),
        ("bob", "wrong", "", 200, Some("nobody")),
        ("alice", "demo", "", 200, Some("alice")),
        ("bob", "demo", "in the target", 403, None),
    ];
    for (user, password, place, status, words) in cases {
        let case = format!("{user} with {password} {place}");
        let (sessions, may) = (Sessions::default(), Arc::new(Semaphore::new(0)));
        let app = app_answering_logins(Arc::clone(&sessions), Arc::clone(&may)).await;
        let gate = gate(&app, false);
        gate.admin().suspend("bob", &json!({})).await;
        let visitor = visitor(&gate).await;
        app.take_seen();
        let mut trying = visitor.clone();
        let trying = tokio::spawn(async move { trying.sign_in(user, password).await.status });
        eventually("the attempt", || {
            app.saw(|seen| seen.method == Method::POST)
        })
        .await;
        let asking = Ask::get("/").host(HOST).cookie(&visitor.cookies());
        let asking = match place {
            "" => asking,
            _ => Ask::get(&format!("/?{}", visitor.cookies())).host(HOST),
        };
        let asking = tokio::spawn(asking.send(gate.data));
        let came_through = || app.saw(|seen| seen.method == Method::GET);
        while under_way(&gate).await < 2 && !came_through() {}
        assert!(!came_through(), "{case}");
        may.add_permits(1);
        let answer = asking.await.unwrap();
        assert_eq!(answer.status, status, "{case}; {}", answer.text());
        if let Some(words) = words {
            assert_eq!(answer.text(), words, "{case}");
        }
        assert_eq!(came_through(), words.is_some(), "{case}");
        trying.await.unwrap();
    }
}

/// Servers of the servlet family take the session from the path where no cookie comes.
#[tokio::test]
async fn a_login_that_keeps_a_session_in_the_target_is_no_way_in() {
    let app = app().await;
    let gate = gate(&app, false);
    gate.admin().suspend("bob", &json!({})).await;
    for part in [";", "?"] {
        let target = format!("{part}{}", visitor(&gate).await.cookies());
        let attempt = Ask::post(&format!("/login{target}")).host(HOST);
        let attempt = attempt.form(&[("username", "bob"), ("password", "demo")]);
        assert_eq!(attempt.send(gate.data).await.status, 403, "{target}");
        app.take_seen();
        let again = Ask::get(&format!("/{target}")).host(HOST);
        assert_eq!(again.send(gate.data).await.status, 403, "{target}");
        assert!(app.take_seen().is_empty(), "{target}");
    }
    let log = gate.log();
    assert!(log.contains("refused") && !log.contains("visitor"), "{log}");
}

async fn under_way(gate: &Gate) -> usize {
    let metrics = gate.admin().ask(Method::GET, "/metrics", None).await.text();
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("portcullis_requests_under_way "));
    count.unwrap().parse().unwrap()
}
