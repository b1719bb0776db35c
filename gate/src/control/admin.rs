//! The admin listener: who may ask, what may be asked, and in which words it is
//! answered. Handlers translate between HTTP and [`Commander`]; whatever changes
//! state is done there. `docs/admin-api.md` describes every call.

mod access;
mod ask;
mod audit;
mod body;
mod circularo;
mod credential;
mod filter;
mod guard;
mod health;
mod problem;
mod query;
mod reachfive;
mod retry;
mod scope;
mod serve;
mod sessions;
mod suspension;
mod throttle;
mod times;
mod tokens;
mod users;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, get};

use self::access::Call;
use self::ask::{Answer, Api, Ask};
use self::problem::Problem;
use super::command::Commander;
use super::tokens::Tokens;
use crate::live::Reader;

pub use serve::serve;

/// What the admin listener works with.
#[derive(Clone)]
pub struct AdminState {
    pub commander: Arc<Commander>,
    pub tokens: Arc<Tokens>,
    pub live: Reader,
    /// Whether the Circularo calls take `?token=`.
    pub query_token: bool,
    /// Whether the gate can do its work, or what it lacks. Must not block.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// Every call of the admin API.
pub fn router(state: AdminState) -> Router {
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PUT: MethodFilter = MethodFilter::PUT;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    let api = Api::new(state);
    let user = on(GET, Call::ShowUser, users::show)
        // Who may suspend may say so in this dialect; attributes ask for more.
        .merge(on(PUT, Call::PutUser, circularo::put));
    let user_sessions = on(GET, Call::ListSessions, sessions::list).merge(on(
        DELETE,
        Call::RevokeSessions,
        sessions::revoke,
    ));
    let tokens =
        on(GET, Call::ListTokens, tokens::list).merge(on(POST, Call::CreateToken, tokens::create));
    Router::new()
        .route("/", get(health::page))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/users", on(GET, Call::ListUsers, users::list))
        .route("/api/v1/users/{id}", user)
        .route(
            "/api/v1/users/{id}/suspend",
            on(POST, Call::Suspend, suspension::suspend),
        )
        .route(
            "/api/v1/users/{id}/restore",
            on(POST, Call::Restore, suspension::restore),
        )
        .route("/api/v1/users/{id}/sessions", user_sessions)
        .route(
            "/api/v1/users/{id}/sessions/{session}",
            on(DELETE, Call::RevokeSessions, sessions::revoke_one),
        )
        .route("/api/v1/audit", on(GET, Call::Audit, audit::list))
        .route("/api/v1/tokens", tokens)
        .route(
            "/api/v1/tokens/{id}",
            on(DELETE, Call::RevokeToken, tokens::revoke),
        )
        .route(
            "/api/v1/tokens/{id}/rotate",
            on(POST, Call::RotateToken, tokens::rotate),
        )
        .route("/api/v2/users", on(GET, Call::ListUsers, reachfive::list))
        .route(
            "/api/v2/users/{id}",
            on(GET, Call::ShowUser, reachfive::show),
        )
        .route(
            "/api/v2/users/{id}/suspend",
            on(POST, Call::Suspend, reachfive::suspend),
        )
        .route(
            "/api/v2/users/{id}/unsuspend",
            on(POST, Call::Restore, reachfive::unsuspend),
        )
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(guard::guard))
        .with_state(api)
}

fn on<F, Fut>(method: MethodFilter, call: Call, handler: F) -> MethodRouter<Arc<Api>>
where
    F: Fn(Ask) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    axum::routing::on(method, move |state, request| {
        ask::answer(state, request, call, handler)
    })
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
        .mend("look at docs/admin-api.md for the calls that there are")
}

async fn no_such_method(method: axum::http::Method, uri: Uri) -> Problem {
    Problem::wrong_method(&method, uri.path())
}
