//! The decision: may this request go on? Pure, one table, and the only place
//! where a [`Permitted`] is made.

use std::sync::Arc;

use crate::deed::Deed;
use crate::ids::UserKey;
use crate::login::Disclose;
use crate::refusal::{Occasion, Refusal, SuspendedUser};
use crate::standing::{Leeway, Reach, Standing, Verdict};
use crate::time::Timestamp;
use crate::user::Access;

/// How an identity was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Session,
    Token,
    ApiKey,
    /// A header from a listed peer: no session, so nothing that could be dead.
    TrustedHeader,
    /// HTTP Basic: named without proof. `told`: the tenant discloses at once, or
    /// the app was seen to accept these very credentials.
    Basic {
        told: bool,
    },
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
        // Who may look may come to do so.
        let asks = (Occasion::Login, Deed::Look);
        out(&self.user, &self.standing, now, asks, false)
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
    pub deed: Deed,
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
    let mut unproven = false;
    for identity in &question.identities {
        let with_key = identity.carrier == Carrier::ApiKey;
        let Some(user) = out(
            &identity.user,
            &identity.standing,
            now,
            (Occasion::Request, question.deed),
            with_key,
        ) else {
            continue;
        };
        if identity.carrier == (Carrier::Basic { told: false }) {
            unproven = true;
        } else {
            return Err(Refusal::Suspended(user));
        }
    }
    if unproven {
        return Err(Refusal::BasicRefused);
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
        let unseen = || identity.standing.revokes_unseen(now);
        match identity.carrier {
            Carrier::ApiKey if identity.standing.api_keys_disabled => {
                return Err(Refusal::ApiKeyDisabled);
            }
            Carrier::Session if identity.dead && question.at_login => without_dead_cookies = true,
            Carrier::Session if identity.dead || unseen() => return Err(Refusal::SessionEnded),
            Carrier::Token if identity.dead || unseen() => return Err(Refusal::TokenRevoked),
            Carrier::ApiKey
            | Carrier::Session
            | Carrier::Token
            | Carrier::TrustedHeader
            | Carrier::Basic { .. } => {}
        }
    }
    Ok(Permitted {
        without_dead_cookies,
        attempt,
        _made_by_decide: (),
    })
}

