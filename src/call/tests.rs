//! Calls through a whole shard: a PBX and a cloud of the same stack on either side, a plane that keeps what it is told,
//! and a network that loses nothing. One test for each crossing of events that a table of one call cannot show.

mod change;
mod door;
mod early;
mod entry;
mod inside;
mod late;
mod looking;
mod looping;
mod transfer;
mod update;

use super::{Answer, Output, Policy, Shard, ShardSettings};
use crate::clock::{self, Entropy};
use crate::config::{self, room::OnFailure};
use crate::error::{Cause, Termination};
use crate::media::tone::Score;
use crate::media::{Counters, Flow, Plane, PortsExhausted, Relay, RelayCommand, RelayId, RelaySink, Side, SideConfig};
use crate::observe::Metrics;
use crate::record::{CallId, CallRecord, CallState};
use crate::room::{Instruction, Report};
use crate::sip::endpoint::{Body, Endpoint, Event, Headers, Invite, LegId, SentId, Settings};
use crate::sip::{Hop, HopAddress, LocalAddress, Protocol, Source, StatusCode, Transmit};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

const GATEWAY: &str = "192.0.2.1:5060";
const PBX: &str = "192.0.2.2:5060";
const CLOUD: &str = "192.0.2.3:5060";

/// Keeps the last configuration of each side.
#[derive(Default)]
struct Told {
    sides: RefCell<HashMap<Side, SideConfig>>,
    resets: RefCell<Vec<Side>>,
    /// The tone that leg A hears.
    playing: RefCell<Option<Score>>,
    owner: std::cell::Cell<u64>,
}

struct TestPlane(Rc<Told>);

struct Bench {
    now: Instant,
    policy: Arc<Policy>,
    shard: Shard,
    pbx: Endpoint,
    cloud: Endpoint,
    told: Rc<Told>,
    pbx_events: Vec<Event>,
    cloud_events: Vec<Event>,
    reports: Vec<Report>,
    records: Vec<CallRecord>,
    answers: Vec<(SentId, Answer)>,
}

// === impl Told, TestPlane ===

impl RelaySink for Told {
    fn command(&self, _: RelayId, command: RelayCommand) {
        match command {
            RelayCommand::Configure { side, config } => drop(self.sides.borrow_mut().insert(side, config)),
            RelayCommand::Reset(side) => self.resets.borrow_mut().push(side),
            RelayCommand::Play { score, .. } => *self.playing.borrow_mut() = Some(score),
            RelayCommand::Quiet(_) => *self.playing.borrow_mut() = None,
            RelayCommand::Watch(_) | RelayCommand::Close => {}
        }
    }
}

impl Plane for TestPlane {
    fn open(&mut self, owner: u64) -> Result<Relay, PortsExhausted> {
        self.0.owner.set(owner);
        Ok(Relay::new(RelayId(owner), [20_000, 20_002], Arc::new(Counters::default()), self.0.clone()))
    }

    fn ports_in_use(&self) -> usize {
        0
    }
}

// === impl Bench ===

impl Bench {
    fn new(route: &str) -> Self {
        Self::with_lines("", "", route)
    }

    /// With more lines for the target `daily` and for the route.
    fn new_with(target: &str, route: &str) -> Self {
        Self::with_lines("", target, route)
    }

    /// With more lines for the trunk and for the route.
    fn with(trunk: &str, route: &str) -> Self {
        Self::with_lines(trunk, "", route)
    }

    fn with_lines(trunk: &str, target: &str, route: &str) -> Self {
        Self::with_configuration(config::parse(&configuration_text(trunk, target, route)).unwrap())
    }

