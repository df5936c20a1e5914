//! Calls that another shard owns than their Call-ID says: an INVITE with `Replaces` (RFC 3891) must come to the shard of
//! the call that it joins, and everything after it too. Apart from the router, which without any of them asks nothing here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

/// Most of them; the oldest is forgotten first. Each belongs to a live or recent call.
const MOST: usize = 4_096;

/// Which Call-IDs moved, and to which shard.
#[derive(Debug, Default)]
pub struct Moved {
    count: AtomicUsize,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    next: u64,
    owners: HashMap<Box<[u8]>, (u64, usize)>,
}

// === impl Moved ===

impl Moved {
    /// The shard that owns this Call-ID by now, if it moved.
    #[must_use]
    pub fn owner(&self, call_id: &[u8]) -> Option<usize> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.owners.get(call_id).map(|(_, owner)| *owner)
    }

    /// From now on this Call-ID is that shard's.
    pub fn insert(&self, call_id: &[u8], owner: usize) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.owners.len() >= MOST
            && !known.owners.contains_key(call_id)
            && let Some(oldest) = known.owners.iter().min_by_key(|(_, (age, _))| *age).map(|(name, _)| name.clone())
        {
            known.owners.remove(&oldest);
        }
        let age = known.next;
        known.next += 1;
        known.owners.insert(call_id.into(), (age, owner));
        self.count.store(known.owners.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::router::{Router, channels};
    use crate::sip::Message;

    #[test]
    fn an_invite_that_joins_a_call_and_all_that_follows_go_to_that_calls_shard() {
        let router = Router::new((0..4).map(|_| channels().0).collect(), crate::observe::Metrics::new());
        let message = |method: &str, call_id: &str, replaces: &str| {
            let text =
                format!("{method} sip:x@192.0.2.1 SIP/2.0\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n{replaces}\r\n");
            Message::parse(text.into()).unwrap()
        };
        let replaces = |call_id: &str| format!("Replaces: {call_id};to-tag=1;from-tag=2\r\n");
        for owner in 0..4 {
            let (old, new, third) = (format!("tl{owner:02x}-old"), format!("new-{owner}"), format!("third-{owner}"));
            assert_eq!(router.owner_of(&message("INVITE", &new, &replaces(&old))), owner);
            assert_eq!(router.owner_of(&message("BYE", &new, "")), owner);
            assert_eq!(router.owner_of(&message("INVITE", &third, &replaces(&new))), owner, "once more");
        }
    }

    #[test]
    fn a_moved_call_is_found_and_the_oldest_is_forgotten_first() {
        let moved = Moved::default();
        assert_eq!(moved.owner(b"a"), None);
        moved.insert(b"a", 3);
        assert_eq!((moved.owner(b"a"), moved.owner(b"b")), (Some(3), None));
        for number in 0..MOST {
            moved.insert(format!("{number}").as_bytes(), 1);
        }
        assert_eq!((moved.owner(b"a"), moved.owner(b"0")), (None, Some(1)));
    }
}
