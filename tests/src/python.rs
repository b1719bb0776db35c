//! Python scripts that a test speaks with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::app;
use crate::patience::{LONG, within};

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
        let mut child = Command::from(app::python(&fixtures))
            .arg(name)
            .args(arguments)
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
