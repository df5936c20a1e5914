//! Our registration at a target (RFC 3261 §10.2): what to send next, and when. It stands apart from the task that sends,
//! so that a day of outages runs in a test without waiting.

use super::Target;
use crate::clock::Entropy;
use crate::config::auth::Register;
use crate::sip::auth::client::Subject;
use crate::sip::auth::{Account, Credentials, Tries};
use crate::sip::endpoint::{Headers, OwnContact, Standalone};
use crate::sip::header::{NameAddr, Params, number};
use crate::sip::uri::{self, Uri};
use crate::sip::{HeaderName, Hop, Message, Method, StatusCode};

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first pause after a failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// `Retry-After` is obeyed up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Registrars that send us on, at most, for one request.
const REDIRECTIONS: u32 = 3;
/// The longest registration that is asked for when a registrar wants longer ones.
const LONGEST: u64 = 24 * 3600;

/// What a registration is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The target's name.
    pub target: String,
    /// The registrar: the target's URI without its user part.
    pub registrar: String,
    /// The address-of-record, in angle brackets.
    pub aor: String,
    /// Where REGISTER goes.
    pub hop: Hop,
    /// What challenges are answered with; its user is the user part of our Contact.
    pub credentials: Arc<Credentials>,
    /// How long a registration is asked for.
    pub expires: Duration,
    /// The host that the registrar knows us by, if not the usual one.
    pub advertised: Option<String>,
    /// `host[:port]` of our own addresses, as Contacts show them.
    pub own: Vec<String>,
    /// The first part of our Call-ID: it names the shard that hears the answers.
    pub call_id_prefix: String,
}

/// A registration.
#[derive(Debug)]
pub struct Registration {
    plan: Plan,
    call_id: String,
    number: u32,
    account: Account,
    tries: Tries,
    redirected: Option<(String, Hop)>,
    redirections: u32,
    /// What is asked for; more than configured if the registrar wants more.
    expires: Duration,
    failures: u32,
    until: Option<Instant>,
    leaving: bool,
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Send [`Registration::request`] at once.
    Send,
    /// Send it after this time.
    Wait(Duration),
    /// Nothing: we have left.
    Done,
}

/// What an answer changed.
#[derive(Debug)]
pub struct Outcome {
    /// What to do.
    pub next: Next,
    /// What the operator is to hear of, if it is new.
    pub news: Option<News>,
}

/// What happened to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It holds, for the first time or again.
    Registered {
        /// For how long the registrar gave it.
        granted: Duration,
    },
    /// An attempt failed.
    Failed {
        /// What the registrar said.
        what: String,
        /// What to do about it.
        remedy: &'static str,
        /// The pause before the next.
        pause: Duration,
    },
}

// === impl Plan ===

impl Plan {
    /// For a target with `auth` and `register`; `None` for one without, or at an address that is no registrar's.
    #[must_use]
    pub fn new(target: &Target, register: &Register, own: Vec<String>, call_id_prefix: String) -> Option<Self> {
        let credentials = target.credentials.clone()?;
        let uri = Uri::parse(target.request_uri.as_bytes()).ok()?;
        let registrar = registrar_of(&uri)?;
        let bare = Uri { params: Params::default(), ..uri };
        let (scheme, place) = registrar_of(&bare)?.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
        Some(Self {
            target: target.name.clone(),
            registrar,
            aor: format!("<{scheme}:{}@{place}>", uri::escape_user(&credentials.username)),
            hop: target.hop.clone(),
            advertised: target.path.advertised.clone(),
            credentials,
            expires: register.expires.get(),
            own,
            call_id_prefix,
        })
    }
}

// === impl Registration ===

impl Registration {
    /// Nothing sent yet.
    #[must_use]
    pub fn new(plan: Plan, entropy: &mut Entropy) -> Self {
        Self {
            call_id: format!("{}{}", plan.call_id_prefix, entropy.hex(24)),
            number: 0,
            account: Account::new(Arc::clone(&plan.credentials)),
            tries: Tries::default(),
            redirected: None,
            redirections: 0,
            expires: plan.expires,
            failures: 0,
            until: None,
            leaving: false,
            plan,
        }
    }

    /// Until when we are registered.
    #[must_use]
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the next request goes.
    #[must_use]
    pub fn hop(&self) -> &Hop {
        self.redirected.as_ref().map_or(&self.plan.hop, |(_, hop)| hop)
    }

