//! Calls with a bad token, counted by address: whoever tries many is answered 429
//! (RFC 6585, section 4) instead of 401, and fills no log.
//!
//! A good token is taken from anywhere, always: it can't be guessed, so nothing
//! would be won by keeping its owner out for what others at that address do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::limits;
use portcullis_core::time::Timestamp;

/// A peer of the admin listener, as it was accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// What is to be answered to a bad token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Told,
    /// One too many. `first`: the one before was not.
    TooMany {
        retry_after: Duration,
        first: bool,
    },
}

#[derive(Default)]
pub(super) struct Throttle(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    by_address: HashMap<Address, Count>,
    looked_through_at: Timestamp,
}

/// Who counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    /// An IPv4 address, or the /64 of an IPv6 address: that is what one customer is
    /// given, with more addresses than could be counted.
    One(IpAddr),
    /// Those that come when too many are counted.
    Others,
}

/// The moment at which all failures are forgiven, and whether one was too many.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    forgiven_at: Timestamp,
    limited: bool,
}

const STEP_MS: u64 = limits::ADMIN_FAILURE_FORGIVEN_AFTER.as_millis() as u64;
/// What has no failure left is looked for this often at most.
const LOOK_THROUGH_EVERY_MS: u64 = 1_000;

impl Throttle {
    pub(super) fn fail(&self, peer: IpAddr, now: Timestamp) -> Failure {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.of(address(peer), now);
        // A clock that was set back by an hour must not limit anyone for an hour.
        let most = STEP_MS.saturating_mul(u64::from(limits::ADMIN_FAILURES_MAX));
        let debt = count.forgiven_at.0.saturating_sub(now.0).min(most);
        if debt + STEP_MS <= most {
            count.forgiven_at = Timestamp(now.0.saturating_add(debt + STEP_MS));
            count.limited = false;
            return Failure::Told;
        }
        count.forgiven_at = Timestamp(now.0.saturating_add(debt));
        let first = !std::mem::replace(&mut count.limited, true);
        let retry_after = Duration::from_millis(debt + STEP_MS - most);
        Failure::TooMany { retry_after, first }
    }
}

impl Counts {
    fn of(&mut self, address: Address, now: Timestamp) -> &mut Count {
        let full = self.by_address.len() >= limits::ADMIN_FAILURE_ADDRESSES_MAX;
        if full && !self.by_address.contains_key(&address) {
            let since = now.0.abs_diff(self.looked_through_at.0);
            if since >= LOOK_THROUGH_EVERY_MS {
                self.looked_through_at = now;
                self.by_address.retain(|_, count| count.forgiven_at > now);
            }
            if self.by_address.len() >= limits::ADMIN_FAILURE_ADDRESSES_MAX {
                return self.by_address.entry(Address::Others).or_default();
            }
        }
        self.by_address.entry(address).or_default()
    }
}

fn address(peer: IpAddr) -> Address {
    // ::ffff:10.0.0.1 is how a socket for both families writes 10.0.0.1.
    Address::One(match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn use_up(throttle: &Throttle, peer: IpAddr) {
        for _ in 0..limits::ADMIN_FAILURES_MAX {
            assert_eq!(throttle.fail(peer, START), Failure::Told);
        }
    }

    #[test]
    fn failures_in_a_row_are_told_until_there_are_too_many_and_are_forgiven_one_by_one() {
        let (throttle, peer) = (Throttle::default(), ip("192.0.2.1"));
        use_up(&throttle, peer);
        let retry_after = limits::ADMIN_FAILURE_FORGIVEN_AFTER;
        let too_many = |first| Failure::TooMany { retry_after, first };
        assert_eq!(throttle.fail(peer, START), too_many(true));
        assert_eq!(throttle.fail(peer, START), too_many(false), "and no worse");
        let later = Timestamp(START.0 + STEP_MS);
        assert_eq!(throttle.fail(peer, later), Failure::Told);
        assert_eq!(throttle.fail(peer, later), too_many(true));
    }

    #[test]
    fn one_address_pays_for_no_other_and_an_ipv6_network_is_one() {
        let throttle = Throttle::default();
        use_up(&throttle, ip("192.0.2.1"));
        assert_eq!(throttle.fail(ip("192.0.2.2"), START), Failure::Told);
        let mapped = throttle.fail(ip("::ffff:192.0.2.1"), START);
        assert!(matches!(mapped, Failure::TooMany { .. }));
        use_up(&throttle, ip("2001:db8:0:1::1"));
        let neighbour = throttle.fail(ip("2001:db8:0:1:ffff::9"), START);
        assert!(matches!(neighbour, Failure::TooMany { .. }));
        assert_eq!(throttle.fail(ip("2001:db8:0:2::1"), START), Failure::Told);
    }

    #[test]
    fn a_clock_that_is_set_back_limits_nobody_for_longer() {
        let (throttle, peer) = (Throttle::default(), ip("192.0.2.1"));
        use_up(&throttle, peer);
        let back = Timestamp(START.0 - 900_000);
        let Failure::TooMany { retry_after, .. } = throttle.fail(peer, back) else {
            panic!("it is forgotten");
        };
        assert_eq!(retry_after, limits::ADMIN_FAILURE_FORGIVEN_AFTER);
    }

    #[test]
    fn however_many_addresses_come_what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        let peer = |n: u32| IpAddr::V4((0x0A00_0000 + n).into());
        let most = limits::ADMIN_FAILURE_ADDRESSES_MAX as u32;
        for n in 0..most + 1_000 {
            throttle.fail(peer(n), START);
        }
        let held = || throttle.0.lock().unwrap().by_address.len();
        assert_eq!(held(), limits::ADMIN_FAILURE_ADDRESSES_MAX + 1);
        let crowd = throttle.fail(peer(most + 9_999), START);
        assert!(
            matches!(crowd, Failure::TooMany { .. }),
            "they share a count"
        );
        let later = Timestamp(START.0 + LOOK_THROUGH_EVERY_MS + STEP_MS);
        assert_eq!(throttle.fail(peer(most + 9_999), later), Failure::Told);
        assert!(held() < 3, "the forgiven are forgotten");
    }
}
