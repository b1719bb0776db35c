//! What becomes of a session: who had it, when it ends, and that it stays dead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::SystemTime;

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use portcullis_tests::browser::{Browser, takes_back};
use portcullis_tests::client::{Answer, Ask, pieces};
use portcullis_tests::demo::Demo;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, within};
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";

async fn sessions(gate: &Gate, user: &str) -> Vec<Value> {
    let path = format!("/api/v1/users/{user}/sessions");
    let listed = gate.admin().done(Method::GET, &path, None).await;
    listed["sessions"].as_array().unwrap().clone()
}

/// An app that keeps no list of sessions: whoever has the cookie `sid=NAME.N` is
/// NAME, for ever. Logging out takes the cookie back, and nothing else.
async fn forgetful_app() -> Origin {
    Origin::answering(|request| async move {
        let head = request.headers().get("cookie");
        let head = head.map(|line| line.to_str().unwrap().to_owned());
        let user = head.as_deref().and_then(|line| line.strip_prefix("sid="));
        let user = user
            .and_then(|value| value.split_once('.'))
            .map(|(user, _)| user.to_owned());
        let set = |mut answer: http::Response<_>, line: &str| {
            answer
                .headers_mut()
                .append("set-cookie", line.parse().unwrap());
            answer
        };
        match request.uri().path() {
            "/login" => {
                let query = request.headers()["x-login"].to_str().unwrap().to_owned();
                set(
                    say(StatusCode::SEE_OTHER, "welcome"),
                    &format!("sid={query}; Path=/"),
                )
            }
            "/logout" => set(say(StatusCode::OK, "bye"), "sid=; Path=/; Max-Age=0"),
            "/leave" => say(StatusCode::OK, "bye"),
            _ => say(StatusCode::OK, user.as_deref().unwrap_or("nobody")),
        }
    })
    .await
}

/// Logs `name` in on the forgetful app; the cookie's value is `name.N`.
async fn log_in(gate: &Gate, name: &str, number: u32) -> String {
    let value = format!("{name}.{number}");
    let answer = Ask::post("/login")
        .host(HOST)
        .header("x-login", &value)
        .header("user-agent", "Tests/1")
        .form(&[("username", name), ("password", "demo")])
        .send(gate.data)
        .await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    format!("sid={value}")
}

async fn status(gate: &Gate, cookie: &str) -> u16 {
    let ask = Ask::get("/").host(HOST).cookie(cookie);
    ask.send(gate.data).await.status
}

#[tokio::test]
async fn a_session_is_listed_with_its_use_and_is_kept_across_a_restart() {
    let app = forgetful_app().await;
    let mut gate = Gate::start(&tenant("acme", app.address));
    let cookie = log_in(&gate, "bob", 1).await;
    let first = sessions(&gate, "bob").await.remove(0);
    assert_eq!(first["cookie"], "sid");
    assert_eq!(first["address"], "127.0.0.1");
    assert_eq!(first["agent"], "Tests/1");
    assert_eq!(first["alive"], true);
    assert!(!first.to_string().contains("bob.1"), "the cookie itself");
    // Used until a later time is seen, and that one outlives the restart.
    let used = loop {
        assert_eq!(status(&gate, &cookie).await, 200);
        let used = sessions(&gate, "bob").await.remove(0);
        if used["last_seen"] != first["last_seen"] {
            break used;
        }
    };
    assert_eq!(used["first_seen"], first["first_seen"]);
    gate.restart();
    assert_eq!(sessions(&gate, "bob").await, std::slice::from_ref(&used));
    let user = gate.admin().suspend("bob", &json!({"dry_run": true})).await;
    assert_eq!(user["sessions_revoked"], 1);
}

#[tokio::test]
async fn a_logout_ends_the_session_whether_or_not_the_app_would_honour_it() {
    let app = forgetful_app().await;
    let mut gate = Gate::start(&tenant("acme", app.address).replace("/logout", "/leave"));
    // By the logout route, and by an answer that takes the cookie back.
    for (number, path) in [(1, "/leave"), (2, "/logout")] {
        let cookie = log_in(&gate, "bob", number).await;
        let other = log_in(&gate, "bob", number + 10).await;
        assert_eq!(status(&gate, &cookie).await, 200);
        let out = Ask::post(path).host(HOST).cookie(&cookie);
        assert_eq!(out.send(gate.data).await.status, 200);
        app.take_seen();
        assert_eq!(status(&gate, &cookie).await, 401, "{path}");
        assert!(app.take_seen().is_empty(), "the app was asked");
        assert_eq!(status(&gate, &other).await, 200, "another session of bob's");
        gate.restart();
        assert_eq!(status(&gate, &cookie).await, 401, "after a restart");
        // The password was proven anew: the same value is a new session.
        assert_eq!(log_in(&gate, "bob", number).await, cookie);
        assert_eq!(status(&gate, &cookie).await, 200);
    }
}

