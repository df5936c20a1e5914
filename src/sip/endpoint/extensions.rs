//! What a leg does besides RFC 3261: the terms it is on about reliable provisional responses (RFC 3262) and session timers
//! (RFC 4028), and whether a peer's INVITE fits them. Apart from the leg, of which most have little of either.

use super::super::header::session_expires::min_se;
use super::super::header::{SessionExpires, rack};
use super::super::session::reliable::{Outbox, Wish};
use super::super::session::session_timer::{self, Asked, Policy, SessionTimer, TooSmall};
use super::super::timer::TimerKey;
use super::super::{HeaderName, Message, StatusCode};
use super::provisional::Provisional;
use super::{Body, Endpoint, Headers, LegId, SUPPORTED};

/// The option tag of RFC 3262.
pub const RELIABLE: &str = "100rel";
/// The option tag of RFC 4028.
pub const TIMER: &str = "timer";

/// What a leg may do and has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Reliable provisional responses.
    pub reliable: Wish,
    /// Session timers.
    pub session_timer: Policy,
}

/// What the caller of a leg does with provisional responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledges {
    /// Nothing: they are unreliable.
    No,
    /// It acknowledges those that ask for it.
    Yes,
    /// It acknowledges, and takes no others: it, or the leg's terms, require that.
    Only,
}

/// Why an INVITE does not fit the terms of its leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It requires an extension that is off here.
    #[error("the INVITE requires {0}, which is off")]
    Off(&'static str),
    /// It cannot do what is required here.
    #[error("the caller does not support {0}, which is required")]
    Lacks(&'static str),
    /// Its session interval is too small.
    #[error(transparent)]
    TooSmall(#[from] TooSmall),
}

/// The state of a leg's extensions.
#[derive(Debug)]
pub(super) struct Extensions {
    pub(super) reliable: Wish,
    /// The peer's INVITE: its sequence number, and whether its sender acknowledges provisional responses.
    pub(super) invite: u32,
    pub(super) peer_acknowledges: Option<Peer>,
    pub(super) outbox: Outbox<Provisional>,
    pub(super) outbox_alarm: Option<TimerKey>,
    /// A session description went out in a reliable provisional response.
    pub(super) described: bool,
    /// Our 2xx, which waits for the PRACK to a description (RFC 3262 §3).
    pub(super) held: Option<(Headers, Option<Body>)>,
    /// A reliable provisional response was never acknowledged.
    pub(super) given_up: bool,
    pub(super) timer: SessionTimer,
    pub(super) timer_alarm: Option<TimerKey>,
    /// The peer takes UPDATE, as its `Allow` says.
    pub(super) updates: bool,
}

/// How much a peer wants its provisional responses reliable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// It can acknowledge them.
    Supports,
    /// It takes no others.
    Requires,
}

// === impl Terms ===

impl Terms {
    /// RFC 3261 and nothing else.
    pub const PLAIN: Terms = Terms { reliable: Wish::Off, session_timer: Policy::OFF };
}

impl Default for Terms {
    fn default() -> Self {
        Self::PLAIN
    }
}

// === impl Unfit ===

impl Unfit {
    /// The status to refuse it with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Off(_) => StatusCode::BAD_EXTENSION,
            Self::Lacks(_) => StatusCode::EXTENSION_REQUIRED,
            Self::TooSmall(_) => StatusCode::SESSION_INTERVAL_TOO_SMALL,
        }
    }

    /// The header fields that the status demands.
    #[must_use]
    pub fn headers(&self) -> Headers {
        match self {
            Self::Off(option) => vec![("Unsupported".into(), (*option).to_owned())],
            Self::Lacks(option) => vec![("Require".into(), (*option).to_owned())],
            Self::TooSmall(TooSmall { min_se }) => vec![("Min-SE".into(), min_se.as_secs().to_string())],
        }
    }
}

// === impl Extensions ===

impl Extensions {
    fn new(terms: &Terms, outbox: Outbox<Provisional>) -> Self {
        Self {
            reliable: terms.reliable,
            invite: 0,
            peer_acknowledges: None,
            outbox,
            outbox_alarm: None,
            described: false,
            held: None,
            given_up: false,
            timer: SessionTimer::new(terms.session_timer),
            timer_alarm: None,
            updates: false,
        }
    }

    /// The header fields of a first INVITE.
    fn invite_headers(&self) -> Headers {
        let mut headers = Headers::new();
        let mut supported = vec![SUPPORTED];
        match self.reliable {
            Wish::Off => {}
            Wish::Supported => supported.push(RELIABLE),
            Wish::Required => {
                supported.push(RELIABLE);
                headers.push(("Require".into(), RELIABLE.to_owned()));
            }
        }
        if self.timer.is_known() {
            supported.push(TIMER);
        }
        headers.push(("Supported".into(), supported.join(", ")));
        headers.extend(self.timer.offer().into_iter().flat_map(offer_headers));
        headers
    }

    /// The header fields of a re-INVITE or UPDATE.
    pub(super) fn refresh_headers(&self) -> Headers {
        let Some(offer) = self.timer.offer() else { return Headers::new() };
        let mut headers = vec![("Supported".into(), format!("{SUPPORTED}, {TIMER}"))];
        headers.extend(offer_headers(offer));
        headers
    }

