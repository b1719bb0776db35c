//! What clients and apps see of the gate as an HTTP proxy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use portcullis_tests::client::{Ask, Wire, Wire2};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::raw::{Raw, exchange, status};

const HOST: &str = "acme.localhost";

async fn gate() -> (Gate, Origin) {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    (gate, origin)
}

#[tokio::test]
async fn an_unknown_host_gets_421_and_a_reserved_path_404_and_neither_reaches_the_app() {
    let (gate, origin) = gate().await;
    let unknown = Ask::get("/").host("other.localhost").send(gate.data).await;
    assert_eq!(unknown.status, 421);
    assert_eq!(unknown.header("content-type"), "application/problem+json");
    assert_eq!(unknown.json()["status"], 421);
    for path in [
        "/.portcullis/",
        "/.portcullis/x",
        "/.PORTCULLIS/x",
        "/%2eportcullis/x",
    ] {
        let reserved = Ask::get(path).host(HOST).send(gate.data).await;
        assert_eq!(reserved.status, 404, "{path}");
    }
    let page = Ask::get("/.portcullis/x")
        .host(HOST)
        .header("accept", "text/html");
    let page = page.send(gate.data).await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(origin.take_seen().is_empty());
    assert_eq!(origin.bytes(), 0);
}

/// Heads that two servers could read differently, or that no proxy should take,
/// each with the status of its refusal.
fn doubtful_heads() -> Vec<(u16, String)> {
    let post = |head: &str| format!("POST /a HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n\r\n0\r\n\r\n");
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    vec![
        (400, post("Transfer-Encoding: gzip, chunked")),
        (
            400,
            post("Transfer-Encoding: xchunked\r\nContent-Length: 5"),
        ),
        (400, post("Transfer-Encoding: chunked, identity")),
        (400, post("Transfer-Encoding : chunked")),
        (400, post("\x0bTransfer-Encoding: chunked")),
        (400, post("Content-Length: 5\r\nContent-Length: 3")),
        (
            400,
            format!(
                "POST /a HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            400,
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n"),
        ),
        (
            400,
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: other.localhost\r\n\r\n"),
        ),
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (
            400,
            format!("GET http://evil.test/adm HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        (400, format!("GET / HTTP/1.1\r\nHost: {HOST}:x\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\nHost: user@{HOST}\r\n\r\n")),
        (
            400,
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: a\r\n b\r\n\r\n"),
        ),
        (
            400,
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n: x\r\n\r\n"),
        ),
        (
            405,
            format!("CONNECT internal:22 HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
        ),
        (405, format!("TRACE /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n")),
        (
            417,
            post("Expect: y 100-continue\r\nTransfer-Encoding: chunked"),
        ),
        (400, get("admin")),
        (400, get("*")),
        (414, get(&format!("/{}", "a".repeat(20_000)))),
    ]
}

/// Paths that two servers could resolve differently.
fn doubtful_paths() -> Vec<(u16, String)> {
    let paths = [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%2e%2e%2fadmin",
        "/public/..\\admin",
        "/public/%5c..%5cadmin",
        "/public/..;/admin",
        "/./admin",
        "/admin%00.png",
        "/admin/.",
    ];
    paths
        .map(|path| (400, format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")))
        .to_vec()
}

/// Each is refused with its status, the connection is closed, and the app gets
/// not one byte.
#[tokio::test]
async fn what_two_servers_could_read_differently_is_refused_before_the_app_hears_of_it() {
    let (gate, origin) = gate().await;
    let cases = doubtful_heads().into_iter().chain(doubtful_paths());
    for (expected, bytes) in cases {
        let answer = exchange(gate.data, &bytes).await;
        assert_eq!(status(&answer), expected, "{bytes:?} -> {answer}");
        assert_eq!(origin.bytes(), 0, "{bytes:?} reached the app");
    }
}

#[tokio::test]
async fn spellings_of_a_host_are_one_tenant_and_paths_are_forwarded_as_they_were_judged() {
    let (gate, origin) = gate().await;
    for host in ["ACME.localhost", "acme.localhost.", "acme.localhost:443"] {
        let answer = Ask::get("/").host(host).send(gate.data).await;
        assert_eq!(answer.status, 200, "{host}");
        assert_eq!(origin.take_one().header("host"), host);
    }
    for path in [
        "/%61dmin",
        "//admin",
        "/admin;x=1",
        "/%2561dmin",
        "/a?x=/../%2e&y=%00",
        "/a%20b",
    ] {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let answer = exchange(gate.data, bytes).await;
        assert_eq!(status(&answer), 200, "{path}: {answer}");
        assert_eq!(origin.take_one().target, path);
    }
    let absolute =
        format!("GET http://{HOST}/x?y HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&exchange(gate.data, absolute).await), 200);
    assert_eq!(origin.take_one().target, "/x?y");
}

#[tokio::test]
async fn what_the_client_claims_about_itself_never_arrives() {
    let (gate, origin) = gate().await;
    let bytes = format!(
        "GET /a HTTP/1.1\r\nHost: {HOST}\r\n\
         X-Portcullis-User: admin\r\nX_Portcullis_User: admin\r\nX.Portcullis.User: admin\r\n\
         x-portcullis_USER: admin\r\nX-PORTCULLIS-Anything: 1\r\n\
         X-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n\
         X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Uri: /public\r\n\
         X-Original-URL: /public\r\nX-Rewrite-URL: /public\r\nX-Real-IP: 10.0.0.1\r\n\
         Connection: close, X-Secret, X-Forwarded-For, Cookie, Keep-Alive\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n\
         Cookie: theme=dark\r\nTE: trailers\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\n\
         X-Own: kept\r\nAccept-Language: de\r\n\r\n"
    );
    assert_eq!(status(&exchange(gate.data, bytes).await), 200);
    let seen = origin.take_one();
    let mut names: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "accept-language",
        "cookie",
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-own",
    ];
    assert_eq!(names, expected);
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.header("x-forwarded-host"), HOST);
    assert_eq!(seen.header("x-forwarded-proto"), "http");
    assert_eq!(seen.header("cookie"), "theme=dark");
}

#[tokio::test]
async fn only_websocket_is_upgraded() {
    let (gate, origin) = gate().await;
    let h2c = format!(
        "GET /a HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    );
    assert_eq!(status(&exchange(gate.data, h2c).await), 200);
    let seen = origin.take_one();
    for gone in ["upgrade", "http2-settings", "connection"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
    let version = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 777\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    assert_eq!(status(&exchange(gate.data, version).await), 400);
    assert!(origin.take_seen().is_empty());
}

#[tokio::test]
async fn bodies_arrive_whatever_the_method_and_trailers_of_requests_do_not() {
    let (gate, origin) = gate().await;
    let chunked = |method: &str, trailers: &str| {
        format!(
            "{method} /a HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\
             Trailer: X-User\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n{trailers}\r\n"
        )
    };
    for method in ["GET", "DELETE", "POST"] {
        let bytes = chunked(method, "X-User: admin\r\n");
        assert_eq!(status(&exchange(gate.data, bytes).await), 200, "{method}");
        let seen = origin.take_one();
        assert_eq!(seen.body.as_deref(), Some(&b"abcdefg"[..]), "{method}");
        assert_eq!(seen.trailers, None);
        assert!(!seen.headers.contains_key("x-user"));
    }
    let sized = format!(
        "GET /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    );
    assert_eq!(status(&exchange(gate.data, sized).await), 200);
    let seen = origin.take_one();
    assert_eq!(seen.body.as_deref(), Some(&b"abc"[..]));
    assert_eq!(seen.header("content-length"), "3");
}

/// The request behind an upgrade that the app declined is a request of its own.
#[tokio::test]
async fn a_request_behind_a_declined_upgrade_is_judged_by_itself() {
    let (gate, origin) = gate().await;
    let bytes = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\
         GET /.portcullis/x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    );
    let answers = exchange(gate.data, bytes).await;
    assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    assert!(answers.contains("HTTP/1.1 404"), "{answers}");
    assert_eq!(origin.take_one().target, "/ws");
}

#[tokio::test]
async fn clients_that_say_nothing_or_half_of_it_are_not_waited_for() {
    let origin = Origin::start().await;
    let deadlines = "[data.deadlines]\nfirst_bytes = \"300ms\"\nrequest_head = \"300ms\"\n\
         request_body_idle = \"300ms\"\n\n";
    let gate = Gate::start(&format!("{deadlines}{}", tenant("acme", origin.address)));
    for start in ["", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let answer = exchange(gate.data, start).await;
        assert_eq!(answer, "", "{start:?}");
    }
    let half = exchange(gate.data, format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-")).await;
    assert!(half.is_empty() || status(&half) == 408, "{half}");
    assert_eq!(origin.bytes(), 0);
    let slow = format!("POST /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nabc");
    let answer = exchange(gate.data, slow).await;
    assert_eq!(status(&answer), 408, "{answer}");
    let slow = format!(
        "POST /a HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    );
    let answer = exchange(gate.data, slow).await;
    assert_eq!(status(&answer), 408, "{answer}");
    // Whoever is in time notices nothing.
    let answer = Ask::get("/").host(HOST).send(gate.data).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_its_framing_costs_its_own_exchange_alone() {
    let (gate, origin) = gate().await;
    for chunk in [
        "0x3\r\nabc\r\n",
        "-1\r\n",
        "10000000000000003\r\nabc\r\n",
        "3\r\nabcXX\r\n0\r\n\r\n",
    ] {
        let bytes = format!(
            "POST /a HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        );
        let answer = exchange(gate.data, bytes).await;
        assert_eq!(status(&answer), 400, "{chunk:?}: {answer}");
    }
    let whole: Vec<_> = origin
        .take_seen()
        .into_iter()
        .filter(|seen| seen.body.is_some())
        .collect();
    assert!(
        whole.is_empty(),
        "the app took half a body for a whole: {whole:?}"
    );
}

#[tokio::test]
async fn http2_by_prior_knowledge_and_http1_share_the_listener() {
    let (gate, origin) = gate().await;
    let mut h2 = Wire2::open(gate.data).await;
    let url = format!("http://{HOST}/a?b=c");
    let got = h2.send(Ask::get(&url).cookie("a=1").cookie("b=2")).await;
    assert_eq!((got.status, got.text().as_str()), (200, "hello"));
    let seen = origin.take_one();
    assert_eq!(
        (seen.target.as_str(), seen.header("host")),
        ("/a?b=c", HOST)
    );
    assert_eq!(seen.header("cookie"), "a=1; b=2");
    let posted = h2.send(Ask::post(&url).body("abc")).await;
    assert_eq!(posted.status, 200);
    assert_eq!(origin.take_one().body.as_deref(), Some(&b"abc"[..]));
    let got = h2.send(Ask::get(&url).body("in a GET")).await;
    assert_eq!(got.status, 200);
    assert_eq!(origin.take_one().body.as_deref(), Some(&b"in a GET"[..]));
    let unknown = h2.send(Ask::get("http://other.localhost/")).await;
    assert_eq!(unknown.status, 421);
    let mut h1 = Wire::open(gate.data).await;
    let got = h1.send(Ask::get("/").host(HOST)).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn one_client_connection_serves_many_requests_and_so_does_one_to_the_app() {
    let (gate, origin) = gate().await;
    let mut wire = Wire::open(gate.data).await;
    for _ in 0..50 {
        let answer = wire.send(Ask::get("/").host(HOST)).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(origin.connections(), 1);
    let mut raw = Raw::open(gate.data).await;
    let one = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let last = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    raw.send(format!("{one}{one}{last}")).await;
    let answers = raw.read_to_close().await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let (gate, origin) = gate().await;
    let mut raw = Raw::open(gate.data).await;
    let head = format!(
        "POST /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    raw.send(head).await;
    raw.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    raw.send("abc").await;
    assert_eq!(status(&raw.read_to_close().await), 200);
    let seen = origin.take_one();
    assert_eq!(seen.body.as_deref(), Some(&b"abc"[..]));
    assert!(!seen.headers.contains_key("expect"));
}
