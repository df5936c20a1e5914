//! Deadlines in the order in which they fall due. The companion has a few timers a call, so a heap with lazy removal
//! does; the wheel of the SIP stack is another trade and lives where this module may not look.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

/// Names one armed timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerKey(u64);

/// Armed timers and what each is for.
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Reverse<(Instant, TimerKey)>>,
    armed: HashMap<TimerKey, T>,
    next: u64,
}

// === impl Timers ===

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), armed: HashMap::new(), next: 0 }
    }
}

impl<T> Timers<T> {
    /// Arms one.
    pub fn arm(&mut self, at: Instant, what: T) -> TimerKey {
        let key = TimerKey(self.next);
        self.next += 1;
        self.heap.push(Reverse((at, key)));
        self.armed.insert(key, what);
        key
    }

    /// Disarms one; nothing happens if it is gone already.
    pub fn disarm(&mut self, key: TimerKey) {
        self.armed.remove(&key);
        // Disarmed entries stay in the heap until their time. When they outnumber the live ones, they go at once, so
        // that a burst of short calls with long deadlines does not pile up.
        if self.heap.len() > 64 && self.heap.len() / 2 > self.armed.len() {
            let armed = &self.armed;
            self.heap.retain(|Reverse((_, key))| armed.contains_key(key));
        }
    }

    /// When the next one falls due.
    pub fn due(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, key))) = self.heap.peek() {
            if self.armed.contains_key(key) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// One that is due at `now`, earliest first.
    pub fn expired(&mut self, now: Instant) -> Option<(TimerKey, T)> {
        while self.due().is_some_and(|at| at <= now) {
            let Reverse((_, key)) = self.heap.pop()?;
            if let Some(what) = self.armed.remove(&key) {
                return Some((key, what));
            }
        }
        None
    }

    /// How many are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// Whether none is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_fire_in_order_of_time_and_then_of_arming() {
        let start = crate::clock::now();
        let mut timers = Timers::default();
        timers.arm(start + Duration::from_secs(2), "late");
        timers.arm(start + Duration::from_secs(1), "first");
        timers.arm(start + Duration::from_secs(1), "second");
        assert_eq!(timers.due(), Some(start + Duration::from_secs(1)));
        assert!(timers.expired(start).is_none());
        let due = start + Duration::from_secs(5);
        let fired: Vec<_> = std::iter::from_fn(|| timers.expired(due)).map(|(_, what)| what).collect();
        assert_eq!(fired, ["first", "second", "late"]);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_disarmed_timer_neither_fires_nor_stays() {
        let start = crate::clock::now();
        let mut timers = Timers::default();
        let keys: Vec<_> = (0..1_000).map(|number| timers.arm(start + Duration::from_secs(number), number)).collect();
        for key in &keys {
            timers.disarm(*key);
        }
        assert_eq!(timers.len(), 0);
        assert!(timers.heap.len() <= 64, "{} dead entries", timers.heap.len());
        assert_eq!(timers.due(), None);
        assert!(timers.expired(start + Duration::from_secs(5_000)).is_none());
    }
}
