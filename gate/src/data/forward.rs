//! Forwards what was permitted, and relays the app's answer.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use portcullis_core::cookies;
use portcullis_core::decide::Permitted;
use portcullis_core::forward as rules;
use portcullis_core::grpc;
use portcullis_core::identify::canonical_cookie_value;
use portcullis_core::login::LoginRoute;
use portcullis_core::refusal::Refusal;
use portcullis_core::request::{CheckedHead, HeadFault, lists};
use tokio::time::Instant;

use super::WorkerRef;
use super::answer::{self, AppBody, Begun, Said};
use super::body::{Answer, Upload, UploadState};
use super::connection::Client;
use super::identify::{Found, Proof, listed_headers};
use super::login::Login;
use super::upstream::{self, Account, Borrowed};
use super::{severing, tunnel};
use crate::config::{UnknownSessions, UpstreamProtocol};
use crate::live::connections::Ticket;
use crate::live::seals::SealId;
use crate::live::sessions::{self, SessionHash};
use crate::live::tenants::Tenant;

/// One request on its way to the app.
pub(super) struct Exchange<'a> {
    pub worker: &'a WorkerRef,
    pub tenant: &'a Tenant,
    pub client: &'a Client,
    pub head: &'a CheckedHead,
    pub ticket: &'a Rc<Ticket>,
    pub account: Account,
}

/// The app's answer, its body still to come.
pub(super) struct Answered {
    response: Response<Incoming>,
    /// What was read of a login's answer to judge it.
    begun: Begun,
    /// What the route's rule says of that body.
    pub said: Said,
    connection: Borrowed,
    /// The client's side of a WebSocket that both want.
    upgrade: Option<OnUpgrade>,
    keep_alive_slot: Option<super::connection::Slot>,
    /// A gRPC call of an HTTP/2 client.
    grpc: bool,
}

impl Answered {
    pub(super) fn response_mut(&mut self) -> &mut Response<Incoming> {
        &mut self.response
    }
}

/// Why there is no answer of the app's.
pub(super) enum Unanswered {
    Refused(Refusal),
    /// The user was suspended while the app was thinking.
    Cut,
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Exchange<'_> {
    /// Makes the head what the app gets; returns its Host and cookies, where they are
    /// needed for what follows the answer.
    pub(super) fn prepare(
        &self,
        parts: &mut Parts,
        permitted: &Permitted,
        found: &Found,
        login: Option<&LoginRoute>,
        needs_cookies: bool,
    ) -> HeaderMap {
        let host = HeaderValue::from_str(
            parts
                .uri
                .authority()
                .map_or(self.head.host.as_str(), |authority| authority.as_str()),
        );
        let host = parts.headers.get(header::HOST).cloned().or(host.ok());
        let host = host.unwrap_or_else(|| HeaderValue::from_static(""));
        let client = rules::Client {
            address: self.client.address.ip(),
            scheme: self.client.scheme,
            host: &host,
        };
        let onward = match (self.head.websocket, self.tenant.upstream.protocol) {
            (true, _) => rules::Onward::WebSocket,
            (false, UpstreamProtocol::Http1) => rules::Onward::Http1,
            (false, UpstreamProtocol::Http2) => rules::Onward::Http2,
        };
        let sources = &self.tenant.config.sources;
        let listed = listed_headers(self.tenant, client.address);
        let named = rules::Named {
            sources,
            listed: &listed,
        };
        rules::request_headers(&mut parts.headers, &client, &named, onward);
        self.unseal(&mut parts.headers, found);
        cookies::drop_unjudged(&mut parts.headers, sources, |cookie, value| {
            if sources.is_sealed(cookie) {
                return true;
            }
            let name = &sources.session_cookies[cookie];
            let hash = sessions::hash(self.tenant.id(), name, value);
            self.worker.live.sessions().is_known(&hash)
        });
        let without_unknown = !found.unknown.is_empty()
            && self.tenant.config.unknown_sessions == UnknownSessions::Login
            && !self.tenant.is_login(&self.head.path);
        if without_unknown {
            self.drop_unknown_sessions(&mut parts.headers);
        }
        if permitted.without_dead_cookies() || !found.spoilt.is_empty() {
            self.drop_dead_cookies(&mut parts.headers, found);
        }
        let mut sent = HeaderMap::new();
        if login.is_some_and(LoginRoute::reads_answer) {
            answer::ask_plain(&mut parts.headers);
        }
        if !needs_cookies {
            return sent;
        }
        if let Some(cookies) = parts.headers.get(header::COOKIE) {
            sent.insert(header::COOKIE, cookies.clone());
        }
        sent.insert(header::HOST, host);
        sent
    }

