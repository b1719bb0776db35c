//! HTTP/2 to an app (prior knowledge, RFC 9113 §3.3): many exchanges share a
//! connection, as many as the app allows, and further connections are opened when
//! it is full.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::{self, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_core::limits;
use portcullis_core::refusal::Refusal;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::super::WorkerRef;
use super::super::body::Upload;
use super::super::severing::{self, until_cut_holding};
use super::broken;
use crate::live::connections::Side;

/// Every app that speaks HTTP/2, with the connections to it.
#[derive(Default)]
pub(super) struct Links(HashMap<Arc<str>, Rc<AppLinks>>);

#[derive(Default)]
struct AppLinks {
    open: RefCell<Vec<Rc<Link>>>,
    /// One connection is opened at a time: a burst of requests fits into one.
    opening: Cell<bool>,
    /// Counts the tries to open one; the last that failed.
    tries: Cell<u64>,
    failed: Cell<u64>,
    /// A place is free, or a try has ended.
    changed: Notify,
}

type Wire = Connection<TokioIo<TcpStream>, Upload, Tasks>;

struct Link {
    sender: SendRequest<Upload>,
    /// `None` once it has ended: what still waits on it then learns so.
    wire: Rc<RefCell<Option<Wire>>>,
    carried: Cell<usize>,
    used: Cell<Instant>,
}

/// One exchange's place on a connection.
pub(in super::super) struct Place {
    app: Rc<AppLinks>,
    link: Rc<Link>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.link.carried.update(|carried| carried - 1);
        self.link.used.set(Instant::now());
        self.app.changed.notify_one();
    }
}

/// Sends `request` on a connection that has room. One that closes before it took
/// the request costs another try.
pub(super) async fn send(
    worker: &WorkerRef,
    authority: &Arc<str>,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Place), Refusal> {
    const TRIES: usize = 3;
    let mut request = translate(request)?;
    for _ in 0..TRIES {
        let place = place(worker, authority).await?;
        let mut sender = place.link.sender.clone();
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, place)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(broken(&error.into_error())),
            },
        }
    }
    Err(Refusal::UpstreamBroken)
}

/// From HTTP/1.1's form: `Host` becomes `:authority`, and framing is HTTP/2's own.
fn translate(mut request: Request<Upload>) -> Result<Request<Upload>, Refusal> {
    const UNFIT: Refusal = Refusal::CannotKnow("the app's request could not be written");
    let host = request.headers_mut().remove(header::HOST);
    let host = host.as_ref().map_or(&[][..], HeaderValue::as_bytes);
    let authority = Authority::try_from(host).map_err(|_| UNFIT)?;
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| UNFIT)?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(header::TRANSFER_ENCODING);
    Ok(request)
}

/// Waits for a place: on a connection that is open, or on a new one.
async fn place(worker: &WorkerRef, authority: &Arc<str>) -> Result<Place, Refusal> {
    let app = {
        let mut pool = worker.pool.borrow_mut();
        Rc::clone(pool.http2.0.entry(Arc::clone(authority)).or_default())
    };
    loop {
        let changed = app.changed.notified();
        if let Some(place) = take(&app) {
            return Ok(place);
        }
        let full = app.open.borrow().len() >= limits::UPSTREAM_HTTP2_CONNECTIONS_MAX;
        if full || app.opening.get() {
            let awaited = app.tries.get();
            let opening = app.opening.get();
            changed.await;
            if opening && app.failed.get() == awaited {
                return Err(Refusal::UpstreamUnreachable);
            }
            continue;
        }
        let trying = Trying::begin(&app);
        match open(authority, worker.deadlines.upstream_connect).await {
            Ok(link) => app.open.borrow_mut().push(Rc::new(link)),
            Err(refusal) => {
                app.failed.set(app.tries.get());
                return Err(refusal);
            }
        }
        drop(trying);
    }
}

/// The first connection with room: so the others empty, and close.
fn take(app: &Rc<AppLinks>) -> Option<Place> {
    let mut open = app.open.borrow_mut();
    open.retain(|link| {
        let idle =
            link.carried.get() == 0 && link.used.get().elapsed() > limits::UPSTREAM_IDLE_KEPT;
        !idle && !link.sender.is_closed()
    });
    let link = open.iter().find(|link| link.has_room())?;
    link.carried.update(|carried| carried + 1);
    Some(Place {
        app: Rc::clone(app),
        link: Rc::clone(link),
    })
}

impl Link {
    fn streams_allowed(&self) -> usize {
        let wire = self.wire.borrow();
        wire.as_ref().map_or(0, Wire::current_max_send_streams)
    }

    fn has_room(&self) -> bool {
        let allowed = self.streams_allowed();
        self.carried.get() < allowed.min(limits::UPSTREAM_HTTP2_STREAMS_MAX)
    }
}

/// A try to open a connection, ended or given up.
struct Trying(Rc<AppLinks>);

impl Trying {
    fn begin(app: &Rc<AppLinks>) -> Self {
        app.opening.set(true);
        app.tries.update(|tries| tries + 1);
        Self(Rc::clone(app))
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.0.opening.set(false);
        self.0.changed.notify_waiters();
    }
}

async fn open(authority: &str, wait: Duration) -> Result<Link, Refusal> {
    let stream = super::connect(authority, wait).await?;
    let tasks = Tasks::default();
    let stirred = Rc::clone(&tasks.stirred);
    let (sender, wire) = Builder::new(tasks)
        .timer(TokioTimer::new())
        // None before the app has said how many it takes: it would refuse them.
        .initial_max_send_streams(0)
        .max_header_list_size(limits::HTTP2_HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(limits::UPSTREAM_HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::UPSTREAM_HTTP2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(limits::HTTP2_PING_EVERY)
        .keep_alive_timeout(limits::HTTP2_PING_WAIT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let wire = Rc::new(RefCell::new(Some(wire)));
    let driven = Rc::clone(&wire);
    let tasks_end = Rc::clone(&stirred);
    tokio::task::spawn_local(async move {
        let ended = poll_fn(|context| match &mut *driven.borrow_mut() {
            Some(wire) => Pin::new(wire).poll(context),
            None => Poll::Ready(Ok(())),
        })
        .await;
        *driven.borrow_mut() = None;
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the app ended");
        }
        tasks_end.notify_waiters();
    });
    let link = Link {
        sender,
        wire,
        carried: Cell::new(0),
        used: Cell::new(Instant::now()),
    };
    let settings = async {
        loop {
            let stir = stirred.notified();
            if link.sender.is_closed() {
                return false;
            }
            if link.streams_allowed() > 0 {
                return true;
            }
            stir.await;
        }
    };
    match tokio::time::timeout(wait, settings).await {
        Ok(true) => Ok(link),
        Ok(false) | Err(_) => {
            tracing::warn!(
                upstream = authority,
                "the app does not answer as an HTTP/2 server; write http:// if it speaks HTTP/1.1"
            );
            Err(Refusal::UpstreamUnreachable)
        }
    }
}

/// Runs what hyper splits a connection into: the connection itself, and an upload
/// that waits for a window.
#[derive(Clone, Default)]
struct Tasks {
    /// Told whenever one of them has run.
    stirred: Rc<Notify>,
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let stirred = Rc::clone(&self.stirred);
        // hyper has polled an upload once before it gives it a task of its own.
        let running = until_cut_holding(severing::held(), Side::Upstream, future);
        tokio::task::spawn_local(async move {
            let mut running = std::pin::pin!(running);
            poll_fn(|context| {
                let polled = running.as_mut().poll(context);
                stirred.notify_waiters();
                polled
            })
            .await;
        });
    }
}
