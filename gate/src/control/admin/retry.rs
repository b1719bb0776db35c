//! Answers kept for retries: the same call with the same `Idempotency-Key` gets
//! the first answer again. Only answers of success are kept: what was refused
//! changed nothing, and may well be tried again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_core::ids::UserKey;
use portcullis_core::limits;
use portcullis_core::time::Timestamp;

use super::ask::Written;
use super::problem::Problem;
use crate::control::ledger::{AppendError, IdempotencyKey};

#[derive(Default)]
pub(super) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_key: HashMap<String, Place>,
    /// Keys of finished calls, the oldest first.
    order: VecDeque<(Timestamp, String)>,
    bytes: usize,
}

struct Place {
    request: [u8; 32],
    /// Whom the call names: what it told of a user goes when the user is deleted.
    about: Option<UserKey>,
    /// `None`: the call is still being done.
    answer: Option<Written>,
}

impl Answers {
    /// Does the call, unless its key has been seen.
    pub(super) async fn once<Fut>(
        &self,
        key: IdempotencyKey,
        about: Option<UserKey>,
        now: Timestamp,
        work: impl FnOnce() -> Fut,
    ) -> Result<Response, Problem>
    where
        Fut: Future<Output = Result<Written, Problem>>,
    {
        if let Some(answer) = self.claim(&key, about, now)? {
            let mut response = answer.into_response();
            let yes = HeaderValue::from_static("true");
            response.headers_mut().insert("idempotency-replayed", yes);
            return Ok(response);
        }
        let mut claim = Claim {
            answers: self,
            key: key.as_str(),
            answer: None,
        };
        let answer = work().await?;
        claim.answer = Some((now, answer.clone()));
        Ok(answer.into_response())
    }

    /// The answer that was given before, or the claim to give the first one.
    fn claim(
        &self,
        key: &IdempotencyKey,
        about: Option<UserKey>,
        now: Timestamp,
    ) -> Result<Option<Written>, Problem> {
        let mut kept = self.lock();
        kept.forget(now);
        match kept.by_key.get(key.as_str()) {
            Some(place) if place.request != *key.request_hash() => {
                Err(AppendError::KeyReused.into())
            }
            Some(Place {
                answer: Some(answer),
                ..
            }) => Ok(Some(answer.clone())),
            Some(Place { answer: None, .. }) => Err(Problem::new(
                StatusCode::CONFLICT,
                "still_being_done",
                "the first request with this Idempotency-Key is still being done",
            )
            .mend("wait for its answer, or repeat this in a moment")),
            None => {
                let place = Place {
                    request: *key.request_hash(),
                    about,
                    answer: None,
                };
                kept.by_key.insert(key.as_str().to_owned(), place);
                Ok(None)
            }
        }
    }

    /// A user is deleted: what was told of it is not told again.
    pub(super) fn forget_user(&self, user: &UserKey) {
        let mut kept = self.lock();
        let Kept {
            by_key,
            order,
            bytes,
        } = &mut *kept;
        order.retain(|(_, key)| {
            let theirs = by_key
                .get(key)
                .is_some_and(|place| place.about.as_ref() == Some(user));
            if theirs && let Some(place) = by_key.remove(key) {
                *bytes -= place.answer.map_or(0, |answer| answer.bytes());
            }
            !theirs
        });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, now: Timestamp) {
        let kept_ms = limits::ADMIN_ANSWERS_KEPT.as_millis() as u64;
        while let Some((at, _)) = self.order.front() {
            let too_old = now.0.saturating_sub(at.0) > kept_ms;
            let too_many = self.order.len() > limits::ADMIN_ANSWERS_MAX
                || self.bytes > limits::ADMIN_ANSWERS_BYTES_MAX;
            if !too_old && !too_many {
                return;
            }
            let Some((_, key)) = self.order.pop_front() else {
                return;
            };
            let place = self.by_key.remove(&key);
            let answer = place.and_then(|place| place.answer);
            self.bytes -= answer.map_or(0, |answer| answer.bytes());
        }
    }
}

/// A call that is being done. Whatever ends it, its key is free or answered.
struct Claim<'a> {
    answers: &'a Answers,
    key: &'a str,
    answer: Option<(Timestamp, Written)>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut kept = self.answers.lock();
        let Some((at, answer)) = self.answer.take() else {
            kept.by_key.remove(self.key);
            return;
        };
        let bytes = answer.bytes();
        if let Some(place) = kept.by_key.get_mut(self.key) {
            place.answer = Some(answer);
            kept.bytes += bytes;
            kept.order.push_back((at, self.key.to_owned()));
        }
    }
}
