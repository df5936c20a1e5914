//! A PBX or a cloud: a second endpoint of the same stack with a will of its own, drawn by lot for every call.

use crate::shape::Shape;
use bytes::Bytes;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use trunkline::clock::Entropy;
use trunkline::sip::endpoint::{Body, Census, Endpoint, Event, Invite, LegId, Settings};
use trunkline::sip::{Hop, HopAddress, LocalAddress, Protocol, Source, StatusCode, Transmit};

/// What a peer wants to do later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Intent {
    Place,
    Cancel(u64),
    HangUp(u64),
    Reinvite(u64),
    Hold(u64),
    Resume(u64),
    CancelReinvite(u64),
    Ring(u64, u16),
    Answer(u64),
    Reject(u64, u16),
    AnswerReinvite(u64),
}

/// How a called peer behaves.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// Answers every call after a moment.
    Willing,
    /// Draws: answer, busy, overload, silence, early media.
    Moody,
}

pub struct Peer {
    pub address: SocketAddr,
    pub dead: bool,
    pub answered: usize,
    endpoint: Endpoint,
    entropy: Entropy,
    manner: Manner,
    intents: BinaryHeap<Reverse<(Instant, u64, Intent)>>,
    legs: HashSet<LegId>,
    /// Legs whose pending INVITE carries no offer: the ACK has to answer.
    offerless: HashSet<LegId>,
    drawn: u64,
    target: SocketAddr,
}

impl Peer {
    pub fn new(address: SocketAddr, target: SocketAddr, manner: Manner, mut entropy: Entropy) -> Self {
        let endpoint = Endpoint::new(settings(address), entropy.fork());
        Self {
            address,
            dead: false,
            answered: 0,
            endpoint,
            entropy,
            manner,
            intents: BinaryHeap::new(),
            legs: HashSet::new(),
            offerless: HashSet::new(),
            drawn: 0,
            target,
        }
    }

    /// It crashes and starts again: nothing of what it knew is left.
    pub fn forget(&mut self) {
        self.endpoint = Endpoint::new(settings(self.address), self.entropy.fork());
        self.legs.clear();
        self.offerless.clear();
        self.intents.retain(|Reverse((_, _, intent))| *intent == Intent::Place);
    }

    pub fn plan(&mut self, at: Instant, intent: Intent) {
        self.drawn += 1;
        self.intents.push(Reverse((at, self.drawn, intent)));
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        if self.dead {
            return None;
        }
        let intent = self.intents.peek().map(|Reverse((at, ..))| *at);
        match (self.endpoint.next_timeout(), intent) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    pub fn expire(&mut self, now: Instant) {
        self.endpoint.expire(now);
        self.digest(now);
        while self.intents.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            if let Some(Reverse((_, _, intent))) = self.intents.pop() {
                self.act(now, intent);
            }
        }
    }

    pub fn receive(&mut self, now: Instant, from: SocketAddr, payload: Bytes) {
        let source = Source { protocol: Protocol::Udp, peer: from, local: self.address, connection: None };
        self.endpoint.receive(now, source, payload);
        self.digest(now);
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    pub fn census(&self) -> Census {
        self.endpoint.census()
    }

    fn digest(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            self.on(now, event);
        }
    }

    fn later(&mut self, now: Instant, most: u64) -> Instant {
        now + Duration::from_millis(self.entropy.below(most))
    }

    fn act(&mut self, now: Instant, intent: Intent) {
        match intent {
            Intent::Place => self.place(now),
            Intent::Cancel(leg) => {
                let _ = self.endpoint.cancel(now, LegId(leg), vec![(Cow::Borrowed("Reason"), "SIP;cause=487".into())]);
            }
            Intent::HangUp(leg) => {
                let _ = self.endpoint.bye(now, LegId(leg), Vec::new());
            }
            Intent::Reinvite(leg) => {
                let shape = Shape::drawn(&mut self.entropy);
                self.reinvite(now, LegId(leg), shape);
                if self.entropy.below(100) < 40 {
                    let at = self.later(now, 1_000);
                    self.plan(at, Intent::CancelReinvite(leg));
                }
            }
            Intent::Hold(leg) => {
                let shape = Shape::holding(&mut self.entropy);
                self.reinvite(now, LegId(leg), shape);
                let at = self.later(now, 5_000);
                self.plan(at, Intent::Resume(leg));
            }
            Intent::Resume(leg) => self.reinvite(now, LegId(leg), Shape::Plain),
            Intent::CancelReinvite(leg) => {
                let _ = self.endpoint.cancel(now, LegId(leg), Vec::new());
            }
            Intent::Ring(leg, status) => {
                let body = if status == 183 { self.answer() } else { None };
                let status = StatusCode::new(status).unwrap();
                let _ = self.endpoint.provisional(now, LegId(leg), status, None, Vec::new(), body);
            }
            Intent::Answer(leg) | Intent::AnswerReinvite(leg) => {
                let body = self.answer();
                let _ = self.endpoint.answer(now, LegId(leg), Vec::new(), body);
            }
            Intent::Reject(leg, status) => {
                let status = StatusCode::new(status).unwrap();
                let _ = self.endpoint.reject(now, LegId(leg), status, None, Vec::new());
            }
        }
        self.digest(now);
    }

