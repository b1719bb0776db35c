//! A real listener and a plain HTTP/1.1 client, for this module's tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A router on a port of its own, until it is dropped.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub(super) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    /// Sends and reads the answer to its end.
    pub(super) async fn ask(&self, ask: Ask) -> Answer {
        let (head, body) = self.open(ask).await.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Sends and leaves the answer's body to be read piece by piece.
    pub(super) async fn open(&self, ask: Ask) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .body(Full::new(ask.body))
            .unwrap();
        *request.headers_mut() = ask.headers;
        request
            .headers_mut()
            .entry("host")
            .or_insert(self.address.to_string().parse().unwrap());
        sender.send_request(request).await.unwrap()
    }
}

/// One request to make.
pub(super) struct Ask {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    pub(super) fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: &str, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let mut ask = Self::new(Method::POST, path).header(CONTENT_TYPE, kind);
        ask.body = body.into();
        ask
    }

    pub(super) fn form(path: &str, body: &str) -> Self {
        Self::post(path, "application/x-www-form-urlencoded", body.to_owned())
    }

    pub(super) fn json(path: &str, body: &serde_json::Value) -> Self {
        Self::post(path, "application/json", body.to_string())
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(super) fn cookie(self, cookie: &str) -> Self {
        self.header(COOKIE, cookie)
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION, &format!("Bearer {token}"))
    }
}

/// One whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn location(&self) -> &str {
        self.headers[LOCATION].to_str().unwrap()
    }

    pub(super) fn set_cookie(&self) -> &str {
        self.headers[SET_COOKIE].to_str().unwrap()
    }

    /// `name=value` of the cookie that was set, as a browser sends it back.
    pub(super) fn cookie(&self) -> String {
        self.set_cookie().split(';').next().unwrap().to_owned()
    }
}
