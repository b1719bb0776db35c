//! A gate with a configuration of its own, in a folder of its own, on free ports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::admin::Admin;
use crate::program::{Ended, Program, run};

/// Both listeners on free ports, the state beside the file.
const LISTENERS: &str = "[data]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n\n\
     [admin]\nlisten = \"127.0.0.1:0\"\nquery_token = true\n\n\
     [store]\nfolder = \"state\"\n\n\
     [log]\nlevel = \"debug\"\n\n";

/// A folder with a configuration, and no gate yet.
pub struct Plan {
    folder: TempDir,
    /// The environment that the gate is started in, besides the test's own.
    variables: Vec<(&'static str, String)>,
}

impl Plan {
    /// `tenants`: the configuration after the listeners. It may hold
    /// `[data.deadlines]` too.
    pub fn new(tenants: &str) -> Self {
        Self::whole(&format!("{LISTENERS}{tenants}"))
    }

    /// The whole configuration as it stands.
    pub fn whole(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("portcullis.toml"), config).expect("a configuration");
        Self {
            folder,
            variables: Vec::new(),
        }
    }

    #[must_use]
    pub fn with_variables(self, variables: Vec<(&'static str, String)>) -> Self {
        Self { variables, ..self }
    }

    /// Puts another file into the folder.
    #[must_use]
    pub fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `portcullis` here, to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        run(self.folder(), arguments, &[])
    }

    /// Starts the gate.
    pub fn start(self) -> Gate {
        let token = self.token("global-admin", &[]);
        let (program, addresses) = self.program();
        Gate {
            program,
            data: address(&addresses, "data"),
            admin: address(&addresses, "admin"),
            token,
            plan: self,
        }
    }

    fn program(&self) -> (Program, Value) {
        let variables = self.variables.iter();
        let variables: Vec<(&str, &str)> = variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Program::start(self.folder(), &["run"], &variables)
    }

    /// A new admin token; the gate must not be running.
    pub fn token(&self, role: &str, more: &[&str]) -> String {
        let arguments = [&["token", "create", "--role", role], more].concat();
        let made = self.run(&arguments);
        assert_eq!(made.code, 0, "{}", made.err);
        made.out.trim().to_owned()
    }
}

/// A running gate.
pub struct Gate {
    program: Program,
    pub data: SocketAddr,
    pub admin: SocketAddr,
    pub token: String,
    plan: Plan,
}

impl Gate {
    /// See [`Plan::new`].
    pub fn start(tenants: &str) -> Self {
        Plan::new(tenants).start()
    }

    /// Stops it in order and starts it again on what it has stored.
    pub fn restart(&mut self) {
        self.program.stop();
        self.start_again();
    }

    /// Ends it as a crash would.
    pub fn kill_9(&mut self) {
        self.program.kill_9();
    }

    pub fn start_again(&mut self) {
        let (program, addresses) = self.plan.program();
        self.program = program;
        self.data = address(&addresses, "data");
        self.admin = address(&addresses, "admin");
    }

    /// The admin API, with the global token.
    pub fn admin(&self) -> Admin {
        Admin::new(self.admin, &self.token)
    }

    /// The number that the system gave its process.
    pub fn process(&self) -> u32 {
        self.program.id()
    }

    pub fn log(&self) -> String {
        self.program.log()
    }

    /// The bytes of each file of the state folder, and of the folders in it.
    pub fn state(&self) -> Vec<Vec<u8>> {
        let mut folders = vec![self.plan.folder().join("state")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(fs::read(path).expect("a file"));
                }
            }
        }
        files
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

pub(crate) fn address(addresses: &Value, name: &str) -> SocketAddr {
    let text = addresses[name].as_str().expect("an address");
    text.parse().expect("an address")
}

/// A tenant of [`Origin`](crate::origin::Origin)'s kind: a form login, the
/// session cookie `sid`, and a logout.
pub fn tenant(id: &str, upstream: SocketAddr) -> String {
    format!(
        "[[tenants]]\nid = \"{id}\"\nhosts = [\"{id}.localhost\"]\nupstream = \"http://{upstream}\"\n\n\
         [[tenants.session_cookies]]\nname = \"sid\"\n\n\
         [[tenants.logins]]\npath = \"/login\"\n\n\
         [tenants.logout]\npath = \"/logout\"\n\n"
    )
}
