//! One client connection, from its first bytes to its end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use super::preface::{self, Protocol, Replayed};
use super::{WorkerRef, pipeline};
use crate::live::connections::{ConnectionCuts, Ticket};

/// A cut request whose client reads nothing is given this long before its whole
/// connection is closed.
const STUCK_WAIT: Duration = Duration::from_millis(300);

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
    cuts: Rc<ConnectionCuts>,
    open: Arc<AtomicUsize>,
}

impl Client {
    /// The connection's own wake-up, for requests that have someone to be cut off.
    pub(super) fn cuts_of(&self, users: &[(UserKey, bool)]) -> Option<Arc<Notify>> {
        (!users.is_empty()).then(|| Arc::clone(&self.cuts.notify))
    }

    pub(super) fn watch(&self, ticket: &Ticket) {
        self.cuts.watch(ticket.cut());
    }

    /// A tunnel outlives the connection's own task and keeps its place.
    pub(super) fn slot(&self) -> Slot {
        Slot::take(&self.open)
    }
}

/// Runs futures that stay on their worker's thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
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
    let mut stopping = draining.clone();
    let detected = tokio::select! {
        detected = preface::detect(stream, worker.deadlines.first_bytes) => detected,
        // Nothing was asked yet, so nothing is owed.
        _ = stopping.wait_for(|draining| *draining) => None,
    };
    let Some((protocol, stream)) = detected else {
        return;
    };
    let cuts = Rc::new(ConnectionCuts::default());
    let client = Client {
        address,
        scheme: "http",
        cuts: Rc::clone(&cuts),
        open: Arc::clone(&slot.0),
    };
    tokio::select! {
        () = speak(worker, protocol, stream, client, draining) => {}
        () = stuck(&cuts) => tracing::debug!(%address, "a cut connection that reads nothing is closed"),
    }
}

/// Ready when a cut request is still there after its grace.
async fn stuck(cuts: &ConnectionCuts) {
    loop {
        cuts.notify.notified().await;
        tokio::time::sleep(STUCK_WAIT).await;
        if cuts.close_stuck() {
            return;
        }
    }
}

async fn speak(
    worker: WorkerRef,
    protocol: Protocol,
    stream: Replayed<TcpStream>,
    client: Client,
    mut draining: watch::Receiver<bool>,
) {
    let head_wait = worker.deadlines.request_head;
    let service =
        service_fn(move |request| pipeline::handle(Rc::clone(&worker), client.clone(), request));
    let stream = TokioIo::new(stream);
    let ended = match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head_wait)
                .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
                .serve_connection(stream, service)
                .with_upgrades();
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => ended,
                _ = draining.wait_for(|draining| *draining) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(LocalExecutor)
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
                .max_header_list_size(limits::HTTP2_HEADER_LIST_BYTES_MAX)
                .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
                .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
                .keep_alive_interval(limits::HTTP2_PING_EVERY)
                .keep_alive_timeout(limits::HTTP2_PING_WAIT)
                .serve_connection(stream, service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => ended,
                _ = draining.wait_for(|draining| *draining) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client connection ended");
    }
}
