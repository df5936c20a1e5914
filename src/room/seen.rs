//! A bounded memory of names that were acted on. Daily promises no exactly-once delivery, and a signed request can be
//! replayed as long as its timestamp is young, so what was seen once must be known when it comes again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whether a name is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// Not seen within the memory's time.
    New,
    /// Seen before.
    Repeated,
}

/// Names and when each was first seen; the oldest are forgotten by age and, beyond the cap, by order.
#[derive(Debug)]
pub struct Seen {
    order: VecDeque<(Instant, Arc<str>)>,
    names: HashSet<Arc<str>>,
    age: Duration,
    cap: usize,
}

// === impl Seen ===

impl Seen {
    /// Remembers each name for `age`, and at most `cap` names.
    #[must_use]
    pub fn new(age: Duration, cap: usize) -> Self {
        Self { order: VecDeque::new(), names: HashSet::new(), age, cap: cap.max(1) }
    }

    /// Notes a name.
    pub fn note(&mut self, now: Instant, name: &str) -> Novelty {
        self.forget(now);
        if self.names.contains(name) {
            return Novelty::Repeated;
        }
        while self.order.len() >= self.cap {
            self.drop_oldest();
        }
        let name: Arc<str> = name.into();
        self.order.push_back((now, Arc::clone(&name)));
        self.names.insert(name);
        Novelty::New
    }

    /// Drops what is too old.
    pub fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.age) {
            self.drop_oldest();
        }
    }

    /// How many names are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn drop_oldest(&mut self) {
        if let Some((_, name)) = self.order.pop_front() {
            self.names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_repeated_until_it_is_old() {
        let start = crate::clock::now();
        let mut seen = Seen::new(Duration::from_secs(600), 10);
        assert_eq!(seen.note(start, "a"), Novelty::New);
        assert_eq!(seen.note(start + Duration::from_secs(599), "a"), Novelty::Repeated);
        assert_eq!(seen.note(start + Duration::from_secs(600), "a"), Novelty::New);
    }

    #[test]
    fn the_oldest_name_makes_place_at_the_cap() {
        let start = crate::clock::now();
        let mut seen = Seen::new(Duration::from_secs(600), 2);
        for name in ["a", "b", "c"] {
            assert_eq!(seen.note(start, name), Novelty::New);
        }
        assert_eq!(seen.len(), 2);
        assert_eq!(seen.note(start, "b"), Novelty::Repeated);
        assert_eq!(seen.note(start, "a"), Novelty::New);
    }
}
