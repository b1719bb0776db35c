//! A real application as a child process, on a port of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use tempfile::TempDir;

use crate::patience;

/// Ports that were free a moment ago may be taken by the time they are used.
const TRIES: usize = 5;
const LOG: &str = "app.log";

/// A running application; it stops with this value. Where the test fails, what it
/// said is printed.
pub struct App {
    pub address: SocketAddr,
    server: Child,
    folder: TempDir,
}

impl App {
    /// Runs in `folder` what `command` says for an address, and waits until it
    /// listens there.
    ///
    /// # Panics
    /// Where it does not, in some tries.
    pub fn start(folder: TempDir, command: impl Fn(SocketAddr) -> Command) -> Self {
        for _ in 0..TRIES {
            if let Some((server, address)) = serve(folder.path(), &command) {
                return Self {
                    address,
                    server,
                    folder,
                };
            }
        }
        panic!("it ended in each of {TRIES} tries:\n{}", log(folder.path()));
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        if std::thread::panicking() {
            print_log(&log(self.folder.path()));
        }
    }
}

/// `None` where the port was taken meanwhile.
fn serve(folder: &Path, command: impl Fn(SocketAddr) -> Command) -> Option<(Child, SocketAddr)> {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let output = File::create(folder.join(LOG)).expect("a log");
    let errors = output.try_clone().expect("the same log");
    let mut server = command(address)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .expect("the application starts");
    let is_up = patience::until("the application", || {
        let ended = server.try_wait().expect("its state").is_some();
        (ended || TcpStream::connect(address).is_ok()).then_some(!ended)
    });
    is_up.then_some((server, address))
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join(LOG)).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "the runner shows it with the failure")]
fn print_log(log: &str) {
    eprintln!("--- the application's log\n{log}---");
}

/// What `make test` has set up, by the variable that names it.
///
/// # Panics
/// Where the variable is not set, with the mend.
pub fn set_up(variable: &str, what: &str) -> OsString {
    env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: `make test` sets it, to {what}"))
}

/// The Python that has the applications of tests/requirements.txt.
pub fn python(folder: &Path) -> Command {
    let what = "a Python that has what tests/requirements.txt lists";
    let mut command = Command::new(set_up("PORTCULLIS_TEST_PYTHON", what));
    command
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}