    /// The header fields that a request with another interval has instead.
    pub(super) fn interval_headers(&self) -> Headers {
        self.timer.offer().into_iter().flat_map(offer_headers).collect()
    }

    /// Learns what the peer can do from a message of its.
    pub(super) fn learn(&mut self, message: &Message) {
        if message.value(HeaderName::Allow).is_some() {
            self.updates = message.lists(HeaderName::Allow, "UPDATE");
        }
    }
}

fn offer_headers(offer: session_timer::Offer) -> Headers {
    let mut headers = Headers::new();
    if let Some(expires) = offer.expires {
        headers.push(("Session-Expires".into(), expires.to_string()));
    }
    if let Some(min_se) = offer.min_se {
        headers.push(("Min-SE".into(), min_se.as_secs().to_string()));
    }
    headers
}

/// What a request of the peer says about session timers; what cannot be read is not there.
pub(super) fn asked(request: &Message) -> Asked {
    let knows_timers = request.lists(HeaderName::Supported, TIMER) || request.lists(HeaderName::Require, TIMER);
    Asked {
        expires: expires_of(request),
        min_se: request.value(HeaderName::MinSe).and_then(|value| min_se(value).ok()),
        knows_timers,
    }
}

/// `Session-Expires` of a message; zero is none.
pub(super) fn expires_of(message: &Message) -> Option<SessionExpires> {
    let expires = SessionExpires::parse(message.value(HeaderName::SessionExpires)?).ok()?;
    (!expires.interval.is_zero()).then_some(expires)
}

/// `RSeq` of a provisional response that is to be acknowledged (RFC 3262 §4).
pub(super) fn rseq_of(response: &Message) -> Option<u32> {
    let required = response.lists(HeaderName::Require, RELIABLE);
    response.value(HeaderName::RSeq).filter(|_| required).and_then(|value| rack::rseq(value).ok())
}

// === impl Endpoint ===

impl Endpoint {
    /// Puts a leg that called us on its terms, before anything else is done with it.
    ///
    /// # Errors
    /// [`Unfit`] when its INVITE does not fit: it is to be refused with that.
    pub fn agree(&mut self, leg: LegId, terms: Terms) -> Result<(), Unfit> {
        let server = self.legs.get(leg.0).and_then(|state| state.incoming);
        let invite = server.and_then(|server| self.servers.get(server)).and_then(|entry| entry.request.as_deref());
        let Some(invite) = invite else { return Ok(()) };
        let requires = |option| invite.lists(HeaderName::Require, option);
        let knows = |option| requires(option) || invite.lists(HeaderName::Supported, option);
        let timers = SessionTimer::new(terms.session_timer);
        match terms.reliable {
            Wish::Off if requires(RELIABLE) => return Err(Unfit::Off(RELIABLE)),
            Wish::Required if !knows(RELIABLE) => return Err(Unfit::Lacks(RELIABLE)),
            _ => {}
        }
        if !timers.is_known() && requires(TIMER) {
            return Err(Unfit::Off(TIMER));
        }
        timers.judge(&asked(invite))?;
        if terms == Terms::PLAIN {
            return Ok(());
        }
        let peer = match (requires(RELIABLE), knows(RELIABLE)) {
            (true, _) => Some(Peer::Requires),
            (false, true) => Some(Peer::Supports),
            _ => None,
        };
        let number = invite.cseq().map_or(0, |cseq| cseq.number);
        let allows = invite.lists(HeaderName::Allow, "UPDATE");
        let mut extensions = self.extensions(&terms);
        extensions.invite = number;
        extensions.peer_acknowledges = peer;
        extensions.updates = allows;
        if let Some(state) = self.legs.get_mut(leg.0) {
            state.extensions = Some(extensions);
        }
        Ok(())
    }

    /// How the caller of a leg takes provisional responses.
    #[must_use]
    pub fn acknowledges(&self, leg: LegId) -> Acknowledges {
        let extensions = self.legs.get(leg.0).and_then(|state| state.extensions.as_ref());
        match extensions.map(|extensions| (extensions.reliable, extensions.peer_acknowledges)) {
            None | Some((Wish::Off, _) | (_, None)) => Acknowledges::No,
            Some((Wish::Supported, Some(Peer::Supports))) => Acknowledges::Yes,
            Some(_) => Acknowledges::Only,
        }
    }

    /// Puts a leg that we call on its terms; gives back the header fields of its INVITE.
    pub(super) fn propose(&mut self, terms: &Terms) -> (Option<Box<Extensions>>, Headers) {
        if *terms == Terms::PLAIN {
            return (None, Headers::new());
        }
        let extensions = self.extensions(terms);
        let headers = extensions.invite_headers();
        (Some(extensions), headers)
    }

    fn extensions(&mut self, terms: &Terms) -> Box<Extensions> {
        // RFC 3262 §3: the first number is random; small ones leave room for the rest.
        let first = u32::try_from(self.entropy.below(1 << 24)).unwrap_or_default() + 1;
        Box::new(Extensions::new(terms, Outbox::new(self.settings.t1, first)))
    }

    /// The leg is over: neither of its timers fires any more.
    pub(super) fn disarm_extensions(&mut self, leg: LegId) {
        let Some(extensions) = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut()) else { return };
        for alarm in [extensions.outbox_alarm.take(), extensions.timer_alarm.take()].into_iter().flatten() {
            self.wheel.cancel(alarm);
        }
    }
}
