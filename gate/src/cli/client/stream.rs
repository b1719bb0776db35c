//! Answers that come bit by bit: handed on as they come, however long they are.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::{ANSWER_BYTES_MAX, AdminApi};
use crate::cli::{Failure, problem};

/// The gate reads a large body, and the first users' turn may come late.
const BEGIN_WAIT: Duration = Duration::from_secs(180);
/// A stream of events beats every 15 seconds, a bulk call tells of every chunk.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A line of JSON, or what comes of one event. Longer is not what was asked for.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A call whose answer is read as it comes.
pub(in crate::cli) struct Call<'a> {
    /// Names the deed in errors.
    pub(in crate::cli) what: &'a str,
    pub(in crate::cli) method: Method,
    pub(in crate::cli) path: &'a str,
    pub(in crate::cli) header: Option<(HeaderName, HeaderValue)>,
    /// The body, and what it is.
    pub(in crate::cli) body: Option<(Bytes, &'static str)>,
}

/// Why a stream gave no more, where that is not its end.
#[derive(Debug)]
pub(in crate::cli) enum Trouble {
    /// It could not be begun: the gate is not there.
    Unreachable(Failure),
    /// The gate says no.
    Refused(StatusCode, Failure),
    /// It broke off, or fell silent.
    BrokenOff(Failure),
    /// Whoever took the parts could not go on.
    Ours(Failure),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(failure)
            | Trouble::Refused(_, failure)
            | Trouble::BrokenOff(failure)
            | Trouble::Ours(failure) => failure,
        }
    }
}

impl AdminApi {
    /// Hands each part of the answer to `take`, to its end.
    pub(in crate::cli) fn stream(
        &self,
        call: &Call<'_>,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Trouble> {
        let runtime = super::runtime().map_err(Trouble::Ours)?;
        runtime.block_on(async {
            let mut body = self.begin(call).await?;
            while let Some(part) = next(call.what, &mut body).await? {
                take(&part).map_err(Trouble::Ours)?;
            }
            Ok(())
        })
    }

    /// Hands each line of the answer to `take`, without its end.
    pub(in crate::cli) fn lines(
        &self,
        call: &Call<'_>,
        mut take: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Trouble> {
        let mut rest: Vec<u8> = Vec::new();
        self.stream(call, |part| {
            rest.extend_from_slice(part);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
                if rest.len() > LINE_BYTES_MAX {
                    return Err(Failure::failed(format!(
                        "{}: the answer has a line of more than {LINE_BYTES_MAX} bytes; is that the admin listener?",
                        call.what
                    )));
                }
                return Ok(());
            };
            let after = rest.split_off(end + 1);
            let whole = std::mem::replace(&mut rest, after);
            for line in String::from_utf8_lossy(&whole).lines() {
                take(line)?;
            }
            Ok(())
        })
    }

    async fn begin(&self, call: &Call<'_>) -> Result<Incoming, Trouble> {
        let request = self.prepare(call).map_err(Trouble::Ours)?;
        let begun = tokio::time::timeout(BEGIN_WAIT, self.send(request)).await;
        let response = match begun {
            Ok(response) => response.map_err(Trouble::Unreachable)?,
            Err(_) => return Err(Trouble::BrokenOff(self.no_answer(BEGIN_WAIT))),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let text = match tokio::time::timeout(SILENCE_MAX, body).await {
            Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            // The status alone says enough.
            Ok(Err(_)) | Err(_) => String::new(),
        };
        let why = problem::refused(call.what, status, &text);
        Err(Trouble::Refused(status, why))
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let (body, kind) = call.body.clone().unwrap_or_default();
        let mut request = self.request(call.method.clone(), call.path, body)?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if !kind.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some((name, value)) = call.header.clone() {
            headers.insert(name, value);
        }
        Ok(request)
    }
}

async fn next(what: &str, body: &mut Incoming) -> Result<Option<Bytes>, Trouble> {
    let broken = |why: &str| {
        Trouble::BrokenOff(Failure::Unknown(format!(
            "{what}: the answer broke off: {why}; look at the gate's log, and try again"
        )))
    };
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, body.frame()).await;
        let silent = format!("nothing came for {} s", SILENCE_MAX.as_secs());
        match frame.map_err(|_| broken(&silent))? {
            None => return Ok(None),
            Some(Err(error)) => return Err(broken(&super::innermost(&error))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
