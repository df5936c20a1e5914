//! A small registrar for PBXs that register (RFC 3261 §10.3): where a trunk is at present. It stands apart from the table
//! of trunks, which a reload replaces, and is shared by all shards: readers take a snapshot without a lock.

use super::binding::{Binding, Made, Wanted, seconds};
use crate::sip::endpoint::Headers;
use crate::sip::uri::{Scheme, Uri};
use crate::sip::{HeaderName, Message, Source, StatusCode};

use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Contacts of a trunk at most: a PBX has a few, its nodes and its lines.
const CONTACTS: usize = 32;
/// Proxies before a contact at most.
const PATH: usize = 8;

/// Where the trunks are.
#[derive(Debug, Default)]
pub struct Registrar {
    bindings: ArcSwap<Vec<Arc<Binding>>>,
    /// Held while one REGISTER replaces the list, so that two do not lose each other's changes. Never by a call.
    writing: Mutex<()>,
}

/// How long a registration may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Shorter ones get 423.
    pub shortest: Duration,
    /// Longer ones are cut.
    pub longest: Duration,
}

/// A REGISTER whose sender was believed.
#[derive(Debug, Clone, Copy)]
pub struct Register<'a> {
    /// The trunk.
    pub trunk: &'a str,
    /// The request.
    pub request: &'a Message,
    /// Where it came from.
    pub source: Source,
}

/// The answer to a REGISTER.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// A phrase that says more than the standard one.
    pub reason: Option<&'static str>,
    /// Contact, Min-Expires, Path.
    pub headers: Headers,
    /// How many contacts the trunk had before, and has now.
    pub count: (usize, usize),
}

/// Why a REGISTER changes nothing.
enum Fault {
    Bad(&'static str),
    TooShort,
    Full,
}

// === impl Registrar ===

impl Registrar {
    /// Does what a REGISTER asks for, all of it or nothing (§10.3, step 7).
    pub fn register(&self, now: Instant, limits: Limits, register: &Register<'_>) -> Reply {
        let guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.bindings.load_full();
        let alive: Vec<Arc<Binding>> = before.iter().filter(|binding| binding.until > now).cloned().collect();
        let count = |list: &[Arc<Binding>]| list.iter().filter(|binding| binding.trunk == register.trunk).count();
        let had = count(&alive);
        let outcome = register.applied(now, limits, alive.clone());
        let after = match &outcome {
            Ok(after) => {
                self.bindings.store(Arc::new(after.clone()));
                after
            }
            Err(_) => &alive,
        };
        drop(guard);
        let count = (had, count(after));
        match outcome {
            Ok(after) => Reply { status: StatusCode::OK, reason: None, headers: register.shown(now, &after), count },
            Err(fault) => fault.reply(limits, count),
        }
    }

    /// The trunk that registered from this address, if only one did.
    #[must_use]
    pub fn trunk_at(&self, now: Instant, source: IpAddr) -> Option<String> {
        let bindings = self.bindings.load();
        let source = source.to_canonical();
        let mut here = bindings
            .iter()
            .filter(|binding| binding.until > now && binding.source.peer.ip().to_canonical() == source)
            .map(|binding| &binding.trunk);
        let first = here.next()?;
        here.all(|other| other == first).then(|| first.clone())
    }

    /// The contact that a call to a trunk goes to: the preferred one, among equals the one that registered last.
    #[must_use]
    pub fn contact_of(&self, now: Instant, trunk: &str) -> Option<Arc<Binding>> {
        let bindings = self.bindings.load();
        let alive = bindings.iter().filter(|binding| binding.trunk == trunk && binding.until > now);
        alive.max_by_key(|binding| (binding.preference, binding.until)).cloned()
    }

    /// All contacts of a trunk.
    #[must_use]
    pub fn contacts_of(&self, now: Instant, trunk: &str) -> Vec<Arc<Binding>> {
        let bindings = self.bindings.load();
        bindings.iter().filter(|binding| binding.trunk == trunk && binding.until > now).cloned().collect()
    }

