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
use portcullis_core::refusal::Refusal;
use portcullis_core::turns::Turns;
use portcullis_core::{limits, share};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use super::super::WorkerRef;
use super::super::body::Upload;
use super::super::severing::{self, until_cut_holding};
use super::{Account, broken};
use crate::live::connections::Side;

/// Every app that speaks HTTP/2, with the connections to it.
#[derive(Default)]
pub(super) struct Links(HashMap<Arc<str>, Rc<AppLinks>>);

#[derive(Default)]
struct AppLinks {
    open: RefCell<Vec<Rc<Link>>>,
    /// One connection is opened at a time: a burst of requests fits into one.
    opening: Cell<bool>,
    /// Places that are taken, and on whose account.
    taken: Cell<usize>,
    held: RefCell<HashMap<Account, usize>>,
    waiting: RefCell<Turns<Account, Waiter>>,
}

/// Somebody who waits for a place, or for word that there will be none.
type Waiter = oneshot::Sender<Result<Turn, Refusal>>;

enum Turn {
    Place(Place),
    /// No connection has room: open one.
    Open(Trying),
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
    account: Account,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.link.carried.update(|carried| carried - 1);
        self.link.used.set(Instant::now());
        self.app.release(&self.account);
        stir(&self.app);
    }
}

/// Sends `request` on a connection that has room. One that closes before it took
/// the request costs another try.
pub(super) async fn send(
    worker: &WorkerRef,
    authority: &Arc<str>,
    account: &Account,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Place), Refusal> {
    const TRIES: usize = 3;
    let mut request = translate(request)?;
    for _ in 0..TRIES {
        let place = place(worker, authority, account).await?;
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
async fn place(
    worker: &WorkerRef,
    authority: &Arc<str>,
    account: &Account,
) -> Result<Place, Refusal> {
    let app = {
        let mut pool = worker.pool.borrow_mut();
        Rc::clone(pool.http2.0.entry(Arc::clone(authority)).or_default())
    };
    loop {
        let may_take = app.may_take(account);
        if may_take && let Some(place) = take(&app, account) {
            return Ok(place);
        }
        let trying = if may_take && app.may_open() {
            Trying::begin(&app)
        } else {
            match app.wait(account).await? {
                Turn::Place(place) => return Ok(place),
                Turn::Open(trying) => trying,
            }
        };
        match open(&app, authority, worker.deadlines.upstream_connect).await {
            Ok(link) => app.open.borrow_mut().push(Rc::new(link)),
            Err(refusal) => {
                app.fail(&refusal);
                return Err(refusal);
            }
        }
        // Who opened it comes first, if nobody of the same account was faster.
        if app.may_take(account)
            && let Some(place) = take(&app, account)
        {
            return Ok(place);
        }
        drop(trying);
    }
}

impl AppLinks {
    /// Whether `account` leaves as many places as it takes: streams may last for
    /// hours, and who begins ever more of them is not to have them all.
    fn may_take(&self, account: &Account) -> bool {
        let held = self.held.borrow().get(account).copied().unwrap_or_default();
        share::may_take(held, self.room().saturating_sub(self.taken.get()), 1)
    }

    /// All places there can be.
    fn room(&self) -> usize {
        let open = self.open.borrow();
        let allowed = open.iter().map(|link| link.streams_allowed()).max();
        let allowed = allowed.filter(|allowed| *allowed > 0);
        let each = allowed.map_or(limits::UPSTREAM_HTTP2_STREAMS_MAX, |allowed| {
            allowed.min(limits::UPSTREAM_HTTP2_STREAMS_MAX)
        });
        limits::UPSTREAM_HTTP2_CONNECTIONS_MAX * each
    }

    fn may_open(&self) -> bool {
        let mut open = self.open.borrow_mut();
        open.retain(|link| link.is_open());
        let full = open.len() >= limits::UPSTREAM_HTTP2_CONNECTIONS_MAX;
        !full && !self.opening.get()
    }

    async fn wait(&self, account: &Account) -> Result<Turn, Refusal> {
        const CLEARED_FROM: usize = 64;
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = self.waiting.borrow_mut();
            // Looked through whenever it has doubled, so that who hangs up is not
            // remembered for long.
            let length = waiting.waiting();
            if length >= CLEARED_FROM && length.is_power_of_two() {
                waiting.retain(|waiter| !waiter.is_closed());
            }
            waiting.put(account.clone(), tell);
        }
        told.await.unwrap_or(Err(Refusal::UpstreamUnreachable))
    }

    fn release(&self, account: &Account) {
        self.taken.update(|taken| taken - 1);
        let mut held = self.held.borrow_mut();
        if let Some(theirs) = held.get_mut(account) {
            *theirs -= 1;
            if *theirs == 0 {
                held.remove(account);
            }
        }
    }

    /// No connection could be opened: who waits for one learns so.
    fn fail(&self, refusal: &Refusal) {
        while let Some(waiter) = self.next_waiter() {
            // One that has hung up meanwhile need not know.
            let _ = waiter.1.send(Err(refusal.clone()));
        }
    }

    /// The next who may take a place and still wants one.
    fn next_waiter(&self) -> Option<(Account, Waiter)> {
        loop {
            let mut waiting = self.waiting.borrow_mut();
            let (account, waiter) = waiting.next(|account| self.may_take(account))?;
            if !waiter.is_closed() {
                return Some((account, waiter));
            }
        }
    }
}

/// Gives what has become free to those who wait.
fn stir(app: &Rc<AppLinks>) {
    loop {
        let has_room = {
            let open = app.open.borrow();
            open.iter().any(|link| link.is_open() && link.has_room())
        };
        if !has_room && !app.may_open() {
            return;
        }
        let Some((account, waiter)) = app.next_waiter() else {
            return;
        };
        let turn = match take(app, &account) {
            Some(place) => Turn::Place(place),
            None => Turn::Open(Trying::begin(app)),
        };
        // It waits still: nothing has run since that was asked. Should it hang up
        // before it looks, what it was given is let go of, and goes to the next.
        let _ = waiter.send(Ok(turn));
    }
}

/// On the first connection with room: so the others empty, and close.
fn take(app: &Rc<AppLinks>, account: &Account) -> Option<Place> {
    let link = {
        let mut open = app.open.borrow_mut();
        open.retain(|link| link.is_open());
        Rc::clone(open.iter().find(|link| link.has_room())?)
    };
    link.carried.update(|carried| carried + 1);
    app.taken.update(|taken| taken + 1);
    *app.held.borrow_mut().entry(account.clone()).or_default() += 1;
    Some(Place {
        app: Rc::clone(app),
        link,
        account: account.clone(),
    })
}

impl Link {
    /// Whether it can be used, and has been of late.
    fn is_open(&self) -> bool {
        let idle =
            self.carried.get() == 0 && self.used.get().elapsed() > limits::UPSTREAM_IDLE_KEPT;
        !idle && !self.sender.is_closed()
    }

    fn streams_allowed(&self) -> usize {
        // While it runs it can't be asked; nothing that runs there asks.
        let wire = self.wire.try_borrow();
        wire.map_or(0, |wire| {
            wire.as_ref().map_or(0, Wire::current_max_send_streams)
        })
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
        Self(Rc::clone(app))
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.0.opening.set(false);
        stir(&self.0);
    }
}

async fn open(app: &Rc<AppLinks>, authority: &str, wait: Duration) -> Result<Link, Refusal> {
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
    let (tasks_end, app) = (Rc::clone(&stirred), Rc::clone(app));
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
        // Its exchanges may have gone before it had: there is room for another.
        stir(&app);
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
