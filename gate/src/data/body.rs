//! Bodies on their way: the client's to the app, the app's to the client. Pieces
//! are passed as they come; nothing is gathered.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use portcullis_core::grpc;
use portcullis_core::refusal::Refusal;
use tokio::time::{Instant, Sleep};

use super::answer::AppBody;
use super::severing;
use super::upstream::Borrowed;
use crate::live::connections::{Side, Ticket};

/// Why a body broke off. hyper closes the connection (HTTP/1) or resets the
/// stream (HTTP/2), so that the other side can't take a part for the whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the user was suspended")]
    Cut,
    #[error("no data came in time")]
    Slow,
    #[error(transparent)]
    Peer(#[from] hyper::Error),
}

/// Fires when nothing has come for a while. Armed only while waiting, so that a
/// body that is there already costs no timer.
struct IdleTimer {
    wait: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl IdleTimer {
    const fn new(wait: Duration) -> Self {
        Self {
            wait,
            sleep: None,
            running: false,
        }
    }

    fn came(&mut self) {
        self.running = false;
    }

    /// Starts again with a longer wait; says whether it is longer.
    fn lengthen(&mut self, wait: Duration) -> bool {
        let longer = wait > self.wait;
        self.wait = wait;
        self.running = false;
        longer
    }

    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = || Instant::now() + self.wait;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(self.wait)));
        if !self.running {
            sleep.as_mut().reset(deadline());
            self.running = true;
        }
        sleep.as_mut().poll(context)
    }
}

/// What the handler learns of an upload while it waits for the answer.
#[derive(Default)]
pub(super) struct UploadState {
    fault: Cell<Option<Refusal>>,
    last_piece: Cell<Option<Instant>>,
    answered: Cell<bool>,
}

impl UploadState {
    /// The client's fault, if it was one that ended the exchange.
    pub(super) fn take_fault(&self) -> Option<Refusal> {
        self.fault.take()
    }

    /// The app has begun to answer: whoever streams both ways may well be silent
    /// while the other side speaks.
    pub(super) fn answer_has_begun(&self) {
        self.answered.set(true);
    }

    /// Since when the app has been the one to wait for; `None`: pieces still come.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.last_piece.get()
    }
}

/// A request's body on its way to the app. Trailers stay behind: an app could
/// read them as headers that nobody judged (RFC 9110 §6.5.1).
pub(super) enum Upload {
    Empty,
    /// A login's body, read before it was judged.
    Whole(Full<Bytes>),
    Stream {
        body: Incoming,
        idle: Box<Idle>,
    },
}

pub(super) struct Idle {
    timer: IdleTimer,
    /// Counts from the answer's beginning on, where it is the longer one.
    answered_wait: Duration,
    state: Rc<UploadState>,
    /// Kept until the last piece has gone: an app may answer early and read on.
    ticket: Rc<Ticket>,
}

impl Upload {
    /// A body that may be silent for `wait`, and for `answered_wait` once the app
    /// answers.
    pub(super) fn stream(
        body: Incoming,
        (wait, answered_wait): (Duration, Duration),
        state: &Rc<UploadState>,
        ticket: &Rc<Ticket>,
    ) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        state.last_piece.set(Some(Instant::now()));
        let idle = Idle {
            timer: IdleTimer::new(wait),
            answered_wait: answered_wait.max(wait),
            state: Rc::clone(state),
            ticket: Rc::clone(ticket),
        };
        Self::Stream {
            body,
            idle: Box::new(idle),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never: Infallible| match never {}),
            Self::Stream { body, idle } => loop {
                let cut = idle.ticket.cut();
                severing::hold(cut, Duration::ZERO);
                if cut.poll_fired(Side::Upstream, context).is_ready() {
                    cut.obey();
                    return Poll::Ready(Some(Err(BodyError::Cut)));
                }
                match Pin::new(&mut *body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {}
                    Poll::Ready(Some(Ok(frame))) => {
                        idle.timer.came();
                        idle.state.last_piece.set(Some(Instant::now()));
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Poll::Ready(Some(Err(error))) => {
                        idle.state.fault.set(Some(Refusal::BrokenBody));
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => {
                        ready!(idle.timer.poll_idle(context));
                        if idle.state.answered.get() && idle.timer.lengthen(idle.answered_wait) {
                            continue;
                        }
                        idle.state.fault.set(Some(Refusal::SlowBody));
                        return Poll::Ready(Some(Err(BodyError::Slow)));
                    }
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(body) => body.size_hint(),
            Self::Stream { body, .. } => body.size_hint(),
        }
    }
}

/// A response's body on its way to the client: the gate's own, or the app's,
/// which ends when its user is cut off.
pub(super) enum Answer {
    Own(Full<Bytes>),
    Relayed(Box<Relayed>),
}

pub(super) struct Relayed {
    body: AppBody,
    ticket: Rc<Ticket>,
    idle: IdleTimer,
    connection: Option<Borrowed>,
    /// A gRPC call over HTTP/2: its client learns why from the trailers, which
    /// wait for no window.
    grpc: bool,
}

impl Answer {
    pub(super) fn own(bytes: impl Into<Bytes>) -> Self {
        Self::Own(Full::new(bytes.into()))
    }

    pub(super) fn relayed(
        body: AppBody,
        ticket: Rc<Ticket>,
        wait: Duration,
        connection: Borrowed,
        grpc: bool,
    ) -> Self {
        let relayed = Relayed {
            body,
            ticket,
            idle: IdleTimer::new(wait),
            connection: Some(connection),
            grpc,
        };
        Self::Relayed(Box::new(relayed))
    }
}

impl Relayed {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self
            .ticket
            .cut()
            .poll_fired(Side::Request, context)
            .is_ready()
        {
            self.ticket.cut().obey();
            self.connection = None;
            if std::mem::take(&mut self.grpc) {
                let trailers = grpc::trailers(grpc::PERMISSION_DENIED, "access has ended");
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            return Poll::Ready(Some(Err(BodyError::Cut)));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.came();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                if let Some(connection) = self.connection.take() {
                    connection.give_back();
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.idle.poll_idle(context));
                Poll::Ready(Some(Err(BodyError::Slow)))
            }
        }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        // hyper asks `is_end_stream` and then polls no further: a body that ended
        // with its last piece gives its connection back here.
        if self.body.is_end_stream()
            && let Some(connection) = self.connection.take()
        {
            connection.give_back();
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never: Infallible| match never {}),
            Self::Relayed(relayed) => relayed.poll_piece(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Relayed(relayed) => relayed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Relayed(relayed) => relayed.body.size_hint(),
        }
    }
}
