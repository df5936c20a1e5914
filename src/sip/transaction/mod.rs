//! The four transactions of RFC 3261 §17, corrected by RFC 6026, as state machines that see neither messages nor
//! clocks: an input goes in, a [`Step`] comes out. They stand apart from the endpoint so that each row of the RFC's
//! diagrams is a test.

pub mod client;
pub mod client_invite;
pub mod key;
pub mod server;
pub mod server_invite;
pub mod timers;

pub use timers::{Change, Reliability, Step, Timer, Timers};

#[cfg(test)]
mod tests;

/// Names a client transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The shard whose transaction it is.
    #[must_use]
    pub const fn shard(self) -> usize {
        (self.0 >> 56) as usize
    }
}

/// The part of a status that the state machines look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 100..=199.
    Provisional,
    /// 200..=299.
    Success,
    /// 300..=699.
    Failure,
}

// === impl Class ===

impl Class {
    /// The class of a status code.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            0..200 => Self::Provisional,
            200..300 => Self::Success,
            _ => Self::Failure,
        }
    }
}
