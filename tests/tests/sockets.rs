//! WebSockets at their cut: what client and app see of it, whatever they are at.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_tests::browser::Browser;
use portcullis_tests::client::Ask;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::patience::{LONG, within};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const HOST: &str = "acme.localhost";

/// An app that signs everyone in and hands its end of each WebSocket to the test.
async fn raw_app() -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (hand_over, sockets) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let hand_over = hand_over.clone();
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                let answer = if head.starts_with("POST") {
                    "HTTP/1.1 303 See Other\r\nSet-Cookie: sid=any; Path=/\r\nContent-Length: 0\r\n\r\n"
                } else {
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if head.starts_with("GET") {
                    let _ = hand_over.send(stream).await;
                }
            });
        }
    });
    (address, sockets)
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(LONG, "a head", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn opened(gate: &Gate) -> TcpStream {
    let bob = Browser::signed_in(gate.data, HOST, "bob").await;
    let mut client = TcpStream::connect(gate.data).await.unwrap();
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nCookie: {}\r\nConnection: upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        bob.cookies()
    );
    client.write_all(handshake.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client
}

/// Everything until the end, which may be a reset.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let reading = async {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            all.extend_from_slice(&piece[..count]);
        }
    };
    within(LONG, "the end", reading).await;
    all
}

const CLOSE_1008: [u8; 4] = [0x88, 19, 0x03, 0xf0];

#[tokio::test]
async fn between_two_messages_the_client_is_told_and_the_app_hears_of_it() {
    let (app, mut sockets) = raw_app().await;
    let gate = Gate::start(&tenant("acme", app));
    let mut client = opened(&gate).await;
    let mut app = sockets.recv().await.unwrap();
    // A first fragment: control frames may stand between it and the next.
    app.write_all(b"\x01\x03abc").await.unwrap();
    let mut heard = [0; 5];
    client.read_exact(&mut heard).await.unwrap();
    // What the client has sent and nobody read must not swallow the close frame.
    client.write_all(&[0x81; 4096]).await.unwrap();
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    let told = rest(&mut client).await;
    assert_eq!(told[..4], CLOSE_1008, "{told:?}");
    assert_eq!(&told[4..], b"account suspended");
    rest(&mut app).await;
}

#[tokio::test]
async fn in_the_midst_of_a_message_the_connection_just_breaks() {
    let (app, mut sockets) = raw_app().await;
    let gate = Gate::start(&tenant("acme", app));
    let mut client = opened(&gate).await;
    let mut app = sockets.recv().await.unwrap();
    // A frame of ten bytes, and four of them.
    app.write_all(b"\x82\x0aabcd").await.unwrap();
    let mut heard = [0; 6];
    client.read_exact(&mut heard).await.unwrap();
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    assert_eq!(
        rest(&mut client).await,
        b"",
        "what would be read as payload"
    );
    rest(&mut app).await;
}

const CLOSE_1001: [u8; 4] = [0x88, 26, 0x03, 0xe9];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_stops_says_so_when_the_message_is_over() {
    let (app, mut sockets) = raw_app().await;
    let mut gate = Gate::start(&tenant("acme", app));
    let mut idle = opened(&gate).await;
    let mut its_app = sockets.recv().await.unwrap();
    let mut busy = opened(&gate).await;
    let mut app = sockets.recv().await.unwrap();
    // A frame of ten bytes, and four of them.
    app.write_all(b"\x82\x0aabcd").await.unwrap();
    let mut heard = [0; 6];
    busy.read_exact(&mut heard).await.unwrap();
    let stopping = tokio::task::spawn_blocking(move || gate.restart());
    let told = rest(&mut idle).await;
    assert_eq!(told[..4], CLOSE_1001, "{told:?}");
    app.write_all(b"efghij").await.unwrap();
    let told = rest(&mut busy).await;
    assert_eq!(told[..6], *b"efghij", "{told:?}");
    assert_eq!(told[6..10], CLOSE_1001, "{told:?}");
    rest(&mut its_app).await;
    rest(&mut app).await;
    drop((idle, busy));
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_neither_the_receipt_nor_the_app() {
    let (app, mut sockets) = raw_app().await;
    let gate = Gate::start(&tenant("acme", app));
    let mut client = opened(&gate).await;
    let mut app = sockets.recv().await.unwrap();
    // Whole frames, until nothing fits any more on the way.
    let frame = [&[0x82, 126, 0xff, 0xff][..], &[7; 0xffff]].concat();
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(300), app.write_all(&frame)).await
    {
        written.unwrap();
        sent += frame.len();
    }
    let asked = Instant::now();
    // Another change, done sooner, must not stand in for this one's count.
    let admin = gate.admin();
    let (terms, other) = (json!({}), json!({}));
    let (receipt, _) = tokio::join!(admin.suspend("bob", &terms), admin.suspend("carol", &other));
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    rest(&mut app).await;
    // What the system still held back for the client is gone with the socket.
    let got = rest(&mut client).await.len();
    assert!(got < sent, "{got} of {sent}");
    let refused = Ask::get("/")
        .host(HOST)
        .cookie("sid=any")
        .send(gate.data)
        .await;
    assert_eq!(refused.status, 403);
}
