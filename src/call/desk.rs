//! The desk: what a shard lends to whichever of its calls is being worked on, and what it says to the outside. Apart from
//! the shard, so that a call knows the desk and not the calls beside it.

use crate::clock::Entropy;
use crate::media::Plane;
use crate::observe::Metrics;
use crate::record::CallRecord;
use crate::room::Report;
use crate::sip::endpoint::{Endpoint, LegId, SentId};
use crate::sip::timer::TimerWheel;
use crate::sip::{Message, StatusCode};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

/// Bits of a relay owner's name that are the call's place in its shard.
pub(super) const OWNER_PLACE: u64 = 0xffff_ffff;
/// Where the shard's number starts in a relay owner's name.
const OWNER_SHARD: u32 = 56;

/// The shard that a relay's owner belongs to.
#[must_use]
pub const fn shard_of_owner(owner: u64) -> u8 {
    (owner >> OWNER_SHARD) as u8
}

/// What a shard knows of itself.
#[derive(Debug, Clone)]
pub struct ShardSettings {
    /// Its number; part of every [`CallId`] it makes.
    pub shard: u8,
    /// Host part of `From` towards targets.
    pub from_host: String,
    /// The address written into SDP.
    pub media_address: IpAddr,
    /// The same moment on both clocks, to date records.
    pub epoch: (Instant, SystemTime),
    /// New calls are refused.
    pub draining: bool,
}

/// What a shard says to the outside, besides what it transmits.
#[derive(Debug)]
pub enum Output {
    /// To the companion.
    Report(Report),
    /// To the store.
    Finished(Box<CallRecord>),
    /// To whoever sent a request outside of all calls.
    Replied(SentId, Box<Answer>),
}

/// What came of a request outside of all calls.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status; 408 when nothing came in time and 503 when sending failed.
    pub status: StatusCode,
    /// The response, if one came.
    pub response: Option<Message>,
}

/// What the shard lends to a call.
pub(super) struct Desk {
    pub endpoint: Endpoint,
    pub timers: TimerWheel<(usize, CallTimer)>,
    pub plane: Box<dyn Plane>,
    pub outputs: VecDeque<Output>,
    pub metrics: Metrics,
    pub entropy: Entropy,
    pub settings: ShardSettings,
    /// Calls whose end was not claimed yet.
    pub active: usize,
    /// How often a call was given something to do.
    pub turns: u64,
    /// Which call a leg belongs to.
    pub legs: HashMap<LegId, usize>,
}

/// A named wait of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallTimer {
    /// Leg B may ring no longer (`ring_timeout`).
    Ring,
    /// The other leg may take no longer over a change of the session (64*T1).
    Exchange,
    /// The party that a transfer named may ring no longer.
    Transfer,
    /// A change of our own met another one: now it is tried again (RFC 3261 §14.1).
    Glare,
    /// The call may last no longer (`max_duration`).
    Hard,
}

// === impl ShardSettings ===

impl ShardSettings {
    /// A call's name at the media plane: the shard, some bits that make it unique, and the place.
    pub(super) fn owner(&self, key: usize, bits: u64) -> u64 {
        u64::from(self.shard) << OWNER_SHARD | (bits & !OWNER_PLACE) << 8 >> 8 | (key as u64 & OWNER_PLACE)
    }

    /// Wall-clock time of `now`.
    #[must_use]
    pub fn wall(&self, now: Instant) -> SystemTime {
        self.epoch.1 + now.saturating_duration_since(self.epoch.0)
    }
}
