//! The `portcullis` binary as a child process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use serde_json::Value;

use crate::patience;

/// The binary beside these tests.
///
/// # Panics
/// Where it is not built, with the mend.
pub fn binary() -> PathBuf {
    let tests = env::current_exe().expect("the path of this test");
    let folder = tests.parent().and_then(Path::parent).expect("target/debug");
    let binary = folder.join("portcullis");
    assert!(
        binary.exists(),
        "{} is missing: run `make test`, or `cargo build -p portcullis`",
        binary.display()
    );
    binary
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end.
///
/// # Panics
/// Where it cannot be started, or was ended by a signal.
pub fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = command(folder, arguments);
    let done = command
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the command starts");
    Ended {
        code: done.status.code().expect("an exit code"),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// A running gate or demo. It dies with this value; where the test fails, its log
/// is printed.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it, with its output in `folder`, and waits until it is ready.
    /// Returns the addresses that it tells.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Self, Value) {
        let ready = folder.join("ready.json");
        let _ = fs::remove_file(&ready);
        let log = folder.join("gate.log");
        let output = File::create(&log).expect("a log");
        let out = File::create(folder.join("gate.out")).expect("a file for the output");
        let child = command(folder, arguments)
            .envs(variables.iter().copied())
            .env("PORTCULLIS_READY_FILE", &ready)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(output)
            .spawn()
            .expect("the gate starts");
        let mut program = Self { child, log };
        let told = patience::until("the ready file", || {
            if let Some(status) = program.child.try_wait().expect("its state") {
                panic!(
                    "it ended ({status}) before it was ready:\n{}",
                    program.log()
                );
            }
            fs::read_to_string(&ready).ok()
        });
        let addresses = serde_json::from_str(&told).expect("the ready file is JSON");
        (program, addresses)
    }

    /// As a crash would.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// As an operator would (SIGTERM); waits for its end.
    ///
    /// # Panics
    /// Where it does not end well.
    pub fn stop(&mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill").success(), "the signal was not sent");
        let status = patience::until("the end of the gate", || {
            self.child.try_wait().expect("its state")
        });
        assert!(status.success(), "it ended with {status}:\n{}", self.log());
    }

    /// The number that the system gave it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprint_log(&self.log());
        }
    }
}

#[expect(clippy::print_stderr, reason = "the runner shows it with the failure")]
fn eprint_log(log: &str) {
    eprintln!("--- the gate's log\n{log}---");
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(folder).args(arguments);
    // What the developer's own shell says is no part of a test.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PORTCULLIS_") {
            command.env_remove(name);
        }
    }
    command
}
