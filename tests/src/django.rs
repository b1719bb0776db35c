//! An untouched Django project, as `startproject` makes it, with its own admin
//! site, login form, CSRF protection and session cookie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::app::{self, App};

/// The running project; it stops with this value.
pub struct Django {
    pub address: SocketAddr,
    _app: App,
}

impl Django {
    /// Makes a project with a superuser of each name, password `demo`, and serves it.
    ///
    /// # Panics
    /// Where the Python of `make test` is missing, or any step fails.
    pub fn start(users: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().to_owned();
        run(python(&at).args(["-m", "django", "startproject", "shop", "."]));
        run(python(&at).args(["manage.py", "migrate", "--verbosity", "0"]));
        for user in users {
            let email = format!("{user}@shop.test");
            run(python(&at)
                .args(["manage.py", "createsuperuser", "--noinput"])
                .args(["--username", user, "--email", &email])
                .env("DJANGO_SUPERUSER_PASSWORD", "demo"));
        }
        let app = App::start(folder, |address| {
            let mut command = python(&at);
            command.args(["manage.py", "runserver", "--noreload", &address.to_string()]);
            command
        });
        Self {
            address: app.address,
            _app: app,
        }
    }
}

fn python(folder: &Path) -> Command {
    let mut command = app::python(folder);
    command.env_remove("DJANGO_SETTINGS_MODULE");
    command
}

fn run(command: &mut Command) {
    let done = command.output().expect("Python starts");
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {err}");
}
