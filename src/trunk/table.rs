//! Which trunk a call comes from. Only the address that the socket saw decides: every header can be written by anybody.

use super::address::TrunkAddress;
use super::admission::Admission;
use super::health::Health;
use crate::config::{self, Config, value::Peer};
use crate::error::Termination;
use crate::identity::headers::PassList;
use crate::identity::region::Region;
use crate::record::Step;
use crate::sip::auth::{Hash, Login};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// One trunk, ready for calls.
#[derive(Debug)]
pub struct Trunk {
    /// Its configuration.
    pub config: config::trunk::Trunk,
    /// The numbering plan its numbers are read by, shared by all trunks of the country.
    pub region: Arc<Region>,
    /// Its limits, shared by all shards and kept over a reload.
    pub admission: Arc<Admission>,
    /// Whether it is up, shared and kept likewise.
    pub health: Arc<Health>,
    /// Where calls towards it go, if it has an `address`.
    pub address: Option<TrunkAddress>,
    /// What its requests must prove, if it has `auth`.
    pub login: Option<Arc<Login>>,
    /// Numbers for what is dialled inside the PBX.
    pub extensions: HashMap<String, String>,
    /// Which of its headers go on to every target.
    pub pass: PassList,
    peers: Vec<KnownPeer>,
}

/// A peer with the addresses its name has.
#[derive(Debug)]
struct KnownPeer {
    peer: Peer,
    addresses: Vec<IpAddr>,
}

/// All trunks.
#[derive(Debug, Default)]
pub struct Table {
    trunks: Vec<Arc<Trunk>>,
    /// The trunk that every call is taken for; only `explain` assumes one.
    assumed: Option<Arc<Trunk>>,
}

/// How exactly a trunk names an address; the greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// By a DNS name, which says the least: it may change.
    Name,
    /// By a network, with the length of its prefix.
    Net(u8),
    /// By the address itself.
    Exact,
}

/// Both lists of a trunk; what stands in the file itself beats the CSV.
fn extensions(trunk: &config::trunk::Trunk) -> HashMap<String, String> {
    let listed = trunk.extensions_csv.iter().flat_map(|list| list.iter());
    let own = trunk.extensions.iter().map(|(extension, number)| (extension.as_str(), number.as_str()));
    listed.chain(own).map(|(extension, number)| (extension.to_owned(), number.to_owned())).collect()
}

// === impl Table ===

impl Table {
    /// From a checked configuration and the addresses of the names in `peers`.
    #[must_use]
    pub fn new(config: &Config, resolved: &HashMap<String, Vec<IpAddr>>) -> Self {
        Self::after(&Self::default(), config, resolved)
    }

    /// The same, after a reload or when a name got other addresses: a trunk that keeps its name keeps its open calls.
    #[must_use]
    pub fn after(previous: &Self, config: &Config, resolved: &HashMap<String, Vec<IpAddr>>) -> Self {
        // A plan is compiled once per country: its patterns take most of the memory of a table.
        let known = previous.trunks.iter().map(|trunk| (trunk.region.id(), Arc::clone(&trunk.region)));
        let mut regions: HashMap<&'static str, Arc<Region>> = known.collect();
        let trunk = |trunk: &config::trunk::Trunk| {
            let old = previous.by_name(&trunk.name);
            let admission = old.as_ref().map_or_else(Default::default, |old| Arc::clone(&old.admission));
            admission.set_limits(trunk.max_calls, trunk.max_rate);
            let health = old.map_or_else(Default::default, |old| Arc::clone(&old.health));
            health.set_rule(trunk.keepalive.as_ref());
            let country = trunk.country.as_deref().unwrap_or(&config.numbers.country);
            let region =
                regions.get(country).cloned().unwrap_or_else(|| Region::new(country).unwrap_or_default().into());
            regions.insert(region.id(), Arc::clone(&region));
            let known = |peer: &Peer| KnownPeer {
                peer: peer.clone(),
                addresses: match peer {
                    Peer::Name(name) => resolved.get(name).cloned().unwrap_or_default(),
                    Peer::Net(_) => vec![],
                },
            };
            Arc::new(Trunk {
                region,
                admission,
                health,
                address: trunk.address.as_deref().and_then(|address| TrunkAddress::parse(address).ok()),
                peers: trunk.peers.iter().map(known).collect(),
                login: trunk.auth.as_ref().map(|auth| Arc::new(login(auth))),
                extensions: extensions(trunk),
                pass: PassList::new(&trunk.pass_headers),
                config: trunk.clone(),
            })
        };
        Self { trunks: config.trunks.iter().map(trunk).collect(), assumed: None }
    }

    /// The same table, which takes every call for one of this trunk; none if there is no such trunk.
    #[must_use]
    pub fn assuming(self, name: &str) -> Option<Self> {
        let assumed = self.by_name(name)?;
        Some(Self { assumed: Some(assumed), ..self })
    }

    /// The addresses that the names in `peers` have in this table, as [`Table::new`] takes them.
    #[must_use]
    pub fn resolved(&self) -> HashMap<String, Vec<IpAddr>> {
        let peers = self.trunks.iter().flat_map(|trunk| &trunk.peers);
        peers
            .filter_map(|known| match &known.peer {
                Peer::Name(name) => Some((name.clone(), known.addresses.clone())),
                Peer::Net(_) => None,
            })
            .collect()
    }

