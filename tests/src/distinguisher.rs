//! Whether two ways to be answered can be told apart by how long they take: what
//! an attacker would compute, and how sure of it one could be.

/// Two samples of the same length, in nanoseconds, taken in random order.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    pub one: Vec<u64>,
    pub other: Vec<u64>,
}

impl Samples {
    /// How many standard deviations the rank sum lies from what chance gives
    /// (Mann-Whitney). Ranks, since a busy machine makes a few times huge.
    pub fn rank_score(&self) -> f64 {
        let (m, n) = (count(&self.one), count(&self.other));
        let mut all: Vec<(u64, bool)> = self.one.iter().map(|time| (*time, true)).collect();
        all.extend(self.other.iter().map(|time| (*time, false)));
        all.sort_unstable();
        // Equal times share the middle of their ranks.
        let (mut sum, mut before) = (0.0, 0.0);
        for equal in all.chunk_by(|a, b| a.0 == b.0) {
            let of_one = equal
                .iter()
                .filter(|(_, one)| *one)
                .fold(0.0, |sum, _| sum + 1.0);
            let size = equal.iter().fold(0.0, |sum, _| sum + 1.0);
            sum += of_one * (before + (size + 1.0) / 2.0);
            before += size;
        }
        let mean = m * (m + n + 1.0) / 2.0;
        (sum - mean) / (m * n * (m + n + 1.0) / 12.0).sqrt()
    }

    /// How many standard deviations from chance an attacker comes who learns the
    /// best single threshold from the first half and guesses the second with it.
    pub fn threshold_score(&self) -> f64 {
        let half = self.one.len().min(self.other.len()) / 2;
        let (one, other) = (self.one.split_at(half), self.other.split_at(half));
        let mut cuts: Vec<u64> = one.0.iter().chain(other.0).copied().collect();
        cuts.sort_unstable();
        let right = |one: &[u64], other: &[u64], cut: u64| {
            let above = |list: &[u64]| count_of(list, |time| time > cut);
            count(one) - above(one) + above(other)
        };
        let learnt = cuts.into_iter().step_by(1 + half / 200).map(|cut| {
            let hits = right(one.0, other.0, cut) - count(one.0);
            (hits, cut)
        });
        // A threshold that is wrong more often than right is as good the other way.
        let best = learnt.max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
        let Some((learnt_hits, cut)) = best else {
            return 0.0;
        };
        let tries = count(one.1) + count(other.1);
        let hits = right(one.1, other.1, cut) - tries / 2.0;
        hits * learnt_hits.signum() / (tries / 4.0).sqrt()
    }

    /// The same with `nanoseconds` more on each of the others.
    #[must_use]
    pub fn shifted(&self, nanoseconds: u64) -> Self {
        let other = self.other.iter().map(|time| time + nanoseconds).collect();
        Self {
            one: self.one.clone(),
            other,
        }
    }

    /// Whether either score is one that chance gives less than twice in a hundred
    /// thousand experiments: three tails of a normal distribution beyond this.
    pub fn tells_apart(&self) -> bool {
        const SURE: f64 = 4.4;
        self.rank_score().abs() > SURE || self.threshold_score() > SURE
    }
}

fn count(list: &[u64]) -> f64 {
    count_of(list, |_| true)
}

fn count_of(list: &[u64], of: impl Fn(u64) -> bool) -> f64 {
    let count = list.iter().filter(|time| of(**time)).count();
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Coin tosses that are the same in each run (SplitMix64).
pub struct Coin(pub u64);

impl Coin {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    pub fn toss(&mut self) -> bool {
        self.word() >> 63 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times as a busy machine gives them: a floor, and a long tail.
    fn times(coin: &mut Coin, count: usize) -> Vec<u64> {
        let mut tail = || (0..).take_while(|_| coin.toss()).count() as u64;
        (0..count)
            .map(|_| 300_000 + 40_000 * (tail() + tail() + tail()) + 5_000_000 * (tail() / 8))
            .collect()
    }

    fn drawn(coin: &mut Coin, count: usize) -> Samples {
        Samples {
            one: times(coin, count),
            other: times(coin, count),
        }
    }

    #[test]
    fn equals_are_not_told_apart_and_a_shift_of_the_noise_is_found() {
        let mut coin = Coin(1);
        for round in 0..200 {
            let samples = drawn(&mut coin, 1_000);
            assert!(!samples.tells_apart(), "{round}");
            assert!(samples.shifted(200_000).tells_apart(), "{round}");
        }
    }

    #[test]
    fn either_score_finds_what_is_slower_and_what_is_faster() {
        let samples = drawn(&mut Coin(2), 1_000).shifted(100_000);
        let swapped = Samples {
            one: samples.other.clone(),
            other: samples.one.clone(),
        };
        for samples in [samples, swapped] {
            assert!(samples.rank_score().abs() > 10.0);
            assert!(samples.threshold_score() > 10.0);
        }
    }
}
