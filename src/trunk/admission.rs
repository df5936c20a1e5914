//! How many calls a trunk or a target may have, and how fast new ones may come. It stands apart because it is the one
//! thing that all shards share about a call: counters without a lock, and guards that cannot be forgotten.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The gate of one trunk or target.
#[derive(Debug, Default)]
pub struct Admission {
    open: AtomicUsize,
    /// [`NO_LIMIT`] or the number of calls.
    max_calls: AtomicU64,
    /// Nanoseconds between two calls at the full rate; 0 without a limit; [`NO_LIMIT`] if none may pass.
    interval: AtomicU64,
    /// GCRA: when the next call would be due if calls came at exactly the rate, in nanoseconds since `base`.
    due: AtomicU64,
    base: OnceLock<Instant>,
}

/// One admitted call; dropping it makes room for the next.
#[derive(Debug)]
pub struct Slot(Arc<Admission>);

/// Why a call was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// `max_calls` are open.
    Calls,
    /// `max_rate` calls came in this second.
    Rate,
}

const NO_LIMIT: u64 = u64::MAX;
const SECOND: u64 = 1_000_000_000;

// === impl Admission ===

impl Admission {
    /// A gate: calls at the same time, and calls per second of which a second's worth may come at once; `None` is no
    /// limit, 0 lets nothing pass.
    #[must_use]
    pub fn new(max_calls: Option<u32>, max_rate: Option<u32>) -> Self {
        let admission = Self::default();
        admission.set_limits(max_calls, max_rate);
        admission
    }

    /// Other limits from now on; open calls stay.
    pub fn set_limits(&self, max_calls: Option<u32>, max_rate: Option<u32>) {
        self.max_calls.store(max_calls.map_or(NO_LIMIT, u64::from), Ordering::Relaxed);
        let interval = match max_rate {
            None => 0,
            Some(0) => NO_LIMIT,
            Some(rate) => SECOND / u64::from(rate),
        };
        self.interval.store(interval, Ordering::Relaxed);
    }

    /// Lets one call in.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Slot, Refused> {
        let limit = usize::try_from(self.max_calls.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        self.open
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |open| (open < limit).then_some(open + 1))
            .map_err(|_| Refused::Calls)?;
        // From here on the guard gives the place back, also if the rate refuses.
        let slot = Slot(Arc::clone(self));
        if self.is_in_time(now) { Ok(slot) } else { Err(Refused::Rate) }
    }

    /// Is there no room for another call? That calls come too fast passes by itself, and does not count.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let limit = self.max_calls.load(Ordering::Relaxed);
        limit != NO_LIMIT && self.open() as u64 >= limit
    }

    /// Calls at this moment.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The generic cell rate algorithm (ITU-T I.371) with a tolerance of one second.
    fn is_in_time(&self, now: Instant) -> bool {
        let interval = match self.interval.load(Ordering::Relaxed) {
            0 => return true,
            NO_LIMIT => return false,
            interval => interval,
        };
        let base = *self.base.get_or_init(|| now);
        let now = u64::try_from(now.saturating_duration_since(base).as_nanos()).unwrap_or(u64::MAX);
        let next = |due: u64| {
            let due = due.max(now).saturating_add(interval);
            (due <= now.saturating_add(SECOND)).then_some(due)
        };
        self.due.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next).is_ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn start() -> Instant {
        crate::clock::now()
    }

    #[test]
    fn a_full_gate_opens_again_when_a_call_ends() {
        let gate = Arc::new(Admission::new(Some(2), None));
        let now = start();
        let first = gate.admit(now).unwrap();
        let _second = gate.admit(now).unwrap();
        assert_eq!(gate.admit(now).unwrap_err(), Refused::Calls);
        drop(first);
        assert_eq!(gate.open(), 1);
        assert!(gate.admit(now).is_ok());
    }

    #[test]
    fn a_second_of_calls_may_come_at_once_and_then_only_at_the_rate() {
        let gate = Arc::new(Admission::new(None, Some(10)));
        let now = start();
        let admitted = |at: Instant, calls: usize| (0..calls).filter(|_| gate.admit(at).is_ok()).count();
        assert_eq!(admitted(now, 50), 10);
        assert_eq!(admitted(now + Duration::from_millis(99), 5), 0);
        assert_eq!(admitted(now + Duration::from_millis(300), 5), 3);
        assert_eq!(admitted(now + Duration::from_secs(60), 50), 10, "idle time is not saved up");
    }

    #[test]
    fn a_call_refused_for_its_rate_gives_its_place_back() {
        let gate = Arc::new(Admission::new(Some(5), Some(1)));
        let now = start();
        let kept = gate.admit(now).unwrap();
        assert_eq!(gate.admit(now).unwrap_err(), Refused::Rate);
        assert_eq!(gate.open(), 1);
        drop(kept);
        assert_eq!(gate.open(), 0);
    }

    #[test]
    fn no_limit_admits_and_zero_refuses_everything() {
        let now = start();
        let open = Arc::new(Admission::new(None, None));
        let slots: Vec<Slot> = (0..10_000).map(|_| open.admit(now).unwrap()).collect();
        assert_eq!(open.open(), 10_000);
        drop(slots);
        assert_eq!(open.open(), 0);
        assert_eq!(Arc::new(Admission::new(Some(0), None)).admit(now).unwrap_err(), Refused::Calls);
        assert_eq!(Arc::new(Admission::new(None, Some(0))).admit(now).unwrap_err(), Refused::Rate);
    }

    #[test]
    fn limits_can_change_while_calls_are_open() {
        let gate = Arc::new(Admission::new(Some(1), None));
        let now = start();
        let _first = gate.admit(now).unwrap();
        gate.set_limits(Some(2), None);
        let _second = gate.admit(now).unwrap();
        gate.set_limits(Some(1), None);
        assert_eq!(gate.admit(now).unwrap_err(), Refused::Calls);
        assert_eq!(gate.open(), 2);
    }

    #[test]
    fn shards_that_admit_at_the_same_time_never_exceed_the_limit() {
        let gate = Arc::new(Admission::new(Some(100), None));
        let now = start();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || (0..1000).filter_map(|_| gate.admit(now).ok()).collect::<Vec<Slot>>())
            })
            .collect();
        let slots: Vec<Slot> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!((slots.len(), gate.open()), (100, 100));
    }
}
