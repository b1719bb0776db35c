//! An admin API of canned answers that records what it is asked.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) call: String,
    pub(super) authorization: String,
    /// `Last-Event-ID`, where it was sent.
    pub(super) after: Option<String>,
    pub(super) body: String,
}

/// Answers by path, query included: one after the other, and the last again and again.
#[derive(Default)]
pub(super) struct Answers(HashMap<String, VecDeque<(u16, String)>>);

pub(super) struct AdminApi {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Dropped with the test, and the listener with it.
    _runtime: tokio::runtime::Runtime,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn on(mut self, path: &str, status: u16, body: &str) -> Self {
        let answers = self.0.entry(path.to_owned()).or_default();
        answers.push_back((status, body.to_owned()));
        self
    }

    pub(super) fn serve(self) -> AdminApi {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answers, record) = (Arc::new(Mutex::new(self.0)), Arc::clone(&asked));
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let authorization = headers
                .get(header::AUTHORIZATION)
                .map(|value| text(value.as_bytes()));
            let call = format!("{method} {uri}");
            let authorization = authorization.unwrap_or_default();
            record.lock().unwrap().push(Asked {
                call,
                authorization,
                after: headers
                    .get("last-event-id")
                    .map(|value| text(value.as_bytes())),
                body: text(&body),
            });
            let mut answers = answers.lock().unwrap();
            let found = answers.get_mut(&uri.to_string()).and_then(|left| {
                let next = left.pop_front()?;
                if left.is_empty() {
                    left.push_back(next.clone());
                }
                Some(next)
            });
            drop(answers);
            let (status, body) = found.unwrap_or((404, "{}".to_owned()));
            async move { (StatusCode::from_u16(status).unwrap(), body) }
        };
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer);
        runtime.spawn(async move { axum::serve(listener, router).await });
        AdminApi {
            address,
            asked,
            _runtime: runtime,
        }
    }
}

impl AdminApi {
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}
