//! Apps that speak HTTP/2: one connection for many, never more than the app
//! allows, and nothing that may have been seen is sent twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Ask, Wire, Wire2, pieces};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, eventually, within};
use portcullis_tests::raw::{exchange, status};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

const HOST: &str = "acme.localhost";
/// Each of the gate's two workers opens at most so many connections to an app.
const CONNECTIONS_MAX: usize = 2 * 8;

fn gate(upstream: impl std::fmt::Display) -> Gate {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let tenant = tenant("acme", nobody);
    Gate::start(&tenant.replace("http://127.0.0.1:1", &format!("h2c://{upstream}")))
}

#[tokio::test]
async fn requests_share_connections_and_wait_for_room() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let go = Arc::new(Semaphore::new(0));
    let (counted, peak, gate_open) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&go));
    let app = Origin::answering_http2(2, move |_| {
        let (now, most, go) = (
            Arc::clone(&counted),
            Arc::clone(&peak),
            Arc::clone(&gate_open),
        );
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _turn = go.acquire().await.unwrap();
            now.fetch_sub(1, Ordering::SeqCst);
            say(StatusCode::OK, "hello")
        }
    })
    .await;
    let gate = gate(app.address);
    let asking: Vec<_> = (0..60)
        .map(|_| tokio::spawn(Ask::get("/").host(HOST).send(gate.data)))
        .collect();
    // Two workers share them somehow; each has room for 16 at a time.
    eventually("a full house", || now.load(Ordering::SeqCst) >= 16).await;
    assert!(most.load(Ordering::SeqCst) <= 2 * CONNECTIONS_MAX);
    go.add_permits(100);
    for one in asking {
        assert_eq!(within(LONG, "an answer", one).await.unwrap().status, 200);
    }
    assert!(
        app.connections() <= CONNECTIONS_MAX,
        "{}",
        app.connections()
    );
    let few = app.connections();
    for _ in 0..20 {
        assert_eq!(Ask::get("/").host(HOST).send(gate.data).await.status, 200);
    }
    assert_eq!(app.connections(), few, "open ones are used");
}

