//! The decision: may this request go on? Pure, one table, and the only place
//! where a [`Permitted`] is made.

use std::sync::Arc;

use crate::ids::UserKey;
use crate::login::Disclose;
use crate::refusal::{Occasion, Refusal, SuspendedUser};
use crate::standing::{Standing, Verdict};
use crate::time::Timestamp;

/// How an identity was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Session,
    Token,
    ApiKey,
}

/// One identity on the request, with what is known about its user.
#[derive(Clone, Debug)]
pub struct Identity {
    pub user: UserKey,
    pub carrier: Carrier,
    pub standing: Arc<Standing>,
    /// The credential is older than the user's last revocation.
    pub dead: bool,
}

/// A login attempt in the request's body.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub user: UserKey,
    pub standing: Arc<Standing>,
    pub disclose: Disclose,
}

impl Attempt {
    fn out(&self, now: Timestamp) -> Option<SuspendedUser> {
        out(&self.user, &self.standing, now, Occasion::Login, false)
    }
}

/// Everything that the decision rests on.
#[derive(Clone, Debug, Default)]
pub struct Question {
    pub identities: Vec<Identity>,
    pub attempt: Option<Attempt>,
    /// The request is for a login route or the login page: a dead cookie is no
    /// reason to keep anyone from logging in anew.
    pub at_login: bool,
}

/// Permission to forward one request. Only [`decide`] can make one.
#[derive(Debug)]
pub struct Permitted {
    without_dead_cookies: bool,
    /// Not judged before the app has accepted it: until then an attempt of a user
    /// who is out takes the same steps as anyone's, and so the same time.
    attempt: Option<(Attempt, Timestamp)>,
    _made_by_decide: (),
}

impl Permitted {
    /// Dead session cookies are taken out before the request is forwarded.
    pub const fn without_dead_cookies(&self) -> bool {
        self.without_dead_cookies
    }

    /// If the app accepts this login, its answer is withheld and this user is told.
    pub fn withhold_login(&self) -> Option<SuspendedUser> {
        let (attempt, now) = self.attempt.as_ref()?;
        attempt.out(*now)
    }
}

/// Judges every identity; the strictest wins, and what is worse for the gate's
/// promise comes first.
pub fn decide(question: &Question, now: Timestamp) -> Result<Permitted, Refusal> {
    for identity in &question.identities {
        let with_key = identity.carrier == Carrier::ApiKey;
        if let Some(user) = out(
            &identity.user,
            &identity.standing,
            now,
            Occasion::Request,
            with_key,
        ) {
            return Err(Refusal::Suspended(user));
        }
    }
    let mut attempt = None;
    if let Some(given) = &question.attempt {
        match given.disclose {
            Disclose::Always => {
                if let Some(user) = given.out(now) {
                    return Err(Refusal::Suspended(user));
                }
            }
            Disclose::AfterPassword => attempt = Some((given.clone(), now)),
        }
    }
    let mut without_dead_cookies = false;
    for identity in &question.identities {
        match identity.carrier {
            Carrier::ApiKey if identity.standing.api_keys_disabled => {
                return Err(Refusal::ApiKeyDisabled);
            }
            Carrier::Session if identity.dead && question.at_login => without_dead_cookies = true,
            Carrier::Session if identity.dead => return Err(Refusal::SessionEnded),
            Carrier::Token if identity.dead => return Err(Refusal::TokenRevoked),
            Carrier::ApiKey | Carrier::Session | Carrier::Token => {}
        }
    }
    Ok(Permitted {
        without_dead_cookies,
        attempt,
        _made_by_decide: (),
    })
}

