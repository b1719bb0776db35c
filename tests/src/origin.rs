//! A small app behind the gate that remembers all that reached it.
//!
//! By itself it has a form login (any name, password `demo`), the session cookie
//! `sid`, `GET /me`, `GET /rotate` (a new cookie for the same session's user),
//! `POST /logout`, and says "hello" to everything else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::client::Body;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    /// Whole, once it has come.
    pub body: Option<Bytes>,
    pub trailers: Option<HeaderMap>,
}

impl Seen {
    /// The one value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} arrived twice");
        value
    }
}

#[derive(Default)]
struct Memory {
    seen: Mutex<Vec<Seen>>,
    sessions: Mutex<HashMap<String, String>>,
    minted: AtomicUsize,
    connections: AtomicUsize,
    bytes: AtomicUsize,
}

/// The running app; it stops with this value.
pub struct Origin {
    pub address: SocketAddr,
    memory: Arc<Memory>,
    listening: AbortHandle,
}

impl Origin {
    /// The app described above.
    pub async fn start() -> Self {
        let memory = Arc::new(Memory::default());
        let app = Arc::clone(&memory);
        Self::listen(memory, move |request| {
            let app = Arc::clone(&app);
            async move { app.answer(request).await }
        })
        .await
    }

    /// An app that answers as `handler` does; heads are remembered all the same.
    pub async fn answering<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let memory = Arc::new(Memory::default());
        let seen = Arc::clone(&memory);
        Self::listen(memory, move |request| {
            seen.remember(&request);
            handler(request)
        })
        .await
    }

    /// The same over HTTP/2 with prior knowledge, where a connection takes
    /// `streams_max` requests at a time.
    pub async fn answering_http2<H, F>(streams_max: u32, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let memory = Arc::new(Memory::default());
        let seen = Arc::clone(&memory);
        let handler = move |request: Request<Incoming>| {
            seen.remember(&request);
            handler(request)
        };
        Self::accept(memory, move |counted| {
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answering = handler(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(streams_max)
                .serve_connection(TokioIo::new(counted), service);
            tokio::spawn(connection);
        })
        .await
    }

    async fn listen<H, F>(memory: Arc<Memory>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::accept(memory, move |counted| {
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answering = handler(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(counted), service)
                .with_upgrades();
            tokio::spawn(connection);
        })
        .await
    }

    async fn accept(memory: Arc<Memory>, serve: impl Fn(Counted) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let counters = Arc::clone(&memory);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counters.connections.fetch_add(1, Ordering::SeqCst);
                serve(Counted {
                    stream,
                    memory: Arc::clone(&counters),
                });
            }
        });
        Self {
            address,
            memory,
            listening: listening.abort_handle(),
        }
    }

    /// Everything that arrived since the last time.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.memory.seen.lock().unwrap())
    }

    /// Whether such a request is among those that arrived since the last time.
    pub fn saw(&self, such: impl Fn(&Seen) -> bool) -> bool {
        self.memory.seen.lock().unwrap().iter().any(such)
    }

    /// The one request that arrived since the last time.
    ///
    /// # Panics
    /// Where it is not one.
    pub fn take_one(&self) -> Seen {
        let mut seen = self.take_seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Connections that were ever opened to it.
    pub fn connections(&self) -> usize {
        self.memory.connections.load(Ordering::SeqCst)
    }

    /// Bytes that ever reached it.
    pub fn bytes(&self) -> usize {
        self.memory.bytes.load(Ordering::SeqCst)
    }

    /// Sessions that are open.
    pub fn sessions(&self) -> usize {
        self.memory.sessions.lock().unwrap().len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Memory {
    fn remember(&self, request: &Request<Incoming>) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.push(Seen {
            method: request.method().clone(),
            target: request.uri().to_string(),
            headers: request.headers().clone(),
            body: None,
            trailers: None,
        });
        seen.len() - 1
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let collected = body.collect().await;
        let whole = collected
            .ok()
            .map(|body| (body.trailers().cloned(), body.to_bytes()));
        let (trailers, body) = whole.map_or((None, None), |(t, b)| (t, Some(b)));
        self.seen.lock().unwrap().push(Seen {
            method: head.method.clone(),
            target: head.uri.to_string(),
            headers: head.headers.clone(),
            body: body.clone(),
            trailers,
        });
        let body = body.unwrap_or_default();
        let mut sessions = self.sessions.lock().unwrap();
        let sid = cookie(&head.headers, "sid");
        let user = sid.as_ref().and_then(|sid| sessions.get(sid)).cloned();
        match (head.method.as_str(), head.uri.path(), user) {
            ("POST", "/login", _) => match accepted(&body) {
                Some(name) => self.sign_in(&mut sessions, name, StatusCode::SEE_OTHER),
                None => say(StatusCode::UNAUTHORIZED, "wrong name or password"),
            },
            ("POST", "/logout", _) => {
                if let Some(sid) = sid {
                    sessions.remove(&sid);
                }
                say(StatusCode::OK, "bye")
            }
            (_, "/rotate", Some(user)) => self.sign_in(&mut sessions, user, StatusCode::OK),
            (_, "/me" | "/rotate", None) => say(StatusCode::UNAUTHORIZED, "who?"),
            (_, "/me", Some(user)) => say(StatusCode::OK, &user),
            (_, _, _) => say(StatusCode::OK, "hello"),
        }
    }

    fn sign_in(
        &self,
        sessions: &mut HashMap<String, String>,
        user: String,
        status: StatusCode,
    ) -> Response<Body> {
        let count = self.minted.fetch_add(1, Ordering::SeqCst);
        let sid = format!("s.{count}-{user}");
        let mut answer = say(status, "welcome");
        let line = format!("sid={sid}; Path=/; HttpOnly");
        answer
            .headers_mut()
            .insert("set-cookie", line.parse().unwrap());
        sessions.insert(sid, user);
        answer
    }
}

/// A plain answer.
pub fn say(status: StatusCode, words: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(words.to_owned())).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

fn accepted(form: &[u8]) -> Option<String> {
    let form = String::from_utf8_lossy(form);
    let field = |name: &str| {
        let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    (field("password")? == "demo").then(|| field("username"))?
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers
        .get_all("cookie")
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// A socket that counts what it reads.
struct Counted {
    stream: TcpStream,
    memory: Arc<Memory>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        self.memory.bytes.fetch_add(count, Ordering::SeqCst);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