    fn with_configuration(configuration: config::Config) -> Self {
        let now = clock::now();
        let mut entropy = Entropy::seeded(1);
        let policy = Arc::new(Policy::new(configuration, &HashMap::new()).unwrap());
        let gateway: SocketAddr = GATEWAY.parse().unwrap();
        let settings = ShardSettings {
            shard: 0,
            from_host: gateway.ip().to_string(),
            media_address: gateway.ip(),
            epoch: (now, clock::wall()),
            draining: false,
        };
        let told = Rc::<Told>::default();
        let plane = Box::new(TestPlane(told.clone()));
        let shard = Shard::new(settings, sip(GATEWAY, "tl00-"), policy.clone(), plane, Metrics::new(), entropy.fork());
        let pbx = Endpoint::new(sip(PBX, "pbx-"), entropy.fork());
        let cloud = Endpoint::new(sip(CLOUD, "cloud-"), entropy.fork());
        let (pbx_events, cloud_events) = (vec![], vec![]);
        Self {
            now,
            policy,
            shard,
            pbx,
            cloud,
            told,
            pbx_events,
            cloud_events,
            reports: vec![],
            records: vec![],
            answers: vec![],
        }
    }

    /// Carries messages until nobody has anything to say.
    fn pump(&mut self) {
        loop {
            let mut idle = true;
            while let Some(Transmit { hop, payload, .. }) = self.shard.poll_transmit() {
                idle = false;
                let to_pbx = hop.address == HopAddress::Socket(PBX.parse().unwrap());
                let peer = if to_pbx { &mut self.pbx } else { &mut self.cloud };
                peer.receive(self.now, source(GATEWAY, if to_pbx { PBX } else { CLOUD }), payload);
            }
            while let Some(transmit) = self.pbx.poll_transmit() {
                idle = false;
                self.shard.receive(self.now, source(PBX, GATEWAY), transmit.payload);
            }
            while let Some(transmit) = self.cloud.poll_transmit() {
                idle = false;
                self.shard.receive(self.now, source(CLOUD, GATEWAY), transmit.payload);
            }
            if idle {
                break;
            }
        }
        self.pbx_events.extend(std::iter::from_fn(|| self.pbx.poll_event()));
        self.cloud_events.extend(std::iter::from_fn(|| self.cloud.poll_event()));
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Report(report) => self.reports.push(report),
                Output::Finished(record) => self.records.push(*record),
                Output::Replied(sent, answer) => self.answers.push((sent, *answer)),
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pbx.expire(self.now);
        self.cloud.expire(self.now);
        self.shard.expire(self.now);
        self.pump();
    }

    /// The PBX calls with this offer; its leg and the cloud's.
    fn call(&mut self, offer: Option<Body>) -> (LegId, LegId) {
        (self.place(offer), self.invited_cloud())
    }

    /// The PBX calls with this offer, whatever comes of it.
    fn place(&mut self, offer: Option<Body>) -> LegId {
        self.place_from("+14155550123", vec![], offer)
    }

    /// This party of the PBX calls, with these header fields.
    fn place_from(&mut self, who: &str, headers: Headers, offer: Option<Body>) -> LegId {
        let uri = format!("sip:+14155550199@{GATEWAY}");
        let invite = Invite {
            request_uri: uri.clone(),
            hop: Hop {
                protocol: Protocol::Udp,
                address: HopAddress::Socket(GATEWAY.parse().unwrap()),
                connection: None,
            },
            from: format!("<sip:{who}@192.0.2.2>"),
            to: format!("<{uri}>"),
            contact_user: "pbx".to_owned(),
            max_forwards: 70,
            headers,
            body: offer,
        };
        let a = self.pbx.invite(self.now, invite);
        self.pump();
        a
    }

    /// The leg of the last INVITE that reached the cloud.
    fn invited_cloud(&self) -> LegId {
        invited(&self.cloud_events).expect("the cloud was called")
    }

