//! Bytes on a socket, for what no proper client would send.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::patience::{LONG, within};

/// An open socket.
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream }
    }

    /// Sends; a peer that has closed already is no fault.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Everything until the peer closes.
    pub async fn read_to_close(&mut self) -> String {
        let mut all = Vec::new();
        // A reset is an end too.
        let reading = async {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = self.stream.read(&mut piece).await {
                all.extend_from_slice(&piece[..count]);
            }
        };
        within(LONG, "the end of the connection", reading).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Everything up to and including `mark`.
    pub async fn read_until(&mut self, mark: &str) -> String {
        let mut all = Vec::new();
        let reading = async {
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&all).contains(mark) {
                match self.stream.read(&mut piece).await {
                    Ok(count @ 1..) => all.extend_from_slice(&piece[..count]),
                    Ok(0) | Err(_) => {
                        panic!("closed before {mark:?}: {}", String::from_utf8_lossy(&all))
                    }
                }
            }
        };
        within(LONG, mark, reading).await;
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// Sends `bytes` on a connection of its own and reads until the gate closes it.
pub async fn exchange(to: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut raw = Raw::open(to).await;
    raw.send(bytes).await;
    raw.read_to_close().await
}

/// The status of a raw answer; 0 where there is none.
pub fn status(answer: &str) -> u16 {
    let code = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}
