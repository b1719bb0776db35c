//! Bodies are passed on as they come, both ways, and arrive whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::client::{Answer, Ask, Wire, Wire2, pieces};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

const HOST: &str = "acme.localhost";

/// The next piece of an answer's body. HTTP/2 may end with an empty one.
async fn next(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let frame = within(LONG, "a piece of the body", body.frame()).await?;
        let piece = frame.expect("a whole body").into_data().expect("data");
        if !piece.is_empty() {
            return Some(piece);
        }
    }
}

/// An app whose every answer streams what the test gives it.
async fn teller(sized: Option<usize>) -> (Origin, mpsc::Sender<Bytes>) {
    let (tell, body) = pieces();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = Origin::answering(move |_| {
        let body = Arc::clone(&body);
        async move {
            let mut answer = Response::new(body.lock().await.take().expect("one request"));
            if let Some(size) = sized {
                answer.headers_mut().insert("content-length", size.into());
            }
            answer
        }
    })
    .await;
    (origin, tell)
}

#[tokio::test]
async fn the_first_bytes_of_an_answer_arrive_before_the_last_are_written() {
    for (http2, sized) in [
        (false, None),
        (false, Some(6)),
        (true, None),
        (true, Some(6)),
    ] {
        let (origin, tell) = teller(sized).await;
        let gate = Gate::start(&tenant("acme", origin.address));
        let response = if http2 {
            let mut wire = Wire2::open(gate.data).await;
            wire.begin(Ask::get(&format!("http://{HOST}/"))).await
        } else {
            Ask::get("/").host(HOST).begin(gate.data).await
        };
        let mut body = response.into_body();
        tell.send("one".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "one");
        tell.send("two".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "two");
        drop(tell);
        assert_eq!(next(&mut body).await, None);
    }
}

/// An app that tells the test of each piece it received.
async fn listener() -> (Origin, mpsc::UnboundedReceiver<Bytes>) {
    let (told, heard) = mpsc::unbounded_channel();
    let origin = Origin::answering(move |request| {
        let told = told.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let _ = told.send(frame.into_data().unwrap_or_default());
            }
            say(StatusCode::OK, "thanks")
        }
    })
    .await;
    (origin, heard)
}

#[tokio::test]
async fn the_first_bytes_of_an_upload_reach_the_app_before_the_last_are_sent() {
    for (http2, sized) in [(false, false), (false, true), (true, false), (true, true)] {
        let (origin, mut heard) = listener().await;
        let gate = Gate::start(&tenant("acme", origin.address));
        let (send, body) = pieces();
        let address = gate.data;
        let uploading = tokio::spawn(async move {
            let sized = |ask: Ask| {
                if sized {
                    ask.header("content-length", "6")
                } else {
                    ask
                }
            };
            let answer = if http2 {
                let ask = sized(Ask::post(&format!("http://{HOST}/")));
                Wire2::open(address).await.upload(ask, body).await
            } else {
                let ask = sized(Ask::post("/").host(HOST));
                Wire::open(address).await.upload(ask, body).await
            };
            Answer::whole(answer.expect("an answer")).await
        });
        for piece in ["one", "two"] {
            send.send(piece.into()).await.unwrap();
            let came = within(LONG, "the piece", heard.recv()).await;
            assert_eq!(came.unwrap(), piece);
        }
        drop(send);
        assert_eq!(uploading.await.unwrap().text(), "thanks");
    }
}

const MANY: usize = 50 * 1024 * 1024;

fn pattern(from: usize, count: usize) -> Bytes {
    (from..from + count)
        .map(|at| (at % 251) as u8)
        .collect::<Vec<u8>>()
        .into()
}

#[tokio::test]
async fn fifty_megabytes_come_down_and_go_up_byte_for_byte() {
    const PIECE: usize = 64 * 1024;
    let (down, body) = pieces();
    let received = Arc::new(AtomicUsize::new(0));
    let (body, counter) = (Arc::new(Mutex::new(Some(body))), Arc::clone(&received));
    let origin = Origin::answering(move |request| {
        let (body, counter) = (Arc::clone(&body), Arc::clone(&counter));
        async move {
            if request.method() == http::Method::GET {
                return Response::new(body.lock().await.take().expect("one download"));
            }
            let mut upload = request.into_body();
            while let Some(Ok(frame)) = upload.frame().await {
                let data = frame.into_data().unwrap_or_default();
                let at = counter.load(Ordering::SeqCst);
                assert_eq!(data, pattern(at, data.len()), "at {at}");
                counter.fetch_add(data.len(), Ordering::SeqCst);
            }
            say(StatusCode::OK, "thanks")
        }
    })
    .await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let fill = |tell: mpsc::Sender<Bytes>| async move {
        for at in (0..MANY).step_by(PIECE) {
            tell.send(pattern(at, PIECE)).await.expect("a reader");
        }
    };
    let filling = tokio::spawn(fill(down));
    let mut download = Ask::get("/").host(HOST).begin(gate.data).await.into_body();
    let mut at = 0;
    while let Some(piece) = next(&mut download).await {
        assert_eq!(piece, pattern(at, piece.len()), "at {at}");
        at += piece.len();
    }
    assert_eq!(at, MANY);
    filling.await.unwrap();
    let (up, body) = pieces();
    let filling = tokio::spawn(fill(up));
    let mut wire = Wire::open(gate.data).await;
    let answer = wire.upload(Ask::post("/").host(HOST), body).await;
    assert_eq!(Answer::whole(answer.unwrap()).await.text(), "thanks");
    filling.await.unwrap();
    assert_eq!(received.load(Ordering::SeqCst), MANY);
}

#[tokio::test]
async fn the_apps_trailers_reach_the_client() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::start(&tenant("acme", app.local_addr().unwrap()));
    let serving = tokio::spawn(async move {
        let (mut stream, _) = app.accept().await.unwrap();
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n\
             4\r\ndata\r\n0\r\ngrpc-status: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream
    });
    let ask = Ask::get(&format!("http://{HOST}/")).header("te", "trailers");
    let response = Wire2::open(gate.data).await.begin(ask).await;
    let body = response.into_body().collect().await.unwrap();
    let told = body
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"));
    assert_eq!(told.map(|value| value.to_str().unwrap()), Some("0"));
    assert_eq!(body.to_bytes(), "data");
    serving.await.unwrap();
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
}

/// An app that says keep-alive and closes nevertheless: the gate finds out only
/// when it uses the connection again.
#[tokio::test]
async fn a_connection_that_the_app_closed_meanwhile_costs_no_request() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::start(&tenant("acme", app.local_addr().unwrap()));
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = app.accept().await {
            read_head(&mut stream).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await;
        }
    });
    let mut wire = Wire::open(gate.data).await;
    for round in 0..200 {
        let answer = wire.send(Ask::get("/").host(HOST)).await;
        assert_eq!(answer.status, 200, "round {round}: {}", answer.text());
    }
    serving.abort();
}
