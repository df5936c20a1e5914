//! How often an address may be wrong: guessing costs time. It stands apart from admission because it counts failures by
//! source, of sources that nobody configured, and must not grow with them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Failures of each source, as a leaky bucket each.
#[derive(Debug)]
pub struct Failures {
    /// When the bucket of a source will be empty.
    empty_at: HashMap<IpAddr, Instant>,
    capacity: usize,
}

/// One failure leaks out in this time.
const LEAK: Duration = Duration::from_secs(6);
/// So many fit.
const BURST: u32 = 10;

// === impl Failures ===

impl Failures {
    /// Watches so many sources at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { empty_at: HashMap::new(), capacity: capacity.max(1) }
    }

    /// How long a source has to wait before it may try again; `None` if it may try now.
    #[must_use]
    pub fn wait(&self, now: Instant, source: IpAddr) -> Option<Duration> {
        let left = self.empty_at.get(&network(source))?.saturating_duration_since(now);
        let full = LEAK * BURST;
        (left + LEAK > full).then(|| (left + LEAK).saturating_sub(full))
    }

    /// A source was wrong.
    pub fn note(&mut self, now: Instant, source: IpAddr) {
        if self.empty_at.len() >= self.capacity {
            self.empty_at.retain(|_, at| *at > now);
            // All of them busy: whoever has been wrong least is let off.
            if self.empty_at.len() >= self.capacity
                && let Some(least) = self.empty_at.iter().min_by_key(|(_, at)| **at).map(|(source, _)| *source)
            {
                self.empty_at.remove(&least);
            }
        }
        let at = self.empty_at.entry(network(source)).or_insert(now);
        *at = (*at).max(now) + LEAK;
    }

    /// A source was right: it is no guesser.
    pub fn forget(&mut self, source: IpAddr) {
        self.empty_at.remove(&network(source));
    }
}

/// An IPv6 host has a whole /64 to guess from.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_are_free_and_then_one_every_six_seconds() {
        let start = crate::clock::now();
        let source = "192.0.2.1".parse().unwrap();
        let mut failures = Failures::new(8);
        for _ in 0..BURST {
            assert_eq!(failures.wait(start, source), None);
            failures.note(start, source);
        }
        assert_eq!(failures.wait(start, source), Some(LEAK));
        assert_eq!(failures.wait(start + LEAK, source), None);
        assert_eq!(failures.wait(start, "192.0.2.2".parse().unwrap()), None);
        failures.forget(source);
        assert_eq!(failures.wait(start, source), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source_and_the_memory_is_bounded() {
        let start = crate::clock::now();
        let mut failures = Failures::new(8);
        for host in 0..u128::from(BURST) {
            failures.note(start, IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | host)));
        }
        assert!(failures.wait(start, "2001:db8::ffff".parse().unwrap()).is_some());
        for host in 0..100 {
            failures.note(start, IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, host)));
        }
        assert!(failures.empty_at.len() <= 8);
        assert!(failures.wait(start, "2001:db8::ffff".parse().unwrap()).is_some(), "the worst is kept");
    }
}
