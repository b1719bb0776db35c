//! Sets the demo up: apps, mailbox, gate, token; runs until it is stopped.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_core::ids::{TenantId, UserId, UserKey};
use portcullis_core::user::Profile;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::app::{DemoApp, LoginStyle};
use super::guide::{self, Places};
use super::setting::{self, Addresses, DemoTenant, USERS};
use super::sinks::{self, Mailbox};
use crate::app::{self, Gate, StartError};
use crate::config::{Config, ConfigError};

/// What the demo writes besides its state.
const TOKEN_FILE: &str = "admin-token";

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{variable}: {value:?} is not an address; write it as 127.0.0.1:8080")]
    Address {
        variable: &'static str,
        value: String,
    },
    #[error(
        "{variable}: {address} can't be listened on: {error}; set {variable} to another address or stop what holds it"
    )]
    Listen {
        variable: &'static str,
        address: SocketAddr,
        error: io::Error,
    },
    #[error("{path}: {error}; start the demo in a folder that you may write to")]
    File { path: PathBuf, error: io::Error },
    #[error("{path} was not made by the demo, so it is not wiped; move it away or start elsewhere")]
    ForeignState { path: PathBuf },
    #[error("{path} is in use: another demo runs in this folder; stop it or start elsewhere")]
    Running { path: PathBuf },
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("the system has no randomness to make keys from")]
    Randomness,
}

/// Runs the demo in the foreground until SIGINT or SIGTERM.
pub fn run(keep: bool) -> Result<(), DemoError> {
    let addresses = Addresses {
        data: address("PORTCULLIS_DATA", "127.0.0.1:8080")?,
        admin: address("PORTCULLIS_ADMIN", "127.0.0.1:8081")?,
    };
    let mailbox_address = address("PORTCULLIS_MAILBOX", "127.0.0.1:8082")?;
    let runtime = Runtime::new().map_err(StartError::Runtime)?;
    let mailbox = Mailbox::new();
    // Before anything is wiped: a demo that can't start leaves things as they were.
    let held = [
        hold("PORTCULLIS_DATA", addresses.data)?,
        hold("PORTCULLIS_ADMIN", addresses.admin)?,
    ];
    let mailbox_at = serve(
        &runtime,
        "PORTCULLIS_MAILBOX",
        mailbox_address,
        sinks::router(mailbox.clone()),
    )?;
    let folder = setting::folder();
    prepare(folder, keep)?;
    let acme = stage_app(&runtime, folder, "acme", LoginStyle::Form, &mailbox)?;
    let globex = stage_app(&runtime, folder, "globex", LoginStyle::Json, &mailbox)?;
    let config_file = folder.join("portcullis.toml");
    write(
        &config_file,
        setting::config_text(&addresses, &acme, &globex).as_bytes(),
        0o644,
    )?;

    let config = Config::load(&config_file)?;
    app::start_log(&config.log);
    // The gate binds them itself.
    drop(held);
    let gate = Gate::start(config)?;
    introduce(&gate)?;
    let token_file = folder.join(TOKEN_FILE);
    let token = gate.renew_admin_token("demo admin")?;
    write(&token_file, token.expose_bytes(), 0o600)?;
    let places = Places {
        data: gate.data_address,
        admin: gate.admin_address,
        mailbox: mailbox_at,
    };
    let guide = guide::text(&places, &own_name(), &token_file);
    // A closed pipe is no reason to stop.
    let _ = io::stdout()
        .write_all(guide.as_bytes())
        .and_then(|()| io::stdout().flush());
    gate.announce()?;
    gate.wait_for_signal();
    // The apps first: their event streams never end by themselves.
    runtime.shutdown_background();
    gate.stop();
    Ok(())
}

fn address(variable: &'static str, default: &str) -> Result<SocketAddr, DemoError> {
    let value = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    value
        .parse()
        .map_err(|_| DemoError::Address { variable, value })
}

/// Keeps an address from others until the gate takes it.
fn hold(variable: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, DemoError> {
    std::net::TcpListener::bind(address).map_err(|error| DemoError::Listen {
        variable,
        address,
        error,
    })
}

/// Takes the lock of the store in `state`, where there is one: it fails while a
/// gate works on it.
fn lock(state: &Path) -> Result<Option<fs::File>, DemoError> {
    let path = state.join(app::STORE_MARK);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DemoError::File { path, error }),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Err(DemoError::Running {
            path: state.to_owned(),
        }),
        Err(fs::TryLockError::Error(error)) => Err(DemoError::File { path, error }),
    }
}

