//! Answers about opaque tokens (RFC 7662), and the desk where the data wing leaves
//! the questions that the control wing takes to the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use moka::sync::Cache;
use portcullis_core::limits;
use portcullis_core::time::Timestamp;
use tokio::sync::{mpsc, watch};

use super::tokens::Claims;
use crate::config::IntrospectionConfig;
use crate::secret::Secret;

type TokenHash = [u8; 32];

/// What the server says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Active(Arc<Claims>),
    Inactive,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unanswered;

pub struct Introspection {
    pub config: IntrospectionConfig,
    answers: Cache<TokenHash, (Answer, Instant)>,
    /// Questions under way: whoever brings the same token waits for the same answer.
    flights: Mutex<HashMap<TokenHash, Flight>>,
    desk: mpsc::Sender<Question>,
    waiting: Mutex<Option<mpsc::Receiver<Question>>>,
}

/// `None` until it has ended.
type Flight = watch::Receiver<Option<Result<Answer, Unanswered>>>;

/// A question on its way. Dropped without an answer, it counts as unanswered.
pub struct Question {
    pub token: Secret,
    hash: TokenHash,
    of: Arc<Introspection>,
    waiters: watch::Sender<Option<Result<Answer, Unanswered>>>,
}

impl Question {
    pub fn config(&self) -> &IntrospectionConfig {
        &self.of.config
    }

    /// Answers all who wait, and those who ask within the time that answers are
    /// believed.
    pub fn answer(self, answer: Answer) {
        self.of.remember(self.hash, &answer);
        self.waiters.send_replace(Some(Ok(answer)));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.of.flights().remove(&self.hash);
        self.waiters.send_if_modified(|ended| {
            let unanswered = ended.is_none();
            if unanswered {
                *ended = Some(Err(Unanswered));
            }
            unanswered
        });
    }
}

impl Introspection {
    pub(super) fn new(config: IntrospectionConfig) -> Self {
        let (desk, waiting) = mpsc::channel(limits::INTROSPECTIONS_QUEUED_MAX);
        Self {
            answers: Cache::new(limits::TOKEN_CACHE_ENTRIES_MAX),
            flights: Mutex::default(),
            desk,
            waiting: Mutex::new(Some(waiting)),
            config,
        }
    }

    /// The questions, for the one who takes them to the server.
    pub fn take_desk(&self) -> Option<mpsc::Receiver<Question>> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(super) async fn ask(
        self: &Arc<Self>,
        token: &str,
        now: Timestamp,
    ) -> Result<Answer, Unanswered> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if let Some(known) = self.known(&hash, now) {
            return Ok(known);
        }
        let mut flight = self.flight(hash, token, now)?;
        let ended = flight.wait_for(Option::is_some);
        match tokio::time::timeout(self.config.wait, ended).await {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(Unanswered)),
            Ok(Err(_)) | Err(_) => Err(Unanswered),
        }
    }

    fn known(&self, hash: &TokenHash, now: Timestamp) -> Option<Answer> {
        let (answer, until) = self.answers.get(hash)?;
        let expired = match &answer {
            Answer::Active(claims) => claims.expires_at() <= now,
            Answer::Inactive => false,
        };
        (Instant::now() < until && !expired).then_some(answer)
    }

    fn remember(&self, hash: TokenHash, answer: &Answer) {
        let believed = match answer {
            Answer::Active(_) => self.config.cache,
            // A server may know a new token a little later than its bearer.
            Answer::Inactive => self.config.cache.min(Duration::from_secs(5)),
        };
        let until = Instant::now() + believed;
        self.answers.insert(hash, (answer.clone(), until));
    }

    fn flight(
        self: &Arc<Self>,
        hash: TokenHash,
        token: &str,
        now: Timestamp,
    ) -> Result<Flight, Unanswered> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&hash) {
            return Ok(flight.clone());
        }
        // A flight that has just ended left its answer before it went.
        if let Some(known) = self.known(&hash, now) {
            return Ok(watch::channel(Some(Ok(known))).1);
        }
        let (waiters, flight) = watch::channel(None);
        // Entered before it is sent, so that its end always finds it.
        flights.insert(hash, flight.clone());
        drop(flights);
        let question = Question {
            token: Secret::new(token),
            hash,
            of: Arc::clone(self),
            waiters,
        };
        // A full desk drops the question, and that ends its flight.
        self.desk.try_send(question).map_err(|_| Unanswered)?;
        Ok(flight)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<TokenHash, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