#[tokio::test]
async fn an_administrator_ends_one_session_and_it_stays_dead() {
    let app = forgetful_app().await;
    let mut gate = Gate::start(&tenant("acme", app.address));
    let (one, other) = (log_in(&gate, "bob", 1).await, log_in(&gate, "bob", 2).await);
    let listed = sessions(&gate, "bob").await;
    assert_eq!(listed.len(), 2);
    // The one that was used last comes first.
    let path = format!(
        "/api/v1/users/bob/sessions/{}",
        listed[0]["id"].as_str().unwrap()
    );
    let ended = gate.admin().done(Method::DELETE, &path, None).await;
    assert_eq!(ended["receipt"]["sessions_revoked"], 1);
    let alive = |gate: &Gate| {
        let (one, other, data) = (one.clone(), other.clone(), gate.data);
        async move {
            let ask = |cookie: &str| Ask::get("/").host(HOST).cookie(cookie);
            let first = ask(&one).send(data).await.status;
            [first, ask(&other).send(data).await.status]
        }
    };
    let mut statuses = alive(&gate).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    gate.kill_9();
    gate.start_again();
    let mut statuses = alive(&gate).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "after a crash");
}

#[tokio::test]
async fn with_too_many_sessions_the_least_used_one_ends() {
    let app = forgetful_app().await;
    let bound = "[sessions]\nper_user = 2\n\n";
    let gate = Gate::start(&format!("{bound}{}", tenant("acme", app.address)));
    let alices = log_in(&gate, "alice", 1).await;
    let first = log_in(&gate, "bob", 1).await;
    let second = log_in(&gate, "bob", 2).await;
    // Uses of the first are noted once a second: used until it is the younger one.
    loop {
        assert_eq!(status(&gate, &first).await, 200);
        let listed = sessions(&gate, "bob").await;
        if listed[0]["last_seen"] != listed[0]["first_seen"] {
            break;
        }
    }
    let third = log_in(&gate, "bob", 3).await;
    assert_eq!(status(&gate, &second).await, 401);
    for alive in [&first, &third, &alices] {
        assert_eq!(status(&gate, alive).await, 200);
    }
}

#[tokio::test]
async fn a_full_gate_refuses_logins_and_forgets_nobody() {
    let app = forgetful_app().await;
    let bound = "[sessions]\nmax = 1\n\n";
    let gate = Gate::start(&format!("{bound}{}", tenant("acme", app.address)));
    let first = log_in(&gate, "bob", 1).await;
    let refused = Ask::post("/login")
        .host(HOST)
        .header("x-login", "bob.2")
        .form(&[("username", "bob"), ("password", "demo")])
        .send(gate.data)
        .await;
    assert_eq!(refused.status, 503);
    assert!(refused.set_cookies().is_empty());
    assert!(gate.log().contains("sessions.max"), "{}", gate.log());
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(status(&gate, &first).await, 403);
}

/// Tries to log `name` in on the forgetful app with the visitor's cookie `brought`.
async fn try_log_in(gate: &Gate, name: &str, number: u32, brought: &str) -> Answer {
    let ask = Ask::post("/login")
        .host(HOST)
        .header("x-login", &format!("{name}.{number}"))
        .cookie(brought)
        .form(&[("username", name), ("password", "demo")]);
    ask.send(gate.data).await
}

#[tokio::test]
async fn who_logs_in_again_and_again_shuts_out_nobody_else_and_no_dead_session_comes_back() {
    let app = forgetful_app().await;
    let bound = "[sessions]\nmax = 40\nper_user = 2\n\n";
    let mut gate = Gate::start(&format!("{bound}{}", tenant("acme", app.address)));
    let mut bobs = Vec::new();
    let refused = loop {
        let number = u32::try_from(bobs.len()).unwrap();
        let answer = try_log_in(&gate, "bob", number, "").await;
        if answer.status != 303 {
            break answer;
        }
        bobs.push(format!("sid=bob.{number}"));
        assert!(bobs.len() < 40, "bob fills the gate");
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.set_cookies().is_empty());
    // Refused before the app is asked: one that keeps the visitor's session at a
    // login would make it bob's, and the gate could not learn that.
    app.take_seen();
    for _ in 0..5 {
        assert_eq!(
            try_log_in(&gate, "bob", 99, "sid=visitor.1").await.status,
            503
        );
    }
    assert!(app.take_seen().is_empty());
    let told = |log: &str| log.matches("bob has").count();
    assert_eq!(told(&gate.log()), 1, "{}", gate.log());
    let alices = log_in(&gate, "alice", 1).await;
    assert_eq!(status(&gate, &alices).await, 200);
    gate.restart();
    let (dead, alive) = bobs.split_at(bobs.len() - 2);
    for cookie in dead {
        assert_eq!(status(&gate, cookie).await, 401, "{cookie}");
    }
    for cookie in alive {
        assert_eq!(status(&gate, cookie).await, 200, "{cookie}");
    }
    assert_eq!(try_log_in(&gate, "bob", 99, "").await.status, 503);
    log_in(&gate, "carol", 1).await;
}

