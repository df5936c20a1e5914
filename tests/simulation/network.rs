//! A network without wires: datagrams in flight, ordered by the virtual time of their arrival.

use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use trunkline::clock::Entropy;

/// A datagram that arrives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Datagram {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub payload: Bytes,
}

/// Faults, in percent and milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    pub loss: u64,
    pub duplication: u64,
    pub most_delay: u64,
}

pub struct Network {
    faults: Faults,
    entropy: Entropy,
    flying: BinaryHeap<Reverse<(Instant, u64, Datagram)>>,
    sent: u64,
}

impl Network {
    pub fn new(faults: Faults, entropy: Entropy) -> Self {
        Self { faults, entropy, flying: BinaryHeap::new(), sent: 0 }
    }

    pub fn send(&mut self, now: Instant, datagram: Datagram) {
        let copies = if self.entropy.below(100) < self.faults.duplication { 2 } else { 1 };
        for _ in 0..copies {
            if self.entropy.below(100) < self.faults.loss {
                continue;
            }
            let delay = Duration::from_millis(1 + self.entropy.below(self.faults.most_delay.max(1)));
            self.sent += 1;
            self.flying.push(Reverse((now + delay, self.sent, datagram.clone())));
        }
    }

    pub fn next(&self) -> Option<Instant> {
        self.flying.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn pop(&mut self, now: Instant) -> Option<Datagram> {
        if self.next()? > now {
            return None;
        }
        self.flying.pop().map(|Reverse((_, _, datagram))| datagram)
    }
}