    /// A call that is up on both legs.
    fn connected(&mut self) -> (LegId, LegId) {
        let (a, b) = self.call(Some(audio("sendrecv", "0 8")));
        self.cloud.answer(self.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
        self.pump();
        self.pbx.acknowledge(self.now, a, None).unwrap();
        self.pump();
        (a, b)
    }

    fn call_id(&mut self) -> CallId {
        self.shard.page(0, |_| true).records.first().expect("a live call").call_id.clone()
    }

    fn fail(&mut self, on_failure: OnFailure) {
        let call = self.call_id();
        let failed = Instruction::Failed { termination: Termination::new(Cause::BotNotReady), on_failure };
        self.shard.instruct(self.now, &call, failed);
        self.pump();
    }

    fn state(&mut self) -> CallState {
        self.shard.page(0, |_| true).records.first().expect("a live call").state
    }

    fn told(&self, side: Side) -> SideConfig {
        self.told.sides.borrow().get(&side).expect("a configuration").clone()
    }
}

fn sip(address: &str, call_id_prefix: &str) -> Settings {
    let local =
        LocalAddress { protocol: Protocol::Udp, bind: address.parse().unwrap(), advertised: address.to_owned() };
    Settings {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        user_agent: "test".to_owned(),
        locals: vec![local],
        call_id_prefix: call_id_prefix.to_owned(),
        shard: 0,
    }
}

fn source(peer: &str, local: &str) -> Source {
    Source { protocol: Protocol::Udp, peer: peer.parse().unwrap(), local: local.parse().unwrap(), connection: None }
}

fn audio(direction: &str, formats: &str) -> Body {
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\na={direction}\r\n"
    );
    Body { content_type: "application/sdp", bytes: text.into() }
}

fn invited(events: &[Event]) -> Option<LegId> {
    events.iter().rev().find_map(|event| match event {
        Event::Invited { leg, .. } => Some(*leg),
        _ => None,
    })
}

/// The status of the last final failure to a re-INVITE of this peer.
fn refused(events: &[Event]) -> Option<u16> {
    events.iter().rev().find_map(|event| match event {
        Event::ReinviteRefused { status, .. } => Some(status.get()),
        _ => None,
    })
}

fn status_of_refusal(events: &[Event]) -> Option<(u16, String)> {
    events.iter().rev().find_map(|event| match event {
        Event::Refused { response, .. } => {
            Some((response.status().map_or(0, StatusCode::get), response.reason().into_owned()))
        }
        _ => None,
    })
}

fn configuration_text(trunk: &str, target: &str, route: &str) -> String {
    format!(
        r#"
        [sip]
        listen = ["udp:{GATEWAY}"]
        [media]
        advertise = "192.0.2.1"
        [[trunk]]
        name = "pbx"
        peers = ["192.0.2.2"]
        address = "sip:{PBX}"
        {trunk}
        [[target]]
        name = "daily"
        kind = "daily"
        uri = "sip:static@{CLOUD}"
        {target}
        [[target]]
        name = "spare"
        kind = "daily"
        uri = "sip:spare@{CLOUD}"
        [[route]]
        targets = ["daily", "spare"]
        {route}
        [daily]
        api_key = "key"
        hmac = "c2VjcmV0"
        [[room]]
        "#
    )
}

const TO_PBX: &str = "fallback = { trunk = \"pbx\", number = \"2000\" }";

#[test]
fn what_the_companion_says_too_late_does_not_end_the_call_at_its_fallback() {
    let mut bench = Bench::new(TO_PBX);
    bench.connected();
    bench.fail(OnFailure::Fallback);
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    let call = bench.call_id();
    bench.shard.instruct(bench.now, &call, Instruction::Connected);
    assert_eq!(bench.state(), CallState::Diverting, "nobody met the bot");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Hangup);
    assert_eq!(bench.state(), CallState::Connected);
    assert!(bench.records.is_empty());
}

