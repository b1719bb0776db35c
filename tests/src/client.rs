//! A plain HTTP client: what is asked is sent as it is, and what is answered is
//! told as it is. No redirects, no cookies, no retries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use crate::patience::{LONG, within};

pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A request that is being written.
#[derive(Clone, Debug)]
pub struct Ask {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    pub fn new(method: Method, target: &str) -> Self {
        Self {
            method,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    pub fn post(target: &str) -> Self {
        Self::new(Method::POST, target)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.append(name, value);
        self
    }

    #[must_use]
    pub fn host(self, host: &str) -> Self {
        self.header("host", host)
    }

    #[must_use]
    pub fn cookie(self, cookies: &str) -> Self {
        self.header("cookie", cookies)
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(value.to_string())
    }

    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let escape = |text: &str| -> String {
            text.bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                        char::from(byte).to_string()
                    }
                    _ => format!("%{byte:02X}"),
                })
                .collect()
        };
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(pairs.join("&"))
    }

    /// Sends it on a connection of its own.
    ///
    /// # Panics
    /// Where no answer comes.
    pub async fn send(self, to: SocketAddr) -> Answer {
        Wire::open(to).await.send(self).await
    }

    /// As [`Ask::send`], from an address of this machine (any of 127.0.0.0/8).
    ///
    /// # Panics
    /// Where no answer comes.
    pub async fn send_from(self, from: IpAddr, to: SocketAddr) -> Answer {
        Wire::open_from(from, to).await.send(self).await
    }

    /// Sends it on a connection of its own, which may be cut.
    ///
    /// # Errors
    /// Where no whole answer came.
    pub async fn try_send(self, to: SocketAddr) -> hyper::Result<Answer> {
        let request = self.into_request();
        Answer::try_whole(Wire::open(to).await.exchange(request).await?).await
    }

    /// Sends it on a connection of its own; the body of the answer is still to come.
    pub async fn begin(self, to: SocketAddr) -> Response<Incoming> {
        Wire::open(to).await.begin(self).await
    }

    fn into_request(self) -> Request<Body> {
        let body = Full::new(self.body.clone()).boxed_unsync();
        self.with(body)
    }

    fn with(self, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse().expect("a target");
        *request.headers_mut() = self.headers;
        request
    }
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Reads the body to its end.
    ///
    /// # Panics
    /// Where it breaks off.
    pub async fn whole(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = within(LONG, "the rest of the answer", body.collect()).await;
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.expect("a whole body").to_bytes(),
        }
    }

    /// As [`Answer::whole`].
    ///
    /// # Errors
    /// Where it breaks off.
    pub async fn try_whole(response: Response<Incoming>) -> hyper::Result<Self> {
        let (parts, body) = response.into_parts();
        let body = within(LONG, "the rest of the answer", body.collect()).await?;
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// # Panics
    /// Where the body is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The one value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values
            .next()
            .map_or("", |value| value.to_str().expect("text"));
        assert!(values.next().is_none(), "{name} stands there twice");
        value
    }

    /// Every `Set-Cookie`.
    pub fn set_cookies(&self) -> Vec<String> {
        let values = self.headers.get_all("set-cookie").iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
    }
}

/// A kept HTTP/1.1 connection.
pub struct Wire {
    sender: http1::SendRequest<Body>,
}

impl Wire {
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub async fn open(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.expect("a connection")).await
    }

    /// As a client at another address of this machine (`127.0.0.2`, say).
    ///
    /// # Panics
    /// Where there is no connection.
    pub async fn open_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("an address");
        Self::over(socket.connect(to).await.expect("a connection")).await
    }

    async fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("no delay");
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/1.1");
        tokio::spawn(connection);
        Self { sender }
    }

    pub async fn send(&mut self, ask: Ask) -> Answer {
        Answer::whole(self.begin(ask).await).await
    }

    /// # Errors
    /// Where no whole answer came.
    pub async fn try_send(&mut self, ask: Ask) -> hyper::Result<Answer> {
        let request = ask.into_request();
        Answer::try_whole(self.exchange(request).await?).await
    }

    /// The status and the text of the answer, as far as they came.
    pub async fn try_read(&mut self, ask: Ask) -> (Option<u16>, String) {
        let Ok(mut answer) = self.exchange(ask.into_request()).await else {
            return (None, String::new());
        };
        let mut read = Vec::new();
        while let Some(Ok(frame)) = within(LONG, "more", answer.body_mut().frame()).await {
            read.extend(frame.into_data().unwrap_or_default());
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        (Some(answer.status().as_u16()), text)
    }

    pub async fn begin(&mut self, ask: Ask) -> Response<Incoming> {
        let request = ask.into_request();
        self.exchange(request).await.expect("an answer")
    }

    /// Sends a body piece by piece; see [`pieces`].
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn upload(&mut self, ask: Ask, body: Body) -> hyper::Result<Response<Incoming>> {
        self.exchange(ask.with(body)).await
    }

    /// The same, for as long as it takes.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn upload_for_long(
        &mut self,
        ask: Ask,
        body: Body,
    ) -> hyper::Result<Response<Incoming>> {
        within(LONG, "readiness", self.sender.ready()).await?;
        self.sender.send_request(ask.with(body)).await
    }

    async fn exchange(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        within(LONG, "readiness", self.sender.ready()).await?;
        within(LONG, "an answer", self.sender.send_request(request)).await
    }
}

/// A kept HTTP/2 connection, by prior knowledge. Targets are whole URLs.
#[derive(Clone)]
pub struct Wire2 {
    sender: http2::SendRequest<Body>,
}

impl Wire2 {
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        Self { sender }
    }

    pub async fn send(&mut self, ask: Ask) -> Answer {
        Answer::whole(self.begin(ask).await).await
    }

    /// # Errors
    /// Where no whole answer came.
    pub async fn try_send(&mut self, ask: Ask) -> hyper::Result<Answer> {
        let request = ask.into_request();
        Answer::try_whole(self.exchange(request).await?).await
    }

    pub async fn begin(&mut self, ask: Ask) -> Response<Incoming> {
        let request = ask.into_request();
        self.exchange(request).await.expect("an answer")
    }

    /// As [`Wire::upload`].
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn upload(&mut self, ask: Ask, body: Body) -> hyper::Result<Response<Incoming>> {
        self.exchange(ask.with(body)).await
    }

    async fn exchange(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        within(LONG, "readiness", self.sender.ready()).await?;
        within(LONG, "an answer", self.sender.send_request(request)).await
    }
}

/// A body that is sent as its pieces are given, and ends when the sender is dropped.
pub fn pieces() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let frames = stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(piece)), receiver))
    });
    (sender, BodyExt::boxed_unsync(StreamBody::new(frames)))
}
