//! The records of the calls that finished last, bounded by count. A lookup by name is a hash away; a listing walks from
//! the newest and stops when it has enough.

use crate::record::{CallId, CallRecord, CallState};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Which calls a listing wants; whatever is `None` does not restrict it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// In this state.
    pub state: Option<CallState>,
    /// Of this trunk.
    pub trunk: Option<String>,
    /// Started at this time or later.
    pub since: Option<SystemTime>,
    /// This many at most.
    pub limit: usize,
}

/// A bounded memory of finished calls. The oldest is forgotten for a new one.
#[derive(Debug)]
pub struct Recent {
    capacity: usize,
    // Written once a call by whoever collects the records, read by the API: never on the path of a message.
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// Oldest first.
    order: VecDeque<Arc<CallRecord>>,
    by_id: HashMap<CallId, Arc<CallRecord>>,
}

// === impl Filter ===

impl Default for Filter {
    fn default() -> Self {
        Self { state: None, trunk: None, since: None, limit: Self::STANDARD_LIMIT }
    }
}

impl Filter {
    /// How many calls a listing has if nobody says.
    pub const STANDARD_LIMIT: usize = 100;
    /// How many it may have at most.
    pub const MAX_LIMIT: usize = 1_000;

    /// Does the listing want this call? The limit is the lister's business.
    #[must_use]
    pub fn wants(&self, record: &CallRecord) -> bool {
        self.state.is_none_or(|state| state == record.state)
            && self.trunk.as_deref().is_none_or(|trunk| record.trunk.as_deref() == Some(trunk))
            && self.since.is_none_or(|since| record.started >= since)
    }
}

// === impl Recent ===

impl Recent {
    /// How many calls are kept if nobody says; a record is a few kilobytes.
    pub const STANDARD: usize = 1_000;

    /// A memory for `capacity` calls; it grows as calls finish.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, ring: Mutex::default() }
    }

    /// Remembers a finished call. A second record under the same name replaces the first.
    pub fn push(&self, record: CallRecord) {
        if self.capacity == 0 {
            return;
        }
        let record = Arc::new(record);
        let mut ring = self.ring();
        if ring.by_id.insert(record.call_id.clone(), Arc::clone(&record)).is_some() {
            ring.order.retain(|other| other.call_id != record.call_id);
        }
        ring.order.push_back(record);
        if ring.order.len() > self.capacity
            && let Some(oldest) = ring.order.pop_front()
        {
            ring.by_id.remove(&oldest.call_id);
        }
    }

    /// The record of one call.
    #[must_use]
    pub fn get(&self, id: &CallId) -> Option<Arc<CallRecord>> {
        self.ring().by_id.get(id).cloned()
    }

    /// The calls that the filter wants, last finished first.
    #[must_use]
    pub fn list(&self, filter: &Filter) -> Vec<Arc<CallRecord>> {
        let ring = self.ring();
        ring.order.iter().rev().filter(|record| filter.wants(record)).take(filter.limit).cloned().collect()
    }

    /// How many calls it remembers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring().order.len()
    }

    /// Does it remember none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing in here can panic half-way, so a poisoned lock still guards a whole ring.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn record(number: u64, trunk: &str) -> CallRecord {
        CallRecord {
            call_id: CallId::new(0, &format!("{number:024x}")),
            pbx_call_id: format!("{number}@192.0.2.1"),
            cloud_call_id: None,
            started: UNIX_EPOCH + Duration::from_secs(number),
            state: CallState::Ended,
            trunk: Some(trunk.to_owned()),
            target: None,
            fallback: None,
            caller: None,
            called: None,
            correlation: std::collections::BTreeMap::new(),
            answered_ms: None,
            duration_ms: None,
            ended_by: None,
            termination: None,
            daily: None,
            media: Default::default(),
            decisions: vec![],
            timeline: vec![],
        }
    }

    fn numbers(calls: &[Arc<CallRecord>]) -> Vec<u64> {
        calls.iter().map(|call| call.started.duration_since(UNIX_EPOCH).unwrap().as_secs()).collect()
    }

    #[test]
    fn the_oldest_call_is_forgotten_for_a_new_one() {
        let recent = Recent::new(2);
        for number in 1..=3 {
            recent.push(record(number, "pbx"));
        }
        assert_eq!(recent.len(), 2);
        assert!(recent.get(&record(1, "pbx").call_id).is_none());
        assert!(recent.get(&record(2, "pbx").call_id).is_some());
        assert_eq!(numbers(&recent.list(&Filter::default())), [3, 2]);
    }

    #[test]
    fn a_second_record_of_a_call_replaces_the_first() {
        let recent = Recent::new(2);
        recent.push(record(1, "pbx"));
        recent.push(record(2, "pbx"));
        recent.push(record(1, "other"));
        assert_eq!(recent.len(), 2);
        assert_eq!(recent.get(&record(1, "pbx").call_id).unwrap().trunk.as_deref(), Some("other"));
        assert_eq!(numbers(&recent.list(&Filter::default())), [1, 2]);
    }

    #[test]
    fn a_listing_keeps_to_trunk_state_time_and_limit() {
        let recent = Recent::new(10);
        for number in 1..=6 {
            recent.push(record(number, if number % 2 == 0 { "even" } else { "odd" }));
        }
        let list = |filter: Filter| numbers(&recent.list(&filter));
        assert_eq!(list(Filter { trunk: Some("even".into()), ..Filter::default() }), [6, 4, 2]);
        assert!(list(Filter { state: Some(CallState::Ringing), ..Filter::default() }).is_empty());
        assert_eq!(list(Filter { since: Some(UNIX_EPOCH + Duration::from_secs(5)), ..Filter::default() }), [6, 5]);
        assert_eq!(list(Filter { limit: 1, ..Filter::default() }), [6]);
    }

    #[test]
    fn a_memory_for_no_call_keeps_none() {
        let recent = Recent::new(0);
        recent.push(record(1, "pbx"));
        assert!(recent.is_empty());
    }
}
