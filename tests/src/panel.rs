//! An untouched Panel: a dashboard of a few lines, Panel's own login form, signed
//! cookie, and a WebSocket for each open page.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::SocketAddr;

use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use crate::app::{App, python};
use crate::browser::Browser;
use crate::client::Answer;
use crate::patience::{LONG, within};
use crate::socket::Socket;

const DASHBOARD: &str = include_str!("../fixtures/panel/dashboard.py");
/// `anna` and `bert`, password `demo`.
const USERS: &str = include_str!("../fixtures/panel/users.json");

/// The running server; it stops with this value.
pub struct Panel {
    pub address: SocketAddr,
    _app: App,
}

impl Panel {
    /// Serves the dashboard for pages of `host`.
    ///
    /// # Panics
    /// Where the Python of `make test` is missing, or Panel does not start.
    pub fn start(host: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().to_owned();
        fs::write(at.join("dashboard.py"), DASHBOARD).expect("a dashboard");
        fs::write(at.join("users.json"), USERS).expect("users");
        let app = App::start(folder, |address| {
            let mut command = python(&at);
            command
                .args(["-m", "panel", "serve", "dashboard.py"])
                .args(["--address", &address.ip().to_string()])
                .args(["--port", &address.port().to_string()])
                .args(["--basic-auth", "users.json"])
                .args(["--cookie-secret", "nobody else has this one"])
                .args(["--allow-websocket-origin", host]);
            command
        });
        Self {
            address: app.address,
            _app: app,
        }
    }
}

/// The token that a dashboard's page opens its WebSocket with.
///
/// # Panics
/// Where the page has none.
pub fn token(page: &Answer) -> String {
    let text = page.text();
    let mark = "\"token\":\"";
    let from = text.find(mark).unwrap_or_else(|| panic!("{text}")) + mark.len();
    text[from..].split('"').next().unwrap().to_owned()
}

/// An open page's line to its document on the server.
pub struct Line {
    socket: Socket,
}

impl Line {
    /// Opens it as the page's script does.
    ///
    /// # Errors
    /// Where the handshake fails.
    pub async fn try_open(browser: &Browser, token: &str) -> Result<Self, tungstenite::Error> {
        let origin = format!("http://{}", browser.host());
        let protocols = format!("bokeh, {token}");
        let headers = [
            ("origin", origin.as_str()),
            ("sec-websocket-protocol", &protocols),
        ];
        let mut socket = Socket::try_open_with(browser, "/dashboard/ws", &headers).await?;
        let (header, _) = receive(&mut socket).await;
        assert_eq!(header["msgtype"], "ACK");
        Ok(Self { socket })
    }

    /// Loads the dashboard and opens its line.
    ///
    /// # Panics
    /// Where the page or the handshake is refused.
    pub async fn open(browser: &mut Browser) -> Self {
        let page = browser.page("/dashboard").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let line = Self::try_open(browser, &token(&page)).await;
        line.expect("a line to the document")
    }

    /// Asks for the whole document, and returns it.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn document(&mut self) -> Value {
        let ask = json!({"msgid": "1", "msgtype": "PULL-DOC-REQ"});
        for fragment in [&ask.to_string(), "{}", "{}"] {
            self.socket.say(fragment).await;
        }
        loop {
            let (header, content) = receive(&mut self.socket).await;
            if header["msgtype"] == "PULL-DOC-REPLY" {
                return content;
            }
        }
    }

    /// See [`Socket::closed`].
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        within(LONG, "the end of the line", self.socket.closed()).await
    }
}

/// Header and content of the next message: three pieces of text, the second of
/// which is of no use to anybody.
async fn receive(socket: &mut Socket) -> (Value, Value) {
    let mut parts = Vec::new();
    for _ in 0..3 {
        let text = socket.next().await.expect("the line is open");
        parts.push(serde_json::from_str(&text).expect("JSON"));
    }
    let content = parts.pop().unwrap();
    (parts.swap_remove(0), content)
}

/// Fills in the login form and sends it.
pub async fn log_in(browser: &mut Browser, user: &str, password: &str) -> Answer {
    let ask = browser
        .ask(Method::GET, "/login?next=%2Fdashboard")
        .header("accept", "text/html");
    let form = browser.send(ask).await;
    assert_eq!(form.status, 200, "{}", form.text());
    let fields = [("username", user), ("password", password)];
    browser.submit("/login", &fields).await
}
