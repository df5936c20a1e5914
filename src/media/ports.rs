//! Which media ports exist, rest and are used, without sockets: a relay takes a berth of two port pairs, and a berth
//! that was freed rests before its next call. Apart from the plane because reuse is where stale audio crosses into
//! other calls, so its order is tested under a virtual clock.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Ports that somebody had before, tried again for one relay before it is given up, so that a range full of foreign
/// sockets stalls a shard once and not for each call. New ports are tried without limit: a block of thousands that
/// another gateway has (a restart while the old one drains) must not fail calls while there is room after it.
const TRIES: usize = 64;

/// The ports of one range: `P` is a bound pair, `B` names a berth.
#[derive(Debug)]
pub struct PortPool<P, B> {
    range: RangeInclusive<u16>,
    rest: Duration,
    /// The next even port that was never tried; above the range when all were.
    next: u32,
    /// Ports that somebody else had when they were tried; tried again after all others.
    skipped: VecDeque<u16>,
    /// A pair that was bound and found no second one.
    spare: Option<P>,
    /// Freed berths, the longest rested first.
    resting: VecDeque<(Instant, B)>,
    in_use: usize,
    pairs: usize,
    short_rests: u64,
}

/// What an attempt to bind a pair came to.
#[derive(Debug)]
pub enum Binding<P> {
    /// Both ports are ours.
    Bound(P),
    /// Somebody else has one of them.
    Taken,
    /// No port can be bound now: out of descriptors or memory.
    Impossible,
}

/// Ports for a relay.
#[derive(Debug, PartialEq, Eq)]
pub enum Grant<P, B> {
    /// A berth that was used before.
    Again(B),
    /// Two new pairs; they become a berth.
    Fresh([P; 2]),
}

// === impl PortPool ===

impl<P, B> PortPool<P, B> {
    /// A pool over `range`, both ends included; nothing is bound yet. A freed berth is used again after `rest`.
    #[must_use]
    pub fn new(range: RangeInclusive<u16>, rest: Duration) -> Self {
        // RFC 3550 §11: RTP takes an even port and RTCP the next.
        let next = u32::from(*range.start()).next_multiple_of(2);
        Self {
            range,
            rest,
            next,
            skipped: VecDeque::new(),
            spare: None,
            resting: VecDeque::new(),
            in_use: 0,
            pairs: 0,
            short_rests: 0,
        }
    }

    /// Ports for one more relay: a rested berth, else new ones through `bind` (given the RTP port), else the berth
    /// that rested longest, however short. `None` when every berth is in use and none can be added.
    pub fn take(&mut self, now: Instant, bind: impl FnMut(u16) -> Binding<P>) -> Option<Grant<P, B>> {
        let rested = self.resting.front().is_some_and(|(freed, _)| now.saturating_duration_since(*freed) >= self.rest);
        let grant = if rested {
            Grant::Again(self.resting.pop_front()?.1)
        } else if let Some(pairs) = self.grow(bind) {
            Grant::Fresh(pairs)
        } else {
            let (_, berth) = self.resting.pop_front()?;
            self.short_rests += 1;
            Grant::Again(berth)
        };
        self.in_use += 1;
        Some(grant)
    }

    /// A relay ended: its berth rests from `now`.
    pub fn give_back(&mut self, now: Instant, berth: B) {
        self.in_use = self.in_use.saturating_sub(1);
        self.resting.push_back((now, berth));
    }

    /// A grant came to nothing and its ports are lost with it.
    pub fn write_off(&mut self) {
        self.in_use = self.in_use.saturating_sub(1);
    }

