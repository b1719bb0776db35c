//! An untouched Django project, as `startproject` makes it, with its own admin
//! site, login form, CSRF protection and session cookie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::patience;
use crate::python::interpreter;

/// Ports that were free a moment ago may be taken by the time they are used.
const TRIES: usize = 5;

/// The running project; it stops with this value.
pub struct Django {
    pub address: SocketAddr,
    server: Child,
    _folder: TempDir,
}

impl Django {
    /// Makes a project with a superuser of each name, password `demo`, and serves it.
    ///
    /// # Panics
    /// Where the Python of `make test` is missing, or any step fails.
    pub fn start(users: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path();
        run(python(at).args(["-m", "django", "startproject", "shop", "."]));
        run(python(at).args(["manage.py", "migrate", "--verbosity", "0"]));
        for user in users {
            let email = format!("{user}@shop.test");
            run(python(at)
                .args(["manage.py", "createsuperuser", "--noinput"])
                .args(["--username", user, "--email", &email])
                .env("DJANGO_SUPERUSER_PASSWORD", "demo"));
        }
        for _ in 0..TRIES {
            if let Some((server, address)) = serve(at) {
                return Self {
                    address,
                    server,
                    _folder: folder,
                };
            }
        }
        panic!("no free port in {TRIES} tries");
    }
}

impl Drop for Django {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// `None` where the port was taken meanwhile.
fn serve(folder: &Path) -> Option<(Child, SocketAddr)> {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let mut server = python(folder)
        .args(["manage.py", "runserver", "--noreload", &address.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let is_up = patience::until("Django", || {
        let ended = server.try_wait().expect("its state").is_some();
        (ended || TcpStream::connect(address).is_ok()).then_some(!ended)
    });
    is_up.then_some((server, address))
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new(interpreter());
    command
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("DJANGO_SETTINGS_MODULE")
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let done = command.output().expect("Python starts");
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {err}");
}