#[tokio::test]
async fn sessions_older_than_the_gate_are_let_be_or_sent_to_the_login() {
    let app = forgetful_app().await;
    let allowing = Gate::start(&tenant("acme", app.address));
    let body = |gate: &Gate, path: &str| {
        let ask = Ask::get(path).host(HOST).cookie("sid=bob.9");
        let data = gate.data;
        async move { ask.send(data).await.text() }
    };
    assert_eq!(body(&allowing, "/").await, "bob");
    let strict = "unknown_sessions = \"login\"\nhosts";
    let strict = Gate::start(&tenant("acme", app.address).replace("hosts", strict));
    assert_eq!(body(&strict, "/").await, "nobody");
    // The login page may need the visitor's own session (a form's secret).
    app.take_seen();
    let page = Ask::post("/login")
        .host(HOST)
        .cookie("sid=visitor.1")
        .header("x-login", "bob.3")
        .form(&[("username", "bob"), ("password", "demo")]);
    assert_eq!(page.send(strict.data).await.status, 303);
    assert_eq!(app.take_one().header("cookie"), "sid=visitor.1");
    assert_eq!(status(&strict, "sid=bob.3").await, 200);
    assert_eq!(
        Ask::get("/")
            .host(HOST)
            .cookie("sid=bob.3")
            .send(strict.data)
            .await
            .text(),
        "bob"
    );
}

/// An app, or a module in front of it, that says in each answer who asked.
async fn telling_app() -> Origin {
    Origin::answering(|request| async move {
        let sid = request
            .headers()
            .get("cookie")
            .map(|line| line.to_str().unwrap().to_owned());
        let user = sid.as_deref().and_then(|line| line.strip_prefix("sid="));
        let user = user
            .and_then(|value| value.split_once('.'))
            .map(|(user, _)| user.to_owned());
        let mut answer = say(StatusCode::OK, user.as_deref().unwrap_or("nobody"));
        let path = request.uri().path().to_owned();
        if let Some(name) = path.strip_prefix("/enter/") {
            let line = format!("sid={name}; Path=/").parse().unwrap();
            answer.headers_mut().insert("set-cookie", line);
        } else if path == "/twice" {
            answer
                .headers_mut()
                .append("x-app-user", "alice".parse().unwrap());
            answer
                .headers_mut()
                .append("x-app-user", "bob".parse().unwrap());
        } else if let Some(user) = user {
            answer
                .headers_mut()
                .insert("x-app-user", user.parse().unwrap());
        }
        answer
    })
    .await
}

#[tokio::test]
async fn an_app_may_say_whose_a_session_is_that_is_older_than_the_gate() {
    let app = telling_app().await;
    let config = tenant("acme", app.address).replace("hosts", "taught_by = \"X-App-User\"\nhosts");
    let gate = Gate::start(&config);
    let ask = |path: &str, cookie: &str| {
        let ask = Ask::get(path).host(HOST).cookie(cookie);
        let data = gate.data;
        async move { ask.send(data).await }
    };
    let answer = ask("/", "sid=bob.1").await;
    assert_eq!((answer.status, answer.text()), (200, "bob".to_owned()));
    assert!(
        answer.headers.get("x-app-user").is_none(),
        "the header is the gate's"
    );
    assert_eq!(ask("/twice", "sid=carol.1").await.status, 503);
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["sessions_revoked"], 1);
    app.take_seen();
    assert_eq!(ask("/", "sid=bob.1").await.status, 403);
    assert!(
        app.take_seen().is_empty(),
        "a taught session does not reach the app"
    );
    // Another old session of bob's that the gate never met: the app says whose it
    // is, and its answer is withheld.
    let withheld = ask("/", "sid=bob.2").await;
    assert_eq!(withheld.status, 403);
    assert!(takes_back(&withheld, "sid"), "{:?}", withheld.set_cookies());
    gate.admin().restore("bob").await;
    for old in ["sid=bob.1", "sid=bob.2", "sid=bob.3"] {
        assert_eq!(ask("/", old).await.status, 401, "{old}");
    }
    // One that is seen to begin after the restore is new.
    assert_eq!(ask("/enter/bob.4", "").await.status, 200);
    assert_eq!(ask("/", "sid=bob.4").await.status, 200);
    assert_eq!(ask("/", "sid=alice.1").await.status, 200);
}

