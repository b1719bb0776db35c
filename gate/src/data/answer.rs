//! The app's answer to a login, where its body says whether the password was
//! right, or holds the new session's token: its beginning is gathered, judged, and
//! then relayed as it came.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use portcullis_core::ids::TenantId;
use portcullis_core::limits;
use portcullis_core::login::success::BodyVerdict;
use portcullis_core::login::{GivenToken, LoginRoute};
use portcullis_core::refusal::Refusal;
use tokio::time::Instant;

use super::forward::Unanswered;
use super::login::parse_json;
use crate::live::connections::Ticket;

/// The pieces of a body that were read before it is relayed.
#[derive(Default)]
pub(super) struct Begun {
    pieces: VecDeque<Frame<Bytes>>,
    ended: bool,
}

/// The app's body: what was gathered of it, then the rest.
pub(super) struct AppBody {
    begun: Begun,
    rest: Incoming,
}

impl AppBody {
    pub(super) fn new(begun: Begun, rest: Incoming) -> Self {
        Self { begun, rest }
    }
}

impl Body for AppBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        match this.begun.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if this.begun.ended => Poll::Ready(None),
            None => Pin::new(&mut this.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.pieces.is_empty() && (self.begun.ended || self.rest.is_end_stream())
    }

    /// What was gathered has a length that the app may not have told; it is not
    /// told to the client either, so that the framing stays the app's.
    fn size_hint(&self) -> SizeHint {
        if self.begun.pieces.is_empty() && !self.begun.ended {
            self.rest.size_hint()
        } else {
            SizeHint::default()
        }
    }
}

/// Asks the app for a body that can be read, and for the whole of it.
pub(super) fn ask_plain(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    headers.remove(header::RANGE);
}

/// What an answer's body says of a login.
pub(super) struct Said {
    pub verdict: BodyVerdict,
    pub token: GivenToken,
}

impl Said {
    /// Where nobody looks at the body.
    pub(super) const NOTHING: Self = Self {
        verdict: BodyVerdict::Accepted,
        token: GivenToken::Unasked,
    };
}

/// Judges the body by the route's rule, and takes the session's token from it,
/// reading no more than that takes. An answer whose head says "refused" is not
/// read at all.
pub(super) async fn judge(
    tenant: &TenantId,
    route: &LoginRoute,
    response: &mut Response<Incoming>,
    ticket: &Ticket,
) -> Result<(Begun, Said), Unanswered> {
    let mut begun = Begun::default();
    if !route.reads_answer() {
        return Ok((begun, Said::NOTHING));
    }
    let mut said = Said {
        verdict: BodyVerdict::Refused,
        token: route.given_token(None),
    };
    if !route.may_be_accepted(response.status()) {
        return Ok((begun, said));
    }
    said.verdict = BodyVerdict::Unclear;
    if is_coded(response.headers()) {
        tracing::warn!(
            %tenant,
            "the app compressed its answer to a login, unasked: it can't be judged and counts as accepted"
        );
        return Ok((begun, said));
    }
    let said = gather(route, &mut begun, response.body_mut(), ticket).await?;
    if said.verdict == BodyVerdict::Unclear {
        tracing::warn!(
            %tenant,
            "the app's answer to a login can't be judged by success_body and counts as accepted"
        );
    }
    Ok((begun, said))
}

fn is_coded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings.into_iter().any(|coding| {
        !coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"identity")
    })
}

/// What the route makes of so much of the body.
fn read(route: &LoginRoute, text: &[u8], whole: bool) -> Said {
    let verdict = match &route.success_body {
        Some(rule) => rule.judge(text, whole, parse_json),
        None => BodyVerdict::Accepted,
    };
    let body = whole.then(|| parse_json(text)).flatten();
    Said {
        verdict,
        token: route.given_token(body),
    }
}

async fn gather(
    route: &LoginRoute,
    begun: &mut Begun,
    body: &mut Incoming,
    ticket: &Ticket,
) -> Result<Said, Unanswered> {
    let deadline = Instant::now() + limits::LOGIN_ANSWER_WAIT;
    let mut text = BytesMut::new();
    let cut = ticket.cut();
    while text.len() <= limits::LOGIN_ANSWER_BYTES_MAX {
        let frame = tokio::select! {
            biased;
            () = cut.fired() => {
                cut.obey();
                return Err(Unanswered::Cut);
            }
            frame = body.frame() => frame,
            () = tokio::time::sleep_until(deadline) => return Ok(read(route, &text, false)),
        };
        match frame {
            Some(Ok(piece)) => {
                text.extend_from_slice(piece.data_ref().map_or(&[][..], Bytes::as_ref));
                begun.pieces.push_back(piece);
            }
            Some(Err(_)) => return Err(Unanswered::Refused(Refusal::UpstreamBroken)),
            None => {
                begun.ended = true;
                return Ok(read(route, &text, true));
            }
        }
    }
    Ok(read(route, &text, false))
}
