//! Who is no stranger: the peers of the trunks, and whoever we sent a request to. Apart from what strangers are judged
//! by, because this is the way that every packet of a call takes and it must cost next to nothing.

use ipnet::IpNet;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

/// The configured ones.
#[derive(Debug)]
pub(super) struct Peers {
    /// In order, to be searched by halves.
    addresses: Vec<IpAddr>,
    networks: Vec<IpNet>,
}

/// Addresses that we spoke to: targets, and the nodes behind them that answered. The oldest goes when there are too many.
#[derive(Debug, Default)]
pub(super) struct Acquainted(RwLock<Circle>);

#[derive(Debug, Default)]
struct Circle {
    members: HashSet<IpAddr>,
    order: VecDeque<IpAddr>,
}

/// More nodes than any cloud shows to one gateway.
const MOST: usize = 4_096;

// === impl Peers ===

impl Peers {
    pub(super) fn new(peers: &[IpNet]) -> Self {
        let (single, networks): (Vec<IpNet>, Vec<IpNet>) =
            peers.iter().copied().partition(|net| net.prefix_len() == net.max_prefix_len());
        let mut addresses: Vec<IpAddr> = single.iter().map(|net| net.addr().to_canonical()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self { addresses, networks }
    }

    pub(super) fn contains(&self, source: IpAddr) -> bool {
        self.addresses.binary_search(&source).is_ok() || self.networks.iter().any(|net| net.contains(&source))
    }

    /// Does the network have a peer in it, or lie within one?
    pub(super) fn overlaps(&self, other: &IpNet) -> bool {
        self.addresses.iter().any(|address| other.contains(address))
            || self.networks.iter().any(|net| net.contains(other) || other.contains(net))
    }
}

// === impl Acquainted ===

impl Acquainted {
    pub(super) fn contains(&self, source: IpAddr) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).members.contains(&source)
    }

    pub(super) fn insert(&self, address: IpAddr) {
        if self.contains(address) {
            return;
        }
        let mut circle = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if circle.members.insert(address) {
            circle.order.push_back(address);
            if circle.order.len() > MOST
                && let Some(oldest) = circle.order.pop_front()
            {
                circle.members.remove(&oldest);
            }
        }
    }
}
