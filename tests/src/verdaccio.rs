//! An untouched Verdaccio, an npm registry with users of its own and JSON logins
//! that answer with a JWT; and the real `npm` as its client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{App, set_up};
use crate::client::Ask;
use crate::patience;

const CONFIG: &str = include_str!("../fixtures/verdaccio/config.yaml");
/// Where it keeps the key that it makes at its first start.
const DATABASE: &str = "storage/.verdaccio-db.json";

/// The running registry; it stops with this value.
pub struct Verdaccio {
    pub address: SocketAddr,
    app: App,
}

impl Verdaccio {
    /// An empty registry with a user of each name, password `demo`.
    ///
    /// # Panics
    /// Where what `make test` installs is missing, or any step fails.
    pub async fn start(users: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().to_owned();
        fs::write(at.join("config.yaml"), CONFIG).expect("a configuration");
        let program = set_up("PORTCULLIS_TEST_VERDACCIO", "an installed Verdaccio");
        let app = App::start(folder, |address| {
            let mut command = Command::new("node");
            command.arg(&program).args(["--config", "config.yaml"]);
            command.args(["--listen", &address.to_string()]);
            command.env("HOME", &at);
            command
        });
        let address = app.address;
        for user in users {
            let made = account(user).send(address).await;
            assert_eq!(made.status, 201, "{}", made.text());
        }
        Self { address, app }
    }

    /// A token from the door that `npm login` comes by, past the gate.
    ///
    /// # Panics
    /// Where it gives none.
    pub async fn npm_token(&self, user: &str) -> String {
        let basic = STANDARD.encode(format!("{user}:demo"));
        let ask = account(user).header("authorization", &format!("Basic {basic}"));
        let answer = ask.send(self.address).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["token"].as_str().expect("a token").to_owned()
    }

    /// The secret that it signs its tokens with.
    ///
    /// # Panics
    /// Where it does not make one.
    pub fn secret(&self) -> String {
        let file = self.app.folder().join(DATABASE);
        let database = patience::until("Verdaccio's secret", || {
            let text = fs::read_to_string(&file).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        });
        database["secret"].as_str().expect("a secret").to_owned()
    }
}

/// The call that makes an account, or renews its token.
fn account(user: &str) -> Ask {
    Ask::new(Method::PUT, &format!("/-/user/org.couchdb.user:{user}"))
        .host("localhost")
        .json(&json!({"name": user, "password": "demo"}))
}

/// Somebody's `npm`, with a token in its settings.
pub struct Npm {
    registry: String,
    folder: TempDir,
}

impl Npm {
    /// # Panics
    /// Where its folder cannot be made.
    pub fn new(registry: SocketAddr, token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let site = format!("//localhost:{}/", registry.port());
        let settings = format!("{site}:_authToken={token}\nupdate-notifier=false\n");
        fs::write(folder.path().join("npmrc"), settings).expect("settings");
        Self {
            registry: format!("http:{site}"),
            folder,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it: whether it succeeded, and all that it said.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> (bool, String) {
        let done = Command::new("npm")
            .args(arguments)
            .args(["--registry", &self.registry])
            .current_dir(self.folder())
            .env("HOME", self.folder())
            .env("NPM_CONFIG_USERCONFIG", self.folder().join("npmrc"))
            .env("NPM_CONFIG_CACHE", self.folder().join("cache"))
            .stdin(Stdio::null())
            .output();
        let done = done.expect("npm is missing: `make test` sets it up, or install npm");
        let out = String::from_utf8_lossy(&done.stdout);
        let err = String::from_utf8_lossy(&done.stderr);
        (done.status.success(), format!("{out}{err}"))
    }
}
