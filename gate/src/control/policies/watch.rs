//! A policy's folder that is watched: what changes in it is put in force as a call
//! would put it, when it has stopped changing. What does not pass is told in the log,
//! and the policy in force stays.
//!
//! It is looked at now and again instead of being told by the system: that works on
//! every kind of file system, mounted configuration included.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::limits;
use tokio::time::MissedTickBehavior;

use super::{Caller, Policies, PolicyError, Shelf};
use crate::live::tenants::Tenant;
use crate::policy::Bundle;
use crate::policy::cases::{self, Case};

/// Deep enough for `cases/` and `templates/`.
const DEPTH_MAX: usize = 3;
/// A folder with more in it is no policy's.
const FILES_MAX: usize = 10_000;

/// What the files of a folder look like from outside: inode, length, and when it was
/// changed, in nanoseconds.
type Traces = BTreeMap<PathBuf, (u64, u64, i128)>;

pub(super) async fn follow(policies: Arc<Policies>, tenant: Arc<Tenant>, folder: PathBuf) {
    let mut pace = tokio::time::interval(limits::POLICY_FOLDER_LOOK);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut taken) = (None, None);
    loop {
        pace.tick().await;
        let place = folder.clone();
        let look = tokio::task::spawn_blocking(move || traces(&place)).await;
        let now = match look {
            Ok(Ok(traces)) => traces,
            // It may be about to be replaced as a whole.
            Ok(Err(error)) => {
                if before.take().is_some() {
                    tracing::warn!(
                        tenant = %tenant.id(), folder = %folder.display(), %error,
                        "a policy's folder can't be looked at; its policy stays, and it is tried again"
                    );
                }
                continue;
            }
            Err(_) => return,
        };
        let settled = before.as_ref() == Some(&now);
        if settled && taken.as_ref() != Some(&now) {
            match take(&policies, &tenant, &folder).await {
                Ok(()) => taken = Some(now.clone()),
                Err(error) => {
                    let tenant = tenant.id();
                    tracing::error!(
                        %tenant, folder = %folder.display(), %error,
                        "what has changed in a policy's folder is not put in force; the policy before it stays"
                    );
                    // The disk may recover; a fault of the policy stays until it is mended.
                    if !matches!(error, PolicyError::Ledger(_) | PolicyError::Shelf(_)) {
                        taken = Some(now.clone());
                    }
                }
            }
        }
        before = Some(now);
    }
}

/// Puts in force what is in the folder, unless that was seen before: whoever put
/// another policy in its place since, or took it back, meant it.
async fn take(policies: &Policies, tenant: &Tenant, folder: &Path) -> Result<(), PolicyError> {
    let place = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || read(&place)).await;
    let (bundle, cases, digest) = read.map_err(|_| PolicyError::BrokenOff)??;
    let (shelf, id) = (Arc::clone(&policies.shelf), tenant.id().clone());
    let seen = tokio::task::spawn_blocking(move || shelf.seen(&id)).await;
    let seen = seen.map_err(|_| PolicyError::BrokenOff)??;
    if seen.as_ref() == Some(&digest) {
        return Ok(());
    }
    // At its start the gate has read the folder itself.
    let current = Arc::clone(&tenant.policies.current().policy);
    let read_at_start = current.generation() == 0
        && (current.module(), current.settings()) == (&bundle.module, &bundle.settings);
    let first_look = seen.is_none();
    if first_look && (read_at_start || current.generation() > 0) {
        return see(&policies.shelf, tenant, digest).await;
    }
    policies.put(tenant, bundle, cases, &Caller::gate()).await?;
    if let Err(error) = see(&policies.shelf, tenant, digest).await {
        // In force all the same: put again only after a restart.
        tracing::warn!(tenant = %tenant.id(), %error, "that a policy's folder was seen is not written down");
    }
    Ok(())
}

async fn see(shelf: &Arc<Shelf>, tenant: &Tenant, digest: String) -> Result<(), PolicyError> {
    let (shelf, id) = (Arc::clone(shelf), tenant.id().clone());
    let seen = tokio::task::spawn_blocking(move || shelf.see(&id, &digest)).await;
    Ok(seen.map_err(|_| PolicyError::BrokenOff)??)
}

/// The folder's policy and cases, and a digest of the policy.
fn read(folder: &Path) -> Result<(Bundle, Vec<Case>, String), PolicyError> {
    let bundle = Bundle::read(folder)?;
    let cases = if folder.join("cases").is_dir() {
        cases::read(folder)?
    } else {
        Vec::new()
    };
    let digest = bundle.digest();
    Ok((bundle, cases, digest))
}

fn traces(folder: &Path) -> io::Result<Traces> {
    let mut traces = Traces::new();
    add(folder, DEPTH_MAX, &mut traces)?;
    Ok(traces)
}

fn add(folder: &Path, depth: usize, traces: &mut Traces) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Through links, as the policy is read. One that leads nowhere is an editor's
        // lock, or has just gone.
        let Ok(seen) = fs::metadata(&path) else {
            continue;
        };
        if seen.is_dir() {
            if depth > 1 {
                add(&path, depth - 1, traces)?;
            }
        } else if traces.len() < FILES_MAX {
            let changed = i128::from(seen.mtime()) * 1_000_000_000 + i128::from(seen.mtime_nsec());
            traces.insert(path, (seen.ino(), seen.len(), changed));
        }
    }
    Ok(())
}
