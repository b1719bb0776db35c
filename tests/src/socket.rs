//! A WebSocket client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::browser::Browser;
use crate::patience::{LONG, within};

pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens `path` with the cookies of `browser`.
    ///
    /// # Panics
    /// Where the handshake fails.
    pub async fn open(browser: &Browser, path: &str) -> Self {
        Self::try_open(browser, path).await.expect("a WebSocket")
    }

    /// # Errors
    /// Where the handshake fails.
    pub async fn try_open(browser: &Browser, path: &str) -> Result<Self, tungstenite::Error> {
        Self::try_open_with(browser, path, &[]).await
    }

    /// As [`Self::try_open`], with more headers.
    ///
    /// # Errors
    /// Where the handshake fails.
    pub async fn try_open_with(
        browser: &Browser,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let url = format!("ws://{}{path}", browser.host());
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            let value = value.parse().expect("a header value");
            request.headers_mut().insert(*name, value);
        }
        let cookies = browser.cookies().parse().expect("cookies");
        request.headers_mut().insert("cookie", cookies);
        let tcp = TcpStream::connect(browser.gate).await?;
        let (stream, _) = within(LONG, "the handshake", client_async(request, tcp)).await?;
        Ok(Self { stream })
    }

    pub async fn say(&mut self, words: &str) {
        let said = self.stream.send(Message::text(words)).await;
        said.expect("the socket is open");
    }

    /// Reads until `words` come.
    pub async fn hear(&mut self, words: &str) {
        let hearing = async {
            while let Some(message) = self.stream.next().await {
                if message.expect("the socket is open").to_text().ok() == Some(words) {
                    return;
                }
            }
            panic!("closed before {words:?}");
        };
        within(LONG, words, hearing).await;
    }

    /// The next text; `None` where it is closed before one comes.
    pub async fn next(&mut self) -> Option<String> {
        let reading = async {
            loop {
                match self.stream.next().await?.ok()? {
                    Message::Text(text) => return Some(text.to_string()),
                    Message::Close(_) => return None,
                    Message::Binary(_)
                    | Message::Ping(_)
                    | Message::Pong(_)
                    | Message::Frame(_) => {}
                }
            }
        };
        within(LONG, "a text", reading).await
    }

    /// Reads until it is closed: the code and reason of the close frame, if one came.
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        let mut told = None;
        while let Some(Ok(message)) = self.stream.next().await {
            if let Message::Close(Some(frame)) = message {
                told = Some((frame.code.into(), frame.reason.to_string()));
            }
        }
        told
    }
}