#[test]
fn a_fallback_is_offered_the_codec_that_the_caller_speaks_and_no_other() {
    let mut bench = Bench::new(TO_PBX);
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "8 0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    let offer = bench.pbx_events.iter().find_map(|event| match event {
        Event::Invited { request, .. } => Some(String::from_utf8_lossy(request.body()).into_owned()),
        _ => None,
    });
    let offer = offer.expect("the PBX was called back");
    assert!(offer.contains("RTP/AVP 8\r\n"), "the caller was answered with PCMA first: {offer}");
}

#[test]
fn a_change_that_is_open_when_the_caller_is_diverted_is_refused_and_the_next_one_passes() {
    let mut bench = Bench::new(TO_PBX);
    let (a, _) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    assert_eq!(refused(&bench.pbx_events), Some(491), "the bot will not answer it any more");
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx_events.clear();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.pbx_events), None);
    assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::Reinvited { leg, .. } if *leg == fallback)));
}

#[test]
fn a_bot_that_offers_a_change_and_is_left_does_not_change_what_comes_after_it() {
    let mut bench = Bench::new(TO_PBX);
    let (a, b) = bench.connected();
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    // Leg A answers the old leg's change late.
    bench.pbx.answer(bench.now, a, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!((bench.told(Side::B).send, bench.told(Side::B).receive), (Flow::Open, Flow::Open));
}

#[test]
fn the_answer_may_choose_another_codec_than_early_media_did() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0 8")));
    let early = StatusCode::new(183).unwrap();
    bench.cloud.provisional(bench.now, b, early, None, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "8"))).unwrap();
    bench.pump();
    assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::Answered { .. })));
    assert_eq!(bench.told(Side::A).payload_map.0[8], Some(8));
}

#[test]
fn a_withdrawn_change_leaves_the_session_as_it_was_on_both_legs() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    // The answer of the far side crosses the CANCEL.
    bench.cloud.answer(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pbx.cancel(bench.now, a, vec![]).unwrap();
    while let Some(transmit) = bench.pbx.poll_transmit() {
        bench.shard.receive(bench.now, source(PBX, GATEWAY), transmit.payload);
    }
    bench.pump();
    assert_eq!(refused(&bench.pbx_events), Some(487));
    let again = |event: &&Event| matches!(event, Event::Reinvited { leg, .. } if *leg == b);
    assert_eq!(bench.cloud_events.iter().filter(again).count(), 2, "the far side is offered the old session again");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    for side in [Side::A, Side::B] {
        assert_eq!((bench.told(side).send, bench.told(side).receive), (Flow::Open, Flow::Open), "{side:?}");
    }
    bench.pbx_events.clear();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.pbx_events), None, "the next change is not in anybody's way");
}

#[test]
fn a_withdrawn_change_is_withdrawn_from_the_other_leg_too() {
    let mut bench = Bench::new("");
    let (a, _) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    bench.pbx.cancel(bench.now, a, vec![]).unwrap();
    bench.pump();
    assert!(bench.cloud_events.iter().any(|event| matches!(event, Event::Cancelled { .. })));
    assert_eq!(bench.told(Side::A).send, Flow::Open);
    bench.pbx_events.clear();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.pbx_events), None);
}

#[test]
fn a_change_that_nobody_answers_is_given_up() {
    let mut bench = Bench::new("");
    let (a, _) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    for _ in 0..70 {
        bench.pass(Duration::from_secs(1));
    }
    assert!(refused(&bench.pbx_events).is_some());
}

