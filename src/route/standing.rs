//! Where we are registered: what the registrations at targets say to the rest of the house. It stands apart from the
//! registrations themselves, which come and go with their tasks, and is read by all shards without a lock.

use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// How each registration stands, by the name of its target.
#[derive(Debug, Default)]
pub struct Standings(ArcSwap<BTreeMap<String, Standing>>);

/// How one registration stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Until when we are registered; `None` if we are not.
    pub until: Option<Instant>,
    /// Addresses of the target that has our Contact: calls from there are its calls.
    pub addresses: Vec<IpAddr>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
}

// === impl Standings ===

impl Standings {
    /// Says how a target's registration stands from now on.
    pub fn set(&self, target: &str, standing: &Standing) {
        self.0.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(target.to_owned(), standing.clone());
            Arc::new(known)
        });
    }

    /// How a target's registration stands; `None` if it has none.
    #[must_use]
    pub fn of(&self, target: &str) -> Option<Standing> {
        self.0.load().get(target).cloned()
    }

    /// The target that we are registered at by this address.
    #[must_use]
    pub fn target_at(&self, source: IpAddr) -> Option<String> {
        let known = self.0.load();
        let here = |standing: &Standing| {
            standing.until.is_some() && standing.addresses.iter().any(|address| address.to_canonical() == source)
        };
        known.iter().find(|(_, standing)| here(standing)).map(|(target, _)| target.clone())
    }
}