/// The user as a refusal speaks of it, if the user is out of what is asked for.
fn out(
    user: &UserKey,
    standing: &Standing,
    now: Timestamp,
    (occasion, deed): (Occasion, Deed),
    by_api_key: bool,
) -> Option<SuspendedUser> {
    let (suspension, leeway) = match standing.judge(now) {
        Verdict::Active => return None,
        Verdict::Suspended { leeway, .. } if leeway.of(by_api_key).allows(deed) => return None,
        Verdict::Suspended { suspension, leeway } => (Some(suspension), leeway),
        Verdict::Deleted => (None, Leeway::NONE),
    };
    Some(SuspendedUser {
        user: user.clone(),
        revision: standing.revision,
        suspension,
        access: match leeway.people {
            Reach::Nothing => Access::None,
            Reach::Looking | Reach::Everything => Access::ReadOnly,
        },
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
        ReadOnly,
        ReadOnlyWithoutKeys,
        Deleted,
        KeysDisabled,
    }

    fn standing(is: Is) -> Arc<Standing> {
        let hold = |access, disables_api_keys| StandingHold {
            kind: Kind::Temporary,
            access,
            reason: None,
            reason_text: None,
            source: Source::Api,
            starts_at: Timestamp(1),
            ends_at: None,
            disables_api_keys,
            revokes_sessions: true,
            begun: true,
        };
        let mut standing = Standing {
            revision: Revision(3),
            ..Standing::default()
        };
        match is {
            Is::Active => {}
            Is::Suspended => standing.holds.push(hold(Access::None, true)),
            Is::SuspendedButKeysWork => standing.holds.push(hold(Access::None, false)),
            Is::ReadOnly => standing.holds.push(hold(Access::ReadOnly, false)),
            Is::ReadOnlyWithoutKeys => standing.holds.push(hold(Access::ReadOnly, true)),
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
        WrongPassword,
    }

    fn ask(identities: Vec<Identity>) -> Outcome {
        ask_to(Deed::Act, identities)
    }

    fn ask_to(deed: Deed, identities: Vec<Identity>) -> Outcome {
        match decide(
            &Question {
                identities,
                deed,
                ..Question::default()
            },
            NOW,
        ) {
            Ok(_) => Outcome::Goes,
            Err(Refusal::Suspended(_)) => Outcome::Suspended,
            Err(Refusal::SessionEnded) => Outcome::SessionEnded,
            Err(Refusal::TokenRevoked) => Outcome::TokenRevoked,
            Err(Refusal::ApiKeyDisabled) => Outcome::KeyDisabled,
            Err(Refusal::BasicRefused) => Outcome::WrongPassword,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_table_of_carrier_and_standing() {
        use Carrier::{ApiKey, Basic, Session, Token, TrustedHeader};
        let unproven = Basic { told: false };
        let all = [
            Is::Active,
            Is::Suspended,
            Is::SuspendedButKeysWork,
            Is::ReadOnly,
            Is::ReadOnlyWithoutKeys,
            Is::Deleted,
            Is::KeysDisabled,
        ];
        let told = Basic { told: true };
        for is in all {
            for carrier in [Session, Token, ApiKey, TrustedHeader, told, unproven] {
                for (dead, deed) in [
                    (false, Deed::Act),
                    (true, Deed::Act),
                    (false, Deed::Look),
                    (true, Deed::Look),
                ] {
                    let out = match (is, carrier, deed) {
                        (Is::Active | Is::KeysDisabled, _, _)
                        | (Is::SuspendedButKeysWork, ApiKey, _)
                        | (Is::ReadOnly, _, Deed::Look) => false,
                        (Is::ReadOnlyWithoutKeys, ApiKey, _) => true,
                        (Is::ReadOnlyWithoutKeys, _, Deed::Look) => false,
                        (_, _, _) => true,
                    };
                    let expected = match (is, carrier, dead) {
                        (_, of, _) if out && of == unproven => Outcome::WrongPassword,
                        _ if out => Outcome::Suspended,
                        (Is::KeysDisabled, ApiKey, _) => Outcome::KeyDisabled,
                        (_, Session, true) => Outcome::SessionEnded,
                        (_, Token, true) => Outcome::TokenRevoked,
                        _ => Outcome::Goes,
                    };
                    let found = ask_to(deed, vec![identity(carrier, is, dead)]);
                    assert_eq!(found, expected, "{is:?} {carrier:?} dead={dead} {deed:?}");
                }
            }
        }
    }

    #[test]
    fn who_may_look_may_log_in_and_keeps_the_cookie_when_refused() {
        for disclose in [Disclose::AfterPassword, Disclose::Always] {
            let question = Question {
                attempt: Some(Attempt {
                    user: key("bob"),
                    standing: standing(Is::ReadOnly),
                    disclose,
                }),
                deed: Deed::Look,
                ..Question::default()
            };
            let permitted = decide(&question, NOW).unwrap();
            assert!(permitted.withhold_login().is_none());
        }
        let refused = |is| {
            let question = Question {
                identities: vec![identity(Carrier::Session, is, false)],
                ..Question::default()
            };
            decide(&question, NOW).unwrap_err()
        };
        assert!(!refused(Is::ReadOnly).takes_cookies_back());
        assert!(refused(Is::Suspended).takes_cookies_back());
    }

    #[test]
    fn a_session_from_before_a_hold_is_dead_though_nobody_recorded_its_beginning() {
        let mut over = (*standing(Is::Suspended)).clone();
        over.holds[0].begun = false;
        over.holds[0].ends_at = Some(NOW);
        let over = Arc::new(over);
        for (carrier, expected) in [
            (Carrier::Session, Outcome::SessionEnded),
            (Carrier::Token, Outcome::TokenRevoked),
            (Carrier::ApiKey, Outcome::Goes),
        ] {
            let identity = Identity {
                standing: Arc::clone(&over),
                ..identity(carrier, Is::Active, false)
            };
            assert_eq!(ask(vec![identity]), expected);
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
    fn a_suspension_that_may_be_told_is_told_beside_one_that_may_not() {
        let unproven = identity(Carrier::Basic { told: false }, Is::Suspended, false);
        let session = identity(Carrier::Session, Is::Suspended, false);
        let asked = vec![unproven.clone(), session];
        assert_eq!(ask(asked), Outcome::Suspended);
        let alice = identity(Carrier::Session, Is::Active, false);
        assert_eq!(ask(vec![alice, unproven]), Outcome::WrongPassword);
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
