//! One side of one SIP dialog, sans-IO: messages and time in, datagrams and events out. Both the simulated PBX and the
//! simulated Daily are built on it; it checks the dialog rules of RFC 3261 on everything the far side sends.

mod client;
mod resend;
mod server;
#[cfg(test)]
mod tests;

use super::message::{self, Datagram, Incoming, Start};
use super::observation::Violations;
use crate::clock::Entropy;
use client::{Ask, Calling};
pub use resend::Timing;
use rsip::{Header, Method};
use server::Answering;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// Answers to requests that may be repeated; more than a dialog ever has in flight.
const REMEMBERED: usize = 16;

/// How a leg begins.
#[derive(Debug, Clone)]
pub struct Ends {
    /// `Call-ID`.
    pub call_id: String,
    /// Our address as `From` (calling) or `To` (called) shows it, without tag.
    pub local: String,
    /// Theirs, without tag. Empty when we are called: the INVITE tells.
    pub remote: String,
    /// Request-URI of the first INVITE. Empty when we are called.
    pub request_uri: String,
    /// User part of our `Contact`.
    pub contact_user: String,
    /// Our socket.
    pub address: SocketAddr,
    /// Where the first request goes.
    pub hop: SocketAddr,
    /// Further header fields of the INVITE, or of the 2xx when we are called.
    pub extra: Vec<Header>,
    /// `Via` values below ours, as if the INVITE had come through proxies.
    pub vias: Vec<String>,
    /// `Record-Route` values of proxies of ours; the far side has to route its requests through them.
    pub record_routes: Vec<String>,
    /// Timers.
    pub timing: Timing,
}

/// What happened on a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegEvent {
    /// 1xx to our INVITE.
    Provisional(u16),
    /// 2xx to our INVITE; `acknowledge` is due.
    Answered(Vec<u8>),
    /// A final failure to our INVITE.
    Refused {
        /// Status.
        status: u16,
        /// Reason phrase.
        phrase: String,
        /// `Reason` header.
        reason: Option<String>,
    },
    /// A (re-)INVITE; `respond` is due. An empty body means that the far side wants an offer.
    Offered(Vec<u8>),
    /// The ACK to our 2xx.
    Acknowledged(Vec<u8>),
    /// The far side cancelled; the 487 is on its way.
    Cancelled,
    /// BYE of the far side; the 200 is on its way.
    HungUp {
        /// `Reason` header.
        reason: Option<String>,
    },
    /// A final answer to our BYE or CANCEL.
    Done(Method, u16),
    /// No answer within 64 * T1.
    Silent(Method),
    /// No ACK within 64 * T1.
    Unacknowledged,
}

/// What a leg does wrong on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The first transmission of this status to the INVITE is lost.
    pub lose_first: Option<u16>,
    /// Provisional responses above 100 leave after the final one.
    pub reorder: bool,
    /// BYEs are not answered.
    pub deaf_to_bye: bool,
}

/// One side of a dialog.
#[derive(Debug)]
pub struct Leg {
    ends: Ends,
    local_tag: String,
    remote_tag: Option<String>,
    remote: String,
    target: String,
    routes: Vec<String>,
    expected_routes: Vec<String>,
    cseq: u32,
    far_cseq: Option<u32>,
    calling: Option<Calling>,
    answering: Option<Answering>,
    asks: Vec<Ask>,
    replies: VecDeque<(String, Method, Datagram)>,
    faults: Faults,
    violations: Violations,
    out: Vec<Datagram>,
    entropy: Entropy,
}

// === impl Leg ===

impl Leg {
    fn new(ends: Ends, violations: Violations, mut entropy: Entropy) -> Self {
        Self {
            local_tag: entropy.hex(10),
            remote_tag: None,
            remote: ends.remote.clone(),
            target: ends.request_uri.clone(),
            routes: vec![],
            expected_routes: vec![],
            cseq: 1 + entropy.below(9_000) as u32,
            far_cseq: None,
            calling: None,
            answering: None,
            asks: vec![],
            replies: VecDeque::new(),
            faults: Faults::default(),
            violations,
            out: vec![],
            entropy,
            ends,
        }
    }

    /// Its `Call-ID`.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.ends.call_id
    }

    /// Makes it misbehave from now on.
    pub const fn misbehave(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Datagrams that are due, in order.
    pub fn transmit(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.out)
    }

    /// Takes a message of this Call-ID.
    pub fn receive(&mut self, now: Instant, message: &Incoming) -> Vec<LegEvent> {
        match &message.start {
            Start::Request(_) => self.request(now, message),
            Start::Response(code, phrase) => self.response(now, message, *code, phrase),
        }
    }

    /// When `expire` is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let calling = self.calling.as_ref().and_then(Calling::deadline);
        let answering = self.answering.as_ref().and_then(Answering::deadline);
        self.asks.iter().filter_map(Ask::deadline).chain(calling).chain(answering).min()
    }

    /// Repeats what is unanswered, gives up what has been so for too long.
    pub fn expire(&mut self, now: Instant) -> Vec<LegEvent> {
        let mut events = self.expire_client(now);
        events.extend(self.expire_server(now));
        events
    }

    /// Whether any transaction is still open.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.deadline().is_some()
    }

    fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.ends.contact_user, self.ends.address)
    }

    fn local_value(&self) -> String {
        format!("{};tag={}", self.ends.local, self.local_tag)
    }

    fn remote_value(&self) -> String {
        match &self.remote_tag {
            Some(tag) => format!("{};tag={tag}", self.remote),
            None => self.remote.clone(),
        }
    }

    /// The headers every request of ours begins with (RFC 3261 §8.1.1, §12.2.1.1).
    fn request_headers(&self, method: Method, cseq: u32, branch: &str) -> Vec<Header> {
        let via = format!("SIP/2.0/UDP {};branch={branch};rport", self.ends.address);
        let mut headers = vec![Header::Via(via.into()), Header::MaxForwards("70".into())];
        headers.extend(self.routes.iter().map(|route| Header::Route(format!("<{route}>").into())));
        headers.push(Header::From(self.local_value().into()));
        headers.push(Header::To(self.remote_value().into()));
        headers.push(Header::CallId(self.ends.call_id.as_str().into()));
        headers.push(Header::CSeq(format!("{cseq} {method}").into()));
        headers
    }

    fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.entropy.hex(16))
    }

    /// Where a request of the dialog goes: first route, else remote target (RFC 3261 §12.2.1.1, loose routing).
    fn next_hop(&self) -> SocketAddr {
        if self.remote_tag.is_none() {
            return self.ends.hop;
        }
        let next = self.routes.first().unwrap_or(&self.target);
        message::hop(next).unwrap_or_else(|problem| {
            self.violation(format!("next hop {problem}"));
            self.ends.hop
        })
    }

    /// Writes a request; what cannot be written is reported and not sent.
    fn write(&self, method: Method, uri: &str, headers: Vec<Header>, body: &[u8]) -> Vec<u8> {
        message::request(method, uri, headers, body).unwrap_or_else(|problem| {
            self.violation(format!("cannot write {method}: {problem}"));
            vec![]
        })
    }

    fn send(&mut self, datagram: Datagram) {
        if !datagram.bytes.is_empty() {
            self.out.push(datagram);
        }
    }

    fn violation(&self, what: impl std::fmt::Display) {
        self.violations.add(format!("call {}: {what}", self.ends.call_id));
    }
}
