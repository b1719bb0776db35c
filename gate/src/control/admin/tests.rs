//! Promises of the admin API, over real sockets and on a real store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod bounds;
mod bulk;
mod dialects;
mod events;
mod holds;
mod owners;
mod records;
mod retries;
mod sums;
mod suspensions;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis_core::ids::{Revision, TenantId, UserId, UserKey};
use portcullis_core::ledger::Role;
use portcullis_core::time::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{AdminState, router, serve};
use crate::config::Config;
use crate::control::apply::Applier;
use crate::control::command::{Caller, Commander};
use crate::control::policies::{Policies, Shelf};
use crate::control::sessions::KeptSessions;
use crate::control::store::SqliteStore;
use crate::control::tokens::{TokenAsk, Tokens};
use crate::live::sessions::{Bounds, Learnt, Place};
use crate::live::tenants::{Tenant, Tenants};
use crate::live::{self, Reader};
use crate::policy::{Generations, HostLimits, PolicyHost, builtin};

/// A gate without its data wing.
struct Gate {
    address: SocketAddr,
    live: Reader,
    tokens: Arc<Tokens>,
    /// A global-admin's token.
    root: String,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

/// An answer, read to its end.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    json: Value,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Status, code and field of a problem.
    fn problem(&self) -> (u16, &str, &str) {
        let kind = self.header("content-type");
        assert_eq!(kind, "application/problem+json", "{}", self.text);
        assert_eq!(self.json["status"], self.status.as_u16());
        let text = |name: &str| self.json[name].as_str().unwrap_or_default();
        assert!(!text("title").is_empty() && !text("detail").is_empty());
        (self.status.as_u16(), text("code"), text("field"))
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(since_epoch.as_millis() as u64)
}

fn tenants(ids: &[&str]) -> Tenants {
    let text: String = ids
        .iter()
        .map(|id| {
            format!(
                "[[tenants]]\nid = \"{id}\"\nhosts = [\"{id}.test\"]\nupstream = \"http://127.0.0.1:9\"\n\
                 [[tenants.session_cookies]]\nname = \"sid\"\n[[tenants.logins]]\npath = \"/login\"\n"
            )
        })
        .collect();
    let config = Config::parse(&text, Path::new("portcullis.toml"), &|_| None).unwrap();
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let settings = builtin::manifest("standard").unwrap().settings;
    let policy = host
        .load_module(builtin::module("standard").unwrap(), settings)
        .unwrap();
    let tenants = config.tenants.into_iter();
    Tenants::new(
        tenants
            .map(|config| Tenant::new(config, Generations::new(Arc::clone(&policy))))
            .collect(),
    )
}

const BOUNDS: Bounds = Bounds {
    all: 100,
    per_user: 10,
};

impl Gate {
    async fn start(ids: &[&str]) -> Self {
        Self::start_with(ids, true, Ok(())).await
    }

    async fn start_with(ids: &[&str], query_token: bool, ready: Result<(), String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let kept = Arc::new(KeptSessions(Arc::clone(&store)));
        let (live, writer) = live::open(tenants(ids), kept, BOUNDS, &[0; 32], Box::new(|_| ()));
        let (scheduled, _) = mpsc::unbounded_channel();
        let effects = Applier::load(Arc::clone(&store), writer, now, scheduled)
            .unwrap()
            .start();
        let tokens = Tokens::load(Arc::clone(&store)).unwrap();
        let tokens = Arc::new(tokens.judged_by(live.clone()));
        let (stop_streams, stopping) = watch::channel(false);
        let policies = Policies::start(
            Arc::new(PolicyHost::new(HostLimits::default()).unwrap()),
            Arc::new(Shelf::new(folder.path())),
            Arc::clone(&store) as _,
            &live,
            now,
        );
        let state = AdminState {
            policies,
            commander: Arc::new(Commander::new(
                store,
                effects,
                Arc::clone(&tokens),
                live.clone(),
                now,
            )),
            tokens: Arc::clone(&tokens),
            live: live.clone(),
            query_token,
            stopping,
            ready: Arc::new(move || ready.clone()),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, router(state), async move {
            let _ = stopped.await;
            let _ = stop_streams.send(true);
        }));
        let mut gate = Self {
            address,
            live,
            tokens,
            root: String::new(),
            stop: Some(stop),
            served,
            _folder: folder,
        };
        gate.root = gate.token(Role::GlobalAdmin, None, "root").await;
        gate
    }

    async fn token(&self, role: Role, tenant: Option<&str>, name: &str) -> String {
        let ask = TokenAsk {
            role,
            tenant: tenant.map(|id| TenantId::parse(id).unwrap()),
            user: None,
            name: name.to_owned(),
            expires_at: None,
        };
        let by = Caller::command_line();
        self.tokens
            .create(ask, &by, now(), None)
            .await
            .unwrap()
            .secret
    }

    /// As a global-admin: `"POST /path"` with a body, or without.
    async fn root(&self, call: &str, body: &str) -> Reply {
        self.by(&self.root, call, body).await
    }

    async fn by(&self, token: &str, call: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.send(call, &headers, body).await
    }

    /// As a global-admin, with one header more.
    async fn root_with(&self, header: (&str, &str), call: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.root);
        let json = ("content-type", "application/json");
        let headers = [("authorization", bearer.as_str()), json, header];
        self.send(call, &headers, body).await
    }

    async fn send(&self, call: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let (method, path) = call.split_once(' ').unwrap();
        let mut request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::<bytes::Bytes>::from(body.to_owned()))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        // A stream of events has no end.
        let endless = parts
            .headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        let bytes = match endless {
            true => bytes::Bytes::new(),
            false => body.collect().await.unwrap().to_bytes(),
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    async fn log_in(&self, tenant: &str, user: &str, cookie: u8) {
        let tenant = TenantId::parse(tenant).unwrap();
        let user = UserKey::new(&tenant, &UserId::parse(user).unwrap());
        let user_now = self.live.resolve(user.clone());
        let learnt = Learnt {
            hash: [cookie; 32],
            user,
            learnt_at: self.live.standing(&user_now).revision,
            first_seen: now(),
            last_seen: now(),
            place: Place {
                name: "sid".into(),
                ..Place::default()
            },
            address: Some([192, 0, 2, 7].into()),
            agent: Some("Tests/1".into()),
            ended: None,
        };
        let sessions = self.live.sessions();
        sessions.learn(learnt, true, Revision(0)).await.unwrap();
    }

    /// Stops the listener and waits until it is gone.
    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.served.await.unwrap().unwrap();
    }
}
