//! One request, from head to answer: identify, status, decide, then forward or
//! refuse. The inner function returns refusals; the outer alone answers and logs.

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::{Body, Incoming};
use portcullis_core::decide::{Question, decide};
use portcullis_core::deed::Deed;
use portcullis_core::host::HostName;
use portcullis_core::login::LoginRoute;
use portcullis_core::path::CheckedPath;
use portcullis_core::refusal::Refusal;
use portcullis_core::request::{self, CheckedHead};

use super::answer::Said;
use super::body::Answer;
use super::connection::Client;
use super::forward::{self, Exchange, Unanswered};
use super::identify::{Found, Named, Proof, identify, learn_passwords};
use super::login::Login;
use super::respond::{self, Asked};
use super::settle::{self, Scene};
use super::upstream::Account;
use super::{WorkerRef, leaving, login, severing};
use crate::live::Reader;
use crate::live::connections::{Stake, Ticket};
use crate::live::sessions::SessionHash;
use crate::live::tenants::Tenant;

pub(super) async fn handle(
    worker: WorkerRef,
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    if !may_log_in(&worker, &request) {
        return Ok(answer(worker, client, request).await);
    }
    if worker.left.is_full(client.address.ip()) {
        let asked = Asked::of(&request, &client);
        let refusal = Refusal::Overloaded("logins that their clients have left");
        return Ok(respond::refuse(&worker, &asked, refusal).await);
    }
    let login = answer(Rc::clone(&worker), client.clone(), request);
    let answered = leaving::see_through(&worker, &client, login).await;
    Ok(answered.unwrap_or_else(|| {
        let mut response = Response::new(Answer::own(Bytes::new()));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }))
}

async fn answer(worker: WorkerRef, client: Client, request: Request<Incoming>) -> Response<Answer> {
    let mut asked = Asked::of(&request, &client);
    match pass(&worker, &client, request, &mut asked).await {
        Ok(response) => response,
        Err(refusal) => respond::refuse(&worker, &asked, refusal).await,
    }
}

/// Whether the request could be a login; that it is one is for [`login::read`].
fn may_log_in(worker: &WorkerRef, request: &Request<Incoming>) -> bool {
    // As in `LoginRoute::takes`: any other method may carry a body.
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return false;
    }
    let host = request.uri().authority().map(Authority::as_str);
    let host = host.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
    let host = host.and_then(|host| HostName::parse(host).ok());
    let tenants = worker.live.tenants();
    let tenant = host.and_then(|host| tenants.of_host(&host));
    let path = CheckedPath::parse(request.uri().path());
    tenant
        .zip(path.ok())
        .is_some_and(|(tenant, path)| tenant.is_login(&path))
}

async fn pass(
    worker: &WorkerRef,
    client: &Client,
    request: Request<Incoming>,
    asked: &mut Asked,
) -> Result<Response<Answer>, Refusal> {
    let (mut parts, mut body) = request.into_parts();
    let (head, tenant) = admit(worker, &parts, !body.is_end_stream(), asked)?;
    let (live, begun, peer) = (&worker.live, worker.live.latest(), client.address.ip());
    // Read first: a body may take its time, and whose the sessions are is looked up
    // when nothing keeps the request any more.
    let login = login::read(&tenant, &head, &parts, &mut body).await?;
    let (at_login, at_logout, deed) = purpose(&tenant, &head, &parts, login.is_some());
    let (found, ticket) = enter(worker, &tenant, (&parts, peer), login.is_some(), deed).await?;
    let named = &found.named;
    asked.remember_sessions(named);
    if !found.spoilt.is_empty() && !at_login {
        return Err(Refusal::SessionEnded);
    }
    let question = || Question {
        identities: named.iter().map(|named| named.judged(live)).collect(),
        attempt: login.as_ref().map(|login| login.attempt(live)),
        at_login,
        deed,
    };
    let asked_first = question();
    let permitted = decide(&asked_first, (worker.clock)())?;
    found.touch((worker.clock)());
    find_room(worker, &tenant, login.as_ref())?;

    let exchange = Exchange {
        worker,
        tenant: &tenant,
        client,
        head: &head,
        ticket: &ticket,
        account: Account::of(named.first().map(|named| &named.user), peer),
    };
    let needs_cookies = login.is_some() || tenant.config.taught_by.is_some();
    let route = login.as_ref().map(|login| login.route);
    let sent = exchange.prepare(&mut parts, &permitted, &found, route, needs_cookies);
    let _attempt = route.map(|route| live.attempts().begin(may_keep(route, &found)));
    let answered = exchange.send(&permitted, parts, login.as_ref(), body).await;
    let attempt = login.as_ref().zip(asked_first.attempt.as_ref());
    let attempt = attempt.map(|(login, attempt)| (login, attempt.standing.revision, &permitted));
    let scene = Scene {
        worker,
        tenant: &tenant,
        asked,
        ticket: &ticket,
        sent: &sent,
        elsewhere: &found.elsewhere,
        begun,
        at_login,
        at_logout,
        deed,
        beside: login.is_none() && found.is_beside(),
        named,
        judged: &asked_first.identities,
    };
    let mut answered = match answered {
        Ok(answered) => answered,
        Err(unanswered) => {
            scene.lose(attempt, &unanswered).await;
            return Err(match unanswered {
                Unanswered::Refused(refusal) => refusal,
                // Judged anew: what cut it now speaks. If all is well again by now,
                // the exchange is gone all the same.
                Unanswered::Cut => decide(&question(), (worker.clock)())
                    .err()
                    .unwrap_or(Refusal::SessionEnded),
            });
        }
    };
    learn_passwords(live, named, answered.response_mut().status());
    let said = std::mem::replace(&mut answered.said, Said::NOTHING);
    let settling = scene.settle(attempt, &said, answered.response_mut());
    settling.await?;
    Ok(forward::relay(worker, answered, ticket))
}

