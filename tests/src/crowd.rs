//! Every kind of live connection, many at a time: the app that holds them, and
//! clients that tell when the last byte came.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::browser::Browser;
use crate::client::{Body, Wire, Wire2, pieces};
use crate::origin::{Origin, say};
use crate::patience::{LONG, eventually, within};

/// What a user may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Socket,
    Events,
    Download,
    Upload,
    /// A stream of an HTTP/2 connection that others share.
    Stream,
    /// The same, streaming both ways, as gRPC does.
    Call,
}

/// The app's end of one of them.
pub struct Line {
    tell: mpsc::UnboundedSender<Bytes>,
    received: AtomicUsize,
    broken: AtomicBool,
}

struct Broken(Arc<Line>);

impl Drop for Broken {
    fn drop(&mut self) {
        self.0.broken.store(true, Ordering::SeqCst);
    }
}

type Lines = Arc<Mutex<HashMap<String, Arc<Line>>>>;

/// An app that signs everyone in and holds whatever is opened.
pub struct Stage {
    pub origin: Origin,
    lines: Lines,
}

impl Stage {
    pub async fn start() -> Self {
        let lines = Lines::default();
        let known = Arc::clone(&lines);
        let origin = Origin::answering(move |request| answer(Arc::clone(&known), request)).await;
        Self { origin, lines }
    }

    /// Its end of what was opened as `id`, once it has come.
    async fn line(&self, id: &str) -> Arc<Line> {
        let find = || self.lines.lock().unwrap().get(id).cloned();
        eventually(id, || find().is_some()).await;
        find().expect("it is there")
    }
}

async fn answer(lines: Lines, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some(id) = request.uri().query().map(str::to_owned) else {
        let form = request.into_body().collect().await.unwrap().to_bytes();
        let form = String::from_utf8_lossy(&form);
        let user = form.split("username=").nth(1).unwrap();
        let user = user.split('&').next().unwrap();
        let mut welcome = say(StatusCode::SEE_OTHER, "welcome");
        let cookie = format!("sid=of-{user}; Path=/").parse().unwrap();
        welcome.headers_mut().insert("set-cookie", cookie);
        return welcome;
    };
    let (tell, told) = mpsc::unbounded_channel();
    let line = Arc::new(Line {
        tell,
        received: AtomicUsize::new(0),
        broken: AtomicBool::new(false),
    });
    lines.lock().unwrap().insert(id, Arc::clone(&line));
    match path.as_str() {
        "/socket" => socket(line, told, request),
        "/upload" => {
            receive(&line, request.into_body()).await;
            say(StatusCode::OK, "thanks")
        }
        "/call" => {
            let hearing = Arc::clone(&line);
            tokio::spawn(async move { receive(&hearing, request.into_body()).await });
            let mut answer = Response::new(speak(line, told));
            let grpc = HeaderValue::from_static("application/grpc");
            answer.headers_mut().insert("content-type", grpc);
            answer
        }
        "/download" => {
            let mut answer = Response::new(speak(line, told));
            let length = HeaderValue::from_static("1000000000");
            answer.headers_mut().insert("content-length", length);
            answer
        }
        _ => Response::new(speak(line, told)),
    }
}

