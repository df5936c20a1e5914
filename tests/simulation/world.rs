//! The world of one run: a shard of the gateway, a PBX, a cloud, the network between them, and a companion drawn by lot.

use crate::network::{Datagram, Faults, Network};
use crate::peer::{Intent, Manner, Peer};
use crate::shape::OURS;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline::call::{Output, Policy, Shard, ShardSettings};
use trunkline::clock::{self, Entropy};
use trunkline::config::{self, room::OnFailure};
use trunkline::error::{Cause, Termination};
use trunkline::media::{Counters, Plane, PortsExhausted, Relay, RelayCommand, RelayId, RelaySink};
use trunkline::observe::Metrics;
use trunkline::record::CallId;
use trunkline::room::{Instruction, Report};
use trunkline::sip::endpoint::Settings;
use trunkline::sip::{HopAddress, LocalAddress, Protocol, Source};

/// The gateway's address.
const GATEWAY: &str = "192.0.2.1";
/// After this much virtual time everything must be over: the longest chain of deadlines is much shorter.
const THE_END: Duration = Duration::from_secs(1_200);

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Chaos {
    faults: Faults,
    manner: Manner,
    /// Percent of held calls whose companion fails.
    companion_fails: u64,
    /// One of the peers dies in the middle.
    deadly: bool,
    /// One of the peers starts again in the middle and knows nothing.
    forgetful: bool,
}

impl Chaos {
    pub fn none() -> Self {
        let faults = Faults { loss: 0, duplication: 0, most_delay: 2 };
        Self { faults, manner: Manner::Willing, companion_fails: 0, deadly: false, forgetful: false }
    }

    pub fn bad_network() -> Self {
        let faults = Faults { loss: 15, duplication: 10, most_delay: 250 };
        Self { faults, manner: Manner::Moody, companion_fails: 20, deadly: false, forgetful: false }
    }

    pub fn deadly() -> Self {
        Self { deadly: true, ..Self::bad_network() }
    }

    pub fn forgetful() -> Self {
        Self { forgetful: true, ..Self::bad_network() }
    }

    pub fn failing_companion() -> Self {
        let faults = Faults { loss: 3, duplication: 2, most_delay: 50 };
        Self { faults, manner: Manner::Moody, companion_fails: 90, deadly: false, forgetful: false }
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    pub arrived: usize,
    pub finished: usize,
    pub duplicates: usize,
    pub answered: usize,
    pub diverted: usize,
    pub causes: BTreeMap<String, usize>,
}

/// Moves nothing, and looks at what it is told.
#[derive(Default)]
struct Ports {
    open: RefCell<HashSet<u64>>,
}

impl RelaySink for Ports {
    fn command(&self, relay: RelayId, command: RelayCommand) {
        assert!(self.open.borrow().contains(&relay.0), "{command:?} to a relay that is closed");
        match command {
            RelayCommand::Close => drop(self.open.borrow_mut().remove(&relay.0)),
            RelayCommand::Configure { config, .. } => {
                for remote in config.remote.into_iter().chain(config.remote_rtcp) {
                    assert!(!remote.ip().is_unspecified() && remote.port() != 0, "audio to nowhere: {remote}");
                    let own = first_port(relay.0);
                    let to_us = remote.ip().to_string() == GATEWAY && (own..own + 4).contains(&remote.port());
                    assert!(!to_us, "audio to ourselves: {remote}");
                }
            }
            RelayCommand::Watch(_) | RelayCommand::Reset(_) | RelayCommand::Play { .. } | RelayCommand::Quiet(_) => {}
        }
    }
}

/// The first of the four ports of a relay.
fn first_port(relay: u64) -> u16 {
    OURS.start + u16::try_from(relay % 10_000).unwrap() * 4
}

struct PortPlane {
    ports: Rc<Ports>,
    last: u64,
}

impl Plane for PortPlane {
    fn open(&mut self, _owner: u64) -> Result<Relay, PortsExhausted> {
        self.last += 1;
        let first = first_port(self.last);
        let ports = [first, first + 2];
        self.ports.open.borrow_mut().insert(self.last);
        Ok(Relay::new(RelayId(self.last), ports, Arc::new(Counters::default()), self.ports.clone()))
    }