    fn place(&mut self, now: Instant) {
        let uri = format!("sip:+14155550199@{}", self.target);
        let invite = Invite {
            request_uri: uri.clone(),
            hop: Hop { protocol: Protocol::Udp, address: HopAddress::Socket(self.target), connection: None },
            from: format!("<sip:+14155550123@{}>", self.address.ip()),
            to: format!("<{uri}>"),
            contact_user: "pbx".to_owned(),
            max_forwards: 70,
            headers: Vec::new(),
            body: None,
        };
        let shape = match self.manner {
            Manner::Willing => Shape::Plain,
            Manner::Moody => Shape::drawn(&mut self.entropy),
        };
        let invite = Invite { body: self.describe(shape), ..invite };
        let leg = self.endpoint.invite(now, invite);
        if shape == Shape::None {
            self.offerless.insert(leg);
        }
        self.legs.insert(leg);
        if matches!(self.manner, Manner::Moody) && self.entropy.below(100) < 30 {
            let at = self.later(now, 4_000);
            self.plan(at, Intent::Cancel(leg.0));
        }
    }

    fn on(&mut self, now: Instant, event: Event) {
        match event {
            Event::Invited { leg, .. } => self.decide(now, leg),
            Event::Answered { leg, .. } => {
                self.answered += 1;
                self.acknowledge(now, leg);
                self.talk(now, leg);
            }
            Event::ReinviteAnswered { leg, .. } => self.acknowledge(now, leg),
            Event::Acknowledged { leg, .. } => self.talk(now, leg),
            Event::RefreshDue { leg } => {
                let _ = self.endpoint.refresh(now, leg, None);
            }
            Event::Unacknowledged { leg } | Event::SessionExpired { leg } => {
                let _ = self.endpoint.bye(now, leg, Vec::new());
            }
            Event::Reinvited { leg, .. } => {
                let at = self.later(now, 800);
                self.plan(at, Intent::AnswerReinvite(leg.0));
            }
            Event::OutOfDialog { id, .. } | Event::Requested { id, .. } => {
                let _ = self.endpoint.respond(now, id, StatusCode::OK, None, Vec::new(), None);
            }
            Event::ReinviteRefused { leg, status, .. } => {
                self.offerless.remove(&leg);
                if matches!(status.get(), 408 | 481) {
                    let _ = self.endpoint.bye(now, leg, Vec::new());
                }
            }
            Event::Closed { leg } => {
                self.legs.remove(&leg);
            }
            Event::Progress { .. }
            | Event::Refused { .. }
            | Event::Unanswered { .. }
            | Event::Cancelled { .. }
            | Event::Doubted { .. }
            | Event::Replied { .. }
            | Event::Noted { .. }
            | Event::Refreshed { .. }
            | Event::Unpracked { .. }
            | Event::HungUp { .. } => {}
        }
    }

    /// Both sides may hang up, at the same moment too, and change the session before.
    fn talk(&mut self, now: Instant, leg: LegId) {
        let at = self.later(now, 20_000);
        self.plan(at, Intent::HangUp(leg.0));
        if matches!(self.manner, Manner::Moody) && self.entropy.below(100) < 40 {
            let at = self.later(now, 10_000);
            self.plan(at, Intent::Reinvite(leg.0));
        }
        if matches!(self.manner, Manner::Moody) && self.entropy.below(100) < 30 {
            let at = self.later(now, 10_000);
            self.plan(at, Intent::Hold(leg.0));
        }
    }

    fn decide(&mut self, now: Instant, leg: LegId) {
        self.legs.insert(leg);
        let lot = match self.manner {
            Manner::Willing => 0,
            Manner::Moody => self.entropy.below(100),
        };
        let soon = self.later(now, 300);
        let later = soon + Duration::from_millis(self.entropy.below(3_000));
        match lot {
            0..55 => {
                self.plan(soon, Intent::Ring(leg.0, 180));
                self.plan(later, Intent::Answer(leg.0));
            }
            55..65 => {
                self.plan(soon, Intent::Ring(leg.0, 183));
                self.plan(later, Intent::Answer(leg.0));
            }
            65..75 => self.plan(later, Intent::Reject(leg.0, 486)),
            75..85 => self.plan(soon, Intent::Reject(leg.0, 503)),
            85..92 => self.plan(soon, Intent::Ring(leg.0, 180)), // and never answers
            _ => self.plan(soon, Intent::Answer(leg.0)),
        }
    }

    fn reinvite(&mut self, now: Instant, leg: LegId, shape: Shape) {
        let body = self.describe(shape);
        if self.endpoint.reinvite(now, leg, Vec::new(), body).is_ok() && shape == Shape::None {
            self.offerless.insert(leg);
        }
    }

    fn acknowledge(&mut self, now: Instant, leg: LegId) {
        let body = if self.offerless.remove(&leg) { self.answer() } else { None };
        let _ = self.endpoint.acknowledge(now, leg, body);
    }

    fn answer(&mut self) -> Option<Body> {
        let shape = match self.manner {
            Manner::Willing => Shape::Plain,
            Manner::Moody => Shape::of_answer(&mut self.entropy),
        };
        self.describe(shape)
    }

    fn describe(&mut self, shape: Shape) -> Option<Body> {
        shape.write(self.address.ip(), self.target.ip(), &mut self.entropy)
    }
}

fn settings(address: SocketAddr) -> Settings {
    Settings {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        user_agent: "peer".to_owned(),
        locals: vec![LocalAddress { protocol: Protocol::Udp, bind: address, advertised: address.to_string() }],
        call_id_prefix: "peer-".to_owned(),
        shard: 0,
    }
}
