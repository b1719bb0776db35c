//! The Python that `make test` sets up, with what tests/requirements.txt lists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::patience::{LONG, within};

/// The interpreter.
///
/// # Panics
/// Where it is not set up, with the mend.
pub fn interpreter() -> OsString {
    env::var_os("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|| {
        panic!(
            "PORTCULLIS_TEST_PYTHON is not set: `make test` sets it, to a Python that has what \
             tests/requirements.txt lists"
        )
    })
}

/// A script of `tests/fixtures` that is spoken with line by line. It dies with
/// this value.
pub struct Script {
    _child: Child,
    ear: ChildStdin,
    mouth: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// # Panics
    /// Where it does not start.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut child = Command::new(interpreter())
            .arg(fixtures.join(name))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let ear = child.stdin.take().expect("its input");
        let mouth = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self {
            _child: child,
            ear,
            mouth,
        }
    }

    /// # Panics
    /// Where it has ended.
    pub async fn tell(&mut self, line: &str) {
        let said = self.ear.write_all(format!("{line}\n").as_bytes()).await;
        said.expect("the script listens");
    }

    /// Its next line.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn hear(&mut self) -> String {
        let line = within(LONG, "a line of the script", self.mouth.next_line()).await;
        line.expect("text").expect("the script has not ended")
    }
}