    /// From now on the registration is to be taken back. False if there is none.
    pub fn leave(&mut self, now: Instant) -> bool {
        self.leaving = true;
        self.tries = Tries::default();
        self.until(now).is_some()
    }

    /// The next REGISTER, to be sent to `hop`: same Call-ID, next number (§10.2.4).
    pub fn request(&mut self, hop: Hop) -> Standalone {
        self.number += 1;
        let registrar = self.redirected.as_ref().map_or(&self.plan.registrar, |(registrar, _)| registrar).clone();
        let seconds = if self.leaving { 0 } else { self.expires.as_secs() };
        let subject = Subject { method: Method::Register.as_str(), uri: &registrar, body: b"" };
        let mut headers: Headers = self.account.authorize(&subject);
        headers.push(("Expires".into(), seconds.to_string()));
        let contact =
            OwnContact { user: self.plan.credentials.username.clone(), parameters: format!(";expires={seconds}") };
        Standalone {
            method: Method::Register,
            request_uri: registrar,
            hop,
            advertised: self.plan.advertised.clone(),
            from: self.plan.aor.clone(),
            to: self.plan.aor.clone(),
            call_id: Some(self.call_id.clone()),
            number: self.number,
            contact: Some(contact),
            max_forwards: None,
            headers,
            body: None,
        }
    }

    /// Takes what came of it.
    pub fn answered(
        &mut self,
        now: Instant,
        status: StatusCode,
        response: Option<&Message>,
        entropy: &mut Entropy,
    ) -> Outcome {
        if let (true, Some(response)) = (matches!(status.get(), 401 | 407), response)
            && self.account.challenged(response, &mut self.tries, entropy)
        {
            return Outcome { next: Next::Send, news: None };
        }
        if self.leaving {
            self.until = None;
            return Outcome { next: Next::Done, news: None };
        }
        match (status.get(), response) {
            (200..300, Some(response)) => self.taken(now, response, entropy),
            (300..400, Some(response)) if self.follow(response) => Outcome { next: Next::Send, news: None },
            (423, Some(response)) if self.lengthen(response) => Outcome { next: Next::Send, news: None },
            (status, response) => self.failed(status, response, entropy),
        }
    }

    fn taken(&mut self, now: Instant, response: &Message, entropy: &mut Entropy) -> Outcome {
        self.account.learn(response);
        self.tries = Tries::default();
        self.redirections = 0;
        let granted = self.granted(response);
        let fresh = self.until(now).is_none() || self.failures > 0;
        self.failures = 0;
        self.until = Some(now + granted);
        // Between four fifths and nine tenths of the time, so that those who began together do not refresh together.
        let wait = granted.mul_f64(0.8) + jitter(granted.mul_f64(0.1), entropy);
        Outcome { next: Next::Wait(wait), news: fresh.then_some(News::Registered { granted }) }
    }

    /// §10.2.4: our own Contact in the answer says how long it holds; `Expires`, and at last what was asked, if it does not.
    fn granted(&self, response: &Message) -> Duration {
        let contacts = response.elements(HeaderName::Contact).filter_map(|element| NameAddr::parse(element).ok());
        let contacts: Vec<NameAddr<'_>> = contacts.collect();
        let own = contacts.iter().find(|contact| contact.uri().is_ok_and(|uri| self.is_own(&uri)));
        // A registrar that mends NAT rewrites the host; the only one is ours all the same.
        let own = own.or(if let [only] = contacts.as_slice() { Some(only) } else { None });
        let said = own.and_then(|own| own.param("expires")).and_then(|expires| number(expires, LONGEST));
        let general = || response.value(HeaderName::Expires).and_then(|expires| number(expires, LONGEST));
        let seconds = said.or_else(general).unwrap_or(self.expires.as_secs());
        // A registrar that gives nothing, or next to nothing, must not make us send without pause.
        Duration::from_secs(seconds.max(5))
    }

    fn is_own(&self, uri: &Uri<'_>) -> bool {
        let user = uri.user.map(|user| uri::unescape(user).into_owned());
        let host = String::from_utf8_lossy(uri.host).to_ascii_lowercase();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let bare = |own: &str| own.to_ascii_lowercase().trim_end_matches(":5060").to_owned();
        let place = uri.port.map_or(host.clone(), |port| format!("{host}:{port}"));
        // Its port is that of whichever of our sockets the request left by.
        let shown = self.plan.advertised.as_ref().is_some_and(|own| uri.host.eq_ignore_ascii_case(own.as_bytes()));
        user.as_deref() == Some(self.plan.credentials.username.as_bytes())
            && (shown || self.plan.own.iter().any(|own| bare(own) == bare(&place)))
    }

