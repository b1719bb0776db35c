//! A suspended user is not let in by another spelling of what was judged: the app
//! gets the cookies, tokens and logins that the gate read, and no other reading.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::{Method, StatusCode};
use portcullis_tests::browser::Browser;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::raw::{exchange, status};
use serde_json::json;

const HOST: &str = "acme.localhost";

/// An app that signs everyone in with the cookie `sid=bobs`.
async fn app() -> Origin {
    Origin::answering(|request| async move {
        let mut answer = say(StatusCode::OK, "hello");
        if request.method() == Method::POST {
            *answer.status_mut() = StatusCode::SEE_OTHER;
            let cookie = "sid=bobs; Path=/".parse().unwrap();
            answer.headers_mut().insert("set-cookie", cookie);
        }
        answer
    })
    .await
}

#[tokio::test]
async fn a_suspended_session_reaches_the_app_in_no_spelling_of_its_cookie() {
    let origin = app().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    Browser::signed_in(gate.data, HOST, "bob").await;
    gate.admin().suspend("bob", &json!({})).await;
    origin.take_seen();
    let spellings: [&[u8]; 12] = [
        b"sid=bobs",
        b"sid=\"bobs\"",
        b"sid=%62obs",
        b"sid=\"\\142obs\"",
        b"sid=\"bobs?",
        b"a=b sid=bobs",
        b"a=b\tsid=bobs",
        b"a=b, sid=bobs",
        b"a=\xa0sid=bobs",
        b"SID=bobs",
        b"%73id=bobs",
        b"b sid=bobs",
    ];
    for spelling in spellings {
        let mut bytes =
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nCookie: x=1; ")
                .into_bytes();
        bytes.extend_from_slice(spelling);
        bytes.extend_from_slice(b"\r\n\r\n");
        let answer = exchange(gate.data, &bytes).await;
        let spelling = String::from_utf8_lossy(spelling);
        match status(&answer) {
            403 => {}
            // A stranger's request, without what might have been bob's.
            200 => assert_eq!(origin.take_one().header("cookie"), "x=1", "{spelling}"),
            other => panic!("{spelling}: {other}"),
        }
    }
}

#[tokio::test]
async fn cookies_that_nobody_could_misread_reach_the_app_byte_for_byte() {
    let origin = app().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let cookies = "prefs={\"a\":[1,2]}; _ga=GA1.2; sid=strangers;sidebar=1";
    let ask = Browser::new(gate.data, HOST)
        .ask(Method::GET, "/")
        .cookie(cookies);
    ask.send(gate.data).await;
    assert_eq!(origin.take_one().header("cookie"), cookies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_users_is_not_read_by_another_rule_for_names() {
    let origin = app().await;
    let config = |rule: &str| {
        let names = format!("hosts = [\"acme.localhost\"]\nnames = \"{rule}\"\n");
        tenant("acme", origin.address).replacen("hosts = [\"acme.localhost\"]\n", &names, 1)
    };
    let mut gate = Gate::start(&config("keep-case"));
    let file = gate.plan().folder().join("portcullis.toml");
    let set = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&file).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed);
        std::fs::write(&file, changed).unwrap();
    };
    // Nobody is known yet.
    set("keep-case", "fold-case");
    gate.restart();
    gate.admin().suspend("José", &json!({})).await;
    gate.kill_9();
    set("fold-case", "fold-accents");
    let refused = gate.plan().run(&["run"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    for word in ["acme", "fold-accents", "Set it back to \"fold-case\""] {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    set("fold-accents", "fold-case");
    gate.start_again();
    let admin = gate.admin();
    let jose = admin.done(Method::GET, "/api/v1/users/JOS%C3%89", None);
    assert_eq!(jose.await["status"], "suspended");
}
