//! A hierarchical timer wheel: deadlines with values, set, cancelled and expired in constant time, without a clock of
//! its own. It stands apart because the endpoint and the calls above it share nothing else but time.

use slab::Slab;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Bits of a tick number that one level of the wheel looks at.
const BITS: u32 = 6;
/// Slots of one level.
const SLOTS: usize = 1 << BITS;
/// Levels: 2^42 milliseconds are 139 years.
const LEVELS: usize = 7;
/// End of a list.
const NIL: u32 = u32::MAX;
/// The place of a timer that is in no slot because it is due.
const DUE: u16 = u16::MAX;
/// How far before the first deadline the wheel's zero lies, so that nothing real is earlier.
const MARGIN: Duration = Duration::from_secs(3600);

/// Names one armed timer. A key outlives its timer harmlessly: it never names another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    order: u64,
}

/// Timers with a value of `T` each. Resolution is exact; ticks of one millisecond only decide the slot.
pub struct TimerWheel<T> {
    nodes: Slab<Node<T>>,
    slots: Vec<Slot>,
    /// One bit per slot that is not empty, one word per level.
    occupied: [u64; LEVELS],
    /// Tick 0; set by the first insertion.
    base: Option<Instant>,
    /// The tick that the levels are relative to. Never ahead of the latest `now`.
    cursor: u64,
    /// What has expired and was not yet taken, in order.
    due: VecDeque<TimerKey>,
    /// Insertions so far: breaks ties of equal deadlines and tells old keys from new ones.
    order: u64,
}

/// What is due now; see [`TimerWheel::expire`].
#[derive(Debug)]
pub struct Expired<'a, T> {
    wheel: &'a mut TimerWheel<T>,
    now: Instant,
}

struct Node<T> {
    at: Instant,
    order: u64,
    place: u16,
    previous: u32,
    next: u32,
    value: T,
}

#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    /// The earliest deadline in the list; a lower bound while `stale`.
    earliest: Option<Instant>,
    stale: bool,
}

// === impl TimerWheel ===

