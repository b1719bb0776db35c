//! HTTP/1.1 to an app. A connection is either in the pool or with one exchange,
//! never both: it comes back only when the response body has ended.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use portcullis_core::limits;
use portcullis_core::refusal::Refusal;

use super::super::WorkerRef;
use super::super::body::Upload;
use super::super::severing::until_cut;
use super::broken;
use crate::live::connections::Side;

#[derive(Default)]
pub(super) struct Idles(HashMap<Arc<str>, Vec<Idle>>);

struct Idle {
    sender: SendRequest<Upload>,
    since: Instant,
}

/// A connection that goes back to the pool once its exchange is over.
pub(in super::super) struct Whole {
    worker: WorkerRef,
    authority: Arc<str>,
    sender: SendRequest<Upload>,
}

impl Whole {
    pub(super) fn give_back(self) {
        let Self {
            worker,
            authority,
            sender,
        } = self;
        if sender.is_closed() {
            return;
        }
        let mut pool = worker.pool.borrow_mut();
        let idle = pool.http1.0.entry(authority).or_default();
        if idle.len() < limits::UPSTREAM_IDLE_CONNECTIONS_MAX {
            idle.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }
}

impl Idles {
    fn take(&mut self, authority: &str) -> Option<SendRequest<Upload>> {
        let idle = self.0.get_mut(authority)?;
        while let Some(Idle { sender, since }) = idle.pop() {
            if since.elapsed() > limits::UPSTREAM_IDLE_KEPT {
                // The rest is older still.
                idle.clear();
                return None;
            }
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }
}

/// Sends `request` over a pooled connection or a new one. A pooled connection that
/// closed before it took the request costs one more try, on a new one.
pub(super) async fn send(
    worker: &WorkerRef,
    authority: &Arc<str>,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Whole), Refusal> {
    let mut request = request;
    let pooled = worker.pool.borrow_mut().http1.take(authority);
    if let Some(mut sender) = pooled
        && is_free(&mut sender).await
    {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, whole(worker, authority, sender))),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(broken(&error.into_error())),
            },
        }
    }
    let mut sender = open(authority, worker.deadlines.upstream_connect).await?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| broken(&error))?;
    Ok((response, whole(worker, authority, sender)))
}

/// Whether a pooled connection can take a request now. One whose last request is
/// still being sent (the app answered early) is left to end by itself.
async fn is_free(sender: &mut SendRequest<Upload>) -> bool {
    const SETTLES_WITHIN: Duration = Duration::from_millis(20);
    sender.is_ready()
        || matches!(
            tokio::time::timeout(SETTLES_WITHIN, sender.ready()).await,
            Ok(Ok(()))
        )
}

fn whole(worker: &WorkerRef, authority: &Arc<str>, sender: SendRequest<Upload>) -> Whole {
    Whole {
        worker: Rc::clone(worker),
        authority: Arc::clone(authority),
        sender,
    }
}

async fn open(authority: &str, wait: Duration) -> Result<SendRequest<Upload>, Refusal> {
    let stream = super::connect(authority, wait).await?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    tokio::task::spawn_local(async move {
        // An upload to an app that reads nothing ends with its user, too.
        let ended = until_cut(Side::Upstream, connection.with_upgrades()).await;
        if let Some(Err(error)) = ended {
            tracing::debug!(%error, "a connection to the app ended");
        }
    });
    Ok(sender)
}
