//! The admin listener: who may ask, what may be asked, and in which words it is
//! answered. Handlers translate between HTTP and [`Commander`]; whatever changes
//! state is done there. `docs/admin-api.md` describes every call.

mod access;
mod ask;
mod audit;
mod body;
mod bulk;
mod circularo;
mod credential;
mod deletion;
mod events;
mod export;
mod filter;
mod guard;
mod health;
mod offer;
mod openapi;
mod parameter;
mod places;
mod policies;
mod problem;
mod query;
mod question;
mod quotes;
mod reachfive;
mod rehearsal;
mod retry;
mod schema;
mod scope;
mod serve;
mod sessions;
mod shadow;
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
use axum::http::{StatusCode, Uri};
use axum::middleware;
use axum::routing::get;
use tokio::sync::watch;

use self::access::Call;
use self::ask::Api;
use self::offer::{Offer, Offers};
use self::parameter::{LIMIT, Parameter, TENANT};
use self::problem::Problem;
use super::command::Commander;
use super::policies::Policies;
use super::tokens::Tokens;
use crate::live::Reader;

pub use serve::serve;

/// What the admin listener works with.
#[derive(Clone)]
pub struct AdminState {
    pub commander: Arc<Commander>,
    pub tokens: Arc<Tokens>,
    pub live: Reader,
    pub policies: Arc<Policies>,
    /// Whether the Circularo calls take `?token=`.
    pub query_token: bool,
    /// Turns true when the gate stops; what would go on without end ends then.
    pub stopping: watch::Receiver<bool>,
    /// Whether the gate can do its work, or what it lacks. Must not block.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// Every call of the admin API.
pub fn router(state: AdminState) -> Router {
    let mut offers = Offers::default();
    users_of(&mut offers);
    last_of(&mut offers);
    reachfive_of(&mut offers);
    others_of(&mut offers);
    let document = openapi::document(&offers.all);
    offers
        .router
        .route("/", get(health::page))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route(
            "/openapi.json",
            get(move || openapi::serve(document.clone())),
        )
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(guard::guard))
        .with_state(Api::new(state))
}

const JUST_TENANT: &[Parameter] = &[TENANT];

fn users_of(offers: &mut Offers) {
    offers.add(
        Offer::get("/api/v1/users", Call::ListUsers, "Find users").takes(users::PARAMETERS),
        users::list,
    );
    offers.add(
        Offer::get(
            "/api/v1/users/{id}",
            Call::ShowUser,
            "What is known of a user",
        )
        .takes(JUST_TENANT),
        users::show,
    );
    // Who may suspend may say so in this dialect; attributes ask for more.
    offers.add_with_body(
        Offer::put(
            "/api/v1/users/{id}",
            Call::PutUser,
            "Set the user's status (Circularo's call) or attributes",
        )
        .needs_fields()
        .takes(JUST_TENANT),
        circularo::put,
    );
    offers.add_with_body(
        Offer::post(
            "/api/v1/users/{id}/suspend",
            Call::Suspend,
            "Keep a user out",
        )
        .takes(JUST_TENANT),
        suspension::suspend,
    );
    offers.add_with_body(
        Offer::post("/api/v1/users/{id}/restore", Call::Restore, "Lift holds").takes(JUST_TENANT),
        suspension::restore,
    );
    sessions_of(offers);
}

fn sessions_of(offers: &mut Offers) {
    const SESSIONS: &str = "/api/v1/users/{id}/sessions";
    offers.add(
        Offer::get(SESSIONS, Call::ListSessions, "Sessions that have not ended")
            .takes(&[TENANT, LIMIT]),
        sessions::list,
    );
    offers.add_with_body(
        Offer::delete(SESSIONS, Call::RevokeSessions, "End all sessions of a user")
            .takes(JUST_TENANT),
        sessions::revoke,
    );
    offers.add_with_body(
        Offer::delete(
            "/api/v1/users/{id}/sessions/{session}",
            Call::RevokeSessions,
            "End one session",
        )
        .takes(JUST_TENANT),
        sessions::revoke_one,
    );
}

/// The end of a user, and what is to be had before.
fn last_of(offers: &mut Offers) {
    offers.add_with_body(
        Offer::delete(
            "/api/v1/users/{id}",
            Call::DeleteUser,
            "Put a user out for good, and forget whom it was",
        )
        .takes(JUST_TENANT),
        deletion::delete,
    );
    offers.add_stream::<export::Export, _, _>(
        Offer::get(
            "/api/v1/users/{id}/export",
            Call::ExportUser,
            "All that is held about a user",
        )
        .takes(JUST_TENANT),
        export::export,
    );
}

