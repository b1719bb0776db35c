//! Apps that say in the body alone whether the password was right: the gate reads
//! it as they mean it, and relays it as it came.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::client::{Answer, Ask, Body, Wire, pieces};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use serde_json::json;

const HOST: &str = "acme.localhost";

/// Says 200 to everything, and sets a cookie in any case. The password says what
/// the body is to be.
async fn says_200(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    if path != "/login" {
        return say(StatusCode::OK, "hello");
    }
    let password = body.split("password=").nth(1).unwrap_or_default();
    let mut answer = match password {
        "demo" => say(StatusCode::OK, r#"{"success":true,"say":"Welcome"}"#),
        "page" => say(StatusCode::OK, "<p>no JSON at all</p>"),
        "twice" => say(StatusCode::OK, r#"{"success":false,"success":true}"#),
        "large" => in_pieces(40),
        "coded" => say(StatusCode::OK, "not really gzip"),
        "pieces" => in_pieces(3),
        _ => say(StatusCode::OK, r#"{"success":false,"say":"Invalid"}"#),
    };
    if password == "coded" {
        let gzip = HeaderValue::from_static("gzip");
        answer.headers_mut().insert("content-encoding", gzip);
    }
    let cookie = format!("sid={}; Path=/", body.replace(['=', '&'], "-"));
    let cookie = HeaderValue::from_str(&cookie).unwrap();
    answer.headers_mut().insert("set-cookie", cookie);
    answer
}

/// An answer without a length, in pieces of four thousand bytes.
fn in_pieces(count: usize) -> Response<Body> {
    let (send, body) = pieces();
    tokio::spawn(async move {
        for at in 0..count {
            if send.send(format!("{at:4000}").into()).await.is_err() {
                return;
            }
        }
    });
    Response::new(body)
}

fn gate(origin: &Origin, rule: &str) -> Gate {
    let login = format!("path = \"/login\"\nsuccess_body = {rule}\n");
    let config = tenant("acme", origin.address).replace("path = \"/login\"\n", &login);
    Gate::start(&config)
}

fn login(user: &str, password: &str) -> Ask {
    Ask::post("/login")
        .host(HOST)
        .header("accept-encoding", "gzip, br")
        .header("range", "bytes=0-1")
        .form(&[("username", user), ("password", password)])
}

/// All but what differs from one answer to the next in any case.
fn same(answer: &Answer) -> (u16, Vec<String>, bytes::Bytes) {
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| !["date", "set-cookie"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| format!("{name}: {value:?}"));
    (answer.status, headers.collect(), answer.body.clone())
}

#[tokio::test]
async fn a_login_that_the_body_alone_refuses_is_relayed_and_one_that_it_accepts_withheld() {
    let origin = Origin::answering(says_200).await;
    for rule in [
        "{ pointer = \"/success\", equals = true }",
        "{ contains = \"Welcome\" }",
        "{ absent = \"Invalid\" }",
    ] {
        let gate = gate(&origin, rule);
        gate.admin().suspend("bob", &json!({})).await;
        origin.take_seen();
        let wrong = login("bob", "wrong").send(gate.data).await;
        let seen = origin.take_one();
        assert_eq!(seen.header("accept-encoding"), "identity", "{rule}");
        assert_eq!(seen.header("range"), "", "{rule}");
        let own = login("bob", "wrong").send(origin.address).await;
        assert_eq!(same(&wrong), same(&own), "{rule}");
        assert_eq!(wrong.set_cookies(), own.set_cookies(), "{rule}");
        let others = login("alice", "wrong").send(gate.data).await;
        assert_eq!(same(&wrong), same(&others), "{rule}");
        let right = login("bob", "demo").send(gate.data).await;
        assert_eq!(right.status, 403, "{rule}");
        assert!(!right.text().contains("Welcome"), "{rule}");
        let active = login("alice", "demo").send(gate.data).await;
        assert_eq!(active.status, 200, "{rule}");
    }
}

#[tokio::test]
async fn the_cookie_of_an_attempt_that_the_body_refuses_is_nobodys() {
    let origin = Origin::answering(says_200).await;
    let gate = gate(&origin, "{ pointer = \"/success\", equals = true }");
    let mut cookies = Vec::new();
    for password in ["wrong", "demo"] {
        let answer = login("bob", password).send(gate.data).await;
        let line = answer.set_cookies().remove(0);
        cookies.push(line.split(';').next().unwrap().to_owned());
    }
    gate.admin().suspend("bob", &json!({})).await;
    for (cookie, status) in cookies.iter().zip([200, 403]) {
        let met = Ask::get("/").host(HOST).cookie(cookie).send(gate.data);
        assert_eq!(met.await.status, status, "{cookie}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_judged_counts_as_accepted_and_is_relayed_as_it_came() {
    let origin = Origin::answering(says_200).await;
    let pointer = "{ pointer = \"/success\", equals = true }";
    let absent = "{ absent = \"Invalid\" }";
    for (rule, password) in [
        (pointer, "page"),
        (pointer, "twice"),
        (pointer, "coded"),
        (pointer, "large"),
        (absent, "large"),
        (absent, "coded"),
    ] {
        let gate = gate(&origin, rule);
        let active = login("alice", password).send(gate.data).await;
        let own = login("alice", password).send(origin.address).await;
        assert_eq!(same(&active), same(&own), "{rule} {password}");
        gate.admin().suspend("bob", &json!({})).await;
        let out = login("bob", password).send(gate.data).await;
        assert_eq!(out.status, 403, "{rule} {password}");
        assert!(
            gate.log().contains("counts as accepted"),
            "{rule} {password}"
        );
    }
}

#[tokio::test]
async fn a_gathered_answer_keeps_its_framing_and_its_connection_serves_on() {
    let origin = Origin::answering(says_200).await;
    let gate = gate(&origin, "{ absent = \"Invalid\" }");
    let mut wire = Wire::open(gate.data).await;
    for password in ["pieces", "demo", "wrong", "large", "pieces"] {
        let answer = wire.send(login("alice", password)).await;
        let own = login("alice", password).send(origin.address).await;
        assert_eq!(same(&answer), same(&own), "{password}");
    }
}
