//! A queue in which askers take turns, however much one of them has waiting.

use std::collections::VecDeque;

#[derive(Debug)]
pub struct Turns<K, T> {
    /// Askers with something waiting, the next one first.
    askers: VecDeque<(K, VecDeque<T>)>,
    waiting: usize,
}

impl<K, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self {
            askers: VecDeque::new(),
            waiting: 0,
        }
    }
}

impl<K: Eq, T> Turns<K, T> {
    pub fn put(&mut self, asker: K, thing: T) {
        self.waiting += 1;
        match self.askers.iter_mut().find(|(other, _)| *other == asker) {
            Some((_, things)) => things.push_back(thing),
            None => self.askers.push_back((asker, [thing].into())),
        }
    }

    /// The oldest of the first asker who `may` have its turn, and whose it is.
    pub fn next(&mut self, may: impl Fn(&K) -> bool) -> Option<(K, T)>
    where
        K: Clone,
    {
        let at = self.askers.iter().position(|(asker, _)| may(asker))?;
        let (asker, mut things) = self.askers.remove(at)?;
        let thing = things.pop_front()?;
        self.waiting -= 1;
        if !things.is_empty() {
            self.askers.push_back((asker.clone(), things));
        }
        Some((asker, thing))
    }

    /// Takes out what nobody wants any more.
    pub fn retain(&mut self, mut wanted: impl FnMut(&mut T) -> bool) {
        for (_, things) in &mut self.askers {
            things.retain_mut(&mut wanted);
        }
        self.askers.retain(|(_, things)| !things.is_empty());
        self.waiting = self.askers.iter().map(|(_, things)| things.len()).sum();
    }

    /// How much waits of `asker`'s.
    pub fn held(&self, asker: &K) -> usize {
        let theirs = self.askers.iter().find(|(other, _)| other == asker);
        theirs.map_or(0, |(_, things)| things.len())
    }

    pub const fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(things: &[(char, u8)]) -> Turns<char, u8> {
        let mut turns = Turns::default();
        for (asker, thing) in things {
            turns.put(*asker, *thing);
        }
        turns
    }

    #[test]
    fn askers_take_turns_and_each_ones_own_come_in_order() {
        let mut turns = of(&[('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5), ('b', 6)]);
        assert_eq!((turns.held(&'a'), turns.waiting()), (3, 6));
        let order: Vec<u8> = std::iter::from_fn(|| turns.next(|_| true))
            .map(|(_, thing)| thing)
            .collect();
        assert_eq!(order, [1, 4, 5, 2, 6, 3]);
        assert_eq!((turns.held(&'a'), turns.waiting()), (0, 0));
    }

    #[test]
    fn who_may_not_is_passed_over_and_keeps_the_turn() {
        let mut turns = of(&[('a', 1), ('b', 2), ('b', 3)]);
        assert_eq!(turns.next(|asker| *asker == 'b'), Some(('b', 2)));
        assert_eq!(turns.next(|asker| *asker == 'c'), None);
        assert_eq!(turns.next(|_| true), Some(('a', 1)));
    }

    #[test]
    fn what_nobody_wants_takes_no_place() {
        let mut turns = of(&[('a', 1), ('b', 2), ('b', 3)]);
        turns.retain(|thing| *thing == 3);
        assert_eq!((turns.held(&'a'), turns.waiting()), (0, 1));
        assert_eq!(turns.next(|_| true), Some(('b', 3)));
    }
}
