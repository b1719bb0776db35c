//! An identity provider: it publishes keys, or answers about opaque tokens, as a
//! test has it do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::client::Body;
use crate::origin::{Origin, Seen, say};
use crate::signer::{Signer, key_set};

/// Vouches for [`KeyServer::start_tls`].
pub const AUTHORITY: &str = include_str!("../fixtures/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../fixtures/tls/server.pem");
const PRIVATE_KEY: &[u8] = include_bytes!("../fixtures/tls/server.key");

/// Serves one text to whoever asks: a JWK set, or something worse.
pub struct KeyServer {
    origin: Origin,
    says: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<Mutex<usize>>,
}

impl KeyServer {
    pub async fn start(signers: &[&Signer]) -> Self {
        let says = Arc::new(Mutex::new((StatusCode::OK, key_set(signers).to_string())));
        let asked = Arc::new(Mutex::new(0));
        let (text, count) = (Arc::clone(&says), Arc::clone(&asked));
        let origin = Origin::answering(move |_| {
            *count.lock().unwrap() += 1;
            let (status, text) = text.lock().unwrap().clone();
            async move { moved(say(status, &text)) }
        })
        .await;
        Self {
            origin,
            says,
            asked,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/keys", self.origin.address)
    }

    /// From now on.
    pub fn publish(&self, signers: &[&Signer]) {
        self.say(200, &key_set(signers).to_string());
    }

    /// From now on.
    pub fn say(&self, status: u16, text: &str) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.says.lock().unwrap() = (status, text.to_owned());
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    /// The same over TLS with a certificate that only [`AUTHORITY`] vouches for;
    /// its URL.
    pub async fn start_tls(signers: &[&Signer]) -> String {
        let certificates = CertificateDer::pem_slice_iter(CERTIFICATE);
        let certificates = certificates.map(|one| one.unwrap()).collect();
        let key = PrivateKeyDer::from_pem_slice(PRIVATE_KEY).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}/keys", listener.local_addr().unwrap());
        let text = key_set(signers).to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, text) = (acceptor.clone(), text.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(move |_| {
                        let answer = say(StatusCode::OK, &text);
                        async move { Ok::<_, std::convert::Infallible>(answer) }
                    });
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        url
    }
}

/// A redirect leads to where a gate must not go.
fn moved(mut answer: Response<Body>) -> Response<Body> {
    if answer.status().is_redirection() {
        let elsewhere = "http://127.0.0.1:9/keys".parse().unwrap();
        answer.headers_mut().insert("location", elsewhere);
    }
    answer
}

/// Knows opaque tokens (RFC 7662), for the client `gate` with the secret `s:e%c`.
pub struct TokenServer {
    origin: Origin,
    memory: Arc<Mutex<Tokens>>,
}

#[derive(Default)]
struct Tokens {
    known: HashMap<String, Value>,
    broken: bool,
    asked: Vec<String>,
    /// Questions about unknown tokens wait here.
    held: Option<Arc<Semaphore>>,
}

impl TokenServer {
    pub async fn start() -> Self {
        let memory = Arc::new(Mutex::new(Tokens::default()));
        let shared = Arc::clone(&memory);
        let origin = Origin::answering(move |request| answer(Arc::clone(&shared), request)).await;
        Self { origin, memory }
    }

    pub fn address(&self) -> SocketAddr {
        self.origin.address
    }

    /// Makes `token` good for what `members` say beside `active`.
    pub fn knows(&self, token: &str, members: &Value) {
        let mut members = members.clone();
        members["active"] = true.into();
        let mut memory = self.memory.lock().unwrap();
        memory.known.insert(token.to_owned(), members);
    }

    /// Answers 500 from now on, or no more.
    pub fn breaks(&self, broken: bool) {
        self.memory.lock().unwrap().broken = broken;
    }

    /// Leaves questions about tokens that it does not know without an answer, until
    /// [`TokenServer::releases`].
    pub fn holds_unknown(&self) {
        self.memory.lock().unwrap().held = Some(Arc::new(Semaphore::new(0)));
    }

    pub fn releases(&self) {
        let held = self.memory.lock().unwrap().held.take();
        held.expect("something that is held").close();
    }

    /// How many questions there were in all.
    pub fn asked_in_all(&self) -> usize {
        self.memory.lock().unwrap().asked.len()
    }

    /// How often it was asked about `token`.
    pub fn asked(&self, token: &str) -> usize {
        let memory = self.memory.lock().unwrap();
        memory.asked.iter().filter(|asked| *asked == token).count()
    }

    pub fn take_seen(&self) -> Vec<Seen> {
        self.origin.take_seen()
    }
}

async fn answer(memory: Arc<Mutex<Tokens>>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    // base64 of gate:s%3Ae%25c, each half form-encoded (RFC 6749 §2.3.1).
    let client = "Basic Z2F0ZTpzJTNBZSUyNWM=";
    if head.headers.get("authorization").unwrap() != client || head.method != "POST" {
        return say(StatusCode::UNAUTHORIZED, "who asks?");
    }
    let body = body.collect().await.unwrap().to_bytes();
    let form = String::from_utf8(body.to_vec()).unwrap();
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let (_, token) = pairs.find(|(name, _)| *name == "token").expect("a token");
    let (known, held) = {
        let mut memory = memory.lock().unwrap();
        memory.asked.push(token.to_owned());
        if memory.broken {
            return say(StatusCode::INTERNAL_SERVER_ERROR, "broken");
        }
        (memory.known.get(token).cloned(), memory.held.clone())
    };
    if let (None, Some(held)) = (&known, held) {
        let _closed = held.acquire().await;
    }
    let inactive = json!({"active": false});
    say(StatusCode::OK, &known.unwrap_or(inactive).to_string())
}