    /// Berths that relays have now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    /// Pairs that were ever bound.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Pairs that the range has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let first = u32::from(*self.range.start()).next_multiple_of(2);
        ((u32::from(*self.range.end()) + 1).saturating_sub(first) / 2) as usize
    }

    /// Times that a berth was used again before it had rested, because the range was exhausted.
    #[must_use]
    pub fn short_rests(&self) -> u64 {
        self.short_rests
    }

    /// Binds two new pairs; one alone is kept for later.
    fn grow(&mut self, mut bind: impl FnMut(u16) -> Binding<P>) -> Option<[P; 2]> {
        // Ports skipped in this attempt wait for the next one.
        let mut again = self.skipped.len().min(TRIES);
        let first = match self.spare.take() {
            Some(spare) => spare,
            None => self.bind_one(&mut bind, &mut again)?,
        };
        match self.bind_one(&mut bind, &mut again) {
            Some(second) => Some([first, second]),
            None => {
                self.spare = Some(first);
                None
            }
        }
    }

    fn bind_one(&mut self, bind: &mut impl FnMut(u16) -> Binding<P>, again: &mut usize) -> Option<P> {
        loop {
            let is_fresh = self.next < u32::from(*self.range.end());
            let port = if is_fresh {
                u16::try_from(self.next).ok()?
            } else if *again > 0 {
                *again -= 1;
                self.skipped.pop_front()?
            } else {
                return None;
            };
            match bind(port) {
                Binding::Bound(pair) => {
                    self.next += if is_fresh { 2 } else { 0 };
                    self.pairs += 1;
                    return Some(pair);
                }
                Binding::Taken => {
                    self.next += if is_fresh { 2 } else { 0 };
                    self.skipped.push_back(port);
                }
                Binding::Impossible => {
                    if !is_fresh {
                        self.skipped.push_front(port);
                    }
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const REST: Duration = Duration::from_secs(2);

    fn bound(port: u16) -> Binding<u16> {
        Binding::Bound(port)
    }

    fn pool(range: RangeInclusive<u16>) -> PortPool<u16, [u16; 2]> {
        PortPool::new(range, REST)
    }

    fn take(pool: &mut PortPool<u16, [u16; 2]>, now: Instant) -> Option<[u16; 2]> {
        pool.take(now, bound).map(|grant| match grant {
            Grant::Again(ports) | Grant::Fresh(ports) => ports,
        })
    }

    #[test]
    fn rtp_ports_are_even_and_inside_the_range_with_their_rtcp_port() {
        let now = crate::clock::now();
        let mut pool = pool(10_001..=10_010);
        assert_eq!(pool.capacity(), 4, "10010 has no RTCP port inside");
        assert_eq!(take(&mut pool, now), Some([10_002, 10_004]));
        assert_eq!(take(&mut pool, now), Some([10_006, 10_008]));
        assert_eq!(take(&mut pool, now), None);
        assert_eq!((pool.in_use(), pool.pairs()), (2, 4));
    }

    #[test]
    fn the_last_port_of_all_can_be_used() {
        let mut pool = pool(65_530..=65_535);
        assert_eq!(pool.capacity(), 3);
        assert_eq!(take(&mut pool, crate::clock::now()), Some([65_530, 65_532]));
        assert_eq!(take(&mut pool, crate::clock::now()), None, "one pair is no berth");
        assert_eq!(pool.pairs(), 3);
    }

    #[test]
    fn a_freed_berth_rests_while_the_range_has_others() {
        let start = crate::clock::now();
        let mut pool = pool(10_000..=10_099);
        let first = take(&mut pool, start).unwrap();
        pool.give_back(start, first);
        let second = take(&mut pool, start + REST / 2).unwrap();
        assert_ne!(first, second);
        assert_eq!(take(&mut pool, start + REST), Some(first), "rested, and no port is bound without need");
        assert_eq!(pool.short_rests(), 0);
    }

    #[test]
    fn an_exhausted_range_shortens_the_longest_rest_and_says_so() {
        let start = crate::clock::now();
        let mut pool = pool(10_000..=10_007);
        let (one, two) = (take(&mut pool, start).unwrap(), take(&mut pool, start).unwrap());
        assert_eq!(take(&mut pool, start), None);
        pool.give_back(start, two);
        pool.give_back(start + REST / 4, one);
        assert_eq!(take(&mut pool, start + REST / 2), Some(two));
        assert_eq!(pool.short_rests(), 1);
    }

    #[test]
    fn a_port_that_somebody_has_is_passed_over_and_tried_again_when_the_others_are_used() {
        let now = crate::clock::now();
        let mut pool = pool(10_000..=10_007);
        let busy = |port| if port == 10_002 { Binding::Taken } else { Binding::Bound(port) };
        assert_eq!(pool.take(now, busy), Some(Grant::Fresh([10_000, 10_004])));
        assert_eq!(pool.take(now, busy), None, "10006 waits for a second one");
        assert_eq!(pool.take(now, bound), Some(Grant::Fresh([10_006, 10_002])));
    }

    #[test]
    fn without_descriptors_no_port_is_lost() {
        let now = crate::clock::now();
        let mut pool = pool(10_000..=10_007);
        let mut calls = 0;
        let none = |_| {
            calls += 1;
            Binding::<u16>::Impossible
        };
        assert_eq!(pool.take(now, none), None);
        assert_eq!((calls, pool.in_use()), (1, 0), "one failure ends the attempt");
        assert_eq!(take(&mut pool, now), Some([10_000, 10_002]));
    }

    #[test]
    fn a_block_of_ports_that_another_gateway_has_is_stepped_over() {
        let mut pool = pool(10_000..=19_999);
        let drained = |port| if port < 18_000 { Binding::Taken } else { Binding::Bound(port) };
        assert_eq!(pool.take(crate::clock::now(), drained), Some(Grant::Fresh([18_000, 18_002])));
    }

    #[test]
    fn a_range_full_of_foreign_sockets_is_tried_once_and_then_a_little_for_each_call() {
        let mut pool = pool(10_000..=19_999);
        for tries in [5_000, TRIES, TRIES] {
            let mut calls = 0;
            let taken = |_| {
                calls += 1;
                Binding::<u16>::Taken
            };
            assert_eq!(pool.take(crate::clock::now(), taken), None);
            assert_eq!(calls, tries);
        }
        for _ in 0..5_000 / TRIES {
            pool.take(crate::clock::now(), |port| if port < 10_100 { Binding::Bound(port) } else { Binding::Taken });
        }
        assert!(pool.pairs() > 0, "a port that became free is found");
    }

    proptest! {
        #[test]
        fn no_port_is_ever_in_two_calls(steps in proptest::collection::vec((any::<bool>(), 0u64..3, 0usize..8, any::<bool>()), 0..200)) {
            let mut now = crate::clock::now();
            let mut pool = pool(10_000..=10_031);
            let mut open: Vec<[u16; 2]> = Vec::new();
            for (take, seconds, which, free) in steps {
                now += Duration::from_secs(seconds);
                if take {
                    let bind = |port| if free { Binding::Bound(port) } else { Binding::Taken };
                    if let Some(Grant::Again(ports) | Grant::Fresh(ports)) = pool.take(now, bind) {
                        open.push(ports);
                    }
                } else if which < open.len() {
                    pool.give_back(now, open.swap_remove(which));
                }
                let ports: HashSet<u16> = open.iter().flatten().copied().collect();
                prop_assert_eq!(ports.len(), open.len() * 2);
                prop_assert_eq!(pool.in_use(), open.len());
                prop_assert!(pool.pairs() <= pool.capacity());
            }
        }
    }
}
