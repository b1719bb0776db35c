//! Real input: an untouched Verdaccio behind the gate, configured as
//! docs/apps/verdaccio.md says. Users log in by JSON, get a JWT, and go on with
//! the real `npm`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::SocketAddr;

use http::{HeaderMap, Method};
use portcullis_tests::client::{Answer, Ask, Wire};
use portcullis_tests::gate::{Gate, Plan};
use portcullis_tests::guide;
use portcullis_tests::patience::{LONG, within};
use portcullis_tests::raw::Raw;
use portcullis_tests::verdaccio::{Npm, Verdaccio};
use serde_json::json;

const GUIDE: &str = include_str!("../../docs/apps/verdaccio.md");
/// `npm` finds the registry by this name without a resolver.
const HOST: &str = "localhost";
const USERS: [&str; 2] = ["anna", "bert"];

fn gate(verdaccio: &Verdaccio) -> Gate {
    let config = guide::config(GUIDE, "127.0.0.1:4873", verdaccio.address);
    Plan::new(&config.replace("npm.example.com", HOST))
        .with("verdaccio.secret", format!("{}\n", verdaccio.secret()))
        .start()
}

/// As the web page logs in.
async fn log_in(to: SocketAddr, user: &str, password: &str) -> Answer {
    let ask = Ask::post("/-/verdaccio/sec/login").host(HOST);
    ask.json(&json!({"username": user, "password": password}))
        .send(to)
        .await
}

async fn token(to: SocketAddr, user: &str) -> String {
    let answer = log_in(to, user, "demo").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().expect("a token").to_owned()
}

fn ask(method: Method, path: &str, token: &str) -> Ask {
    let authorization = format!("Bearer {token}");
    Ask::new(method, path)
        .host(HOST)
        .header("authorization", &authorization)
        .header("accept", "application/json")
}

async fn who_is(to: SocketAddr, token: &str) -> Answer {
    ask(Method::GET, "/-/whoami", token).send(to).await
}

/// A token of a new login through the gate, once a token is younger than the
/// suspension: its time is in whole seconds. Verdaccio takes five logins a minute,
/// so the wait is by tokens that it gives at its other door.
async fn new_token(gate: &Gate, verdaccio: &Verdaccio, user: &str) -> String {
    let anew = async {
        loop {
            let token = verdaccio.npm_token(user).await;
            if who_is(gate.data, &token).await.status == 200 {
                return;
            }
        }
    };
    within(LONG, "a token that counts", anew).await;
    token(gate.data, user).await
}

#[tokio::test]
async fn a_suspended_verdaccio_user_is_out_until_a_new_login_and_the_other_is_never_disturbed() {
    let verdaccio = Verdaccio::start(&USERS).await;
    let gate = gate(&verdaccio);
    let annas = token(gate.data, "anna").await;
    let old = token(gate.data, "bert").await;
    let mut open = Wire::open(gate.data).await;
    for (token, user) in [(&annas, "anna"), (&old, "bert")] {
        let answer = open.send(ask(Method::GET, "/-/whoami", token)).await;
        assert_eq!(answer.json(), json!({ "username": user }));
    }

    gate.admin().suspend("bert", &json!({})).await;
    let refused = open.send(ask(Method::GET, "/-/whoami", &old)).await;
    assert_eq!(refused.status, 403);
    let key = "error.account.permanentlySuspended";
    assert_eq!(refused.json()["error_description"], key);
    assert_eq!(who_is(gate.data, &old).await.status, 403);
    assert_eq!(who_is(gate.data, &annas).await.status, 200);
    let withheld = log_in(gate.data, "bert", "demo").await;
    assert_eq!(withheld.status, 403);
    assert_eq!(withheld.json()["error_description"], key);
    // A token that came past the gate is his all the same.
    let elsewhere = verdaccio.npm_token("bert").await;
    assert_eq!(who_is(gate.data, &elsewhere).await.status, 403);

    gate.admin().restore("bert").await;
    let dead = who_is(gate.data, &old).await;
    assert_eq!(dead.status, 401);
    let why = dead.header("www-authenticate");
    assert!(why.contains("invalid_token"), "{why}");
    let new = new_token(&gate, &verdaccio, "bert").await;
    assert_eq!(who_is(gate.data, &new).await.json()["username"], "bert");
    assert_eq!(who_is(gate.data, &old).await.status, 401);
    assert_eq!(who_is(gate.data, &annas).await.status, 200);
}

