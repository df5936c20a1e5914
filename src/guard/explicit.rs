//! Bans by hand: few, of whole networks if wanted, and never pushed out by what strangers do.

use super::{Ban, SECOND};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// As many as an operator can look after.
const MOST: usize = 1_000;

/// The list.
#[derive(Debug, Default)]
pub(super) struct Explicit {
    /// How many there are, so that a packet finds an empty list without the lock.
    count: AtomicUsize,
    /// Each with its end.
    bans: RwLock<Vec<(IpNet, u64)>>,
}

// === impl Explicit ===

impl Explicit {
    pub(super) fn contains(&self, source: IpAddr, at: impl FnOnce() -> u64) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let at = at();
        let bans = self.bans.read().unwrap_or_else(PoisonError::into_inner);
        bans.iter().any(|(net, until)| *until > at && net.contains(&source))
    }

    /// Adds one, or changes its end; false if there is no room.
    pub(super) fn insert(&self, at: u64, source: IpNet, until: u64) -> bool {
        let source = source.trunc();
        let mut bans = self.bans.write().unwrap_or_else(PoisonError::into_inner);
        bans.retain(|(net, until)| *until > at && *net != source);
        let room = bans.len() < MOST;
        if room {
            bans.push((source, until));
        }
        self.count.store(bans.len(), Ordering::Relaxed);
        room
    }

    /// Takes away all that lie within `source`.
    pub(super) fn remove(&self, source: IpNet) -> bool {
        let mut bans = self.bans.write().unwrap_or_else(PoisonError::into_inner);
        let before = bans.len();
        bans.retain(|(net, _)| !source.contains(net));
        self.count.store(bans.len(), Ordering::Relaxed);
        bans.len() != before
    }

    pub(super) fn list(&self, at: u64) -> Vec<Ban> {
        let bans = self.bans.read().unwrap_or_else(PoisonError::into_inner);
        let live = bans.iter().filter(|(_, until)| *until > at);
        live.map(|(source, until)| Ban { source: *source, reason: "operator", left: left(*until, at) }).collect()
    }
}

/// From now to the end of a ban.
pub(super) fn left(until: u64, at: u64) -> Duration {
    let left = until.saturating_sub(at);
    Duration::new(left / SECOND, u32::try_from(left % SECOND).unwrap_or(0))
}