/// Wipes the state of the run before, unless it is to be kept.
fn prepare(folder: &Path, keep: bool) -> Result<(), DemoError> {
    let state = folder.join("state");
    // Kept or not: a running demo's keys and configuration are written over below.
    let _lock = lock(&state)?;
    if !keep && state.exists() {
        // Only what is plainly a store: the demo may be started anywhere.
        let ours = state.join(app::STORE_MARK).exists();
        let empty = fs::read_dir(&state).is_ok_and(|mut entries| entries.next().is_none());
        if !ours && !empty {
            return Err(DemoError::ForeignState { path: state });
        }
        fs::remove_dir_all(&state).map_err(|error| DemoError::File { path: state, error })?;
    }
    fs::create_dir_all(folder).map_err(|error| DemoError::File {
        path: folder.to_owned(),
        error,
    })
}

/// Starts one tenant's app on a free port, with a token key of its own.
fn stage_app(
    runtime: &Runtime,
    folder: &Path,
    id: &'static str,
    login: LoginStyle,
    mailbox: &Mailbox,
) -> Result<DemoTenant, DemoError> {
    use aws_lc_rs::rand::SecureRandom;
    let mut key = [0; 32];
    let random = aws_lc_rs::rand::SystemRandom::new();
    random.fill(&mut key).map_err(|_| DemoError::Randomness)?;
    let token_key_file = if id == "acme" {
        "acme-token-key"
    } else {
        "globex-token-key"
    };
    write(&folder.join(token_key_file), &key, 0o600)?;
    let app = DemoApp::new(id, login, &key, mailbox.clone());
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let at = serve(runtime, "PORTCULLIS_DATA", free, app.router())?;
    Ok(DemoTenant {
        id,
        app: at,
        token_key_file,
    })
}

fn serve(
    runtime: &Runtime,
    variable: &'static str,
    address: SocketAddr,
    router: axum::Router,
) -> Result<SocketAddr, DemoError> {
    let listen = |error| DemoError::Listen {
        variable,
        address,
        error,
    };
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(listen)?;
    let at = listener.local_addr().map_err(listen)?;
    runtime.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "a part of the demo ended");
        }
    });
    Ok(at)
}

/// Tells the gate what a directory would: who has which address.
fn introduce(gate: &Gate) -> Result<(), DemoError> {
    for tenant in ["acme", "globex"] {
        for name in USERS {
            let (Ok(tenant), Ok(user)) = (TenantId::parse(tenant), UserId::parse(name)) else {
                continue;
            };
            let has_mail = name != "carol";
            let profile = Profile {
                email: has_mail.then(|| format!("{name}@{tenant}.test")),
                phone: (!has_mail).then(|| "+15550100".to_owned()),
                ..Profile::default()
            };
            gate.introduce(&UserKey::new(&tenant, &user), &profile)?;
        }
    }
    Ok(())
}

/// Secrets are made with their mode, never widened to it.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DemoError> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = |error| DemoError::File {
        path: path.to_owned(),
        error,
    };
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(file(error)),
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    options
        .open(path)
        .and_then(|mut opened| opened.write_all(bytes))
        .map_err(file)
}

/// How to call this program from the folder it was started in.
fn own_name() -> String {
    let here = std::env::current_dir().and_then(|folder| folder.canonicalize());
    let binary = std::env::current_exe().and_then(|binary| binary.canonicalize());
    match (here, binary) {
        (Ok(here), Ok(binary)) => binary
            .strip_prefix(&here)
            .unwrap_or(&binary)
            .display()
            .to_string(),
        _ => "portcullis".into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_running_demos_state_is_neither_wiped_nor_shared() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let running = fs::File::create(state.join(app::STORE_MARK)).unwrap();
        running.lock().unwrap();
        for keep in [false, true] {
            let refused = prepare(folder.path(), keep).unwrap_err();
            assert!(matches!(refused, DemoError::Running { .. }), "{refused}");
        }
        assert!(state.join(app::STORE_MARK).exists());
        drop(running);
        prepare(folder.path(), false).unwrap();
        assert!(!state.exists());
    }
}
