//! Tells HTTP/1 from HTTP/2 by a connection's first bytes (RFC 9113 §3.4), under a
//! deadline: a client that says nothing, or half a preface, is not waited for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use portcullis_core::limits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is known. `None`: nothing usable came in time.
pub(super) async fn detect<S>(mut stream: S, wait: Duration) -> Option<(Protocol, Replayed<S>)>
where
    S: AsyncRead + Unpin,
{
    let reading = async {
        let mut seen = Vec::with_capacity(HTTP2_PREFACE.len());
        loop {
            let mut piece = [0; HTTP2_PREFACE.len()];
            let room = HTTP2_PREFACE.len() - seen.len();
            let count = stream.read(&mut piece[..room]).await.ok()?;
            if count == 0 {
                return None;
            }
            seen.extend_from_slice(&piece[..count]);
            if !HTTP2_PREFACE.starts_with(&seen) {
                return Some((Protocol::Http1, seen));
            }
            if seen.len() == HTTP2_PREFACE.len() {
                return Some((Protocol::Http2, seen));
            }
        }
    };
    let (protocol, seen) = tokio::time::timeout(wait, reading).await.ok()??;
    Some((
        protocol,
        Replayed {
            seen: seen.into(),
            stream,
            stall: None,
        },
    ))
}

/// A stream whose first bytes were read already and are given again, and which
/// fails when its peer takes nothing for long: hyper waits for a writable socket
/// without a bound, and holds the app's connection meanwhile.
#[derive(Debug)]
pub(super) struct Replayed<S> {
    seen: Bytes,
    stream: S,
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Replayed<S> {
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

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
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
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    async fn told(pieces: &[&[u8]]) -> Option<(Protocol, Vec<u8>)> {
        let (mut client, server) = duplex(1024);
        for piece in pieces {
            client.write_all(piece).await.unwrap();
        }
        drop(client);
        let (protocol, mut stream) = detect(server, Duration::from_secs(5)).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        Some((protocol, all))
    }

    #[tokio::test]
    async fn protocols_are_told_apart_and_no_byte_is_lost() {
        let get: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(told(&[get]).await, Some((Protocol::Http1, get.to_vec())));
        let put: &[u8] = b"PUT / HTTP/1.1\r\n\r\n";
        assert_eq!(
            told(&[&put[..2], &put[2..]]).await,
            Some((Protocol::Http1, put.to_vec()))
        );
        let h2 = [HTTP2_PREFACE, b"rest"].concat();
        assert_eq!(
            told(&[&h2[..5], &h2[5..]]).await,
            Some((Protocol::Http2, h2.clone()))
        );
        assert_eq!(told(&[]).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_not_written_to_for_ever() {
        let (mut client, server) = duplex(16);
        client.write_all(b"GET ").await.unwrap();
        let (_, mut stream) = detect(server, Duration::from_secs(1)).await.unwrap();
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_and_half_a_preface_are_not_waited_for() {
        for start in [&b""[..], b"PRI * HT"] {
            let (mut client, server) = duplex(1024);
            client.write_all(start).await.unwrap();
            assert!(detect(server, Duration::from_secs(10)).await.is_none());
        }
    }
}
