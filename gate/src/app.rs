//! The only place that names both wings: build, bind, spawn, drain. It decides
//! nothing; it puts the parts together in the order that makes the promise true.

mod check;
mod descriptors;
mod gate;
mod log;
mod tokens;

pub(crate) use log::start as start_log;

pub use crate::control::store::LOCK_FILE as STORE_MARK;
pub use check::{CheckReport, check};
pub use gate::Gate;
pub use tokens::{CreatedToken, StoredToken, StoredTokens, TokenRequest};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_core::ids::TenantId;
use portcullis_core::time::Timestamp;

use crate::config::Config;
use crate::control::command::CommandError;
use crate::control::ledger::{AppendError, ReadError};
use crate::control::policies::ShelfError;
use crate::control::store::OpenError;
use crate::control::tokens::TokenError;
use crate::policy::LoadError;

/// Where a gate that is ready writes its addresses, as JSON with `data` and
/// `admin`: for scripts that start one on a free port.
pub const READY_FILE: &str = "PORTCULLIS_READY_FILE";

/// Why a gate did not start. Each says where and what mends it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{key}: {address} can't be listened on: {error}; choose another address or stop what holds it"
    )]
    Listen {
        key: &'static str,
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("store.folder: {0}")]
    Store(#[from] OpenError),
    #[error("store.folder: what is stored can't be read: {0}")]
    Read(#[from] ReadError),
    #[error("store.folder: the gate's own secret can't be kept: {0}")]
    Secret(#[from] AppendError),
    #[error(
        "tenant {tenant}: names = \"{asked}\": the store knows users of this tenant, and their names are spelt by \"{kept}\"; under another rule a suspended user would be let in under the old name. Set it back to \"{kept}\", or begin the tenant anew under another id"
    )]
    NameRule {
        tenant: TenantId,
        asked: &'static str,
        kept: String,
    },
    #[error("tenant {tenant}: policy: {error}")]
    Policy { tenant: TenantId, error: LoadError },
    #[error("policies that were put in force before: {0}")]
    Shelf(#[from] ShelfError),
    #[error("the policy engine did not start: {0}")]
    PolicyHost(LoadError),
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("the user could not be written down: {0}")]
    Introduce(CommandError),
    #[error("the system gave no thread or runtime: {0}; look at the limits of this user")]
    Runtime(std::io::Error),
    #[error("{READY_FILE}: {path} can't be written: {error}; name a file in a folder that exists")]
    ReadyFile {
        path: PathBuf,
        error: std::io::Error,
    },
}

/// Runs a gate until it is told to stop (SIGINT or SIGTERM), then drains it.
pub fn run(config: Config) -> Result<(), StartError> {
    log::start(&config.log);
    for doubt in &config.doubts {
        tracing::warn!("{doubt}");
    }
    let gate = Gate::start(config)?;
    gate.announce()?;
    gate.wait_for_signal();
    gate.stop();
    Ok(())
}

/// The wall clock, in the one unit that decisions take.
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
