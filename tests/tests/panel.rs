//! Real input: an untouched Panel behind the gate, configured as docs/apps/panel.md
//! says. Each open dashboard is a WebSocket, and ends when its user is suspended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use http::{HeaderMap, Method};
use portcullis_tests::browser::{Browser, takes_back};
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::Gate;
use portcullis_tests::guide;
use portcullis_tests::panel::{Line, Panel, log_in, token};
use portcullis_tests::patience::{LONG, within};
use serde_json::json;
use tokio_tungstenite::tungstenite;

const GUIDE: &str = include_str!("../../docs/apps/panel.md");
const HOST: &str = "dash.localhost";
const USERS: [&str; 2] = ["anna", "bert"];

fn gate(panel: &Panel) -> Gate {
    Gate::start(&guide::config(GUIDE, "127.0.0.1:5006", panel.address))
}

async fn logged_in(to: SocketAddr, user: &str) -> Browser {
    let mut browser = Browser::new(to, HOST);
    let answer = log_in(&mut browser, user, "demo").await;
    let went = (answer.status, answer.header("location"));
    assert_eq!(went, (302, "/dashboard"), "{}", answer.text());
    browser
}

/// Whether the document is there and is this user's.
async fn works(line: &mut Line, user: &str) {
    let document = line.document().await.to_string();
    let words = format!("signed in as {user}");
    assert!(document.contains(&words), "{document}");
}

/// The status with which a new line is refused.
async fn refused_line(browser: &Browser, token: &str) -> u16 {
    match Line::try_open(browser, token).await {
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the line is open"),
    }
}

#[tokio::test]
async fn a_suspended_panel_users_dashboards_close_and_the_others_stay() {
    let panel = Panel::start(HOST);
    let gate = gate(&panel);
    let mut anna = logged_in(gate.data, "anna").await;
    let mut bert = logged_in(gate.data, "bert").await;
    let mut annas = Line::open(&mut anna).await;
    let mut berts = [Line::open(&mut bert).await, Line::open(&mut bert).await];
    works(&mut annas, "anna").await;
    for line in &mut berts {
        works(line, "bert").await;
    }
    let page = bert.page("/dashboard").await;
    let old = bert.clone();

    let receipt = gate.admin().suspend("bert", &json!({})).await;
    assert_eq!(receipt["sessions_revoked"], 1, "{receipt}");
    assert_eq!(receipt["connections_cut"], 2, "{receipt}");
    for line in &mut berts {
        let close = line.closed().await;
        assert_eq!(close.map(|(code, _)| code), Some(1008));
    }
    works(&mut annas, "anna").await;
    assert_eq!(refused_line(&old, &token(&page)).await, 403);
    let refused = bert.page("/dashboard").await;
    assert_eq!(refused.status, 403);
    assert!(takes_back(&refused, "user"), "{:?}", refused.headers);

    gate.admin().restore("bert").await;
    assert_eq!(refused_line(&old, &token(&page)).await, 401);
    let dead = old.clone().page("/dashboard").await;
    assert_eq!((dead.status, dead.header("location")), (303, "/login"));
    let mut bert = logged_in_anew(&panel, gate.data, "bert", &old).await;
    works(&mut Line::open(&mut bert).await, "bert").await;
    assert_eq!(old.clone().api("/dashboard").await.status, 401);
    works(&mut annas, "anna").await;
}

/// Logs in once Panel would give another cookie than before: it holds the name and
/// the second, and whoever proves the password again in that second is given the old
/// one, rightly alive again. So Panel itself is asked until its second is over.
async fn logged_in_anew(panel: &Panel, to: SocketAddr, user: &str, old: &Browser) -> Browser {
    let another = async {
        while logged_in(panel.address, user).await.cookie("user") == old.cookie("user") {}
    };
    within(LONG, "another cookie", another).await;
    logged_in(to, user).await
}