fn speak(line: Arc<Line>, told: mpsc::UnboundedReceiver<Bytes>) -> Body {
    let frames = stream::unfold((told, Broken(line)), |(mut told, broken)| async {
        let piece = told.recv().await?;
        Some((Ok(Frame::data(piece)), (told, broken)))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

async fn receive(line: &Arc<Line>, mut body: Incoming) {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            line.broken.store(true, Ordering::SeqCst);
            return;
        };
        let count = frame.data_ref().map_or(0, Bytes::len);
        line.received.fetch_add(count, Ordering::SeqCst);
    }
}

fn socket(
    line: Arc<Line>,
    mut told: mpsc::UnboundedReceiver<Bytes>,
    request: Request<Incoming>,
) -> Response<Body> {
    let key = request.headers()["sec-websocket-key"].as_bytes();
    let mut answer = say(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = answer.headers_mut();
    headers.insert("connection", HeaderValue::from_static("upgrade"));
    headers.insert("upgrade", HeaderValue::from_static("websocket"));
    headers.insert(
        "sec-websocket-accept",
        derive_accept_key(key).parse().unwrap(),
    );
    tokio::spawn(async move {
        let broken = Broken(line);
        let upgraded = hyper::upgrade::on(request).await.expect("an upgrade");
        let upgraded = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        loop {
            tokio::select! {
                piece = told.recv() => {
                    let Some(piece) = piece else { break };
                    if socket.send(Message::binary(piece)).await.is_err() {
                        break;
                    }
                }
                message = socket.next() => {
                    let Some(Ok(message)) = message else { break };
                    broken.0.received.fetch_add(message.len(), Ordering::SeqCst);
                }
            }
        }
    });
    answer
}

/// One open connection, as its user has it.
pub struct Held {
    pub user: String,
    pub kind: Kind,
    line: Arc<Line>,
    heard: Arc<AtomicUsize>,
    ended: Arc<OnceLock<Instant>>,
    upload: Option<mpsc::Sender<Bytes>>,
}

impl Held {
    /// Opens one; `shared` carries those of HTTP/2. `id`: a new one.
    pub async fn open(
        stage: &Stage,
        who: &Browser,
        user: &str,
        kind: Kind,
        id: usize,
        shared: &mut Wire2,
    ) -> Self {
        let name = format!("{kind:?}-{id}");
        let heard = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(OnceLock::new());
        let (count, end) = (Arc::clone(&heard), Arc::clone(&ended));
        let path = format!("/{}?{name}", format!("{kind:?}").to_lowercase());
        let whole = format!("http://{}{path}", who.host());
        let mut upload = None;
        match kind {
            Kind::Socket => {
                let mut socket = open_socket(who, &path).await;
                tokio::spawn(async move {
                    while let Some(Ok(message)) = socket.next().await {
                        count.fetch_add(message.len(), Ordering::SeqCst);
                    }
                    end.set(Instant::now())
                });
            }
            Kind::Events | Kind::Download => {
                let answer = who.ask(Method::GET, &path).begin(who.gate).await;
                tokio::spawn(listen(answer.into_body(), count, end));
            }
            Kind::Stream => {
                let ask = crate::client::Ask::get(&whole).cookie(&who.cookies());
                let answer = shared.begin(ask).await;
                tokio::spawn(listen(answer.into_body(), count, end));
            }
            Kind::Upload => {
                let (tell, body) = pieces();
                tell.send("begin".into()).await.unwrap();
                upload = Some(tell);
                let ask = who.ask(Method::POST, &path);
                let mut wire = Wire::open(who.gate).await;
                tokio::spawn(async move {
                    // A refusal is an end too.
                    let _ = wire.upload_for_long(ask, body).await;
                    end.set(Instant::now())
                });
            }
            Kind::Call => {
                let (tell, body) = pieces();
                tell.send("begin".into()).await.unwrap();
                upload = Some(tell);
                let ask = crate::client::Ask::post(&whole).cookie(&who.cookies());
                let ask = ask.header("content-type", "application/grpc");
                let answer = shared.upload(ask, body).await.expect("an answer");
                tokio::spawn(listen(answer.into_body(), count, end));
            }
        }
        let line = stage.line(&name).await;
        Self {
            user: user.to_owned(),
            kind,
            line,
            heard,
            ended,
            upload,
        }
    }

    /// Sends a byte each way that there is, and waits until it has come.
    pub async fn pass(&self) {
        if let Some(upload) = &self.upload {
            let before = self.line.received.load(Ordering::SeqCst);
            within(LONG, "room", upload.send("x".into()))
                .await
                .expect("it is open");
            let came = || self.line.received.load(Ordering::SeqCst) > before;
            eventually(&format!("an upload of {}", self.user), came).await;
        }
        if self.kind != Kind::Upload {
            let before = self.heard.load(Ordering::SeqCst);
            self.line.tell.send("x".into()).expect("it is open");
            let came = || self.heard.load(Ordering::SeqCst) > before;
            eventually(&format!("{:?} of {}", self.kind, self.user), came).await;
        }
    }

    /// When its last byte came; waits for it.
    pub async fn end(&self) -> Instant {
        eventually("the end", || self.ended.get().is_some()).await;
        *self.ended.get().expect("it has ended")
    }

    pub fn is_open(&self) -> bool {
        self.ended.get().is_none() && !self.line.broken.load(Ordering::SeqCst)
    }

    /// Waits until the app has seen that it broke off.
    pub async fn broken(&self) {
        let name = format!("the app's end of {:?} of {}", self.kind, self.user);
        eventually(&name, || self.line.broken.load(Ordering::SeqCst)).await;
    }
}

async fn listen(mut body: Incoming, count: Arc<AtomicUsize>, end: Arc<OnceLock<Instant>>) {
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        count.fetch_add(length, Ordering::SeqCst);
    }
    let _ = end.set(Instant::now());
}

async fn open_socket(who: &Browser, path: &str) -> WebSocketStream<TcpStream> {
    let url = format!("ws://{}{path}", who.host());
    let mut request = url.into_client_request().expect("a request");
    let cookies = who.cookies().parse().expect("cookies");
    request.headers_mut().insert("cookie", cookies);
    let tcp = TcpStream::connect(who.gate).await.expect("a connection");
    let opening = client_async(request, tcp);
    within(LONG, "the handshake", opening)
        .await
        .expect("a WebSocket")
        .0
}

/// Signs many in at once.
pub async fn sign_in_all(gate: SocketAddr, host: &str, users: &[String]) -> Vec<Browser> {
    let each = users
        .iter()
        .map(|user| Browser::signed_in(gate, host, user));
    stream::iter(each).buffered(16).collect().await
}