    /// Gives the app its own values back. What this gate did not let out, or let out
    /// for a session that is over, is no session to it either.
    fn unseal(&self, headers: &mut HeaderMap, found: &Found) {
        let sources = &self.tenant.config.sources;
        if !sources.sealed_cookies.contains(&true) {
            return;
        }
        let live = &self.worker.live;
        let takes_strangers = self.tenant.config.unknown_sessions == UnknownSessions::Allow
            || self.tenant.is_login(&self.head.path);
        let passes = |hash: SessionHash, is_visitors: bool| {
            let mut known = false;
            let mut owners = found
                .named
                .iter()
                .filter(|named| named.session() == Some(hash));
            let alive = owners.all(|owner| {
                known = true;
                !owner.judged(live).dead
            });
            alive && (known || (is_visitors && takes_strangers))
        };
        rules::rewrite_cookies(headers, |name, value| {
            let names = sources.session_cookies.iter();
            let sealed = names
                .enumerate()
                .find(|(cookie, known)| sources.is_sealed(*cookie) && known.as_bytes() == name);
            let Some((_, name)) = sealed else {
                return Some(value.to_vec());
            };
            let (bare, id) = live.seals().open(self.tenant.id(), name, value)?;
            let is_visitors = id == SealId::VISITOR;
            let hash = match is_visitors {
                true => sessions::hash(self.tenant.id(), name, bare),
                false => id.hash(self.tenant.id(), name),
            };
            passes(hash, is_visitors).then(|| bare.to_vec())
        });
    }

    /// The app takes who comes without a session to its login by itself.
    fn drop_unknown_sessions(&self, headers: &mut HeaderMap) {
        let names = &self.tenant.config.sources.session_cookies;
        rules::without_cookies(headers, |name, value| {
            let mut names = names.iter().enumerate();
            let Some((cookie, name)) = names.find(|(_, known)| known.as_bytes() == name) else {
                return false;
            };
            let hash = sessions::hash(self.tenant.id(), name, &canonical_cookie_value(value));
            !self.tenant.config.sources.is_sealed(cookie)
                && !self.worker.live.sessions().is_known(&hash)
        });
    }

    fn drop_dead_cookies(&self, headers: &mut HeaderMap, found: &Found) {
        let dead_ones = || {
            found
                .named
                .iter()
                .filter(|named| named.judged(&self.worker.live).dead)
        };
        let dead_tokens = dead_ones().filter_map(|named| match &named.proof {
            Proof::Token { cookie, .. } => cookie.as_deref(),
            Proof::Session { .. } | Proof::ApiKey | Proof::TrustedHeader | Proof::Basic { .. } => {
                None
            }
        });
        let tokens: Vec<&str> = found
            .spoilt
            .iter()
            .map(String::as_str)
            .chain(dead_tokens)
            .collect();
        let dead: Vec<_> = dead_ones()
            .filter_map(|named| match &named.proof {
                Proof::Session {
                    hash,
                    cookie: Some(cookie),
                    ..
                } => Some((*cookie, *hash)),
                Proof::Session { cookie: None, .. }
                | Proof::Token { .. }
                | Proof::ApiKey
                | Proof::TrustedHeader
                | Proof::Basic { .. } => None,
            })
            .collect();
        let names = &self.tenant.config.sources.session_cookies;
        rules::without_cookies(headers, |name, value| {
            let is_token = tokens.iter().any(|token| token.as_bytes() == name);
            is_token
                || dead.iter().any(|(cookie, hash)| {
                    names[*cookie].as_bytes() == name
                        && sessions::hash(
                            self.tenant.id(),
                            &names[*cookie],
                            &canonical_cookie_value(value),
                        ) == *hash
                })
        });
    }

