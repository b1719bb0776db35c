//! Tells HTTP/1 from HTTP/2 by a connection's first bytes (RFC 9113 §3.4), under a
//! deadline: a client that says nothing, or half a preface, is not waited for.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::socket::{Reset, Socket};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is known; the socket gives what was read again. `None`:
/// nothing usable came in time.
pub(super) async fn detect<S>(
    mut socket: Socket<S>,
    wait: Duration,
) -> Option<(Protocol, Socket<S>)>
where
    S: AsyncRead + Reset + Unpin,
{
    let reading = async {
        let mut seen = Vec::with_capacity(HTTP2_PREFACE.len());
        loop {
            let mut piece = [0; HTTP2_PREFACE.len()];
            let room = HTTP2_PREFACE.len() - seen.len();
            let count = socket.read(&mut piece[..room]).await.ok()?;
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
    socket.give_again(seen.into());
    Some((protocol, socket))
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
        let (protocol, mut stream) = detect(Socket::new(server).0, Duration::from_secs(5)).await?;
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
    async fn a_silent_client_and_half_a_preface_are_not_waited_for() {
        for start in [&b""[..], b"PRI * HT"] {
            let (mut client, server) = duplex(1024);
            client.write_all(start).await.unwrap();
            assert!(
                detect(Socket::new(server).0, Duration::from_secs(10))
                    .await
                    .is_none()
            );
        }
    }
}