    /// §8.1.3.4: the first Contact that we can reach is tried instead, for as long as it answers.
    fn follow(&mut self, response: &Message) -> bool {
        if self.redirections >= REDIRECTIONS {
            return false;
        }
        let places = response.elements(HeaderName::Contact).filter_map(|element| {
            let contact = NameAddr::parse(element).ok()?;
            let uri = contact.uri().ok()?;
            Some((registrar_of(&uri)?, uri::hop(&uri)?))
        });
        let mut places = places;
        let Some(place) = places.next() else { return false };
        self.redirections += 1;
        self.redirected = Some(place);
        true
    }

    /// §10.2.8.
    fn lengthen(&mut self, response: &Message) -> bool {
        let least = response.value(HeaderName::MinExpires).and_then(|least| number(least, LONGEST));
        let Some(least) = least.map(Duration::from_secs).filter(|least| *least > self.expires) else { return false };
        self.expires = least;
        true
    }

    fn failed(&mut self, status: u16, response: Option<&Message>, entropy: &mut Entropy) -> Outcome {
        self.tries = Tries::default();
        self.redirections = 0;
        self.redirected = None;
        let doubled = FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let named = response.and_then(|response| response.value(HeaderName::RetryAfter)).and_then(retry_after);
        let pause = match (named, status) {
            (Some(named), _) => named.min(LONGEST_WAIT),
            // Nothing that passes by itself: a wrong password that is tried often gets an address banned.
            (None, 400..=407 | 409..=499 | 600..=699) => LONGEST_PAUSE,
            (None, _) => doubled.min(LONGEST_PAUSE),
        };
        // Never sooner than asked; those who lost the same registrar come back one after the other.
        let pause = pause + jitter(pause / 2, entropy);
        let reason = response.map(|response| response.reason().into_owned()).unwrap_or_default();
        let what = match response {
            Some(_) => format!("{status} {reason}").trim_end().to_owned(),
            None if status == 408 => "no answer".to_owned(),
            None => "it cannot be reached".to_owned(),
        };
        Outcome { next: Next::Wait(pause), news: Some(News::Failed { what, remedy: remedy(status), pause }) }
    }
}

/// The URI of a registrar: what a target's URI says without user part and headers (§10.2).
#[must_use]
pub fn registrar_of(uri: &Uri<'_>) -> Option<String> {
    let scheme = match uri.scheme {
        uri::Scheme::Sip => "sip",
        uri::Scheme::Sips => "sips",
        _ => return None,
    };
    let host = std::str::from_utf8(uri.host).ok()?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = uri.port.map_or(String::new(), |port| format!(":{port}"));
    let transport = uri.params.get("transport").map(|transport| String::from_utf8_lossy(transport).into_owned());
    let transport = transport.map_or(String::new(), |transport| format!(";transport={transport}"));
    Some(format!("{scheme}:{host}{port}{transport}"))
}

/// §20.33: seconds, perhaps with a comment or parameters behind.
fn retry_after(value: &[u8]) -> Option<Duration> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    number(value.get(..digits)?, u64::from(u32::MAX)).map(Duration::from_secs)
}

fn jitter(most: Duration, entropy: &mut Entropy) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(entropy.below(most.saturating_add(1)))
}

const fn remedy(status: u16) -> &'static str {
    match status {
        401 | 407 => "compare `auth` of the target (user, password, realm) with the account",
        403 => "the account may not register from here: look at its allow-list and its state at the target",
        404 => "the target does not know this user or this domain: compare `username` and `uri`",
        405 | 501 => "the target takes no registrations: remove `register`",
        423 => "the target wants longer registrations than a day: ask its operator",
        300..=399 => {
            "the target sends us on to nowhere we can reach: configure the registrar as `uri` or `outbound_proxy`"
        }
        408 => "check the target's address, DNS and firewall",
        503 => "the target is overloaded or down: nothing to do here, it is tried again",
        500..=599 => "the target failed, or sending did: check its address and transport; it is tried again",
        _ => "see the status and reason that the target gave",
    }
}

#[cfg(test)]
mod tests;