/// The same in the dialect of ReachFive.
fn reachfive_of(offers: &mut Offers) {
    offers.add(
        Offer::get("/api/v2/users", Call::ListUsers, "Find users").takes(users::PARAMETERS),
        reachfive::list,
    );
    offers.add(
        Offer::get("/api/v2/users/{id}", Call::ShowUser, "A user's profile").takes(JUST_TENANT),
        reachfive::show,
    );
    offers.add_with_body(
        Offer::post(
            "/api/v2/users/{id}/suspend",
            Call::Suspend,
            "Suspend a user",
        )
        .takes(JUST_TENANT),
        reachfive::suspend,
    );
    offers.add_with_body(
        Offer::post(
            "/api/v2/users/{id}/unsuspend",
            Call::Restore,
            "Unsuspend a user",
        )
        .takes(JUST_TENANT),
        reachfive::unsuspend,
    );
}

fn others_of(offers: &mut Offers) {
    offers.add(
        Offer::get("/api/v1/audit", Call::Audit, "What happened").takes(audit::PARAMETERS),
        audit::list,
    );
    many_of(offers);
    policies_of(offers);
    const TOKENS: &str = "/api/v1/tokens";
    offers.add(
        Offer::get(TOKENS, Call::ListTokens, "Admin tokens").takes(tokens::PARAMETERS),
        tokens::list,
    );
    offers.add_with_body(
        Offer::post(TOKENS, Call::CreateToken, "Make an admin token")
            .takes(JUST_TENANT)
            .answers_with(StatusCode::CREATED),
        tokens::create,
    );
    offers.add(
        Offer::delete(
            "/api/v1/tokens/{id}",
            Call::RevokeToken,
            "Revoke an admin token",
        )
        .takes(JUST_TENANT),
        tokens::revoke,
    );
    offers.add_with_body(
        Offer::post(
            "/api/v1/tokens/{id}/rotate",
            Call::RotateToken,
            "Give an admin token a new secret",
        )
        .takes(JUST_TENANT),
        tokens::rotate,
    );
}

/// A tenant's policy.
fn policies_of(offers: &mut Offers) {
    const POLICY: &str = "/api/v1/tenants/{id}/policy";
    offers.add(
        Offer::get(POLICY, Call::ShowPolicy, "The policy in force"),
        policies::show,
    );
    offers.add_long::<policies::PolicyFields, policies::PolicyView, _, _>(
        Offer::put(POLICY, Call::PutPolicy, "Put another policy in force"),
        policies::put,
    );
    offers.add_with_body(
        Offer::post(
            "/api/v1/tenants/{id}/policy/rollback",
            Call::PutPolicy,
            "Put the policy before it in force again",
        ),
        policies::roll_back,
    );
    offers.add_long::<policies::PolicyFields, rehearsal::RehearsalView, _, _>(
        Offer::post(
            "/api/v1/tenants/{id}/policy/rehearse",
            Call::RehearsePolicy,
            "Ask a candidate what the policy was asked of late, and compare",
        ),
        rehearsal::rehearse,
    );
    const SHADOW: &str = "/api/v1/tenants/{id}/policy/shadow";
    offers.add(
        Offer::get(SHADOW, Call::ShowPolicy, "What a shadow has counted"),
        shadow::show,
    );
    offers.add_long::<policies::PolicyFields, shadow::ShadowView, _, _>(
        Offer::post(
            SHADOW,
            Call::RehearsePolicy,
            "Run a candidate beside the policy in force for a while",
        )
        .takes(shadow::PARAMETERS),
        shadow::begin,
    );
    offers.add(
        Offer::delete(SHADOW, Call::RehearsePolicy, "Stop the shadow"),
        shadow::stop,
    );
}

/// Calls that tell as they go.
fn many_of(offers: &mut Offers) {
    offers.add_long::<bulk::BulkFields, bulk::AnswerLine, _, _>(
        Offer::post("/api/v1/bulk", Call::Bulk, "Suspend or restore many users")
            .takes(JUST_TENANT)
            .also_reads("application/x-ndjson")
            .streams("application/x-ndjson"),
        bulk::run,
    );
    offers.add_long::<bulk::UndoFields, bulk::AnswerLine, _, _>(
        Offer::post(
            "/api/v1/bulk/{id}/undo",
            Call::Bulk,
            "Take back what a bulk call did",
        )
        .takes(JUST_TENANT)
        .streams("application/x-ndjson"),
        bulk::undo,
    );
    offers.add_stream::<view::EntryView, _, _>(
        Offer::get("/api/v1/events", Call::Events, "Follow what happens")
            .takes(events::PARAMETERS)
            .streams("text/event-stream"),
        events::follow,
    );
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
        .mend("look at docs/admin-api.md for the calls that there are")
}

async fn no_such_method(method: axum::http::Method, uri: Uri) -> Problem {
    Problem::wrong_method(&method, uri.path())
}