impl<T> TimerWheel<T> {
    /// An empty wheel.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: Slab::new(),
            slots: vec![Slot { head: NIL, earliest: None, stale: false }; SLOTS * LEVELS],
            occupied: [0; LEVELS],
            base: None,
            cursor: 0,
            due: VecDeque::new(),
            order: 0,
        }
    }

    /// Arms a timer. A deadline in the past is due at the next expiry.
    pub fn insert(&mut self, at: Instant, value: T) -> TimerKey {
        if self.base.is_none() {
            self.base = Some(at.checked_sub(MARGIN).unwrap_or(at));
        }
        self.order += 1;
        let order = self.order;
        let index = self.nodes.insert(Node { at, order, place: DUE, previous: NIL, next: NIL, value });
        // More than 2^32 timers do not fit any memory.
        let index = u32::try_from(index).unwrap_or(NIL);
        self.link(index, at);
        TimerKey { index, order }
    }

    /// Disarms a timer and gives its value back; `None` when it has already expired or been cancelled.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let place = self.node(key.index).filter(|node| node.order == key.order)?.place;
        if place != DUE {
            self.unlink(key.index);
        }
        self.nodes.try_remove(key.index as usize).map(|node| node.value)
    }

    /// The earliest deadline, exactly.
    #[allow(clippy::should_implement_trait)] // a wheel is no iterator: asking takes nothing out
    pub fn next(&mut self) -> Option<Instant> {
        if let Some(at) = self.due.iter().find_map(|key| self.live(*key).map(|node| node.at)) {
            return Some(at);
        }
        let (level, slot, _) = self.first_slot()?;
        let place = level * SLOTS + slot;
        let current = *self.slots.get(place)?;
        if !current.stale {
            return current.earliest;
        }
        let mut earliest: Option<Instant> = None;
        let mut index = current.head;
        while let Some(node) = self.node(index) {
            earliest = Some(earliest.map_or(node.at, |at| at.min(node.at)));
            index = node.next;
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot { earliest, stale: false, ..*slot };
        }
        earliest
    }

    /// Takes one value whose deadline is not after `now`; the earliest first, equal ones in the order of insertion.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        loop {
            while let Some(key) = self.due.pop_front() {
                if self.live(key).is_some() {
                    return self.nodes.try_remove(key.index as usize).map(|node| node.value);
                }
            }
            if !self.advance(now) {
                return None;
            }
        }
    }

    /// All values whose deadline is not after `now`, as [`TimerWheel::pop`] gives them.
    pub fn expire(&mut self, now: Instant) -> Expired<'_, T> {
        Expired { wheel: self, now }
    }

    /// Armed timers, the due ones that nobody took included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no timer is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn node(&self, index: u32) -> Option<&Node<T>> {
        self.nodes.get(index as usize)
    }

    fn live(&self, key: TimerKey) -> Option<&Node<T>> {
        self.node(key.index).filter(|node| node.order == key.order)
    }

    fn tick(&self, at: Instant) -> u64 {
        let since = self.base.and_then(|base| at.checked_duration_since(base)).unwrap_or_default();
        let last = (1u64 << (BITS as usize * LEVELS)) - 1;
        u64::try_from(since.as_millis()).unwrap_or(last).min(last)
    }

    /// The earliest slot in use: level, slot, and the tick that it begins with.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        let (level, bits) = self.occupied.iter().enumerate().find(|(_, bits)| **bits != 0)?;
        let slot = bits.trailing_zeros() as usize;
        let shift = BITS * level as u32;
        let above = self.cursor >> shift >> BITS << BITS << shift;
        Some((level, slot, above | (slot as u64) << shift))
    }

    /// Puts a node into the slot that its deadline has relative to the cursor.
    fn link(&mut self, index: u32, at: Instant) {
        let tick = self.tick(at).max(self.cursor);
        let differing = (tick ^ self.cursor) | 1;
        let level = ((63 - differing.leading_zeros()) / BITS) as usize;
        let slot = (tick >> (BITS * level as u32)) as usize & (SLOTS - 1);
        let place = level * SLOTS + slot;
        let Some(entry) = self.slots.get_mut(place) else { return };
        let head = entry.head;
        entry.head = index;
        if entry.earliest.is_none_or(|earliest| at < earliest) {
            entry.earliest = Some(at);
            entry.stale = false;
        }
        if let Some(bits) = self.occupied.get_mut(level) {
            *bits |= 1 << slot;
        }
        if let Some(old) = self.nodes.get_mut(head as usize) {
            old.previous = index;
        }
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.place = place as u16;
            node.previous = NIL;
            node.next = head;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(node) = self.node(index) else { return };
        let (previous, next, place, at) = (node.previous, node.next, node.place as usize, node.at);
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = previous;
        }
        if let Some(node) = self.nodes.get_mut(previous as usize) {
            node.next = next;
        }
        let Some(slot) = self.slots.get_mut(place) else { return };
        if slot.head == index {
            slot.head = next;
        }
        slot.stale |= slot.earliest == Some(at);
        if slot.head == NIL {
            self.clear(place);
        }
    }

    fn clear(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot { head: NIL, earliest: None, stale: false };
        }
        if let Some(bits) = self.occupied.get_mut(place / SLOTS) {
            *bits &= !(1 << (place % SLOTS));
        }
    }

    /// Moves the cursor up to `now` until something is due; says whether it found any.
    fn advance(&mut self, now: Instant) -> bool {
        let target = self.tick(now);
        loop {
            let Some((level, slot, start)) = self.first_slot().filter(|(_, _, start)| *start <= target) else {
                // No slot in use begins before `target`, so no node changes its level by this.
                self.cursor = self.cursor.max(target);
                return false;
            };
            self.cursor = self.cursor.max(start);
            let place = level * SLOTS + slot;
            let mut index = self.slots.get(place).map_or(NIL, |slot| slot.head);
            self.clear(place);
            let mut ripe: Vec<(Instant, u64, u32)> = Vec::new();
            let mut unripe = false;
            while let Some(node) = self.nodes.get_mut(index as usize) {
                let (this, at) = (index, node.at);
                index = node.next;
                if at <= now {
                    node.place = DUE;
                    ripe.push((at, node.order, this));
                } else {
                    unripe = true;
                    self.link(this, at);
                }
            }
            // A slot above level 0 spans many ticks: what is ripe in it is earlier than every other slot, so the
            // whole of it can be taken at once, in order.
            ripe.sort_unstable();
            self.due.extend(ripe.iter().map(|(_, order, index)| TimerKey { index: *index, order: *order }));
            if !ripe.is_empty() {
                return true;
            }
            if level == 0 && unripe {
                // Only sub-millisecond remainders of the current tick are left.
                return false;
            }
        }
    }
}

impl<T> Default for TimerWheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for TimerWheel<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TimerWheel").field("armed", &self.nodes.len()).finish_non_exhaustive()
    }
}

// === impl Expired ===

impl<T> Iterator for Expired<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.wheel.pop(self.now)
    }
}
