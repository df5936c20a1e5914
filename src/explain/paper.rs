//! A media plane on paper: it hands out ports and opens none. It stands apart from the real plane because a rehearsal
//! must not take a port from a call.

use crate::media::{Counters, Plane, PortsExhausted, Relay, RelayCommand, RelayId, RelaySink};
use std::rc::Rc;
use std::sync::Arc;

/// Ports from the start of the configured range, always the same.
#[derive(Debug)]
pub(super) struct PaperPlane {
    /// The first even port of the range.
    pub first: u16,
}

struct Nobody;

// === impl PaperPlane ===

impl Plane for PaperPlane {
    fn open(&mut self, owner: u64) -> Result<Relay, PortsExhausted> {
        let first = self.first.checked_next_multiple_of(2).unwrap_or(self.first);
        let ports = [first, first.saturating_add(2)];
        Ok(Relay::new(RelayId(owner), ports, Arc::new(Counters::default()), Rc::new(Nobody)))
    }

    fn ports_in_use(&self) -> usize {
        0
    }
}

impl RelaySink for Nobody {
    fn command(&self, _: RelayId, _: RelayCommand) {}
}
