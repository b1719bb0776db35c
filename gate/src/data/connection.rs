//! One client connection, from its first bytes to its end.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_core::limits;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::preface::{self, Protocol};
use super::severing::until_cut;
use super::socket::{Carried, Socket};
use super::{WorkerRef, pipeline};
use crate::live::connections::{Cut, Side};

/// One place among the connections that a worker may have open.
pub(super) struct Slot(Arc<AtomicUsize>);

impl Slot {
    pub(super) fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request may know of its connection.
#[derive(Clone)]
pub(super) struct Client {
    pub address: SocketAddr,
    pub scheme: &'static str,
    open: Arc<AtomicUsize>,
    /// HTTP/1 alone.
    carried: Option<Carried>,
}

impl Client {
    /// Says that the answer under way is the app's, to the request of `cut`.
    pub(super) fn carries(&self, cut: &Arc<Cut>) {
        if let Some(carried) = &self.carried {
            carried.set(cut);
        }
    }

    /// A tunnel outlives the connection's own task and keeps its place.
    pub(super) fn slot(&self) -> Slot {
        Slot::take(&self.open)
    }
}

/// The streams of one HTTP/2 connection, each a task that stays on its worker's
/// thread and ends alone when its user is cut off.
#[derive(Clone)]
struct Streams(Rc<StreamCount>);

struct StreamCount {
    open: Cell<usize>,
    idle_since: Cell<Instant>,
}

impl Streams {
    fn new() -> Self {
        Self(Rc::new(StreamCount {
            open: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
        }))
    }

    /// Ready once there has been no stream for `wait`.
    async fn idle(&self, wait: Duration) {
        loop {
            let since = match self.0.open.get() {
                0 => self.0.idle_since.get(),
                _ => Instant::now(),
            };
            let deadline = since + wait;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

struct OpenStream(Rc<StreamCount>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.update(|open| open - 1);
        self.0.idle_since.set(Instant::now());
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.0.open.update(|open| open + 1);
        let open = OpenStream(Rc::clone(&self.0));
        tokio::task::spawn_local(async move {
            if until_cut(Side::Client, future).await.is_none() {
                tracing::debug!("a cut stream that takes nothing is reset");
            }
            drop(open);
        });
    }
}

pub(super) async fn serve(
    worker: WorkerRef,
    stream: TcpStream,
    address: SocketAddr,
    slot: Slot,
    draining: watch::Receiver<bool>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (stream, carried) = Socket::new(stream);
    let mut stopping = draining.clone();
    let detected = tokio::select! {
        detected = preface::detect(stream, worker.deadlines.first_bytes) => detected,
        // Nothing was asked yet, so nothing is owed.
        _ = stopping.wait_for(|draining| *draining) => None,
    };
    let Some((protocol, stream)) = detected else {
        return;
    };
    let client = Client {
        address,
        scheme: "http",
        open: Arc::clone(&slot.0),
        carried: (protocol == Protocol::Http1).then_some(carried),
    };
    match protocol {
        Protocol::Http1 => {
            let speaking = speak_http1(worker, stream, client, draining);
            if until_cut(Side::Client, speaking).await.is_none() {
                tracing::debug!(%address, "a cut connection that takes nothing is closed");
            }
        }
        Protocol::Http2 => speak_http2(worker, stream, client, draining).await,
    }
    drop(slot);
}

async fn speak_http1(
    worker: WorkerRef,
    stream: Socket<TcpStream>,
    client: Client,
    mut draining: watch::Receiver<bool>,
) {
    let head_wait = worker.deadlines.request_head;
    let service =
        service_fn(move |request| pipeline::handle(Rc::clone(&worker), client.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_wait)
        .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = draining.wait_for(|draining| *draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    log_end(ended);
}

async fn speak_http2(
    worker: WorkerRef,
    stream: Socket<TcpStream>,
    client: Client,
    mut draining: watch::Receiver<bool>,
) {
    let idle_wait = worker.deadlines.http2_idle;
    let service =
        service_fn(move |request| pipeline::handle(Rc::clone(&worker), client.clone(), request));
    let streams = Streams::new();
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .max_header_list_size(limits::HTTP2_HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(limits::HTTP2_PING_EVERY)
        .keep_alive_timeout(limits::HTTP2_PING_WAIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = streams.idle(idle_wait) => {}
        _ = draining.wait_for(|draining| *draining) => {}
    }
    // GOAWAY: what the client has begun by the time that it reads it is still served.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection.as_mut() => log_end(ended),
        () = streams.idle(limits::HTTP2_GOAWAY_WAIT) => {
            tracing::debug!("an idle connection that did not close by itself is closed");
        }
    }
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a client connection ended");
    }
}
