//! File descriptors: each connection takes one, and one more to the app.

use portcullis_core::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and says how many clients that allows
/// beside what the gate keeps back for itself.
pub(super) fn client_connections_max() -> usize {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            now.current
        }
    };
    let Some(allowed) = allowed else {
        return limits::CONNECTIONS_MAX;
    };
    let for_clients = allowed.saturating_sub(limits::DESCRIPTORS_RESERVED) / 2;
    let most = usize::try_from(for_clients)
        .unwrap_or(usize::MAX)
        .min(limits::CONNECTIONS_MAX);
    if most < limits::CONNECTIONS_MAX {
        tracing::warn!(
            open_files = allowed,
            clients = most,
            "few open files are allowed; raise the limit (ulimit -n) to serve more clients"
        );
    }
    most.max(1)
}
