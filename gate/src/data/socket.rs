//! A client's socket, which is reset and not closed when what it carries was cut,
//! and given up when its client takes nothing.
//!
//! A closed socket goes on sending what the system has buffered, megabytes to a
//! client that reads slowly, and to a client that counts on the close to mark the
//! end of an answer it looks like one. A reset ends both at once.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use portcullis_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::live::connections::Cut;

/// The exchange whose answer the socket carries: the latest one. Empty for
/// HTTP/2, where others share the socket.
#[derive(Clone, Default)]
pub(super) struct Carried(Arc<Mutex<Option<Arc<Cut>>>>);

impl Carried {
    pub(super) fn set(&self, cut: &Arc<Cut>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(cut));
    }

    fn was_cut(&self) -> bool {
        let cut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cut.as_ref().is_some_and(|cut| cut.was_obeyed())
    }
}

/// What can be ended without sending what is left.
pub(super) trait Reset {
    fn reset(&self);
}

impl Reset for TcpStream {
    fn reset(&self) {
        // Should it fail, the socket is closed in the ordinary way.
        let _ = self.set_zero_linger();
    }
}

/// Fails when its peer takes nothing for long: hyper waits for a writable socket
/// without a bound, and holds the app's connection meanwhile.
pub(super) struct Socket<S: Reset> {
    stream: S,
    /// Read already, and to be read again.
    seen: Bytes,
    stall: Option<Pin<Box<Sleep>>>,
    carried: Carried,
}

impl<S: Reset> Socket<S> {
    pub(super) fn new(stream: S) -> (Self, Carried) {
        let carried = Carried::default();
        let socket = Self {
            stream,
            seen: Bytes::new(),
            stall: None,
            carried: carried.clone(),
        };
        (socket, carried)
    }

    /// Has the next readers read `seen` first.
    pub(super) fn give_again(&mut self, seen: Bytes) {
        self.seen = seen;
    }

    /// Passes progress on and bounds the lack of it.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stall = None;
            return progress;
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::CLIENT_WRITE_STALL)));
        match stall.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: Reset> Drop for Socket<S> {
    fn drop(&mut self) {
        if self.carried.was_cut() {
            self.stream.reset();
        }
    }
}

impl<S: AsyncRead + Reset + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.has_remaining() {
            let count = self.seen.len().min(buffer.remaining());
            buffer.put_slice(&self.seen.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    impl Reset for DuplexStream {
        fn reset(&self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_not_written_to_for_ever() {
        let (_client, server) = duplex(16);
        let (mut socket, _) = Socket::new(server);
        let error = socket.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