/// Finds out whose the request is, and registers it. What comes in the session of a
/// login that the app is thinking about waits for that: it may be somebody's then.
/// A further login need not; all that it can do is log in.
async fn enter(
    worker: &WorkerRef,
    tenant: &Tenant,
    (parts, peer): (&Parts, IpAddr),
    is_attempt: bool,
    deed: Deed,
) -> Result<(Found, Rc<Ticket>), Refusal> {
    let live = &worker.live;
    loop {
        let found = identify(tenant, live, parts, peer, (worker.clock)()).await?;
        let ticket = register(live, &found, deed)?;
        // Looked for when the request is registered: a login that begins later cuts
        // it, should the session become its user's.
        let unsettled = live.attempts().within(found.sessions());
        let Some(unsettled) = unsettled.filter(|_| !is_attempt) else {
            return Ok((found, ticket));
        };
        tokio::select! {
            () = unsettled.settle() => {}
            () = ticket.cut().fired() => {}
        }
    }
}

/// The sessions that an accepted login may leave as they are, now its user's.
fn may_keep(route: &LoginRoute, found: &Found) -> Vec<SessionHash> {
    match route.session_token {
        None => found.sessions().collect(),
        // These leave a session with whoever has it already.
        Some(_) => found.unknown.clone(),
    }
}

/// Asked before the app is: one that keeps the visitor's session at a login would make
/// it the user's, and the gate could not learn that.
fn find_room(
    worker: &WorkerRef,
    tenant: &Tenant,
    login: Option<&Login<'_>>,
) -> Result<(), Refusal> {
    let live = &worker.live;
    // Under whom a session would be kept: the user that the name means.
    let room = login.map_or(Ok(()), |login| {
        live.sessions().room_for(&live.resolve(login.name.clone()))
    });
    room.map_err(|error| settle::not_learnt(worker, tenant, &error))
}

/// Whether the request is for a login or a logout, and what it is about.
fn purpose(
    tenant: &Tenant,
    head: &CheckedHead,
    parts: &Parts,
    is_attempt: bool,
) -> (bool, bool, Deed) {
    let at_logout = tenant.is_logout(&parts.method, &head.path);
    let deed = if is_attempt || at_logout {
        Deed::Look
    } else {
        let query = parts.uri.query();
        Deed::of(&parts.method, query, &parts.headers, head.websocket)
    };
    (tenant.is_login(&head.path), at_logout, deed)
}

/// Registered before it is judged, so that a suspension finds it either way. An
/// attempt proves nothing, and to cut it would tell a stranger who is out: it is
/// judged when the app has answered.
fn register(live: &Reader, found: &Found, deed: Deed) -> Result<Rc<Ticket>, Refusal> {
    let ticket = live.register(stakes(&found.named), &found.unknown, deed);
    let ticket = ticket.ok_or(Refusal::Overloaded("requests under way"))?;
    let is_known = |hash| live.sessions().is_known(hash);
    if found.unknown.iter().any(is_known) {
        // It became somebody's between the look-up and here.
        return Err(Refusal::CannotKnow("whose session has just begun"));
    }
    severing::hold(ticket.cut(), severing::REFUSAL_WAIT);
    Ok(Rc::new(ticket))
}

/// The rules that need no user: a head with one meaning, for a tenant of this gate.
fn admit(
    worker: &WorkerRef,
    parts: &Parts,
    has_body: bool,
    asked: &mut Asked,
) -> Result<(CheckedHead, Arc<Tenant>), Refusal> {
    let head = request::check(
        &parts.method,
        &parts.uri,
        parts.version,
        &parts.headers,
        has_body,
    )?;
    if worker.live.is_blind() {
        return Err(Refusal::CannotKnow("the ledger can't be followed"));
    }
    let tenants = worker.live.tenants();
    let tenant = Arc::clone(tenants.of_host(&head.host).ok_or(Refusal::UnknownHost)?);
    asked.tenant = Some(Arc::clone(&tenant));
    if head.path.is_reserved() {
        return Err(Refusal::ReservedPath);
    }
    Ok((head, tenant))
}

/// Everyone whose suspension would end this request, each once.
fn stakes(named: &[Named]) -> Vec<Stake> {
    let mut stakes: Vec<Stake> = Vec::with_capacity(named.len());
    let by_proof = named.iter().map(|named| {
        let by_api_key = matches!(named.proof, Proof::ApiKey);
        (&named.user, by_api_key, named.session())
    });
    for (user, by_api_key, session) in by_proof {
        let known = stakes.iter_mut().find(|stake| stake.user == *user);
        if let Some(stake) = known {
            stake.by_api_key &= by_api_key;
            stake.sessions.extend(session);
        } else {
            stakes.push(Stake {
                user: user.clone(),
                by_api_key,
                sessions: session.into_iter().collect(),
            });
        }
    }
    stakes
}
