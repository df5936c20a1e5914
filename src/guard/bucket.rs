//! A token bucket in one word, without a lock: the generic cell rate algorithm (ITU-T I.371).

use super::SECOND;
use std::sync::atomic::{AtomicU64, Ordering};

/// When the next would be due if they came at exactly the rate.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

// === impl Bucket ===

impl Bucket {
    /// Takes one of `rate` per second, of which `burst` seconds' worth may come at once; a rate of 0 limits nothing.
    pub(super) fn take(&self, at: u64, rate: u32, burst: u64) -> bool {
        rate == 0 || self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |due| next(due, at, rate, burst)).is_ok()
    }
}

/// The new due time, or `None` if it is too early.
pub(super) fn next(due: u64, at: u64, rate: u32, burst: u64) -> Option<u64> {
    let due = due.max(at).saturating_add(SECOND / u64::from(rate.max(1)));
    (due <= at.saturating_add(burst * SECOND)).then_some(due)
}
