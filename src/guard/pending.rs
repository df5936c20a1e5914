//! INVITEs that wait for their final response, counted by source. Each is held by its call, so that the count cannot
//! drift; there are never more entries than such calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many wait, by source.
#[derive(Debug, Default)]
pub(super) struct HalfOpen(Mutex<HashMap<u128, u32>>);

/// One that waits; dropping it makes room for the next.
#[derive(Debug)]
pub struct Pending {
    of: Arc<HalfOpen>,
    subject: u128,
}

// === impl HalfOpen ===

impl HalfOpen {
    /// Lets one in if fewer than `limit` wait; a limit of 0 limits nothing.
    pub(super) fn admit(this: &Arc<Self>, subject: u128, limit: u32) -> Option<Pending> {
        let mut sources = this.lock();
        let count = sources.get(&subject).copied().unwrap_or(0);
        if limit > 0 && count >= limit {
            return None;
        }
        sources.insert(subject, count.saturating_add(1));
        drop(sources);
        Some(Pending { of: Arc::clone(this), subject })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut sources = self.of.lock();
        match sources.get_mut(&self.subject) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(sources.remove(&self.subject)),
        }
    }
}
