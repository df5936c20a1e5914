//! Values under numbers that are never used twice. Apart because legs and transactions are named to the outside, and a
//! late command or a late timer must miss, not hit the next tenant.

use slab::Slab;

/// Bits of a name that are the place in the slab.
const PLACE: u32 = 24;
/// Bits of a name that are place and serial number; the shard is above.
const OWN: u32 = 56;

/// A slab whose keys carry a serial number, and the number of the shard so that a name finds its owner.
#[derive(Debug)]
pub(super) struct Arena<T> {
    slab: Slab<(u32, T)>,
    serial: u32,
    shard: u8,
}

// === impl Arena ===

impl<T> Arena<T> {
    pub(super) const fn new(shard: u8) -> Self {
        Self { slab: Slab::new(), serial: 0, shard }
    }

    /// Keeps a value; the number is serial and place, so it returns only after 2^32 insertions into the same place.
    pub(super) fn insert(&mut self, value: T) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        let place = self.slab.insert((self.serial, value));
        u64::from(self.shard) << OWN | u64::from(self.serial) << PLACE | place as u64 & 0xff_ffff
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        self.slab.get(place(id)).filter(|(serial, _)| *serial == serial_of(id)).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.slab.get_mut(place(id)).filter(|(serial, _)| *serial == serial_of(id)).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        self.get(id)?;
        self.slab.try_remove(place(id)).map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }
}

const fn place(id: u64) -> usize {
    (id & 0xff_ffff) as usize
}

const fn serial_of(id: u64) -> u32 {
    (id >> PLACE) as u32
}
