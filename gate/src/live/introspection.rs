//! Answers about opaque tokens (RFC 7662), and the desk where the data wing leaves
//! the questions that the control wing takes to the server.

mod desk;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use moka::sync::Cache;
use portcullis_core::time::Timestamp;
use portcullis_core::{limits, share};
use tokio::sync::watch;

use self::desk::Wanted;
pub use self::desk::{Desk, Lane};
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
    /// Apart from the others, so that made-up tokens, however many, push out none
    /// of them: an old answer still says that the token was good once.
    good: Cache<TokenHash, (Arc<Claims>, Instant)>,
    bad: Cache<TokenHash, Instant>,
    /// Questions under way: whoever brings the same token waits for the same answer.
    flights: Mutex<HashMap<TokenHash, Flight>>,
    desk: Arc<Desk<Question>>,
}

/// `None` until it has ended.
type Flight = watch::Sender<Option<Result<Answer, Unanswered>>>;
type Landing = watch::Receiver<Option<Result<Answer, Unanswered>>>;

/// A question on its way. Dropped without an answer, it counts as unanswered.
pub struct Question {
    pub token: Secret,
    hash: TokenHash,
    of: Arc<Introspection>,
    flight: Flight,
    given_up: bool,
}

impl Question {
    pub fn config(&self) -> &IntrospectionConfig {
        &self.of.config
    }

    /// Answers all who wait, and those who ask within the time that answers are
    /// believed.
    pub fn answer(self, answer: Answer) {
        self.of.remember(self.hash, &answer);
        self.flight.send_replace(Some(Ok(answer)));
    }
}

impl Wanted for Question {
    fn is_wanted(&mut self) -> bool {
        // Nobody can come to wait for it meanwhile: that takes the same lock.
        let mut flights = self.of.flights();
        if self.flight.receiver_count() == 0 {
            flights.remove(&self.hash);
            self.given_up = true;
        }
        !self.given_up
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.given_up {
            return;
        }
        self.of.flights().remove(&self.hash);
        self.flight.send_if_modified(|ended| {
            let unanswered = ended.is_none();
            if unanswered {
                *ended = Some(Err(Unanswered));
            }
            unanswered
        });
    }
}

impl Drop for Introspection {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl Introspection {
    pub(super) fn new(config: IntrospectionConfig) -> Self {
        Self {
            good: Cache::new(limits::TOKEN_CACHE_ENTRIES_MAX),
            bad: Cache::new(limits::TOKEN_CACHE_ENTRIES_MAX),
            flights: Mutex::default(),
            desk: Arc::new(Desk::new()),
            config,
        }
    }

    /// The questions, for those who take them to the server.
    pub fn desk(&self) -> Arc<Desk<Question>> {
        Arc::clone(&self.desk)
    }