    /// The names in `peers` that are to be resolved for [`Table::new`], each once.
    #[must_use]
    pub fn names(config: &Config) -> BTreeSet<String> {
        let peers = config.trunks.iter().flat_map(|trunk| &trunk.peers);
        peers
            .filter_map(|peer| match peer {
                Peer::Name(name) => Some(name.clone()),
                Peer::Net(_) => None,
            })
            .collect()
    }

    /// Every network and address that calls may come from, those of names included.
    #[must_use]
    pub fn peers(&self) -> Vec<ipnet::IpNet> {
        let known = self.trunks.iter().flat_map(|trunk| &trunk.peers);
        known
            .flat_map(|known| match &known.peer {
                Peer::Net(net) => vec![*net],
                Peer::Name(_) => known.addresses.iter().map(|address| ipnet::IpNet::from(*address)).collect(),
            })
            .collect()
    }

    /// The trunk that a call from this address belongs to. An exact address beats the longest prefix, which beats
    /// names; each trunk that was looked at becomes a step.
    pub fn matching(&self, source: IpAddr, steps: &mut Vec<Step>) -> Option<Arc<Trunk>> {
        // A dual-stack socket shows IPv4 peers as ::ffff:192.0.2.1.
        let source = source.to_canonical();
        let fits: Vec<Option<Fit>> = self.trunks.iter().map(|trunk| trunk.fit(source)).collect();
        // `max_by_key` would give the last of equals; the file's order says the first.
        let best = fits.iter().enumerate().rev().max_by_key(|(_, fit)| **fit).filter(|(_, fit)| fit.is_some());
        let best = best.map(|(position, _)| position);
        if self.assumed.is_some() {
            return self.assumed.clone();
        }
        self.explain(source, &fits, best, steps);
        self.trunks.get(best?).cloned()
    }

    /// A trunk by its name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<Trunk>> {
        self.trunks.iter().find(|trunk| trunk.config.name == name).cloned()
    }

    /// The trunks that are found by their user: those with `auth` and without `peers`.
    pub fn by_user(&self) -> impl Iterator<Item = (&Arc<Trunk>, &Arc<Login>)> {
        let nowhere = self.trunks.iter().filter(|trunk| trunk.peers.is_empty());
        nowhere.filter_map(|trunk| trunk.login.as_ref().map(|login| (trunk, login)))
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Arc<Trunk>] {
        &self.trunks
    }

    fn explain(&self, source: IpAddr, fits: &[Option<Fit>], best: Option<usize>, steps: &mut Vec<Step>) {
        let winner = best.and_then(|best| self.trunks.get(best)).map_or("", |trunk| &trunk.config.name);
        for (position, (trunk, fit)) in self.trunks.iter().zip(fits).enumerate() {
            let failed = match fit {
                Some(_) if best == Some(position) => None,
                Some(_) => Some(format!("{source} is one of its peers, but `{winner}` names it as exactly or better")),
                None => Some(trunk.why_not(source)),
            };
            steps.push(Step::Trunk { trunk: trunk.config.name.clone(), source: source.to_string(), failed });
        }
    }
}

fn login(auth: &config::auth::TrunkAuth) -> Login {
    let hash = |algorithm: &config::auth::Algorithm| match algorithm {
        config::auth::Algorithm::Md5 => Hash::Md5,
        config::auth::Algorithm::Sha256 => Hash::Sha256,
        config::auth::Algorithm::Sha512 => Hash::Sha512_256,
    };
    Login {
        username: auth.username.clone(),
        password: auth.password.expose().to_owned(),
        hashes: auth.algorithms.iter().map(hash).collect(),
    }
}

// === impl Trunk ===

impl Trunk {
    /// An end as this PBX is told it: `causes` of the configuration, unless the route's fallback has words of its own.
    #[must_use]
    pub fn told(&self, end: &Termination) -> Termination {
        let known = self.config.causes.get(end.cause.entry().code).filter(|_| end.phrase.is_none());
        match known {
            Some(told) => Termination { status: told.status.or(end.status), told: told.q850, ..end.clone() },
            None => end.clone(),
        }
    }

    fn fit(&self, source: IpAddr) -> Option<Fit> {
        self.peers.iter().filter_map(|known| known.fit(source)).max()
    }

    fn why_not(&self, source: IpAddr) -> String {
        if self.peers.is_empty() {
            return "it has no peers".to_owned();
        }
        let lost = self.peers.iter().find_map(|known| match &known.peer {
            Peer::Name(name) if known.addresses.is_empty() => Some(name),
            _ => None,
        });
        match lost {
            Some(name) => format!("{source} is in none of its peers; {name} has no address at present"),
            None => format!("{source} is in none of its peers"),
        }
    }
}

// === impl KnownPeer ===

impl KnownPeer {
    fn fit(&self, source: IpAddr) -> Option<Fit> {
        match &self.peer {
            Peer::Net(net) if !net.contains(&source) => None,
            Peer::Net(net) if net.prefix_len() == net.max_prefix_len() => Some(Fit::Exact),
            Peer::Net(net) => Some(Fit::Net(net.prefix_len())),
            Peer::Name(_) => self.addresses.iter().any(|known| known.to_canonical() == source).then_some(Fit::Name),
        }
    }
}

#[cfg(test)]
mod tests;
