//! Names to addresses for next hops (RFC 3263 §4.2, A and AAAA), with a small cache in front of the system's resolver.
//! Apart because a name may take seconds: nothing that owns calls may wait for one, and one slow name must not be asked
//! for once per call.

use crate::sip::Protocol;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer holds; the system's resolver does not tell the TTL.
const POSITIVE: Duration = Duration::from_secs(30);
/// How long a failure holds.
const NEGATIVE: Duration = Duration::from_secs(5);
/// How long the system's resolver may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most names remembered: peers can put any name into a Contact.
const REMEMBERED: usize = 1024;

/// The address families that we can send from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both; the system's order of addresses (RFC 6724) holds.
    Both,
}

/// What a lookup comes to.
pub type Lookup = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Turns names into addresses. Cloning is cheap, clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

/// A name came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The system's resolver says no.
    #[error("{host} does not resolve: {problem}")]
    Unknown {
        /// The name.
        host: String,
        /// What the system said.
        problem: String,
    },
    /// No answer in time.
    #[error("{host} does not resolve: no answer within {} s; check the name servers of this machine", PATIENCE.as_secs())]
    Silent {
        /// The name.
        host: String,
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
    families: Families,
    lookup: Box<dyn Fn(String) -> Lookup + Send + Sync>,
    now: Box<dyn Fn() -> Instant + Send + Sync>,
    names: Mutex<HashMap<String, Arc<Slot>>>,
}

/// One name. Whoever holds the lock asks; the others wait for the same answer instead of asking too.
type Slot = tokio::sync::Mutex<Option<Known>>;

struct Known {
    until: Instant,
    answer: Result<Vec<IpAddr>, ResolveError>,
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

// === impl Resolver ===

impl Resolver {
    /// Asks the system.
    #[must_use]
    pub fn system(families: Families) -> Self {
        let lookup = |host: String| -> Lookup {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        };
        Self::with(families, lookup, crate::clock::now)
    }

    /// Asks `lookup`, and takes the time from `now`.
    #[must_use]
    pub fn with(
        families: Families,
        lookup: impl Fn(String) -> Lookup + Send + Sync + 'static,
        now: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> Self {
        let names = Mutex::new(HashMap::new());
        Self { inner: Arc::new(Inner { families, lookup: Box::new(lookup), now: Box::new(now), names }) }
    }

    /// The addresses to try for `host`, best first, never empty. An address literal, in brackets or not, is itself; a
    /// missing port is the protocol's default (RFC 3261 §19.1.2).
    ///
    /// # Errors
    /// [`ResolveError`], in words for a decision record.
    pub async fn resolve(
        &self,
        host: &str,
        port: Option<u16>,
        protocol: Protocol,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let port = port.unwrap_or(match protocol {
            Protocol::Udp | Protocol::Tcp => 5060,
            Protocol::Tls => 5061,
        });
        let bare = host.trim_matches(['[', ']']).trim_end_matches('.');
        let found = match bare.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_) => self.look_up(bare).await?,
        };
        let families = self.inner.families;
        let served: Vec<SocketAddr> = found
            .iter()
            .map(IpAddr::to_canonical)
            .filter(|address| families.serve(address))
            .map(|address| SocketAddr::new(address, port))
            .collect();
        if served.is_empty() {
            let there = if families == Families::V4 { "IPv6" } else { "IPv4" };
            return Err(ResolveError::Family { host: bare.to_owned(), there });
        }
        Ok(served)
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let slot = self.slot(host.to_ascii_lowercase());
        let mut known = slot.lock().await;
        if let Some(fresh) = known.as_ref().filter(|known| known.until > (self.inner.now)()) {
            return fresh.answer.clone();
        }
        let answer = match tokio::time::timeout(PATIENCE, (self.inner.lookup)(host.to_owned())).await {
            Ok(Ok(found)) if !found.is_empty() => Ok(found),
            Ok(Ok(_)) => Err(unknown(host, "no addresses")),
            Ok(Err(problem)) => Err(unknown(host, &problem.to_string())),
            Err(_) => Err(ResolveError::Silent { host: host.to_owned() }),
        };
        let lifetime = if answer.is_ok() { POSITIVE } else { NEGATIVE };
        *known = Some(Known { until: (self.inner.now)() + lifetime, answer: answer.clone() });
        answer
    }

    fn slot(&self, host: String) -> Arc<Slot> {
        let mut names = self.inner.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= REMEMBERED && !names.contains_key(&host) {
            let now = (self.inner.now)();
            // Who is being asked for stays, or two would ask.
            names.retain(|_, slot| {
                slot.try_lock().map_or(true, |known| known.as_ref().is_some_and(|it| it.until > now))
            });
            if names.len() >= REMEMBERED {
                names.clear();
            }
        }
        Arc::clone(names.entry(host).or_default())
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("families", &self.inner.families).finish_non_exhaustive()
    }
}

fn unknown(host: &str, problem: &str) -> ResolveError {
    ResolveError::Unknown { host: host.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
