//! How much of a bounded room one alone may take: never more than a part of what is
//! left. So there is no fixed bound to be right for everybody: who is alone has much,
//! many that are greedy have less each, and whoever has little finds room always.

use std::net::{IpAddr, Ipv6Addr};

/// Whether one who holds `held` may take one more, where `free` places are left and
/// nobody is to have more than a `part`th of those.
pub const fn may_take(held: usize, free: usize, part: usize) -> bool {
    held < free.div_ceil(part)
}

/// Who counts as one among those that are known by their address alone: networks give
/// an IPv6 client 64 bits to choose from (RFC 6177).
pub fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_that_one_client_may_choose_from_are_one() {
        let site_of = |text: &str| site(text.parse().unwrap());
        assert_eq!(site_of("2001:db8::1"), site_of("2001:db8::ffff:0:0:9"));
        assert_ne!(site_of("2001:db8::1"), site_of("2001:db8:0:1::1"));
        assert_ne!(site_of("10.0.0.1"), site_of("10.0.0.2"));
        assert_eq!(site_of("::ffff:10.0.0.1"), site_of("10.0.0.1"));
    }

    /// `greedy` of them take in turn until nobody may; what each has then, and what
    /// is left.
    fn settle(room: usize, part: usize, greedy: usize) -> (Vec<usize>, usize) {
        let mut held = vec![0; greedy];
        let mut free = room;
        loop {
            let before = free;
            for one in &mut held {
                if may_take(*one, free, part) {
                    *one += 1;
                    free -= 1;
                }
            }
            if free == before {
                return (held, free);
            }
        }
    }

    #[test]
    fn who_is_alone_has_much_and_leaves_more() {
        assert_eq!(settle(100, 1, 1), (vec![50], 50));
        assert_eq!(settle(100, 4, 1), (vec![20], 80));
    }

    #[test]
    fn however_many_are_greedy_a_newcomer_finds_room() {
        for greedy in [2, 10, 100] {
            let (held, free) = settle(10_000, 4, greedy);
            let (least, most) = (held.iter().min(), held.iter().max());
            assert!(most <= least.map(|least| least + 1).as_ref(), "{held:?}");
            assert!(may_take(0, free, 4), "{greedy}");
        }
    }

    #[test]
    fn a_room_of_one_has_a_place_for_one() {
        assert!(may_take(0, 1, 4));
        assert!(!may_take(0, 0, 4));
        assert!(!may_take(1, 1, 4));
    }
}