    fn ports_in_use(&self) -> usize {
        self.ports.open.borrow().len() * 4
    }
}

pub struct World {
    start: Instant,
    now: Instant,
    entropy: Entropy,
    chaos: Chaos,
    network: Network,
    shard: Shard,
    gateway: SocketAddr,
    pbx: Peer,
    cloud: Peer,
    /// What the companion will say, and when.
    companion: BTreeMap<(Instant, u64), (CallId, Instruction)>,
    said: u64,
    seen: HashSet<CallId>,
    arrived: HashSet<Vec<u8>>,
    /// Calls that the companion was told of, and those that it was told the end of.
    placed: HashSet<CallId>,
    ended: HashSet<CallId>,
    outcome: Outcome,
}

impl World {
    pub fn new(seed: u64, chaos: Chaos) -> Self {
        let mut entropy = Entropy::seeded(seed);
        let start = clock::now();
        let gateway = SocketAddr::new(GATEWAY.parse().unwrap(), 5060);
        let pbx: SocketAddr = "192.0.2.2:5060".parse().unwrap();
        let cloud: SocketAddr = "192.0.2.3:5060".parse().unwrap();
        let policy = Arc::new(Policy::new(configuration(), &std::collections::HashMap::new()).unwrap());
        let settings = ShardSettings {
            shard: 0,
            from_host: gateway.ip().to_string(),
            media_address: gateway.ip(),
            epoch: (start, clock::wall()),
            draining: false,
        };
        let sip = Settings {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            user_agent: "Trunkline".to_owned(),
            locals: vec![LocalAddress { protocol: Protocol::Udp, bind: gateway, advertised: gateway.to_string() }],
            call_id_prefix: "tl00-".to_owned(),
            shard: 0,
        };
        let plane = PortPlane { ports: Rc::default(), last: 0 };
        let shard = Shard::new(settings, sip, policy, Box::new(plane), Metrics::new(), entropy.fork());
        Self {
            start,
            now: start,
            network: Network::new(chaos.faults, entropy.fork()),
            shard,
            gateway,
            pbx: Peer::new(pbx, gateway, chaos.manner, entropy.fork()),
            cloud: Peer::new(cloud, gateway, chaos.manner, entropy.fork()),
            companion: BTreeMap::new(),
            said: 0,
            seen: HashSet::new(),
            arrived: HashSet::new(),
            placed: HashSet::new(),
            ended: HashSet::new(),
            outcome: Outcome::default(),
            entropy,
            chaos,
        }
    }

    /// Plans calls over the first minute.
    pub fn place(&mut self, calls: usize) {
        for _ in 0..calls {
            let at = self.start + Duration::from_millis(self.entropy.below(60_000));
            self.pbx.plan(at, Intent::Place);
        }
    }

    pub fn run_to_the_end(&mut self) {
        let death = self.start + Duration::from_millis(20_000 + self.entropy.below(50_000));
        let (victim, mut forgot) = (self.entropy.below(2), false);
        while let Some(at) = self.next() {
            assert!(at < self.start + THE_END, "still busy at the end: {:?}", self.shard.census());
            self.now = self.now.max(at);
            if self.chaos.deadly && self.now >= death {
                let peer = if victim == 0 { &mut self.pbx } else { &mut self.cloud };
                peer.dead = true;
            }
            if self.chaos.forgetful && !forgot && self.now >= death {
                forgot = true;
                let peer = if victim == 0 { &mut self.pbx } else { &mut self.cloud };
                peer.forget();
            }
            self.step();
        }
    }

    fn next(&mut self) -> Option<Instant> {
        let companion = self.companion.keys().next().map(|(at, _)| *at);
        [self.network.next(), self.shard.next_timeout(), self.pbx.next_timeout(), self.cloud.next_timeout(), companion]
            .into_iter()
            .flatten()
            .min()
    }

    fn step(&mut self) {
        while let Some(datagram) = self.network.pop(self.now) {
            self.arrive(datagram);
        }
        while let Some((&(at, order), _)) = self.companion.iter().next() {
            if at > self.now {
                break;
            }
            let (call_id, instruction) = self.companion.remove(&(at, order)).unwrap();
            self.shard.instruct(self.now, &call_id, instruction);
        }
        self.shard.expire(self.now);
        for peer in [&mut self.pbx, &mut self.cloud] {
            if !peer.dead {
                peer.expire(self.now);
            }
        }
        self.carry();
        // A relay lives exactly as long as its call; the rest of a call is only the goodbye of its legs.
        let active = self.shard.active();
        assert_eq!(self.shard.ports_in_use(), active * 4, "ports without a call, or a call without ports");
        assert!(self.shard.remaining() >= active);
    }

    fn arrive(&mut self, datagram: Datagram) {
        let Datagram { from, to, payload } = datagram;
        if to == self.gateway {
            if from == self.pbx.address && payload.starts_with(b"INVITE") {
                let message = trunkline::sip::Message::parse(payload.clone()).unwrap();
                if message.to_tag().is_none() {
                    self.arrived.insert(message.call_id().to_vec());
                }
            }
            let source = Source { protocol: Protocol::Udp, peer: from, local: to, connection: None };
            self.shard.receive(self.now, source, payload);
        } else {
            let peer = if to == self.pbx.address { &mut self.pbx } else { &mut self.cloud };
            assert_eq!(to, peer.address, "a message went astray");
            if !peer.dead {
                peer.receive(self.now, from, payload);
            }
        }
    }

