//! A WebSocket between client and app: bytes both ways until one side ends it,
//! nothing comes for long, the user is cut off, or the gate stops.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use portcullis_core::websocket::{FrameTracker, GOING_AWAY, POLICY_VIOLATION, close_frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::Slot;
use crate::live::connections::Ticket;

const PIECE_BYTES: usize = 16 * 1024;
/// A client that is being cut gets this long to take the close frame: the receipt
/// of the suspension waits for it.
const GOODBYE_WAIT: Duration = Duration::from_millis(100);
/// Either side gets this long to take the other's end.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// What ends a tunnel besides its two sides and its user's cut.
pub(super) struct Limits {
    /// Without a byte either way.
    pub idle: Duration,
    pub draining: watch::Receiver<bool>,
}

/// Why a tunnel is over.
enum End {
    /// A side has ended it, or both were silent.
    ByItself,
    Cut,
    /// The gate is stopping.
    GoingAway,
}

pub(super) async fn run(
    client: OnUpgrade,
    app: OnUpgrade,
    ticket: Rc<Ticket>,
    limits: Limits,
    slot: Option<Slot>,
) {
    let both = tokio::select! {
        biased;
        () = ticket.cut().fired() => {
            ticket.cut().obey();
            return;
        }
        both = async { tokio::try_join!(client, app) } => both,
    };
    match both {
        Ok((client, app)) => {
            join(TokioIo::new(client), TokioIo::new(app), ticket, limits).await;
        }
        Err(error) => tracing::debug!(%error, "an upgrade came to nothing"),
    }
    drop(slot);
}

async fn join<C, A>(client: C, app: A, ticket: Rc<Ticket>, limits: Limits)
where
    C: AsyncRead + AsyncWrite + Unpin,
    A: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_app, mut to_app) = tokio::io::split(app);
    let last = Cell::new(Instant::now());
    let frames = RefCell::new(FrameTracker::default());
    let end = tokio::select! {
        biased;
        () = ticket.cut().fired() => End::Cut,
        _ = pump(&mut from_app, &mut to_client, &last, Some(&frames)) => End::ByItself,
        _ = pump(&mut from_client, &mut to_app, &last, None) => End::ByItself,
        () = silence(&last, limits.idle) => End::ByItself,
        // Last, so that it sees how far the others have got.
        () = may_go(limits.draining, &frames) => End::GoingAway,
    };
    let (code, reason, wait) = match end {
        End::ByItself => {
            let _ = tokio::time::timeout(CLOSE_WAIT, to_client.shutdown()).await;
            let _ = tokio::time::timeout(CLOSE_WAIT, to_app.shutdown()).await;
            return;
        }
        End::Cut => {
            ticket.cut().obey();
            (POLICY_VIOLATION, ticket.cut().reason(), GOODBYE_WAIT)
        }
        End::GoingAway => (GOING_AWAY, "the server is going away", CLOSE_WAIT),
    };
    // The app first: it waits for nobody.
    drop((from_app, to_app));
    let goodbye = async {
        // In the middle of a frame a close frame would be read as its payload.
        if frames.borrow().between_frames() {
            to_client.write_all(&close_frame(code, reason)).await?;
        }
        to_client.shutdown().await
    };
    let told = matches!(tokio::time::timeout(wait, goodbye).await, Ok(Ok(())));
    // From here on not a byte passes, either way.
    drop(ticket);
    if told {
        // A socket that is closed on bytes which nobody read is reset, and the
        // reset may overtake the close frame.
        let _ = tokio::time::timeout(CLOSE_WAIT, discard(&mut from_client)).await;
    }
}

/// Ready when the gate is stopping and what the client has is whole frames: inside
/// one it could not be told.
async fn may_go(mut draining: watch::Receiver<bool>, frames: &RefCell<FrameTracker>) {
    let mut draining = pin!(draining.wait_for(|draining| *draining));
    let mut stopping = false;
    // Looked at again whenever a piece has passed: that runs in the same task.
    poll_fn(|context| {
        stopping = stopping || draining.as_mut().poll(context).is_ready();
        if stopping && frames.borrow().between_frames() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Reads to the end, for nobody.
async fn discard<R: AsyncRead + Unpin>(from: &mut R) {
    let mut piece = [0; 1024];
    while let Ok(1..) = from.read(&mut piece).await {}
}

/// Passes bytes on. The tracker follows only what was written, so that it is right
/// even if this is dropped half-way.
async fn pump<R, W>(
    from: &mut R,
    to: &mut W,
    last: &Cell<Instant>,
    frames: Option<&RefCell<FrameTracker>>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        last.set(Instant::now());
        let mut rest = &piece[..count];
        while !rest.is_empty() {
            let written = to.write(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            if let Some(frames) = frames {
                frames.borrow_mut().follow(&rest[..written]);
            }
            rest = &rest[written..];
        }
        to.flush().await?;
    }
}

async fn silence(last: &Cell<Instant>, idle: Duration) {
    loop {
        let deadline = last.get() + idle;
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}
