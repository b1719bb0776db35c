//! Quotes in the query of a request, as ReachFive's documentation prints its filters
//! (`?filter=suspension_status=="permanent"`). They should be percent-encoded
//! (RFC 3986 §3.4) and `curl` sends them as they are typed, so they are encoded here,
//! before the HTTP library turns the request away.
//!
//! Only the first line of a connection is looked at: where the next request begins
//! would take a parser. So such a request asks for the connection to be closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use portcullis_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CHUNK_BYTES: usize = 1024;

pub(super) struct QuotesEncoded<S> {
    stream: S,
    head: Head,
}

enum Head {
    /// The first line is still coming.
    Coming(Vec<u8>),
    /// It has come, with what came behind it; so much of it has been read.
    Waiting(Vec<u8>, usize),
    Past,
}

impl<S> QuotesEncoded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            head: Head::Coming(Vec::new()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for QuotesEncoded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.head {
                Head::Past => return Pin::new(&mut this.stream).poll_read(cx, buf),
                Head::Waiting(bytes, read) => {
                    let rest = bytes.get(*read..).unwrap_or_default();
                    let some = rest.get(..buf.remaining()).unwrap_or(rest);
                    buf.put_slice(some);
                    *read += some.len();
                    if *read >= bytes.len() {
                        this.head = Head::Past;
                    }
                    return Poll::Ready(Ok(()));
                }
                Head::Coming(bytes) => {
                    let mut chunk = [0; CHUNK_BYTES];
                    let mut chunk = ReadBuf::new(&mut chunk);
                    ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk))?;
                    let ended = chunk.filled().is_empty();
                    bytes.extend_from_slice(chunk.filled());
                    let whole = bytes.contains(&b'\n');
                    if whole || ended || bytes.len() > limits::REQUEST_HEAD_BYTES_MAX {
                        this.head = match encode(std::mem::take(bytes)) {
                            nothing if nothing.is_empty() => Head::Past,
                            bytes => Head::Waiting(bytes, 0),
                        };
                    }
                }
            }
        }
    }
}

/// The bytes with the quotes of the first line's query encoded.
fn encode(bytes: Vec<u8>) -> Vec<u8> {
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let query = bytes.iter().position(|byte| *byte == b'?');
    let (Some(line), Some(query)) = (line, query) else {
        return bytes;
    };
    if query > line || !bytes[query..line].contains(&b'"') {
        return bytes;
    }
    let mut encoded = Vec::with_capacity(bytes.len() + 64);
    encoded.extend_from_slice(&bytes[..query]);
    for byte in &bytes[query..=line] {
        match byte {
            b'"' => encoded.extend_from_slice(b"%22"),
            other => encoded.push(*other),
        }
    }
    encoded.extend_from_slice(b"Connection: close\r\n");
    encoded.extend_from_slice(&bytes[line + 1..]);
    encoded
}

impl<S: AsyncWrite + Unpin> AsyncWrite for QuotesEncoded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes out of what goes in, in pieces of that size.
    async fn through(text: &str, piece: usize) -> String {
        let (near, mut far) = tokio::io::duplex(piece);
        let text = text.to_owned();
        let writing = tokio::spawn(async move { far.write_all(text.as_bytes()).await });
        let mut read = String::new();
        let mut near = QuotesEncoded::new(near);
        near.read_to_string(&mut read).await.unwrap();
        writing.await.unwrap().unwrap();
        read
    }

    #[tokio::test]
    async fn quotes_of_the_first_query_are_encoded_and_nothing_else_is() {
        let rest = "Host: x\r\nX: \"?\"\r\n\r\nGET /?a=\"b\" HTTP/1.1\r\n\r\n";
        let asked = format!("GET /u?filter=a==\"b\" HTTP/1.1\r\n{rest}");
        let encoded = format!("GET /u?filter=a==%22b%22 HTTP/1.1\r\nConnection: close\r\n{rest}");
        let as_it_is = [
            String::new(),
            "no line".to_owned(),
            "GET /\"a\" HTTP/1.1\r\nX: ?\"\r\n\r\n".to_owned(),
            "GET /?a=%22b HTTP/1.1\r\nHost: \"x\"\r\n\r\n".to_owned(),
        ];
        for piece in [1, 7, 4096] {
            assert_eq!(through(&asked, piece).await, encoded);
            for text in &as_it_is {
                assert_eq!(through(text, piece).await, *text);
            }
        }
        let endless = "x".repeat(3 * limits::REQUEST_HEAD_BYTES_MAX);
        assert_eq!(through(&endless, 4096).await, endless);
    }
}