    /// Sends the request. Takes a [`Permitted`]: nothing else may come this far.
    pub(super) async fn send(
        &self,
        _permission: &Permitted,
        mut parts: Parts,
        login: Option<&Login<'_>>,
        body: Incoming,
    ) -> Result<Answered, Unanswered> {
        if self.head.websocket && self.tenant.upstream.protocol == UpstreamProtocol::Http2 {
            // HTTP/2 has no upgrade (RFC 9113 §8.6).
            return Err(Refusal::Head(HeadFault::Upgrade).into());
        }
        let is_call = parts.version == Version::HTTP_2 && grpc::is_call(&parts.headers);
        let deadlines = &self.worker.deadlines;
        let upgrade = parts
            .extensions
            .remove::<OnUpgrade>()
            .filter(|_| self.head.websocket);
        let state = Rc::new(UploadState::default());
        let answered_idle = deadlines.response_body_idle;
        let idle = if is_call {
            answered_idle
        } else {
            deadlines.request_body_idle
        };
        let grpc = is_call;
        let upload = match login {
            Some(login) => Upload::Whole(Full::new(login.body.clone())),
            None => Upload::stream(body, (idle, answered_idle), &state, self.ticket),
        };
        let request = outgoing(parts, upload);
        let cut = self.ticket.cut();
        let sending = upstream::send(self.worker, &self.tenant.upstream, &self.account, request);
        let answer = tokio::select! {
            biased;
            () = cut.fired() => {
                cut.obey();
                return Err(Unanswered::Cut);
            }
            answer = sending => answer,
            () = self.too_slow(&state, is_call) => Err(Refusal::UpstreamSlow),
        };
        let (mut response, connection) =
            answer.map_err(|refusal| state.take_fault().unwrap_or(refusal))?;
        state.answer_has_begun();
        self.client.carries(self.ticket.cut());
        let keep_alive_slot = upgrade.is_some().then(|| self.client.slot());
        let (begun, said) = match login {
            Some(login) => {
                answer::judge(self.tenant.id(), login.route, &mut response, self.ticket).await?
            }
            None => (Begun::default(), Said::NOTHING),
        };
        Ok(Answered {
            response,
            begun,
            said,
            connection,
            upgrade,
            keep_alive_slot,
            grpc,
        })
    }

    /// The app's time runs from the last piece of the request that it was sent. In
    /// gRPC the head of the answer often comes with the first message only, so
    /// there it is the wait for a message.
    async fn too_slow(&self, state: &UploadState, is_call: bool) {
        let deadlines = &self.worker.deadlines;
        let wait = if is_call {
            deadlines.upstream_head.max(deadlines.response_body_idle)
        } else {
            deadlines.upstream_head
        };
        let started = Instant::now();
        loop {
            let since = state.waiting_since().unwrap_or(started);
            let deadline = since + wait;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// Origin form, HTTP/1.1, and framing that hyper's client keeps: without a word
/// on it, it would drop the body of a GET.
fn outgoing(mut parts: Parts, upload: Upload) -> Request<Upload> {
    let target = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    match &upload {
        Upload::Empty => {
            // A POST without a body says so; a GET need not.
            if !parts.method.is_safe() {
                parts
                    .headers
                    .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            } else {
                parts.headers.remove(header::CONTENT_LENGTH);
            }
        }
        Upload::Whole(body) => {
            let length = body.size_hint().exact().unwrap_or_default();
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Upload::Stream { body, .. } => {
            if body.size_hint().exact().is_none() {
                parts.headers.remove(header::CONTENT_LENGTH);
                let chunked = HeaderValue::from_static("chunked");
                parts.headers.insert(header::TRANSFER_ENCODING, chunked);
            }
        }
    }
    Request::from_parts(parts, upload)
}

/// Relays the answer; the ticket goes with its body, or with the tunnel.
pub(super) fn relay(
    worker: &WorkerRef,
    answered: Answered,
    ticket: Rc<Ticket>,
) -> Response<Answer> {
    let Answered {
        mut response,
        begun,
        said: _,
        connection,
        upgrade,
        keep_alive_slot,
        grpc,
    } = answered;
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switching {
        let agreed = lists(response.headers(), &header::UPGRADE, "websocket");
        let (Some(client), true) = (upgrade, agreed) else {
            tracing::warn!("the app switched protocols without being asked");
            let mut refused = Response::new(Answer::own(Bytes::new()));
            *refused.status_mut() = StatusCode::BAD_GATEWAY;
            return refused;
        };
        let app = hyper::upgrade::on(&mut response);
        let limits = tunnel::Limits {
            idle: worker.deadlines.upgraded_idle,
            draining: worker.draining.clone(),
        };
        tokio::task::spawn_local(tunnel::run(client, app, ticket, limits, keep_alive_slot));
        let (mut parts, _) = response.into_parts();
        rules::response_headers(&mut parts.headers, true);
        parts.extensions.clear();
        return Response::from_parts(parts, Answer::own(Bytes::new()));
    }
    let (mut parts, body) = response.into_parts();
    rules::response_headers(&mut parts.headers, false);
    parts.extensions.clear();
    parts.version = Version::HTTP_11;
    let idle = worker.deadlines.response_body_idle;
    // From here on the body speaks for the request, at once or never.
    severing::hold(ticket.cut(), Duration::ZERO);
    let grpc = grpc && grpc::is_call(&parts.headers);
    let body = AppBody::new(begun, body);
    Response::from_parts(parts, Answer::relayed(body, ticket, idle, connection, grpc))
}
