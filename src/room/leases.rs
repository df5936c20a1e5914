//! Who has which SIP address of the rooms that exist. Daily takes one SIP client at an address at a time, so an address is
//! lent to one call, until that call ends.

use crate::record::CallId;
use std::collections::{HashMap, VecDeque};

/// Addresses that are lent, and calls that wait for one.
#[derive(Debug, Default)]
pub struct Leases {
    lent: HashMap<String, CallId>,
    waiting: VecDeque<(CallId, Vec<String>)>,
}

// === impl Leases ===

impl Leases {
    /// Lends the first of these addresses that is free. If none is, the call waits for one, and [`release`](Self::release)
    /// of another call says when it has it.
    pub fn take(&mut self, call: &CallId, addresses: Vec<String>) -> Option<String> {
        let free = addresses.iter().find(|address| !self.lent.contains_key(&key(address))).cloned();
        match &free {
            Some(address) => drop(self.lent.insert(key(address), call.clone())),
            None => self.waiting.push_back((call.clone(), addresses)),
        }
        free
    }

    /// The call no longer waits for an address. What it has, it keeps.
    pub fn stop_waiting(&mut self, call: &CallId) {
        self.waiting.retain(|(other, _)| other != call);
    }

    /// Takes back what the call has; who waited longest for one of them gets it now.
    pub fn release(&mut self, call: &CallId) -> Vec<(CallId, String)> {
        self.stop_waiting(call);
        let before = self.lent.len();
        self.lent.retain(|_, other| other != call);
        if self.lent.len() == before {
            return vec![];
        }
        let mut lucky = vec![];
        for (waiting, addresses) in std::mem::take(&mut self.waiting) {
            match addresses.iter().find(|address| !self.lent.contains_key(&key(address))) {
                Some(address) => {
                    self.lent.insert(key(address), waiting.clone());
                    lucky.push((waiting, address.clone()));
                }
                None => self.waiting.push_back((waiting, addresses)),
            }
        }
        lucky
    }

    /// Who has this address.
    #[must_use]
    pub fn holder(&self, address: &str) -> Option<&CallId> {
        self.lent.get(&key(address))
    }

    /// How many addresses are lent, and how many calls wait.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.lent.len(), self.waiting.len())
    }
}

/// Whether two SIP addresses are the same one at Daily: scheme, parameters and headers do not tell them apart.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    key(one) == key(other)
}

fn key(address: &str) -> String {
    let address = address.trim().to_ascii_lowercase();
    let rest = address.strip_prefix("sip:").or_else(|| address.strip_prefix("sips:")).unwrap_or(&address);
    rest.split(['?', ';']).next().unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::held::fixture::numbered_call as call;

    fn room() -> Vec<String> {
        vec!["sip:r.0@example.com".to_owned(), "sip:r.1@example.com".to_owned()]
    }

    #[test]
    fn each_address_is_lent_once_and_who_waited_longest_gets_the_next() {
        let mut leases = Leases::default();
        assert_eq!(leases.take(&call(1), room()).as_deref(), Some("sip:r.0@example.com"));
        assert_eq!(leases.take(&call(2), room()).as_deref(), Some("sip:r.1@example.com"));
        assert_eq!(leases.take(&call(3), room()), None);
        assert_eq!(leases.take(&call(4), room()), None);
        assert_eq!(leases.count(), (2, 2));
        assert_eq!(leases.release(&call(2)), [(call(3), "sip:r.1@example.com".to_owned())]);
        assert_eq!(leases.holder("SIP:R.1@example.com;transport=tls?x-a=1"), Some(&call(3)));
        assert_eq!(leases.release(&call(2)), [], "it has nothing any more");
        leases.stop_waiting(&call(4));
        assert_eq!(leases.release(&call(1)), []);
        assert_eq!(leases.release(&call(3)), []);
        assert_eq!(leases.count(), (0, 0));
    }

    #[test]
    fn an_address_in_another_spelling_is_the_same() {
        assert!(same("sip:Lobby.0@example.com", " lobby.0@EXAMPLE.com;transport=tcp"));
        assert!(!same("sip:lobby.0@example.com", "sip:lobby.1@example.com"));
    }
}