#[tokio::test]
async fn requests_of_active_users_write_nothing_to_the_disk() {
    let app = forgetful_app().await;
    let gate = Gate::start(&tenant("acme", app.address));
    let cookie = log_in(&gate, "bob", 1).await;
    let state = gate.plan().folder().join("state");
    let written = || -> Vec<(String, u64, SystemTime)> {
        let files = fs::read_dir(&state).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = files
            .map(|file| {
                let meta = file.metadata().unwrap();
                let name = file.file_name().into_string().unwrap();
                (name, meta.len(), meta.modified().unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let before = written();
    for _ in 0..500 {
        assert_eq!(status(&gate, &cookie).await, 200);
    }
    assert_eq!(written(), before, "a file of the store was written");
    // The same look notices one login.
    log_in(&gate, "bob", 2).await;
    assert_ne!(written(), before);
}

#[tokio::test]
async fn a_browser_that_changes_its_user_is_refused_when_either_is_out() {
    let app = forgetful_app().await;
    let config = tenant("acme", app.address).replace(
        "path = \"/login\"",
        "path = \"/login\"\nsuccess_sets_cookie = false",
    );
    let gate = Gate::start(&config);
    // The app sets the same value for whoever logs in: one session, two users.
    for name in ["alice", "bob"] {
        let answer = Ask::post("/login")
            .host(HOST)
            .header("x-login", "shared.1")
            .form(&[("username", name), ("password", "demo")]);
        assert_eq!(answer.send(gate.data).await.status, 303);
    }
    assert_eq!(status(&gate, "sid=shared.1").await, 200);
    gate.admin().suspend("alice", &json!({})).await;
    assert_eq!(status(&gate, "sid=shared.1").await, 403);
    gate.admin().restore("alice").await;
    assert_eq!(
        status(&gate, "sid=shared.1").await,
        401,
        "alice's part of it is dead"
    );
}

/// Reads a stream to its end, whatever comes.
async fn end_of(stream: hyper::Response<hyper::body::Incoming>) {
    let mut body = stream.into_body();
    while let Some(Ok(_)) = within(LONG, "a piece or the end", body.frame()).await {}
}

#[tokio::test]
async fn what_is_open_in_a_session_ends_with_it_and_nothing_else_does() {
    let demo = Demo::start();
    let admin = demo.admin("acme");
    let stream = |browser: &Browser| {
        let ask = browser.ask(Method::GET, "/events");
        let data = demo.data;
        async move {
            let stream = ask.begin(data).await;
            assert_eq!(stream.status(), 200);
            stream
        }
    };
    let mut one = Browser::signed_in(demo.data, HOST, "bob").await;
    let other = Browser::signed_in(demo.data, HOST, "bob").await;
    let (ones, others) = (stream(&one).await, stream(&other).await);
    // By the user, who logs out beside it.
    assert!(one.submit("/logout", &[]).await.status < 400);
    end_of(ones).await;
    // By an administrator, who ends the one that is left.
    let again = Browser::signed_in(demo.data, HOST, "bob").await;
    let kept = stream(&again).await;
    let listed = admin
        .done(Method::GET, "/api/v1/users/bob/sessions", None)
        .await;
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{listed}");
    let oldest = sessions
        .iter()
        .min_by_key(|session| session["first_seen"].as_str().unwrap().to_owned());
    let path = format!(
        "/api/v1/users/bob/sessions/{}",
        oldest.unwrap()["id"].as_str().unwrap()
    );
    let ended = admin.done(Method::DELETE, &path, None).await;
    assert_eq!(ended["receipt"]["connections_cut"], 1, "{ended}");
    end_of(others).await;
    let mut kept = kept.into_body();
    for _ in 0..2 {
        let piece = within(LONG, "the other stream", kept.frame()).await;
        assert!(piece.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_stream_whose_user_only_the_answer_names_is_cut_too() {
    let app = Origin::answering(|_| async {
        let (pieces, body) = pieces();
        pieces.send("tick".into()).await.unwrap();
        // Open until the gate lets go of it.
        tokio::spawn(async move { pieces.closed().await });
        let mut answer = hyper::Response::new(body);
        answer
            .headers_mut()
            .insert("x-app-user", "bob".parse().unwrap());
        answer
    })
    .await;
    let config = tenant("acme", app.address).replace("hosts", "taught_by = \"X-App-User\"\nhosts");
    let gate = Gate::start(&config);
    let stream = Ask::get("/")
        .host(HOST)
        .cookie("sid=older")
        .begin(gate.data)
        .await;
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    end_of(stream).await;
}
