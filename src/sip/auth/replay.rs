//! Which counts of a nonce were used (RFC 7616 §3.4, `nc`): a request that was overheard cannot be sent again. Apart from
//! the nonces, which need no memory: only one that came with the right password is remembered, and only so many of them.

use super::nonce::Known;

use std::collections::{HashMap, VecDeque};

/// Counts that may overtake each other.
const REORDER: u32 = 64;

/// What was used of the nonces that were used at all.
#[derive(Debug)]
pub struct Replay {
    windows: HashMap<(u64, u64), Window>,
    order: VecDeque<(u64, u64)>,
    capacity: usize,
    /// A nonce from before this time that is not remembered may have been forgotten.
    horizon: Option<u64>,
}

/// The counts of one nonce: the highest, and which of those right below it.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    highest: u32,
    below: u64,
}

/// Whether a count is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is, and is used up from now on.
    First,
    /// It was used, or is so far behind that it may have been.
    Again,
    /// The nonce may have been forgotten.
    Forgotten,
}

// === impl Replay ===

impl Replay {
    /// Remembers so many nonces.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { windows: HashMap::new(), order: VecDeque::new(), capacity: capacity.max(1), horizon: None }
    }

    /// Takes a count of a nonce. A client that does not count (RFC 2069) has one use of each nonce.
    pub fn take(&mut self, nonce: &Known, count: Option<u32>) -> Use {
        let key = (nonce.issued, nonce.name);
        if !self.windows.contains_key(&key) {
            if self.horizon.is_some_and(|horizon| nonce.issued <= horizon) {
                return Use::Forgotten;
            }
            self.make_room();
            self.order.push_back(key);
        }
        let window = self.windows.entry(key).or_default();
        if window.take(count.unwrap_or(u32::MAX)) { Use::First } else { Use::Again }
    }

    fn make_room(&mut self) {
        while self.order.len() >= self.capacity {
            let Some(oldest) = self.order.pop_front() else { return };
            self.windows.remove(&oldest);
            self.horizon = self.horizon.max(Some(oldest.0));
        }
    }
}

// === impl Window ===

impl Window {
    fn take(&mut self, count: u32) -> bool {
        if count == 0 {
            return false; // RFC 7616 §3.4: the first is 1
        }
        if count > self.highest {
            let ahead = count - self.highest;
            // The highest so far becomes one of those below.
            let used = if self.highest == 0 { self.below } else { self.below << 1 | 1 };
            self.below = if ahead > REORDER { 0 } else { used.checked_shl(ahead - 1).unwrap_or(0) };
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        if behind == 0 || behind > REORDER {
            return false;
        }
        let bit = 1_u64 << (behind - 1);
        let fresh = self.below & bit == 0;
        self.below |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(issued: u64) -> Known {
        Known { issued, name: 7, old: false }
    }

    #[test]
    fn each_count_is_good_once_in_any_order() {
        let mut replay = Replay::new(4);
        let mut take = |count| replay.take(&nonce(1), Some(count));
        for count in [1, 3, 2, 4, 64, 65, 5] {
            assert_eq!(take(count), Use::First, "{count}");
        }
        for count in [1, 2, 3, 4, 5, 64, 65, 0] {
            assert_eq!(take(count), Use::Again, "{count}");
        }
        assert_eq!(take(1000), Use::First);
        assert_eq!(take(999), Use::First);
        assert_eq!(take(900), Use::Again, "too far behind to know");
    }

    #[test]
    fn a_client_that_does_not_count_has_one_use_of_a_nonce() {
        let mut replay = Replay::new(4);
        assert_eq!(replay.take(&nonce(1), None), Use::First);
        assert_eq!(replay.take(&nonce(1), None), Use::Again);
        assert_eq!(replay.take(&nonce(2), None), Use::First);
    }

    #[test]
    fn memory_is_bounded_and_what_was_forgotten_is_not_good_again() {
        let mut replay = Replay::new(2);
        for issued in [1, 2, 3] {
            assert_eq!(replay.take(&nonce(issued), Some(1)), Use::First);
        }
        assert_eq!(replay.windows.len(), 2);
        assert_eq!(replay.take(&nonce(1), Some(1)), Use::Forgotten);
        assert_eq!(replay.take(&nonce(2), Some(1)), Use::Again);
        assert_eq!(replay.take(&nonce(4), Some(1)), Use::First);
        assert_eq!(replay.order.len(), 2);
    }
}
