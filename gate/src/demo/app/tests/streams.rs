//! The live connections and the long transfers.

use std::net::SocketAddr;

use axum::http::StatusCode;
use axum::http::header::{COOKIE, HeaderName};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Demo, me};
use crate::demo::testing::Ask;

async fn open_socket(
    address: SocketAddr,
    header: Option<(HeaderName, &str)>,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, _answer) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}

/// Reads until that very text arrives.
async fn await_text(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    loop {
        let message = socket.next().await.expect("the socket stays open").unwrap();
        if message == Message::text(text) {
            return;
        }
    }
}

#[tokio::test]
async fn a_websocket_echoes_and_ticks_until_it_is_closed() {
    let demo = Demo::acme().await;
    let cookie = demo.sign_in("bob", "demo").await;
    let mut socket = open_socket(demo.served.address, Some((COOKIE, &cookie)))
        .await
        .unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    await_text(&mut socket, "hello").await;
    socket.send(Message::binary(vec![1, 2])).await.unwrap();
    loop {
        if socket.next().await.unwrap().unwrap() == Message::binary(vec![1, 2]) {
            break;
        }
    }
    await_text(&mut socket, "tick 2").await;

    socket.close(None).await.unwrap();
    while let Some(message) = socket.next().await {
        message.expect("the closing handshake is answered");
    }
}

#[tokio::test]
async fn a_websocket_opens_by_any_credential_and_to_no_stranger() {
    let demo = Demo::acme().await;
    let bearer = format!("Bearer {}", demo.token("alice").await);
    for (name, value) in [
        (HeaderName::from_static("authorization"), bearer.as_str()),
        (HeaderName::from_static("x-api-key"), "demo-key-alice"),
    ] {
        let mut socket = open_socket(demo.served.address, Some((name, value)))
            .await
            .unwrap();
        await_text(&mut socket, "tick 1").await;
    }
    match open_socket(demo.served.address, None).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), StatusCode::UNAUTHORIZED),
        other => panic!("a stranger got {other:?}"),
    }
}

#[tokio::test]
async fn events_tick_at_once_and_go_on() {
    let demo = Demo::acme().await;
    let cookie = demo.sign_in("bob", "demo").await;
    let mut answer = demo.served.open(Ask::get("/events").cookie(&cookie)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    while !heard.contains("data: tick 2 for bob\n\n") {
        let frame = answer.frame().await.expect("the stream goes on").unwrap();
        heard.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    assert!(
        heard.starts_with("id: 1\ndata: tick 1 for bob\n\n"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_download_has_the_size_asked_for() {
    let demo = Demo::acme().await;
    let cookie = demo.sign_in("bob", "demo").await;
    for (query, mib) in [("?mb=3", 3), ("?mb=0", 0), ("", 1)] {
        let path = format!("/download{query}");
        let answer = demo.served.ask(Ask::get(&path).cookie(&cookie)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body.len(), mib * 1024 * 1024, "{path}");
    }
    for query in ["mb=4097", "mb=-1", "mb=x", "mb=99999999999999999999"] {
        let path = format!("/download?{query}");
        let answer = demo.served.ask(Ask::get(&path).cookie(&cookie)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn an_upload_beyond_every_form_limit_is_counted() {
    let demo = Demo::acme().await;
    let cookie = demo.sign_in("bob", "demo").await;
    let body = vec![7; 5 * 1024 * 1024 + 1];
    let upload = Ask::post("/upload", "application/octet-stream", body).cookie(&cookie);
    let answer = demo.served.ask(upload).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({"received": 5 * 1024 * 1024 + 1}));
    assert_eq!(demo.user(me().cookie(&cookie)).await.unwrap(), "bob");
}