#[tokio::test]
async fn a_wrong_password_at_panel_does_not_tell_who_is_suspended() {
    let panel = Panel::start(HOST);
    let gate = gate(&panel);
    gate.admin().suspend("bert", &json!({})).await;
    let mut wrong = Vec::new();
    for user in USERS {
        let mut stranger = Browser::new(gate.data, HOST);
        let answer = log_in(&mut stranger, user, "wrong").await;
        assert!(answer.header("location").contains("error="), "{answer:?}");
        wrong.push(plain(&answer));
    }
    assert_eq!(wrong[0], wrong[1]);
    let mut stranger = Browser::new(gate.data, HOST);
    let withheld = log_in(&mut stranger, "bert", "demo").await;
    assert_eq!(withheld.status, 403);
    assert_eq!(stranger.cookie("user"), None);
}

/// Panel drops white space and control characters around a name: each of these is
/// `bert` to it.
#[tokio::test]
async fn no_spelling_that_panel_takes_for_the_suspended_user_gets_a_session() {
    let panel = Panel::start(HOST);
    let gate = gate(&panel);
    gate.admin().suspend("bert", &json!({})).await;
    for spelling in [
        "bert ",
        "\u{a0}bert",
        "bert\u{85}\t",
        "\u{1}bert",
        "bert\u{1f}",
        "\0bert",
    ] {
        let mut direct = Browser::new(panel.address, HOST);
        log_in(&mut direct, spelling, "demo").await;
        assert!(direct.cookie("user").is_some(), "{spelling:?}");
        let mut stranger = Browser::new(gate.data, HOST);
        let answer = log_in(&mut stranger, spelling, "demo").await;
        assert!([400, 403].contains(&answer.status), "{spelling:?}");
        assert_eq!(stranger.cookie("user"), None, "{spelling:?}");
    }
}

/// Headers and text, without what differs between any two answers of Panel: the
/// time, and in a dashboard the token and the ids.
fn plain(answer: &Answer) -> (HeaderMap, String) {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    // How the one connection is framed says nothing of the other.
    for hop in ["connection", "transfer-encoding"] {
        headers.remove(hop);
    }
    let mut text = answer.text();
    if text.contains("\"token\":\"") {
        text = without_ids(&text.replace(&token(answer), "TOKEN"));
        // They are made from the text.
        headers.remove("etag");
        headers.remove("content-length");
    }
    (headers, text)
}

/// Each id of a document is a quoted UUID, or `p` and a number that counts on.
fn without_ids(text: &str) -> String {
    let is_id = |part: &str| {
        let numbered = part.strip_prefix('p').is_some_and(|number| {
            number.len() >= 4 && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        let uuid = part.len() == 36 && part.split('-').count() == 5;
        numbered || uuid
    };
    text.split_inclusive(['"', '\''])
        .map(|part| {
            let bare = part.trim_end_matches(['"', '\'']);
            if is_id(bare) { "ID" } else { part }
        })
        .collect()
}

#[tokio::test]
async fn panels_pages_and_files_are_the_same_as_without_the_gate() {
    let panel = Panel::start(HOST);
    let gate = gate(&panel);
    let anna = logged_in(gate.data, "anna").await;
    let ask = |method: Method, path: &str, to: SocketAddr| {
        let ask = anna.ask(method, path).header("accept", "text/html");
        ask.send(to)
    };
    for path in [
        "/",
        "/dashboard",
        "/login",
        "/nothing/here",
        "/dashboard?a=1&b=%20",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let through = ask(method.clone(), path, gate.data).await;
            let direct = ask(method, path, panel.address).await;
            assert_eq!(through.status, direct.status, "{path}");
            assert_eq!(plain(&through), plain(&direct), "{path}");
        }
    }
    for path in [
        "/static/js/bokeh.min.js",
        "/static/extensions/panel/panel.min.js",
        "/static/extensions/panel/images/favicon.ico",
    ] {
        let through = ask(Method::GET, path, gate.data).await;
        let direct = ask(Method::GET, path, panel.address).await;
        assert_eq!(through.status, 200, "{path}");
        assert_eq!(plain(&through).0, plain(&direct).0, "{path}");
        assert_eq!(through.body, direct.body, "{path}");
        let again = Ask::get(path)
            .host(HOST)
            .cookie(&anna.cookies())
            .header("if-none-match", through.header("etag"));
        assert_eq!(again.send(gate.data).await.status, 304, "{path}");
    }
}