/// The user as a refusal speaks of it, if the user is out.
fn out(
    user: &UserKey,
    standing: &Standing,
    now: Timestamp,
    occasion: Occasion,
    with_key: bool,
) -> Option<SuspendedUser> {
    let suspension = match standing.judge(now) {
        Verdict::Active => return None,
        Verdict::Suspended {
            keys_work: true, ..
        } if with_key => return None,
        Verdict::Suspended { suspension, .. } => Some(suspension),
        Verdict::Deleted => None,
    };
    Some(SuspendedUser {
        user: user.clone(),
        revision: standing.revision,
        suspension,
        occasion,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{Revision, TenantId, UserId};
    use crate::standing::StandingHold;
    use crate::user::{Kind, Source};

    const NOW: Timestamp = Timestamp(1_000);

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Is {
        Active,
        Suspended,
        SuspendedButKeysWork,
        Deleted,
        KeysDisabled,
    }

    fn standing(is: Is) -> Arc<Standing> {
        let hold = |disables_api_keys| StandingHold {
            kind: Kind::Temporary,
            reason: None,
            reason_text: None,
            source: Source::Api,
            starts_at: Timestamp(1),
            ends_at: None,
            disables_api_keys,
        };
        let mut standing = Standing {
            revision: Revision(3),
            ..Standing::default()
        };
        match is {
            Is::Active => {}
            Is::Suspended => standing.holds.push(hold(true)),
            Is::SuspendedButKeysWork => standing.holds.push(hold(false)),
            Is::Deleted => standing.deleted = true,
            Is::KeysDisabled => standing.api_keys_disabled = true,
        }
        Arc::new(standing)
    }

    fn key(name: &str) -> UserKey {
        UserKey::new(
            &TenantId::parse("acme").unwrap(),
            &UserId::parse(name).unwrap(),
        )
    }

    fn identity(carrier: Carrier, is: Is, dead: bool) -> Identity {
        Identity {
            user: key("bob"),
            carrier,
            standing: standing(is),
            dead,
        }
    }

    #[derive(Debug, PartialEq)]
    enum Outcome {
        Goes,
        Suspended,
        SessionEnded,
        TokenRevoked,
        KeyDisabled,
    }

    fn ask(identities: Vec<Identity>) -> Outcome {
        match decide(
            &Question {
                identities,
                ..Question::default()
            },
            NOW,
        ) {
            Ok(_) => Outcome::Goes,
            Err(Refusal::Suspended(_)) => Outcome::Suspended,
            Err(Refusal::SessionEnded) => Outcome::SessionEnded,
            Err(Refusal::TokenRevoked) => Outcome::TokenRevoked,
            Err(Refusal::ApiKeyDisabled) => Outcome::KeyDisabled,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_table_of_carrier_and_standing() {
        use Carrier::{ApiKey, Session, Token};
        let all = [
            Is::Active,
            Is::Suspended,
            Is::SuspendedButKeysWork,
            Is::Deleted,
            Is::KeysDisabled,
        ];
        for is in all {
            for carrier in [Session, Token, ApiKey] {
                for dead in [false, true] {
                    let expected = match (is, carrier, dead) {
                        (Is::Suspended | Is::Deleted, _, _) => Outcome::Suspended,
                        (Is::SuspendedButKeysWork, ApiKey, _) => Outcome::Goes,
                        (Is::SuspendedButKeysWork, _, _) => Outcome::Suspended,
                        (Is::KeysDisabled, ApiKey, _) => Outcome::KeyDisabled,
                        (_, Session, true) => Outcome::SessionEnded,
                        (_, Token, true) => Outcome::TokenRevoked,
                        (Is::Active | Is::KeysDisabled, _, _) => Outcome::Goes,
                    };
                    let found = ask(vec![identity(carrier, is, dead)]);
                    assert_eq!(found, expected, "{is:?} {carrier:?} dead={dead}");
                }
            }
        }
    }

    #[test]
    fn one_suspended_identity_among_many_is_enough_wherever_it_stands() {
        let alice = identity(Carrier::Token, Is::Active, false);
        let bob = identity(Carrier::Session, Is::Suspended, false);
        assert_eq!(ask(vec![alice.clone(), bob.clone()]), Outcome::Suspended);
        assert_eq!(ask(vec![bob, alice]), Outcome::Suspended);
    }

    #[test]
    fn a_dead_cookie_does_not_bar_the_way_to_the_login() {
        let identities = vec![identity(Carrier::Session, Is::Active, true)];
        let question = Question {
            identities,
            at_login: true,
            ..Question::default()
        };
        assert!(decide(&question, NOW).unwrap().without_dead_cookies());
    }

    #[test]
    fn a_suspended_login_goes_to_the_app_and_its_answer_is_withheld() {
        let attempt = |disclose, is| Question {
            attempt: Some(Attempt {
                user: key("bob"),
                standing: standing(is),
                disclose,
            }),
            ..Question::default()
        };
        let after = decide(&attempt(Disclose::AfterPassword, Is::Suspended), NOW).unwrap();
        assert_eq!(after.withhold_login().unwrap().occasion, Occasion::Login);
        let active = decide(&attempt(Disclose::AfterPassword, Is::Active), NOW).unwrap();
        assert!(active.withhold_login().is_none());
        let at_once = decide(&attempt(Disclose::Always, Is::Suspended), NOW);
        assert!(matches!(at_once, Err(Refusal::Suspended(_))));
    }

    #[test]
    fn a_stranger_goes_on() {
        assert_eq!(ask(vec![]), Outcome::Goes);
    }
}
