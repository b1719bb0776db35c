//! A client's socket, which is reset and not closed when what it carries was cut.
//!
//! A closed socket goes on sending what the system has buffered, megabytes to a
//! client that reads slowly, and to a client that counts on the close to mark the
//! end of an answer it looks like one. A reset ends both at once.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

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

pub(super) struct Socket {
    stream: TcpStream,
    carried: Carried,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> (Self, Carried) {
        let carried = Carried::default();
        let socket = Self {
            stream,
            carried: carried.clone(),
        };
        (socket, carried)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.carried.was_cut() {
            // Should it fail, the socket is closed in the ordinary way.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
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
