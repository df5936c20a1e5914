//! Where a request can be sent (RFC 3263): NAPTR, SRV, A and AAAA, in the order to try, with those behind that failed a
//! moment ago. Apart because a name may take seconds: nothing that owns calls may wait for one.

mod cache;
pub mod dns;
mod select;

pub use cache::{Answer, Lookup, Question, Record, Source};
pub use dns::NameServer;

use crate::clock::Entropy;
use crate::sip::{Hop, HopAddress, Protocol};
use cache::Cache;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most addresses tried for one request.
const ADDRESSES: usize = 8;
/// Most failed addresses remembered.
const AVOIDED: usize = 4096;

/// The address families that we can send from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both; IPv4 is tried first.
    Both,
}

/// What the resolver knows of us.
#[derive(Debug, Clone)]
pub struct Abilities {
    /// The families of our listeners.
    pub families: Families,
    /// The protocols of our listeners, best first where a domain does not say (RFC 3263 §4.1).
    pub protocols: Vec<Protocol>,
    /// How long an address that failed is tried last.
    pub avoid: Duration,
}

/// Turns names into addresses. Cloning is cheap, clones share what is known.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

/// Where a request can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// In the order to try; never empty.
    pub hops: Vec<Hop>,
    /// What said so: `address`, `SRV`, `NAPTR`.
    pub by: &'static str,
}

/// A name came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There are no addresses, or the name servers say nothing.
    #[error("{host} does not resolve: {problem}")]
    Unknown {
        /// The name.
        host: String,
        /// What the name servers said.
        problem: String,
    },
    /// Only addresses of a family that we do not listen in.
    #[error("{host} has only {there} addresses; add a listener of that family to [sip] listen")]
    Family {
        /// The name.
        host: String,
        /// `IPv4` or `IPv6`.
        there: &'static str,
    },
}

struct Inner {
    abilities: Abilities,
    cache: Cache,
    entropy: Mutex<Entropy>,
    avoided: Mutex<HashMap<(Protocol, SocketAddr), Instant>>,
}

// === impl Families ===

impl Families {
    /// The families of our listeners; both if there are none. `[::]` is IPv6 alone: our sockets are bound so.
    #[must_use]
    pub fn of(listeners: impl IntoIterator<Item = IpAddr>) -> Self {
        let (mut v4, mut v6) = (false, false);
        for address in listeners {
            v4 |= address.is_ipv4();
            v6 |= address.is_ipv6();
        }
        match (v4, v6) {
            (true, false) => Self::V4,
            (false, true) => Self::V6,
            _ => Self::Both,
        }
    }

    fn serve(self, address: &IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Both => true,
        }
    }
}

// === impl Abilities ===

impl Abilities {
    /// Of these listeners; a failed address is tried last for `avoid`.
    #[must_use]
    pub fn of(listeners: &[(Protocol, SocketAddr)], avoid: Duration) -> Self {
        let families = Families::of(listeners.iter().map(|(_, address)| address.ip()));
        let mut protocols = vec![];
        for protocol in [Protocol::Udp, Protocol::Tcp, Protocol::Tls] {
            if listeners.iter().any(|(listener, _)| *listener == protocol) {
                protocols.push(protocol);
            }
        }
        Self { families, protocols, avoid }
    }
}

// === impl Resolver ===

impl Resolver {
    /// Asks `source`, and takes the time from `now`.
    #[must_use]
    pub fn new(
        abilities: Abilities,
        source: Source,
        now: impl Fn() -> Instant + Send + Sync + 'static,
        entropy: Entropy,
    ) -> Self {
        let cache = Cache::new(source, now);
        let (entropy, avoided) = (Mutex::new(entropy), Mutex::default());
        Self { inner: Arc::new(Inner { abilities, cache, entropy, avoided }) }
    }

    /// The addresses that a request to this hop can be sent to. An address is itself.
    ///
    /// # Errors
    /// [`ResolveError`], in words for a decision record.
    pub async fn locate(&self, hop: &Hop) -> Result<Located, ResolveError> {
        let found = match &hop.address {
            HopAddress::Socket(_) | HopAddress::Server { .. } => {
                return Ok(Located { hops: vec![hop.clone()], by: "address" });
            }
            HopAddress::Domain { host } => self.of_domain(host, hop.protocol).await,
            HopAddress::Name { host, port: None } => self.of_services(host, hop.protocol).await,
            HopAddress::Name { host, port: Some(port) } => self.of_host(host, host, *port, hop.protocol).await,
        };
        let Located { mut hops, by } = found?;
        self.failed_last(&mut hops);
        hops.truncate(ADDRESSES);
        Ok(Located { hops, by })
    }

