//! The data wing: answers requests. One current-thread runtime a worker, each with
//! its own upstream pool; one acceptor hands connections out. It reads `live` and
//! knows nothing of stores or of the admin API.

mod accept;
mod answer;
mod body;
mod connection;
mod forward;
mod identify;
mod leaving;
mod login;
mod page;
mod pipeline;
mod preface;
mod refuse;
mod respond;
mod settle;
mod severing;
mod socket;
mod tunnel;
mod upstream;
mod worker;

pub use accept::{DataWing, bind, start};

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Deadlines;
use crate::live::Reader;
use crate::policy::PolicyHost;

/// What every request of one worker shares. Never leaves its thread.
struct Worker {
    live: Reader,
    policies: Arc<PolicyHost>,
    deadlines: Deadlines,
    pool: RefCell<upstream::Pool>,
    left: leaving::Left,
    clock: fn() -> portcullis_core::time::Timestamp,
    /// The gate is stopping.
    draining: watch::Receiver<bool>,
}

type WorkerRef = Rc<Worker>;

/// The wall clock, in the one unit that decisions take.
fn wall_clock() -> portcullis_core::time::Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    portcullis_core::time::Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
}