    /// Forgets what is over and says whose it was; and when to come again.
    pub fn expire(&self, now: Instant) -> (Vec<Arc<Binding>>, Option<Instant>) {
        let _guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (alive, over): (Vec<_>, Vec<_>) = self.bindings.load().iter().cloned().partition(|one| one.until > now);
        let next = alive.iter().map(|binding| binding.until).min();
        if !over.is_empty() {
            self.bindings.store(Arc::new(alive));
        }
        (over, next)
    }
}

// === impl Register ===

impl Register<'_> {
    fn applied(&self, now: Instant, limits: Limits, list: Vec<Arc<Binding>>) -> Result<Vec<Arc<Binding>>, Fault> {
        let aor = self.aor().ok_or(Fault::Bad("To holds no SIP address"))?;
        let elements: Vec<&[u8]> = self.request.elements(HeaderName::Contact).collect();
        let general = self.request.value(HeaderName::Expires).map(seconds);
        if elements.iter().any(|element| element.trim_ascii() == b"*") {
            if elements.len() > 1 || general != Some(0) {
                return Err(Fault::Bad("Contact * stands alone and with Expires: 0"));
            }
            return self.without_all(list, &aor);
        }
        let mut list = list;
        let path = self.path()?;
        for element in elements {
            let wanted = Wanted::parse(element).ok_or(Fault::Bad("a Contact is no SIP address"))?;
            let asked = wanted.expires.or(general);
            let lifetime = lifetime(asked, limits)?;
            let parsed = Uri::parse(wanted.uri.as_bytes()).map_err(|_| Fault::Bad("a Contact is no SIP address"))?;
            let known = list.iter().position(|known| self.owns(known, &aor) && known.is_at(&parsed));
            if let Some(known) = known.and_then(|known| list.get(known)) {
                self.in_order(known)?;
            }
            if let Some(known) = known {
                list.remove(known);
            }
            if lifetime.is_zero() {
                continue;
            }
            let made = Made { trunk: self.trunk, aor: &aor, path: &path, source: self.source };
            list.push(Arc::new(wanted.bound(now + lifetime, self.request, made)));
        }
        let full = list.iter().filter(|binding| binding.trunk == self.trunk).count() > CONTACTS;
        if full { Err(Fault::Full) } else { Ok(list) }
    }

    /// §10.3, step 6.
    fn without_all(&self, list: Vec<Arc<Binding>>, aor: &[u8]) -> Result<Vec<Arc<Binding>>, Fault> {
        for known in list.iter().filter(|known| self.owns(known, aor)) {
            self.in_order(known)?;
        }
        Ok(list.into_iter().filter(|known| !self.owns(known, aor)).collect())
    }

    /// A request with the Call-ID of the last one must be later than it; whoever begins anew may.
    fn in_order(&self, known: &Binding) -> Result<(), Fault> {
        let number = self.request.cseq().map_or(0, |cseq| cseq.number);
        let overtaken = known.call_id == self.request.call_id() && number <= known.number;
        if overtaken { Err(Fault::Bad("CSeq is not higher than that of the last REGISTER")) } else { Ok(()) }
    }

    fn owns(&self, known: &Binding, aor: &[u8]) -> bool {
        known.trunk == self.trunk && known.aor == aor
    }

    /// The user part of To: each line of a PBX is an address-of-record of its own. The host is ours by whatever name.
    fn aor(&self) -> Option<Vec<u8>> {
        let to = self.request.address(HeaderName::To)?;
        let uri = to.uri().ok().filter(|uri| matches!(uri.scheme, Scheme::Sip | Scheme::Sips))?;
        Some(uri.subscriber().unwrap_or_default().into_owned())
    }

    fn path(&self) -> Result<Vec<String>, Fault> {
        let path = self.request.elements(HeaderName::Path).map(|element| String::from_utf8(element.to_vec()));
        let path: Vec<String> = path.collect::<Result<_, _>>().map_err(|_| Fault::Bad("Path is no text"))?;
        if path.len() > PATH { Err(Fault::Bad("Path is too long")) } else { Ok(path) }
    }

    /// §10.3, step 8: every contact of the address-of-record; RFC 3327 §5.3: the path as it came.
    fn shown(&self, now: Instant, list: &[Arc<Binding>]) -> Headers {
        let aor = self.aor().unwrap_or_default();
        let own = list.iter().filter(|known| self.owns(known, &aor));
        let mut headers: Headers = own.map(|binding| ("Contact".into(), binding.shown(now))).collect();
        let path = self.request.values(HeaderName::Path).map(|path| String::from_utf8_lossy(path).into_owned());
        headers.extend(path.map(|path| ("Path".into(), path)));
        headers
    }
}

/// §10.3, step 7: zero removes, what is too short is refused, what is too long is cut.
fn lifetime(asked: Option<u32>, limits: Limits) -> Result<Duration, Fault> {
    let Some(asked) = asked else { return Ok(limits.longest) };
    let asked = Duration::from_secs(u64::from(asked));
    if !asked.is_zero() && asked < limits.shortest {
        return Err(Fault::TooShort);
    }
    Ok(asked.min(limits.longest))
}

// === impl Fault ===

impl Fault {
    fn reply(self, limits: Limits, count: (usize, usize)) -> Reply {
        let (status, reason, headers) = match self {
            Self::Bad(why) => (400, Some(why), Headers::new()),
            Self::TooShort => {
                let least = limits.shortest.as_secs_f64().ceil();
                (423, None, vec![("Min-Expires".into(), format!("{least:.0}"))])
            }
            Self::Full => (403, Some("Too many contacts"), Headers::new()),
        };
        Reply { status: StatusCode::new(status).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR), reason, headers, count }
    }
}

#[cfg(test)]
mod tests;
