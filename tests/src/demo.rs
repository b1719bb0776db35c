//! The demo, as `portcullis demo` starts it, on free ports in a folder of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::admin::Admin;
use crate::gate::address;
use crate::program::{Ended, Program, run};

const FREE_PORTS: [(&str, &str); 3] = [
    ("PORTCULLIS_DATA", "127.0.0.1:0"),
    ("PORTCULLIS_ADMIN", "127.0.0.1:0"),
    ("PORTCULLIS_MAILBOX", "127.0.0.1:0"),
];

pub struct Demo {
    program: Program,
    pub data: SocketAddr,
    pub admin: SocketAddr,
    folder: TempDir,
}

impl Demo {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (program, addresses) = Program::start(folder.path(), &["demo"], &FREE_PORTS);
        Self {
            program,
            data: address(&addresses, "data"),
            admin: address(&addresses, "admin"),
            folder,
        }
    }

    /// Stops it and starts it again with `--keep`.
    pub fn restart(&mut self) {
        self.program.stop();
        let (program, addresses) =
            Program::start(self.folder.path(), &["demo", "--keep"], &FREE_PORTS);
        self.program = program;
        self.data = address(&addresses, "data");
        self.admin = address(&addresses, "admin");
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn token(&self) -> String {
        fs::read_to_string(self.folder().join("target/demo/admin-token")).expect("a token")
    }

    /// What it printed at its start.
    pub fn guide(&self) -> String {
        fs::read_to_string(self.folder().join("gate.out")).expect("its output")
    }

    /// The admin API for one of its tenants.
    pub fn admin(&self, tenant: &str) -> Admin {
        Admin::new(self.admin, &self.token()).of(tenant)
    }

    /// Runs `portcullis` as somebody who has pasted the guide's exports.
    pub fn command(&self, arguments: &[&str]) -> Ended {
        let variables = [
            ("PORTCULLIS_ADMIN_URL", format!("http://{}", self.admin)),
            ("PORTCULLIS_TOKEN", self.token()),
        ];
        let variables = variables
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        run(self.folder(), arguments, &variables)
    }

    pub fn log(&self) -> String {
        self.program.log()
    }
}