#[tokio::test]
async fn a_publication_that_is_half_sent_is_cut_and_never_published() {
    let verdaccio = Verdaccio::start(&USERS).await;
    let gate = gate(&verdaccio);
    let berts = token(gate.data, "bert").await;
    let annas = token(gate.data, "anna").await;
    let mut raw = Raw::open(gate.data).await;
    raw.send(format!(
        "PUT /half HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {berts}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    ))
    .await;
    raw.read_until("100 Continue\r\n\r\n").await;
    raw.send("{\"name\":\"half\",\"versions\":{").await;

    let receipt = gate.admin().suspend("bert", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    let answer = raw.read_to_close().await;
    assert!(answer.contains("HTTP/1.1 403 "), "{answer}");
    let published = ask(Method::GET, "/half", &annas).send(gate.data).await;
    assert_eq!(published.status, 404, "{}", published.text());
}

/// Headers and text, without the time and the count of requests that Verdaccio
/// keeps.
fn plain(answer: &Answer) -> (HeaderMap, String) {
    let mut headers = answer.headers.clone();
    for changing in ["date", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        headers.remove(changing);
    }
    // How the one connection is framed says nothing of the other.
    for hop in ["connection", "keep-alive", "transfer-encoding"] {
        headers.remove(hop);
    }
    (headers, answer.text())
}

#[tokio::test]
async fn a_wrong_password_at_verdaccio_does_not_tell_who_is_suspended() {
    let verdaccio = Verdaccio::start(&USERS).await;
    let gate = gate(&verdaccio);
    gate.admin().suspend("bert", &json!({})).await;
    let [annas, berts] = USERS.map(|user| log_in(gate.data, user, "wrong"));
    let (annas, berts) = (annas.await, berts.await);
    assert_eq!(annas.status, 401);
    assert_eq!((annas.status, plain(&annas)), (berts.status, plain(&berts)));
}

/// A package of one file.
fn write_package(npm: &Npm, name: &str) {
    let package = json!({"name": name, "version": "1.0.0", "main": "index.js"});
    fs::write(npm.folder().join("package.json"), package.to_string()).unwrap();
    fs::write(npm.folder().join("index.js"), "module.exports = 1\n").unwrap();
}

#[tokio::test]
async fn npm_itself_publishes_is_refused_and_comes_back_with_a_new_login() {
    let verdaccio = Verdaccio::start(&USERS).await;
    let gate = gate(&verdaccio);
    let [annas, berts] = USERS.map(|user| token(gate.data, user));
    let (anna, bert) = (
        Npm::new(gate.data, &annas.await),
        Npm::new(gate.data, &berts.await),
    );
    write_package(&bert, "berts-package");
    let (done, said) = bert.run(&["publish"]);
    assert!(done && said.contains("+ berts-package@1.0.0"), "{said}");
    let (done, said) = anna.run(&["install", "berts-package"]);
    assert!(done && said.contains("added 1 package"), "{said}");
    let installed = anna.folder().join("node_modules/berts-package/index.js");
    assert_eq!(
        fs::read_to_string(installed).unwrap(),
        "module.exports = 1\n"
    );

    gate.admin().suspend("bert", &json!({})).await;
    let (done, said) = bert.run(&["whoami"]);
    assert!(!done && said.contains("E403"), "{said}");
    assert_eq!(anna.run(&["whoami"]).1.trim(), "anna");

    gate.admin().restore("bert").await;
    let (done, said) = bert.run(&["whoami"]);
    assert!(!done && said.contains("E401"), "{said}");
    let new = Npm::new(gate.data, &new_token(&gate, &verdaccio, "bert").await);
    assert_eq!(new.run(&["whoami"]).1.trim(), "bert");
}

#[tokio::test]
async fn verdaccios_pages_and_packages_are_the_same_as_without_the_gate() {
    let verdaccio = Verdaccio::start(&USERS).await;
    let gate = gate(&verdaccio);
    let annas = token(gate.data, "anna").await;
    let npm = Npm::new(gate.data, &annas);
    write_package(&npm, "some-package");
    let (done, said) = npm.run(&["publish"]);
    assert!(done, "{said}");
    for path in [
        "/",
        "/-/ping",
        "/-/whoami",
        "/-/npm/v1/user",
        "/some-package",
        "/some-package/1.0.0",
        "/some-package/-/some-package-1.0.0.tgz",
        "/-/verdaccio/data/packages",
        "/-/verdaccio/data/sidebar/some-package",
        "/-/static/favicon.ico",
        "/-/v1/search?text=some",
        "/nothing-here",
        "/@scope/nothing",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let through = ask(method.clone(), path, &annas).send(gate.data).await;
            let direct = ask(method, path, &annas).send(verdaccio.address).await;
            assert_eq!(through.status, direct.status, "{path}");
            assert_eq!(plain(&through), plain(&direct), "{path}");
            assert_eq!(through.body, direct.body, "{path}");
        }
    }
}