#[test]
fn an_answer_in_an_ack_that_comes_while_the_caller_is_diverted_counts() {
    let mut bench = Bench::new(TO_PBX);
    let (a, b) = bench.call(None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    bench.pbx.acknowledge(bench.now, a, Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.told(Side::A).remote, Some("192.0.2.9:4000".parse().unwrap()));
}

#[test]
fn a_bye_that_overtakes_the_answer_is_a_refusal_of_this_target() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    let ringing = StatusCode::new(180).unwrap();
    bench.cloud.provisional(bench.now, b, ringing, None, vec![], None).unwrap();
    bench.pump();
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    let lost = bench.cloud.poll_transmit().expect("the 200");
    let bye = String::from_utf8(lost.payload.to_vec()).unwrap();
    let line = |name: &str| bye.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let (from, to) = (line("To:").replacen("To:", "From:", 1), line("From:").replacen("From:", "To:", 1));
    let request = format!(
        "BYE sip:trunkline@{GATEWAY} SIP/2.0\r\nVia: SIP/2.0/UDP {CLOUD};branch=z9hG4bKbye\r\n{from}\r\n{to}\r\n{}\r\n\
         CSeq: 1 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        line("Call-ID:")
    );
    bench.shard.receive(bench.now, source(CLOUD, GATEWAY), request.into());
    bench.pump();
    assert_eq!(status_of_refusal(&bench.pbx_events).map(|(status, _)| status), Some(480));
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::TargetUnavailable);
}

#[test]
fn a_fallback_status_is_sent_with_its_own_phrase() {
    let mut bench = Bench::new("fallback = { status = 480, reason = \"Bots are asleep\" }");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.reject(bench.now, b, StatusCode::new(486).unwrap(), None, vec![]).unwrap();
    bench.pump();
    assert_eq!(status_of_refusal(&bench.pbx_events), Some((480, "Bots are asleep".to_owned())));
}

#[test]
fn the_record_shows_the_status_that_was_sent() {
    let mut bench = Bench::new("");
    bench.call(Some(audio("sendrecv", "0")));
    let call = bench.call_id();
    assert!(bench.shard.hang_up(bench.now, &call, Termination::new(Cause::OperatorEnded)));
    bench.pump();
    let (status, phrase) = status_of_refusal(&bench.pbx_events).expect("a refusal");
    assert_eq!(status, 603);
    let shown = format!("{status} {phrase}");
    assert!(bench.records[0].timeline.iter().any(|moment| moment.what == shown), "{:?}", bench.records[0].timeline);
}

#[test]
fn a_call_that_moves_to_another_target_of_dailys_stays_with_its_companion() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.reject(bench.now, b, StatusCode::new(503).unwrap(), None, vec![]).unwrap();
    bench.pump();
    assert!(
        matches!(bench.reports.as_slice(), [Report::Placed(one), Report::Placed(two)] if one.call_id == two.call_id),
        "{:?}",
        bench.reports
    );
    let second = bench.invited_cloud();
    bench.cloud.reject(bench.now, second, StatusCode::new(503).unwrap(), None, vec![]).unwrap();
    bench.pump();
    assert_eq!(bench.reports.iter().filter(|report| matches!(report, Report::Ended(_))).count(), 1);
}

#[test]
fn a_change_of_the_far_side_that_overtakes_the_callers_ack_waits_for_it() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    let offered = |event: &Event| matches!(event, Event::Reinvited { leg, .. } if *leg == a);
    assert_eq!(refused(&bench.cloud_events), None, "it is early through no fault of its own");
    assert!(!bench.pbx_events.iter().any(offered), "leg A can be offered nothing before its ACK");
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert!(bench.pbx_events.iter().any(offered));
    bench.pbx.answer(bench.now, a, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert!(bench.cloud_events.iter().any(|event| matches!(event, Event::ReinviteAnswered { .. })));
}

#[test]
fn a_kept_change_that_is_cancelled_is_never_offered() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    bench.cloud.cancel(bench.now, b, vec![]).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.cloud_events), Some(487));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert!(!bench.pbx_events.iter().any(|event| matches!(event, Event::Reinvited { .. })));
    assert_eq!(bench.state(), CallState::Held);
}

#[test]
fn a_kept_change_ends_with_the_leg_that_asked_for_it() {
    let mut bench = Bench::new(TO_PBX);
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    assert_eq!(refused(&bench.cloud_events), Some(491));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert!(!bench.pbx_events.iter().any(|event| matches!(event, Event::Reinvited { .. })));
}
