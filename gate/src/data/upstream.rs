//! Connections to the apps: a pool a worker, so that nothing crosses a thread.
//!
//! A connection is either in the pool or with one exchange, never both: it comes
//! back only when the response body has ended.

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
use tokio::net::TcpStream;

use super::WorkerRef;
use super::body::Upload;

#[derive(Default)]
pub(super) struct Pool {
    idle: HashMap<Arc<str>, Vec<Idle>>,
}

struct Idle {
    sender: SendRequest<Upload>,
    since: Instant,
}

/// A connection that goes back to the pool once its exchange is over.
pub(super) struct Borrowed {
    worker: WorkerRef,
    authority: Arc<str>,
    sender: SendRequest<Upload>,
}

impl Borrowed {
    /// Gives the connection back; call it only after the body's end.
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
        let idle = pool.idle.entry(authority).or_default();
        if idle.len() < limits::UPSTREAM_IDLE_CONNECTIONS_MAX {
            idle.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }
}

impl Pool {
    fn take(&mut self, authority: &str) -> Option<SendRequest<Upload>> {
        let idle = self.idle.get_mut(authority)?;
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
/// closed before it took the request costs one more try, on a new one; a request
/// that may have been seen is never sent twice.
pub(super) async fn send(
    worker: &WorkerRef,
    authority: &Arc<str>,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Borrowed), Refusal> {
    let mut request = request;
    let pooled = worker.pool.borrow_mut().take(authority);
    if let Some(mut sender) = pooled
        && is_free(&mut sender).await
    {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, borrowed(worker, authority, sender))),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(broken(&error.into_error())),
            },
        }
    }
    let mut sender = connect(authority, worker.deadlines.upstream_connect).await?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| broken(&error))?;
    Ok((response, borrowed(worker, authority, sender)))
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

fn borrowed(worker: &WorkerRef, authority: &Arc<str>, sender: SendRequest<Upload>) -> Borrowed {
    Borrowed {
        worker: Rc::clone(worker),
        authority: Arc::clone(authority),
        sender,
    }
}

async fn connect(authority: &str, wait: Duration) -> Result<SendRequest<Upload>, Refusal> {
    let opening = async {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    let stream = match tokio::time::timeout(wait, opening).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::warn!(upstream = authority, %error, "the app could not be reached");
            return Err(Refusal::UpstreamUnreachable);
        }
        Err(_) => {
            tracing::warn!(
                upstream = authority,
                "the app took too long to accept a connection"
            );
            return Err(Refusal::UpstreamUnreachable);
        }
    };
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to the app ended");
        }
    });
    Ok(sender)
}

fn broken(error: &hyper::Error) -> Refusal {
    tracing::debug!(%error, "the exchange with the app broke off");
    Refusal::UpstreamBroken
}
