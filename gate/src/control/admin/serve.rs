//! The listener itself: HTTP/1.1, bounded in connections and in waiting, drained
//! when it is told to stop.

use std::collections::BTreeMap;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::{Extension, Router};
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use portcullis_core::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::quotes::QuotesEncoded;
use super::throttle::Peer;

/// After an accept that failed (out of file descriptors, say): trying again at
/// once would only burn the processor.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is done, and until what is under way then has been
/// answered, for [`limits::DRAIN_WAIT`] at most.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    // An error here is one of the caller's: the listener is no listener.
    listener.local_addr()?;
    let seats = Arc::new(Seats::default());
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            () = seats.fell_silent.notified() => continue,
            accepted = listener.accept(), if seats.has_room() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (place, seat) = seats.take();
                let router = router.clone().layer(Extension(Peer(peer.ip())));
                let work = converse(stream, router, seat, stopping.clone());
                let seats = Arc::clone(&seats);
                connections.spawn(async move {
                    work.await;
                    seats.leave(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits::DRAIN_WAIT, drained)
        .await
        .is_err()
    {
        tracing::warn!("admin calls still under way at the end of the drain are given up");
    }
    Ok(())
}

/// The connections, the oldest first. Where all places are taken, a connection with no
/// call under way makes room for one that comes, or else one whose call has not come
/// whole: who connects and says nothing, or half of it, holds up nobody.
#[derive(Default)]
struct Seats {
    taken: Mutex<BTreeMap<u64, Arc<Seat>>>,
    next: AtomicU64,
    fell_silent: Arc<Notify>,
}

struct Seat {
    calls: AtomicUsize,
    /// Of them, those whose body has yet to come.
    coming: AtomicUsize,
    leave: Notify,
    fell_silent: Arc<Notify>,
}

impl Seats {
    fn has_room(&self) -> bool {
        let taken = self.lock();
        taken.len() < limits::ADMIN_CONNECTIONS_MAX || taken.values().any(|seat| seat.may_leave())
    }

    fn take(&self) -> (u64, Arc<Seat>) {
        let mut taken = self.lock();
        if taken.len() >= limits::ADMIN_CONNECTIONS_MAX {
            let silent = taken.iter().find(|(_, seat)| seat.is_silent());
            let some = silent.or_else(|| taken.iter().find(|(_, seat)| seat.may_leave()));
            let some = some.map(|(place, _)| *place);
            if let Some(seat) = some.and_then(|place| taken.remove(&place)) {
                seat.leave.notify_one();
            }
        }
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            calls: AtomicUsize::new(0),
            coming: AtomicUsize::new(0),
            leave: Notify::new(),
            fell_silent: Arc::clone(&self.fell_silent),
        });
        taken.insert(place, Arc::clone(&seat));
        (place, seat)
    }

    fn leave(&self, place: u64) {
        self.lock().remove(&place);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn is_silent(&self) -> bool {
        self.calls.load(Ordering::Acquire) == 0
    }

    fn may_leave(&self) -> bool {
        self.is_silent() || self.coming.load(Ordering::Acquire) > 0
    }
}

/// Counts as under way until the last byte of the answer is taken.
struct CallUnderWay(Arc<Seat>);

impl CallUnderWay {
    fn begin(seat: Arc<Seat>) -> Self {
        seat.calls.fetch_add(1, Ordering::AcqRel);
        Self(seat)
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
        self.0.fell_silent.notify_one();
    }
}

/// Counts a call as coming until its body is there, or nobody wants it.
struct Coming(Arc<Seat>);

impl Coming {
    fn begin(seat: Arc<Seat>) -> Self {
        seat.coming.fetch_add(1, Ordering::AcqRel);
        // A place may be had by that.
        seat.fell_silent.notify_one();
        Self(seat)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of a call.
struct Asking {
    body: Body,
    coming: Option<Coming>,
}

impl HttpBody for Asking {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.coming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which is under way while it lives.
struct Answering {
    body: Body,
    _call: CallUnderWay,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn converse(
    stream: TcpStream,
    router: Router,
    seat: Arc<Seat>,
    mut stopping: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let sitting = Arc::clone(&seat);
    let counted = middleware::from_fn(move |request: Request, next: Next| {
        let call = CallUnderWay::begin(Arc::clone(&sitting));
        let request = request.map(|body| {
            let whole = body.is_end_stream();
            let coming = (!whole).then(|| Coming::begin(Arc::clone(&sitting)));
            Body::new(Asking { body, coming })
        });
        async move {
            let response = next.run(request).await;
            response.map(|body| Body::new(Answering { body, _call: call }))
        }
    });
    let router = router.layer(counted);
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD_WAIT)
        .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(QuotesEncoded::new(stream)), service);
    let mut connection = pin!(connection);
    // The value that `wait_for` lends may not live across an await.
    let stopped = async { drop(stopping.wait_for(|stop| *stop).await) };
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = seat.leave.notified() => {
            // A call may have come in the meantime, and is answered.
            if seat.may_leave() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "an admin connection ended early");
    }
}
