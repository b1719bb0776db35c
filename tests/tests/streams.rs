//! HTTP/2 connections of clients: a cut takes one stream and leaves the others,
//! and a connection that carries nothing is told to go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::pieces;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, eventually, within};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const HOST: &str = "acme.localhost";
const PIECE: usize = 32 * 1024;

/// One connection, with the window of every stream as small as `window`.
struct Wire {
    send: SendRequest<Bytes>,
    driving: JoinHandle<Result<(), h2::Error>>,
}

impl Wire {
    async fn open(to: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size(1024 * 1024)
            .handshake(stream)
            .await
            .unwrap();
        let driving = tokio::spawn(connection);
        Self { send, driving }
    }

    async fn ask(&self, path: &str, cookies: &str) -> ResponseFuture {
        let request = Request::get(format!("http://{HOST}{path}")).header("cookie", cookies);
        let mut send = within(LONG, "readiness", self.send.clone().ready())
            .await
            .unwrap();
        let request = request.body(()).unwrap();
        send.send_request(request, true).unwrap().0
    }

    async fn body(&self, path: &str, cookies: &str) -> RecvStream {
        let answer = self.ask(path, cookies).await;
        within(LONG, "an answer", answer).await.unwrap().into_body()
    }
}

/// An app that signs everyone in and answers all else without an end.
async fn endless_app() -> Origin {
    Origin::answering(|request| async move {
        if request.method() == Method::POST {
            let (_, body) = request.into_parts();
            let form = body.collect().await.unwrap().to_bytes();
            let form = String::from_utf8_lossy(&form);
            let user = form.split("username=").nth(1).unwrap();
            let user = user.split('&').next().unwrap();
            let line = format!("sid=of-{user}; Path=/");
            let mut answer = say(StatusCode::SEE_OTHER, "welcome");
            answer
                .headers_mut()
                .insert("set-cookie", line.parse().unwrap());
            return answer;
        }
        let (tell, body) = pieces();
        tokio::spawn(async move { while tell.send(vec![b'x'; PIECE].into()).await.is_ok() {} });
        Response::new(body)
    })
    .await
}

/// Reads, and grants what was read, until `count` bytes have come.
async fn read(body: &mut RecvStream, count: usize) {
    let reading = async {
        let mut seen = 0;
        while seen < count {
            let piece = body.data().await.expect("more").expect("a live stream");
            seen += piece.len();
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
    };
    within(LONG, "the bytes", reading).await;
}

/// Reads without granting anything: how the stream ended.
async fn end(body: &mut RecvStream) -> Option<Reason> {
    let reading = async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => return None,
            }
        }
    };
    within(LONG, "the end of the stream", reading).await
}

#[tokio::test]
async fn a_stream_that_grants_no_window_is_reset_alone() {
    let app = endless_app().await;
    let gate = Gate::start(&tenant("acme", app.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let alice = Browser::signed_in(gate.data, HOST, "alice").await;
    let wire = Wire::open(gate.data, 64 * 1024).await;
    // Nobody takes anything at first: all four are stuck at a full window.
    let mut his = wire.body("/1", &bob.cookies()).await;
    let mut his_too = wire.body("/2", &bob.cookies()).await;
    let mut hers = wire.body("/3", &alice.cookies()).await;
    let mut both = wire
        .body("/4", &format!("{}; other=1", bob.cookies()))
        .await;
    let started = Instant::now();
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 3, "{receipt}");
    assert!(
        started.elapsed().as_millis() < 1500,
        "{:?}",
        started.elapsed()
    );
    for body in [&mut his, &mut his_too, &mut both] {
        let reason = end(body).await;
        assert!(
            matches!(reason, Some(Reason::CANCEL | Reason::INTERNAL_ERROR)),
            "{reason:?}"
        );
    }
    // Far beyond what was on its way.
    read(&mut hers, 20 * PIECE).await;
    let more = wire.ask("/5", &alice.cookies()).await;
    let more = within(LONG, "an answer", more).await.unwrap();
    assert_eq!(more.status(), 200);
    let refused = wire.ask("/6", &bob.cookies()).await;
    assert_eq!(
        within(LONG, "an answer", refused).await.unwrap().status(),
        403
    );
    assert!(!wire.driving.is_finished());
}

#[tokio::test]
async fn a_window_of_nothing_at_all_is_no_hiding_place() {
    let app = endless_app().await;
    let gate = Gate::start(&tenant("acme", app.address));
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let alice = Browser::signed_in(gate.data, HOST, "alice").await;
    let wire = Wire::open(gate.data, 0).await;
    let mut his = wire.body("/", &bob.cookies()).await;
    let mut hers = wire.body("/", &alice.cookies()).await;
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    assert_eq!(end(&mut his).await, Some(Reason::CANCEL));
    let alices = gate.admin().suspend("alice", &json!({})).await;
    assert_eq!(alices["connections_cut"], 1, "{alices}");
    assert_eq!(end(&mut hers).await, Some(Reason::CANCEL));
    assert!(!wire.driving.is_finished());
}

const SHORT_IDLE: &str = "[data.deadlines]\nhttp2_idle = \"200ms\"\n\n";

#[tokio::test]
async fn a_connection_without_streams_is_told_to_go() {
    let app = Origin::start().await;
    let gate = Gate::start(&format!("{SHORT_IDLE}{}", tenant("acme", app.address)));
    let wire = Wire::open(gate.data, 64 * 1024).await;
    let answer = wire.ask("/", "").await;
    assert_eq!(
        within(LONG, "an answer", answer).await.unwrap().status(),
        200
    );
    // `Ok`: it was told, and did not just break off.
    let ended = within(LONG, "the end", wire.driving).await.unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}

#[tokio::test]
async fn a_long_stream_is_not_idle() {
    let (tell, body) = pieces();
    let body = std::sync::Arc::new(tokio::sync::Mutex::new(Some(body)));
    let app = Origin::answering(move |_| {
        let body = std::sync::Arc::clone(&body);
        async move { Response::new(body.lock().await.take().expect("one request")) }
    })
    .await;
    let gate = Gate::start(&format!("{SHORT_IDLE}{}", tenant("acme", app.address)));
    let idle = Wire::open(gate.data, 64 * 1024).await;
    let wire = Wire::open(gate.data, 64 * 1024).await;
    let mut stream = wire.body("/", "").await;
    // Long enough for the other one to go, three times over.
    for _ in 0..3 {
        let other = Wire::open(gate.data, 64 * 1024).await;
        within(LONG, "its end", other.driving)
            .await
            .unwrap()
            .unwrap();
    }
    tell.send("still here".into()).await.unwrap();
    read(&mut stream, 10).await;
    assert!(!wire.driving.is_finished());
    drop(tell);
    assert_eq!(end(&mut stream).await, None);
    within(LONG, "the end", wire.driving)
        .await
        .unwrap()
        .unwrap();
    eventually("the end of the idle one", || idle.driving.is_finished()).await;
}
