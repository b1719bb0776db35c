//! What the app's answer means for sessions: which it sets, keeps, renews or ends,
//! whose it says they are, and the login that it accepted from a user who is out.

mod ending;
mod learning;
mod login;
mod renewal;
mod sealing;
mod teaching;

pub(super) use learning::not_learnt;

use http::{HeaderMap, Response};
use hyper::body::Incoming;
use portcullis_core::decide::{Identity, Permitted};
use portcullis_core::deed::Deed;
use portcullis_core::identify::{
    Credential, SetCookie, credentials, set_cookies, without_set_cookies,
};
use portcullis_core::ids::Revision;
use portcullis_core::refusal::Refusal;

use super::WorkerRef;
use super::answer::Said;
use super::identify::{Brought, Named};
use super::login::Login;
use super::respond::Asked;
use crate::live::connections::Ticket;
use crate::live::sessions::SessionHash;
use crate::live::tenants::Tenant;
use sealing::Ties;

/// The request that an answer belongs to.
pub(super) struct Scene<'a> {
    pub worker: &'a WorkerRef,
    pub tenant: &'a Tenant,
    pub asked: &'a Asked,
    pub ticket: &'a Ticket,
    /// Host and cookies as the app got them.
    pub sent: &'a HeaderMap,
    /// Sessions that did not come as cookies of the app's own making.
    pub elsewhere: &'a [Brought],
    /// Where the ledger stood when the request came: what the app sets or says
    /// after a later revocation may rest on what was before it.
    pub begun: Revision,
    pub at_login: bool,
    pub at_logout: bool,
    /// Whoever sent it is known by something else than a session, and came with none:
    /// perhaps a program that keeps no cookies.
    pub beside: bool,
    pub deed: Deed,
    pub named: &'a [Named],
    pub judged: &'a [Identity],
}

/// An attempt, with the user's revision when it was judged.
pub(super) type Tried<'a> = (&'a Login<'a>, Revision, &'a Permitted);

impl Scene<'_> {
    /// Learns the sessions that the app sets, ends those that it ends, and withholds
    /// a login that it accepted from a user who is out. When this returns, what was
    /// learnt is durable, so that a crash can't bring a stranger's cookie into being.
    pub(super) async fn settle(
        &self,
        login: Option<Tried<'_>>,
        said: &Said,
        response: &mut Response<Incoming>,
    ) -> Result<(), Refusal> {
        let all = set_cookies(response.headers(), &self.tenant.config.sources);
        let (gone, mut set): (Vec<SetCookie>, Vec<SetCookie>) =
            all.into_iter().partition(|cookie| cookie.expires);
        if self.beside && set.iter().any(|cookie| !self.has_room_for(cookie)) {
            without_set_cookies(response.headers_mut(), &self.tenant.config.sources);
            set.clear();
        }
        if let Some(header) = &self.tenant.config.taught_by {
            self.be_taught(header, &set, response.headers_mut()).await?;
        }
        let is_over = |cookie: usize| {
            gone.iter().any(|gone| gone.cookie == cookie)
                && !set.iter().any(|set| set.cookie == cookie)
        };
        let logged_out = self.at_logout && response.status().as_u16() < 400;
        let mut over = Vec::new();
        if logged_out || !gone.is_empty() {
            over = self
                .end(|cookie| logged_out || cookie.is_some_and(is_over))
                .await;
        }
        let (status, sets) = (response.status(), !set.is_empty());
        let is_accepted = |(login, ..): &Tried<'_>| {
            let route = login.route;
            route.accepted(status, sets, said.verdict, &said.token)
        };
        let accepted = login.filter(is_accepted);
        if login.is_none() && self.named.is_empty() && sets && status.as_u16() < 400 {
            self.tell_of_door();
        }
        let mut ties = Ties::new();
        match accepted {
            Some(tried) => {
                let given = (&set[..], &said.token);
                self.admit(tried, given, response.headers(), &mut ties)
                    .await?;
            }
            // What an app sets as it lets somebody go is a visitor's.
            None if logged_out => {}
            None => self.renew(&set, &over, &mut ties).await?,
        }
        self.seal(response.headers_mut(), &ties);
        Ok(())
    }

    /// A session for a stranger who sent something in: perhaps a login.
    fn tell_of_door(&self) {
        let Some(path) = self.asked.changing_path() else {
            return;
        };
        if self.worker.live.doors().is_news(self.tenant.id(), &path) {
            tracing::warn!(
                tenant = %self.tenant.id(), path,
                "the app set a session cookie here: if people log in here, add a [[tenants.logins]], or the gate can't keep them out"
            );
        }
    }

    /// The sessions that the request came with, as the app got them.
    fn brought(&self) -> Result<Vec<Brought>, Refusal> {
        let sources = &self.tenant.config.sources;
        let cookies = credentials(self.sent, sources)?.into_iter();
        let cookies = cookies.filter_map(|credential| match credential {
            Credential::Session { cookie, value } if !sources.is_sealed(cookie) => {
                Some(Brought::of(self.tenant, cookie, &value))
            }
            Credential::Session { .. } | Credential::Token { .. } | Credential::ApiKey { .. } => {
                None
            }
        });
        // Dead ones did not reach the app.
        let dead = |hash: &SessionHash| {
            let mut judged = self.named.iter().zip(self.judged);
            judged.any(|(named, judged)| judged.dead && named.session() == Some(*hash))
        };
        let elsewhere = self.elsewhere.iter().filter(|brought| !dead(&brought.hash));
        let elsewhere = elsewhere.copied();
        Ok(cookies.chain(elsewhere).collect())
    }
}
