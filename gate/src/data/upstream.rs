//! Connections to the apps: a pool a worker, so that nothing crosses a thread.

mod http1;
mod http2;

use std::net::IpAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use portcullis_core::ids::UserKey;
use portcullis_core::refusal::Refusal;
use portcullis_core::share;
use tokio::net::TcpStream;

use super::WorkerRef;
use super::body::Upload;
use crate::config::UpstreamProtocol;
use crate::live::tenants::App;

#[derive(Default)]
pub(super) struct Pool {
    http1: http1::Idles,
    http2: http2::Links,
}

/// What one exchange has of the app's connections, until its answer has ended.
pub(super) enum Borrowed {
    Http1(http1::Whole),
    Http2(#[expect(dead_code, reason = "held for its drop")] http2::Place),
}

impl Borrowed {
    /// Gives it back; call it only after the body's end.
    pub(super) fn give_back(self) {
        match self {
            Self::Http1(connection) => connection.give_back(),
            Self::Http2(_) => {}
        }
    }
}

/// On whose account an exchange is, where apps have only so many places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account {
    /// The first whom the request names.
    User(UserKey),
    /// Of a client that nobody knows.
    Site(IpAddr),
}

impl Account {
    pub(super) fn of(user: Option<&UserKey>, client: IpAddr) -> Self {
        match user {
            Some(user) => Self::User(user.clone()),
            None => Self::Site(share::site(client)),
        }
    }
}

/// Sends `request`, which is in HTTP/1.1's form, in the app's own protocol. What
/// may have been seen by the app is never sent twice.
pub(super) async fn send(
    worker: &WorkerRef,
    app: &App,
    account: &Account,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Borrowed), Refusal> {
    match app.protocol {
        UpstreamProtocol::Http1 => {
            let (response, whole) = http1::send(worker, &app.authority, request).await?;
            Ok((response, Borrowed::Http1(whole)))
        }
        UpstreamProtocol::Http2 => {
            let (response, place) = http2::send(worker, &app.authority, account, request).await?;
            Ok((response, Borrowed::Http2(place)))
        }
    }
}

async fn connect(authority: &str, wait: Duration) -> Result<TcpStream, Refusal> {
    let opening = async {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    match tokio::time::timeout(wait, opening).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            tracing::warn!(upstream = authority, %error, "the app could not be reached");
            Err(Refusal::UpstreamUnreachable)
        }
        Err(_) => {
            tracing::warn!(
                upstream = authority,
                "the app took too long to accept a connection"
            );
            Err(Refusal::UpstreamUnreachable)
        }
    }
}

fn broken(error: &hyper::Error) -> Refusal {
    tracing::debug!(%error, "the exchange with the app broke off");
    Refusal::UpstreamBroken
}