/// Takes requests one by one, each connection for `requests` of them.
async fn fickle_app(requests: usize, answers: bool) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&count);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut taken = 0;
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    seen.fetch_add(1, Ordering::SeqCst);
                    taken += 1;
                    if !answers {
                        return;
                    }
                    let answer = Response::new(());
                    respond.send_response(answer, true).unwrap();
                    if taken == requests {
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn an_app_that_says_go_away_loses_no_request() {
    let (app, seen) = fickle_app(3, true).await;
    let gate = gate(app);
    for round in 0..50 {
        let answer = Ask::get("/").host(HOST).send(gate.data).await;
        assert_eq!(answer.status, 200, "round {round}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 50);
}

#[tokio::test]
async fn what_an_app_has_seen_is_not_sent_again() {
    let (app, seen) = fickle_app(1, false).await;
    let gate = gate(app);
    for round in 1..=5 {
        let answer = Ask::post("/").host(HOST).body("pay").send(gate.data).await;
        assert_eq!(answer.status, 502);
        assert_eq!(seen.load(Ordering::SeqCst), round);
    }
}

#[tokio::test]
async fn an_app_that_speaks_no_http2_is_told_from_one_that_is_down() {
    let app = Origin::start().await;
    let gate = gate(app.address);
    let answer = Ask::get("/").host(HOST).send(gate.data).await;
    assert_eq!(answer.status, 502);
    assert!(gate.log().contains("does not answer as an HTTP/2 server"));
    assert!(app.take_seen().is_empty());
}

#[tokio::test]
async fn the_head_is_http2s_own_and_cannot_be_an_upgrade() {
    let app = Origin::answering_http2(100, |_| async { say(StatusCode::OK, "hello") }).await;
    let gate = gate(app.address);
    let ask = Ask::post("/a?b=c")
        .host("ACME.localhost:80")
        .header("te", "trailers, gzip");
    let answer = ask
        .header("cookie", "a=1")
        .body("xyz")
        .send(gate.data)
        .await;
    assert_eq!(answer.status, 200);
    let seen = app.take_one();
    assert_eq!(seen.target, "http://ACME.localhost:80/a?b=c");
    assert_eq!(seen.header("te"), "trailers");
    assert_eq!(seen.header("content-length"), "3");
    assert_eq!(seen.header("x-forwarded-host"), "ACME.localhost:80");
    assert!(!seen.headers.contains_key("host"));
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    assert_eq!(status(&exchange(gate.data, handshake).await), 400);
    assert!(app.take_seen().is_empty());
}

/// An app that takes the head of an upload and grants nothing after it.
#[tokio::test]
async fn an_upload_that_the_app_does_not_read_is_cut_alone() {
    let app = Origin::answering_http2(100, |request| async move {
        if request.uri().path() == "/login" {
            let mut answer = say(StatusCode::SEE_OTHER, "welcome");
            let cookie = "sid=any; Path=/".parse().unwrap();
            answer.headers_mut().insert("set-cookie", cookie);
            return answer;
        }
        if request.uri().path() == "/up" {
            let request = request;
            std::future::pending::<()>().await;
            drop(request);
        }
        say(StatusCode::OK, "hello")
    })
    .await;
    let gate = gate(app.address);
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let (tell, body) = pieces();
    let uploading = tokio::spawn({
        let ask = bob.ask(http::Method::POST, "/up");
        let mut wire = Wire2::open(gate.data).await;
        async move { wire.upload(ask, body).await.map(|answer| answer.status()) }
    });
    // Until every window on the way is full.
    let filling = async {
        while tokio::time::timeout(
            std::time::Duration::from_millis(300),
            tell.send(Bytes::from(vec![0; 16 * 1024])),
        )
        .await
        .is_ok_and(|sent| sent.is_ok())
        {}
    };
    within(LONG, "full windows", filling).await;
    let connections = app.connections();
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    let ended = within(LONG, "its end", uploading).await.unwrap();
    assert!(ended.is_err() || ended.is_ok_and(|status| status == 403));
    assert_eq!(Ask::get("/").host(HOST).send(gate.data).await.status, 200);
    assert!(app.connections() <= connections + 1);
}

#[tokio::test]
async fn uploads_that_never_end_leave_streams_to_others() {
    let uploads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&uploads);
    let app = Origin::answering_http2(4, move |request| {
        let uploads = Arc::clone(&counted);
        async move {
            match request.uri().path() {
                "/login" => {
                    let mut answer = say(StatusCode::SEE_OTHER, "welcome");
                    let cookie = "sid=any; Path=/".parse().unwrap();
                    answer.headers_mut().insert("set-cookie", cookie);
                    answer
                }
                "/up" => {
                    uploads.fetch_add(1, Ordering::SeqCst);
                    let request = request;
                    std::future::pending::<()>().await;
                    drop(request);
                    say(StatusCode::OK, "never")
                }
                _ => say(StatusCode::OK, "hello"),
            }
        }
    })
    .await;
    let gate = gate(app.address);
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    // From one address, over connections that the workers share.
    let mut uploading = Vec::new();
    for number in 0..120 {
        let (tell, body) = pieces();
        let ask = Ask::post("/up").host(HOST);
        let mut wire = Wire::open(gate.data).await;
        uploading.push(tokio::spawn(async move {
            let answer = wire.upload(ask, body).await;
            drop(tell);
            answer.map(|answer| (number, answer.status()))
        }));
    }
    // Each worker has room for 8 times 4, and an address takes half.
    eventually("half a house", || uploads.load(Ordering::SeqCst) == 2 * 16).await;
    for _ in 0..20 {
        let answer = bob.ask(http::Method::GET, "/").send(gate.data).await;
        assert_eq!(answer.status, 200, "a user whom the gate knows");
        let neighbour = Wire::open_from([127, 0, 0, 2].into(), gate.data);
        let answer = neighbour.await.send(Ask::get("/").host(HOST)).await;
        assert_eq!(answer.status, 200, "somebody from elsewhere");
    }
    assert_eq!(uploads.load(Ordering::SeqCst), 2 * 16);
    // Who waited for a turn takes it when others go, and they go when they hang up.
    let (gone, staying) = uploading.split_at(60);
    gone.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("the others' turn", || {
        uploads.load(Ordering::SeqCst) > 2 * 16
    })
    .await;
    staying.iter().for_each(tokio::task::JoinHandle::abort);
    let again = Ask::get("/").host(HOST).send(gate.data);
    assert_eq!(again.await.status, 200);
}
