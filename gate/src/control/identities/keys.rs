//! Keeps key sets fresh: fetched again now and then, and when a token names a key
//! that is not there; read again when a file changes. What can't be read leaves
//! the last good set in force.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use jsonwebtoken::Algorithm;
use portcullis_core::ids::TenantId;
use portcullis_core::limits;

use super::call::{CallFault, Caller};
use crate::config::{KeySet, KeySetFault, KeySource, KeyUrl};
use crate::live::keys::Keys;
use crate::live::tokens::TokenVerifier;

/// Between two looks at a file.
const FILE_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Call(#[from] CallFault),
    #[error("what it sent {0}")]
    Set(#[from] KeySetFault),
}

/// What every line of the log says.
struct Watch {
    tenant: TenantId,
    algorithms: Vec<Algorithm>,
    /// Weak, so that the task ends with its tenant.
    keys: Weak<Keys>,
}

pub(super) fn start(tenant: &TenantId, verifier: &TokenVerifier) {
    let Some(keys) = verifier.keys() else {
        return;
    };
    let watch = Watch {
        tenant: tenant.clone(),
        algorithms: verifier.algorithms().to_vec(),
        keys: Arc::downgrade(keys),
    };
    match &keys.source {
        KeySource::Fixed(_) => {}
        KeySource::File { path, .. } => {
            let path = path.clone();
            tokio::spawn(async move { watch.follow_file(&path).await });
        }
        KeySource::Url(url) => {
            let url = url.clone();
            tokio::spawn(async move { watch.follow_url(&url).await });
        }
    }
}

impl Watch {
    async fn follow_url(&self, url: &KeyUrl) {
        let caller = Caller::new(&url.endpoint);
        let mut failing = false;
        loop {
            let Some(keys) = self.keys.upgrade() else {
                return;
            };
            keys.begin_fetch();
            let fetched = match &caller {
                Ok(caller) => self.fetch(caller).await.map_err(|fault| fault.to_string()),
                Err(fault) => Err(fault.to_string()),
            };
            let uri = url.endpoint.uri();
            match fetched {
                Ok(set) => {
                    let count = set.keys.len();
                    if keys.publish(set) || failing {
                        tracing::info!(tenant = %self.tenant, url = %uri, keys = count, "the keys of an identity provider are in force");
                    }
                    failing = false;
                }
                Err(fault) => {
                    failing = true;
                    let kept = keys.current().is_some();
                    tracing::warn!(
                        tenant = %self.tenant, url = %uri, %fault, last_good_keys_in_force = kept,
                        "the keys of an identity provider could not be fetched"
                    );
                }
            }
            keys.end_fetch(url.cooldown);
            // Without any keys, requests wait for the next try: it comes soon.
            let soon = keys.current().is_none();
            let pause = if soon { url.cooldown } else { url.refresh };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = keys.wanted() => {}
            }
        }
    }

    async fn fetch(&self, caller: &Caller) -> Result<KeySet, Fault> {
        let request = Request::new(Full::<Bytes>::default());
        let body = caller.call(request, limits::KEY_SET_BYTES_MAX).await?;
        Ok(KeySet::parse(&body, &self.algorithms)?)
    }

    /// Looks at the file's time and length: notifications of the system get lost
    /// on mounted volumes, and a look is cheap.
    async fn follow_file(&self, path: &Path) {
        // The set in force was read before this, so the first look counts as new.
        let mut seen = None;
        loop {
            let Some(keys) = self.keys.upgrade() else {
                return;
            };
            let mark = mark(path).await;
            if mark != seen {
                seen = mark;
                self.read(path, &keys).await;
            }
            drop(keys);
            tokio::time::sleep(FILE_LOOKED_AT_EVERY).await;
        }
    }

    async fn read(&self, path: &Path, keys: &Keys) {
        let fault = match read_bounded(path).await {
            Ok(bytes) => match KeySet::parse(&bytes, &self.algorithms) {
                Ok(set) => {
                    if keys.publish(set) {
                        tracing::info!(tenant = %self.tenant, file = %path.display(), "a changed key set is in force");
                    }
                    return;
                }
                Err(fault) => fault.to_string(),
            },
            Err(error) => format!("can't be read: {error}"),
        };
        tracing::warn!(
            tenant = %self.tenant, file = %path.display(), %fault,
            "the key set's file is not usable; the last good keys stay in force"
        );
    }
}

async fn mark(path: &Path) -> Option<(SystemTime, u64)> {
    let path = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    });
    looked.await.ok().flatten()
}

async fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(limits::KEY_SET_BYTES_MAX as u64)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    reading.await.map_err(std::io::Error::other)?
}