    /// The addresses of a host (A, AAAA, the hosts file), never empty. An address, in brackets or not, is itself.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let bare = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let found: Vec<IpAddr> = match bare.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_) => self.look_up(&bare).await?,
        };
        let families = self.inner.abilities.families;
        let served: Vec<IpAddr> =
            found.iter().map(IpAddr::to_canonical).filter(|address| families.serve(address)).collect();
        if served.is_empty() {
            let there = if families == Families::V4 { "IPv6" } else { "IPv4" };
            return Err(ResolveError::Family { host: bare, there });
        }
        Ok(served)
    }

    /// This address failed: for a while, and for `span` if that is given, the others of its name come first.
    pub fn avoid(&self, hop: &Hop, span: Option<Duration>) {
        let Some(address) = hop.address.socket() else { return };
        let now = self.inner.cache.now();
        let mut avoided = self.inner.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        if avoided.len() >= AVOIDED {
            avoided.retain(|_, until| *until > now);
            if avoided.len() >= AVOIDED {
                avoided.clear();
            }
        }
        avoided.insert((hop.protocol, address), now + span.unwrap_or(self.inner.abilities.avoid));
    }

    /// RFC 3263 §4.1, last paragraphs: the domain says by NAPTR which protocols it takes; without, its SRV records do;
    /// without those, it is a host.
    async fn of_domain(&self, host: &str, last_resort: Protocol) -> Result<Located, ResolveError> {
        if !has_records(host) {
            return self.of_host(host, host, last_resort.port(), last_resort).await;
        }
        let ours = &self.inner.abilities.protocols;
        let pointers = self.inner.cache.ask(Question::Pointers(host.to_owned())).await.unwrap_or_default();
        let mut hops = vec![];
        for (protocol, name) in select::pointers(&pointers, ours) {
            hops.extend(self.services(host, name, protocol).await);
        }
        if !hops.is_empty() {
            return Ok(Located { hops, by: "NAPTR" });
        }
        for protocol in ours {
            hops.extend(self.services(host, service_name(host, *protocol), *protocol).await);
            if !hops.is_empty() {
                return Ok(Located { hops, by: "SRV" });
            }
        }
        self.of_host(host, host, last_resort.port(), last_resort).await
    }

    /// RFC 3263 §4.2: the protocol is known, SRV says host and port; without, it is a host.
    async fn of_services(&self, host: &str, protocol: Protocol) -> Result<Located, ResolveError> {
        if has_records(host) {
            let hops = self.services(host, service_name(host, protocol), protocol).await;
            if !hops.is_empty() {
                return Ok(Located { hops, by: "SRV" });
            }
        }
        self.of_host(host, host, protocol.port(), protocol).await
    }

    /// The addresses behind SRV records, those of one record together.
    async fn services(&self, host: &str, name: String, protocol: Protocol) -> Vec<Hop> {
        let Ok(records) = self.inner.cache.ask(Question::Services(name)).await else { return vec![] };
        let ordered = {
            let mut entropy = self.inner.entropy.lock().unwrap_or_else(PoisonError::into_inner);
            select::services(&records, &mut entropy)
        };
        let mut hops = vec![];
        for service in ordered {
            match self.of_host(host, &service.target, service.port, protocol).await {
                Ok(located) => hops.extend(located.hops),
                Err(error) => tracing::debug!(%error, "an SRV record leads nowhere"),
            }
        }
        hops
    }

    /// `name` is what was asked for: a certificate has to be for that, whatever the records say (RFC 5922 §4).
    async fn of_host(&self, name: &str, host: &str, port: u16, protocol: Protocol) -> Result<Located, ResolveError> {
        let hop = |address: IpAddr| {
            let address = SocketAddr::new(address, port);
            Hop { protocol, address: HopAddress::Server { host: name.to_owned(), address }, connection: None }
        };
        let hops = self.addresses(host).await?.into_iter().map(hop).collect();
        Ok(Located { hops, by: "address" })
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let unknown = |problem: String| ResolveError::Unknown { host: host.to_owned(), problem };
        let records = self.inner.cache.ask(Question::Addresses(host.to_owned())).await.map_err(unknown)?;
        let addresses: Vec<IpAddr> = records
            .iter()
            .filter_map(|record| match record {
                Record::Address(address) => Some(*address),
                _ => None,
            })
            .collect();
        if addresses.is_empty() { Err(unknown("no addresses".to_owned())) } else { Ok(addresses) }
    }

    /// A stable sort: among good ones, and among bad ones, the order stays.
    fn failed_last(&self, hops: &mut [Hop]) {
        let now = self.inner.cache.now();
        let avoided = self.inner.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        let is_avoided = |hop: &Hop| {
            let key = hop.address.socket().map(|address| (hop.protocol, address));
            key.and_then(|key| avoided.get(&key)).is_some_and(|until| *until > now)
        };
        hops.sort_by_key(is_avoided);
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("abilities", &self.inner.abilities).finish_non_exhaustive()
    }
}

/// A name of one label (`pbx`, `localhost`, a container) is a host of the hosts file or the local network, never a
/// domain with services.
fn has_records(host: &str) -> bool {
    host.contains('.')
}

fn service_name(host: &str, protocol: Protocol) -> String {
    match protocol {
        Protocol::Udp => format!("_sip._udp.{host}"),
        Protocol::Tcp => format!("_sip._tcp.{host}"),
        Protocol::Tls => format!("_sips._tcp.{host}"),
    }
}

#[cfg(test)]
mod tests;
