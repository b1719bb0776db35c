//! The links that are out: who may choose a new password, and until when.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::demo::app::sessions::{NoRandomness, mint_secret};

/// How long a link is good for.
const LINK_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// One link a person, so their number is bounded by the people's; a newer one
/// replaces the older.
#[derive(Default)]
pub(in crate::demo::app) struct ResetLinks {
    by_user: Mutex<HashMap<&'static str, Link>>,
}

struct Link {
    token: String,
    ends: Instant,
}

impl ResetLinks {
    /// A token for the user's link, good from `now` for [`LINK_LIFETIME`].
    pub(super) fn issue(&self, user: &'static str, now: Instant) -> Result<String, NoRandomness> {
        let token = mint_secret()?;
        let link = Link {
            token: token.clone(),
            ends: now + LINK_LIFETIME,
        };
        self.lock().insert(user, link);
        Ok(token)
    }

    /// Whose link this is, while it is good.
    pub(super) fn user(&self, token: &str, now: Instant) -> Option<&'static str> {
        find(&self.lock(), token, now)
    }

    /// As [`Self::user`], and the link is used up: of two at once one wins.
    pub(super) fn redeem(&self, token: &str, now: Instant) -> Option<&'static str> {
        let mut links = self.lock();
        let user = find(&links, token, now)?;
        links.remove(user);
        Some(user)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Link>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(links: &HashMap<&'static str, Link>, token: &str, now: Instant) -> Option<&'static str> {
    links
        .iter()
        .find(|(_, link)| link.token == token && now < link.ends)
        .map(|(user, _)| *user)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::{LINK_LIFETIME, ResetLinks};

    #[test]
    fn a_link_ends_by_time_by_use_and_by_a_newer_one() {
        let (links, now) = (ResetLinks::default(), Instant::now());
        let old = links.issue("bob", now).unwrap();
        assert_eq!(links.user(&old, now), Some("bob"));
        assert_eq!(links.user(&old, now + LINK_LIFETIME), None);

        let new = links.issue("bob", now).unwrap();
        assert_eq!(links.redeem(&old, now), None);
        assert_eq!(links.redeem(&new, now), Some("bob"));
        assert_eq!(links.redeem(&new, now), None);
    }
}
