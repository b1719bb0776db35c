//! One call to an identity provider: over TLS or to this machine, under a deadline,
//! with a bounded answer, and following nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use portcullis_core::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::config::Endpoint;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallFault {
    #[error("it could not be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("its host is no name for TLS: {0}")]
    Host(#[from] InvalidDnsNameError),
    #[error("the system has no certificate authorities; name a file with some")]
    NoAuthorities,
    #[error("the exchange broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("its answer is longer than {0} bytes, or broke off")]
    Body(usize),
    #[error("it did not answer within {} s", limits::PROVIDER_WAIT.as_secs())]
    Slow,
    #[error("it answered {0}")]
    Status(StatusCode),
}

pub(super) struct Caller {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Caller {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, CallFault> {
        let tls = if endpoint.is_tls() {
            let name = ServerName::try_from(endpoint.host().to_owned())?;
            Some((connector(&endpoint.authorities)?, name))
        } else {
            None
        };
        Ok(Self {
            endpoint: endpoint.clone(),
            tls,
        })
    }

    /// Sends `request` to the endpoint. Only an answer of 200 is one: a redirect is
    /// not followed, since it could lead anywhere.
    pub(super) async fn call(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<Bytes, CallFault> {
        let calling = async {
            let address = (self.endpoint.host(), self.endpoint.port());
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => self.exchange(stream, request, bytes_max).await,
                Some((connector, name)) => {
                    let stream = connector.connect(name.clone(), stream).await?;
                    self.exchange(stream, request, bytes_max).await
                }
            }
        };
        tokio::time::timeout(limits::PROVIDER_WAIT, calling)
            .await
            .map_err(|_| CallFault::Slow)?
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<Bytes, CallFault> {
        let uri = self.endpoint.uri();
        let target = uri.path_and_query().cloned();
        *request.uri_mut() = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if let Ok(host) = HeaderValue::from_str(authority) {
            request.headers_mut().insert(header::HOST, host);
        }
        let json = HeaderValue::from_static("application/json, */*;q=0.1");
        request.headers_mut().insert(header::ACCEPT, json);
        // Some servers turn away whoever does not say what it is.
        let agent = HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        let read = async {
            let (head, body) = answer?.into_parts();
            if head.status != StatusCode::OK {
                return Err(CallFault::Status(head.status));
            }
            let body = Limited::new(body, bytes_max).collect().await;
            let body = body.map_err(|_| CallFault::Body(bytes_max))?;
            Ok(body.to_bytes())
        };
        let answer = read.await;
        connection.abort();
        answer
    }
}

fn connector(authorities: &[Vec<u8>]) -> Result<TlsConnector, CallFault> {
    let mut roots = RootCertStore::empty();
    let der = if authorities.is_empty() {
        rustls_native_certs::load_native_certs().certs
    } else {
        let own = authorities.iter();
        own.map(|der| CertificateDer::from(der.clone())).collect()
    };
    roots.add_parsable_certificates(der);
    if roots.is_empty() {
        return Err(CallFault::NoAuthorities);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