    /// `asker`: the address that the token came from.
    pub(super) async fn ask(
        self: &Arc<Self>,
        token: &str,
        asker: IpAddr,
        now: Timestamp,
    ) -> Result<Answer, Unanswered> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if let Some(known) = self.known(&hash, now) {
            return Ok(known);
        }
        let mut landing = self.flight(hash, token, asker, now)?;
        let ended = landing.wait_for(Option::is_some);
        match tokio::time::timeout(self.config.wait, ended).await {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(Unanswered)),
            Ok(Err(_)) | Err(_) => Err(Unanswered),
        }
    }

    fn known(&self, hash: &TokenHash, now: Timestamp) -> Option<Answer> {
        if let Some((claims, until)) = self.good.get(hash) {
            let is_fresh = Instant::now() < until && claims.expires_at() > now;
            return is_fresh.then_some(Answer::Active(claims));
        }
        let until = self.bad.get(hash)?;
        (Instant::now() < until).then_some(Answer::Inactive)
    }

    fn remember(&self, hash: TokenHash, answer: &Answer) {
        let now = Instant::now();
        match answer {
            Answer::Active(claims) => {
                let until = now + self.config.cache;
                self.good.insert(hash, (Arc::clone(claims), until));
                self.bad.invalidate(&hash);
            }
            // A server may know a new token a little later than its bearer.
            Answer::Inactive => {
                let until = now + self.config.cache.min(Duration::from_secs(5));
                self.bad.insert(hash, until);
                self.good.invalidate(&hash);
            }
        }
    }

    fn flight(
        self: &Arc<Self>,
        hash: TokenHash,
        token: &str,
        asker: IpAddr,
        now: Timestamp,
    ) -> Result<Landing, Unanswered> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&hash) {
            return Ok(flight.subscribe());
        }
        // A flight that has just ended left its answer before it went.
        if let Some(known) = self.known(&hash, now) {
            return Ok(watch::channel(Some(Ok(known))).1);
        }
        let (flight, landing) = watch::channel(None);
        // Entered before it is sent, so that its end always finds it.
        flights.insert(hash, flight.clone());
        drop(flights);
        let lane = if self.good.contains_key(&hash) {
            Lane::Known
        } else {
            Lane::New
        };
        let question = Question {
            token: Secret::new(token),
            hash,
            of: Arc::clone(self),
            flight,
            given_up: false,
        };
        // What comes back is dropped, and that ends its flight.
        let left = self.desk.put(lane, share::site(asker), question);
        left.map_err(|_| Unanswered)?;
        Ok(landing)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<TokenHash, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use futures_util::FutureExt;

    use super::*;
    use crate::config::Config;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const NOW: Timestamp = Timestamp(1_000);

    fn introspection(cache: &str) -> Arc<Introspection> {
        let text = format!(
            "[[tenants]]\nid = \"acme\"\nhosts = [\"a.test\"]\nupstream = \"http://127.0.0.1:9\"\n\
             [[tenants.introspection]]\nfrom = \"bearer\"\nurl = \"http://127.0.0.1:9/x\"\n\
             client_id = \"gate\"\nclient_secret_env = \"SECRET\"\ncache = \"{cache}\"\n"
        );
        let environment = |_: &str| Some("secret".into());
        let config = Config::parse(&text, Path::new("x.toml"), &environment).unwrap();
        let config = config.tenants[0].introspections[0].clone();
        Arc::new(Introspection::new(config))
    }

    fn claims() -> Arc<Claims> {
        Arc::new(Claims::new("bob".into(), None, None))
    }

    fn next(introspection: &Introspection, lane: Lane) -> Option<Question> {
        introspection.desk.next(lane).now_or_never().flatten()
    }

    #[tokio::test]
    async fn a_question_is_asked_while_anybody_waits_for_it() {
        let introspection = introspection("1h");
        let mut one = Box::pin(introspection.ask("a", HOME, NOW));
        let mut other = Box::pin(introspection.ask("a", HOME, NOW));
        let mut third = Box::pin(introspection.ask("b", HOME, NOW));
        for ask in [&mut one, &mut other, &mut third] {
            assert!(ask.as_mut().now_or_never().is_none());
        }
        drop((one, third));
        let question = next(&introspection, Lane::New).unwrap();
        assert!(next(&introspection, Lane::New).is_none(), "b, once more a");
        question.answer(Answer::Active(claims()));
        assert_eq!(other.await, Ok(Answer::Active(claims())));
        // Given up and asked for anew, it is another question.
        let ask = introspection.ask("b", HOME, NOW);
        let (said, ()) = tokio::join!(ask, async {
            next(&introspection, Lane::New)
                .unwrap()
                .answer(Answer::Inactive);
        });
        assert_eq!(said, Ok(Answer::Inactive));
    }

    #[tokio::test]
    async fn a_token_that_was_good_waits_among_its_like_until_it_is_not() {
        let introspection = introspection("0s");
        let answers = [
            (Lane::New, Answer::Active(claims())),
            (Lane::Known, Answer::Active(claims())),
            (Lane::Known, Answer::Inactive),
            (Lane::New, Answer::Inactive),
        ];
        for (lane, answer) in answers {
            let ask = introspection.ask("a", HOME, NOW);
            let (said, ()) = tokio::join!(ask, async {
                next(&introspection, lane).unwrap().answer(answer.clone());
            });
            assert_eq!(said, Ok(answer));
        }
    }

    #[tokio::test]
    async fn a_question_that_nobody_answers_ends_for_all_who_wait() {
        let introspection = introspection("1h");
        let ask = introspection.ask("a", HOME, NOW);
        let (said, ()) = tokio::join!(ask, async {
            drop(next(&introspection, Lane::New));
        });
        assert_eq!(said, Err(Unanswered));
    }
}
