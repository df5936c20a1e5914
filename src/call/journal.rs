//! The pen of a call: it writes moments and steps into the record with the call's own clock, and keeps the record
//! from growing without bound.

use crate::record::{CallId, CallRecord, CallState, Lane, Moment, Step};
use std::time::{Instant, SystemTime};

/// Moments kept of one call; a peer that sends re-INVITEs for hours must not eat the memory.
const MOST_MOMENTS: usize = 256;

/// A record being written.
#[derive(Debug)]
pub struct Journal {
    started: Instant,
    record: Box<CallRecord>,
}

// === impl Journal ===

impl Journal {
    /// A new record.
    #[must_use]
    pub fn new(call_id: CallId, pbx_call_id: String, now: Instant, wall: SystemTime) -> Self {
        let record = CallRecord {
            call_id,
            pbx_call_id,
            cloud_call_id: None,
            started: wall,
            state: CallState::Calling,
            trunk: None,
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
            media: crate::record::call::MediaSummary::default(),
            decisions: Vec::new(),
            timeline: Vec::new(),
        };
        Self { started: now, record: Box::new(record) }
    }

    /// Notes what happened.
    pub fn moment(&mut self, now: Instant, from: Lane, to: Lane, what: impl Into<String>, detail: Option<String>) {
        if self.record.timeline.len() < MOST_MOMENTS {
            let at_us = u64::try_from(now.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX);
            self.record.timeline.push(Moment { at_us, from, to, what: what.into(), detail });
        }
    }

    /// Notes why something was decided.
    pub fn step(&mut self, step: Step) {
        if self.record.decisions.len() < MOST_MOMENTS {
            self.record.decisions.push(step);
        }
    }

    /// The steps, for those who push many.
    pub fn steps(&mut self) -> &mut Vec<Step> {
        &mut self.record.decisions
    }

    /// Milliseconds since the first message.
    #[must_use]
    pub fn elapsed_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// When the first message came.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The record as it stands.
    #[must_use]
    pub fn record(&self) -> &CallRecord {
        &self.record
    }

    /// A copy of the record without the decisions and the timeline, which are most of it.
    #[must_use]
    pub fn outline(&mut self) -> CallRecord {
        let decisions = std::mem::take(&mut self.record.decisions);
        let timeline = std::mem::take(&mut self.record.timeline);
        let outline = (*self.record).clone();
        (self.record.decisions, self.record.timeline) = (decisions, timeline);
        outline
    }

    /// The record, to fill in.
    pub fn record_mut(&mut self) -> &mut CallRecord {
        &mut self.record
    }

    /// Takes a copy of the finished record out.
    #[must_use]
    pub fn finish(&mut self) -> Box<CallRecord> {
        let blank = Self::new(self.record.call_id.clone(), String::new(), self.started, self.record.started);
        std::mem::replace(&mut self.record, blank.record)
    }
}
