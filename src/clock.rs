//! The one place where time and randomness enter. Everything else is given `now` and an [`Entropy`], so that a whole
//! gateway runs under a virtual clock and a run repeats from its seed.
#![allow(clippy::disallowed_methods)] // the module that the ban points to

use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};
use std::time::{Duration, Instant, SystemTime};

/// Monotonic time, for deadlines.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock time, for records, signatures and expiry.
#[must_use]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Waits on the tokio timer. Only for waits that have a name and a configured duration.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// A stream of random values, from the system or from a seed.
#[derive(Debug, Clone)]
pub struct Entropy(StdRng);

// === impl Entropy ===

impl Entropy {
    /// Cryptographically seeded: for tags, branches, tokens in production.
    #[must_use]
    pub fn from_system() -> Self {
        Self(StdRng::from_os_rng())
    }

    /// Repeatable: for tests and simulation.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// An independent stream for another owner.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(StdRng::seed_from_u64(self.0.next_u64()))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// `length` lower-case hexadecimal digits, as SIP tokens (tags, branches) want them.
    pub fn hex(&mut self, length: usize) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = String::with_capacity(length);
        let mut bits = 0;
        for position in 0..length {
            if position % 16 == 0 {
                bits = self.0.next_u64();
            }
            out.push(char::from(DIGITS.get((bits & 15) as usize).copied().unwrap_or(b'0')));
            bits >>= 4;
        }
        out
    }
}