    /// Takes everything that was said and puts it on the network.
    fn carry(&mut self) {
        while let Some(transmit) = self.shard.poll_transmit() {
            let HopAddress::Socket(to) = transmit.hop.address else { panic!("a name: {:?}", transmit.hop) };
            self.network.send(self.now, Datagram { from: self.gateway, to, payload: transmit.payload });
        }
        for peer in [&mut self.pbx, &mut self.cloud] {
            while let Some(transmit) = peer.poll_transmit() {
                let HopAddress::Socket(to) = transmit.hop.address else { panic!("a name: {:?}", transmit.hop) };
                if !peer.dead {
                    self.network.send(self.now, Datagram { from: peer.address, to, payload: transmit.payload });
                }
            }
        }
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Report(report) => self.report(report),
                Output::Replied(..) => {}
                Output::Finished(record) => {
                    self.outcome.finished += 1;
                    self.outcome.duplicates += usize::from(!self.seen.insert(record.call_id.clone()));
                    self.outcome.answered += usize::from(record.answered_ms.is_some());
                    let code = record.termination.as_ref().unwrap().cause.entry().code.to_owned();
                    *self.outcome.causes.entry(code).or_default() += 1;
                    let fallback = record.decisions.iter().any(
                        |step| matches!(step, trunkline::record::Step::Companion { outcome, .. } if outcome.starts_with("calling")),
                    );
                    self.outcome.diverted += usize::from(fallback);
                }
            }
        }
    }

    /// The companion hears of a call in order, and of its end last: after that it would start or update nothing.
    fn report(&mut self, report: Report) {
        match report {
            Report::Placed(facts) => {
                assert!(!self.ended.contains(&facts.call_id), "placed after its end");
                self.placed.insert(facts.call_id);
            }
            Report::Answered(call_id) => {
                assert!(self.placed.contains(&call_id) && !self.ended.contains(&call_id), "answered out of order");
                self.draw_companion(call_id);
            }
            Report::Ended(call_id) => {
                assert!(self.placed.contains(&call_id), "ended without being placed");
                self.ended.insert(call_id);
            }
        }
    }

    fn draw_companion(&mut self, call_id: CallId) {
        let at = self.now + Duration::from_millis(self.entropy.below(6_000));
        let instruction = if self.entropy.below(100) < self.chaos.companion_fails {
            let on_failure = if self.entropy.below(4) == 0 { OnFailure::Hangup } else { OnFailure::Fallback };
            Instruction::Failed { termination: Termination::new(Cause::BotNotReady), on_failure }
        } else {
            Instruction::Connected
        };
        self.said += 1;
        self.companion.insert((at, self.said), (call_id, instruction));
    }

    pub fn outcome(&self) -> Outcome {
        Outcome { arrived: self.arrived.len(), ..self.outcome.clone() }
    }

    /// Whatever should not be there any more, in words.
    pub fn leftovers(&mut self) -> String {
        let census = self.shard.census();
        let mut left = Vec::new();
        if census != trunkline::sip::endpoint::Census::default() {
            left.push(format!("gateway {census:?}"));
        }
        for (name, count) in [
            ("calls that the companion still holds", self.placed.difference(&self.ended).count()),
            ("active calls", self.shard.active()),
            ("calls", self.shard.remaining()),
            ("ports", self.shard.ports_in_use()),
        ] {
            if count != 0 {
                left.push(format!("{count} {name}"));
            }
        }
        for (name, peer) in [("pbx", &self.pbx), ("cloud", &self.cloud)] {
            if !peer.dead && peer.census().legs != 0 {
                left.push(format!("{name} {:?}", peer.census()));
            }
        }
        left.join(", ")
    }
}

fn configuration() -> config::Config {
    config::parse(
        r#"
        [sip]
        listen = ["udp:192.0.2.1:5060"]
        max_duration = "2m"
        [media]
        advertise = "192.0.2.1"
        [[trunk]]
        name = "pbx"
        peers = ["192.0.2.2"]
        address = "sip:192.0.2.2:5060"
        [[target]]
        name = "daily"
        kind = "daily"
        uri = "sip:static@192.0.2.3:5060"
        [[target]]
        name = "spare"
        kind = "sip"
        uri = "sip:spare@192.0.2.3:5060"
        [[route]]
        targets = ["daily", "spare"]
        ring_timeout = "8s"
        fallback = { trunk = "pbx", number = "2000" }
        [daily]
        api_key = "key"
        hmac = "c2VjcmV0"
        [[room]]
        "#,
    )
    .unwrap()
}
