//! The endpoint under a virtual clock: a bench that speaks for the peer, and the behaviours by subject.

mod aim;
mod asking;
mod callee;
mod caller;
mod cancel;
mod challenges;
mod dialog;
mod network;
mod noise;
mod refusals;
mod reliable;
mod session_timer;
mod transport;

use super::*;
use crate::sip::{HeaderName, HopAddress, Protocol};
use std::time::Instant;

/// An endpoint, a clock, and a peer that says what the test makes it say.
struct Bench {
    endpoint: Endpoint,
    now: Instant,
    source: Source,
}

fn settings() -> Settings {
    let local = |protocol, bind: &str, advertised: &str| LocalAddress {
        protocol,
        bind: bind.parse().unwrap(),
        advertised: advertised.to_owned(),
    };
    Settings {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        user_agent: "Trunkline/test".to_owned(),
        locals: vec![
            local(Protocol::Udp, "192.0.2.1:5060", "gw.example.com"),
            local(Protocol::Tcp, "192.0.2.1:5060", "gw.example.com"),
            local(Protocol::Udp, "[2001:db8::1]:5060", "[2001:db8::1]:5060"),
        ],
        call_id_prefix: "s0-".to_owned(),
        shard: 0,
    }
}

fn peer(protocol: Protocol) -> Source {
    Source {
        protocol,
        peer: "192.0.2.10:5066".parse().unwrap(),
        local: "192.0.2.1:5060".parse().unwrap(),
        connection: (protocol != Protocol::Udp).then_some(crate::sip::ConnectionId(7)),
    }
}

fn socket(address: &str) -> HopAddress {
    HopAddress::Socket(address.parse().unwrap())
}

fn udp(address: &str) -> Hop {
    Hop { protocol: Protocol::Udp, address: socket(address), connection: None }
}

/// The message of a text with plain line ends.
fn message(text: &str) -> Message {
    let (head, body) = text.trim_start().split_once("\n\n").unwrap_or((text.trim_start(), ""));
    Message::parse(Bytes::from(head.trim_end().replace('\n', "\r\n") + "\r\n\r\n" + body)).unwrap()
}

const INVITE: &str = "INVITE sip:+15550100@gw.example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5066;branch=z9hG4bKin1;rport
Max-Forwards: 70
From: \"Anna\" <sip:+15550199@pbx.example.com>;tag=anna
To: <sip:+15550100@gw.example.com>
Call-ID: in-1
CSeq: 10 INVITE
Contact: <sip:anna@192.0.2.10:5066>
Content-Type: application/sdp

v=0";

impl Bench {
    fn new() -> Self {
        Self::over(Protocol::Udp)
    }

    fn over(protocol: Protocol) -> Self {
        Self {
            endpoint: Endpoint::new(settings(), Entropy::seeded(1)),
            now: crate::clock::now(),
            source: peer(protocol),
        }
    }

    /// The peer says this.
    fn receive(&mut self, text: &str) {
        let message = message(text);
        self.endpoint.receive(self.now, self.source, message.bytes().clone());
    }

    fn transmits(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).collect()
    }

    /// What went out since the last time; every message must pass our own check.
    fn sent(&mut self) -> Vec<Message> {
        let sent = self.transmits().into_iter().map(|transmit| Message::parse(transmit.payload).unwrap());
        sent.inspect(|message| assert_eq!(message.check(), Ok(()), "{:?}", message.bytes())).collect()
    }

    /// What went out, as `INVITE` or `200 INVITE`.
    fn said(&mut self) -> Vec<String> {
        self.sent().iter().map(summary).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// The names of the events since the last time.
    fn happened(&mut self) -> Vec<String> {
        self.events().iter().map(name).collect()
    }

    /// Lets time pass, stopping at each timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.endpoint.next_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a timer in the past");
            self.now = at;
            self.endpoint.expire(at);
        }
        self.now = end;
    }

    /// Lets everything run out, and wants nothing to be left.
    fn finish(mut self) {
        self.pass(Duration::from_secs(300));
        assert_eq!(self.endpoint.census(), Census::default());
    }

    /// A call of the peer that waits for our answer.
    fn invited(&mut self) -> LegId {
        self.receive(INVITE);
        assert_eq!(self.said(), ["100 INVITE"]);
        let [Event::Invited { leg, .. }] = self.events()[..] else { panic!("no call") };
        leg
    }

    /// A call of the peer that is answered and ACKed; gives our tag.
    fn answered_call(&mut self) -> (LegId, String) {
        let leg = self.invited();
        self.endpoint.answer(self.now, leg, Headers::new(), Some(sdp())).unwrap();
        let sent = self.sent();
        let tag = String::from_utf8(sent[0].to_tag().unwrap().to_vec()).unwrap();
        self.receive(&in_dialog("ACK", 10, &tag, "ack1"));
        assert_eq!(self.happened(), ["Acknowledged"]);
        (leg, tag)
    }

    /// A call of ours that waits for an answer; gives the INVITE.
    fn calling(&mut self) -> (LegId, Message) {
        let leg = self.endpoint.invite(self.now, invite());
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1);
        (leg, sent.remove(0))
    }

    /// A call of ours that is answered and ACKed; gives the INVITE.
    fn established(&mut self) -> (LegId, Message) {
        let (leg, invite) = self.calling();
        self.receive(&response(&invite, "200 OK", "bob", CONTACT));
        assert_eq!(self.happened(), ["Answered"]);
        self.endpoint.acknowledge(self.now, leg, None).unwrap();
        assert_eq!(self.said(), ["ACK"]);
        (leg, invite)
    }
}

const CONTACT: &str = "\nContact: <sip:bob@192.0.2.10:5066>";

fn sdp() -> Body {
    Body { content_type: "application/sdp", bytes: Bytes::from_static(b"v=0\r\n") }
}

fn invite() -> Invite {
    Invite {
        request_uri: "sip:room@daily.example.com".to_owned(),
        hop: udp("192.0.2.10:5066"),
        from: "\"Anna\" <sip:+15550199@gw.example.com>".to_owned(),
        to: "<sip:room@daily.example.com>".to_owned(),
        contact_user: "+15550199".to_owned(),
        max_forwards: 69,
        headers: vec![("x-caller".into(), "+15550199".to_owned())],
        body: Some(sdp()),
    }
}

/// A request of the peer in the dialog of [`INVITE`].
fn in_dialog(method: &str, number: u32, our_tag: &str, branch: &str) -> String {
    let request_line = INVITE.replace("INVITE sip", &format!("{method} sip"));
    let numbered = request_line.replace("10 INVITE", &format!("{number} {method}"));
    let tagged =
        numbered.replace("To: <sip:+15550100@gw.example.com>", &format!("To: <sip:x@gw.example.com>;tag={our_tag}"));
    tagged.replace("z9hG4bKin1", &format!("z9hG4bK{branch}"))
}

/// A response of the peer to a request of ours.
fn response(request: &Message, status: &str, tag: &str, extra: &str) -> String {
    let text = |name| request.text(name).unwrap().into_owned();
    let to =
        if request.to_tag().is_some() { text(HeaderName::To) } else { format!("{};tag={tag}", text(HeaderName::To)) };
    format!(
        "SIP/2.0 {status}\nVia: {}\nFrom: {}\nTo: {to}\nCall-ID: {}\nCSeq: {}{extra}",
        text(HeaderName::Via),
        text(HeaderName::From),
        text(HeaderName::CallId),
        text(HeaderName::CSeq),
    )
}

/// A request of the peer in the dialog of a call of ours.
fn from_callee(invite: &Message, method: &str, number: u32, tag: &str, branch: &str) -> String {
    let text = |name| invite.text(name).unwrap().into_owned();
    format!(
        "{method} sip:x@gw.example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5066;branch=z9hG4bK{branch}\nMax-Forwards: 70\n\
         From: {};tag={tag}\nTo: {}\nCall-ID: {}\nCSeq: {number} {method}\nContact: <sip:bob@192.0.2.10:5066>",
        text(HeaderName::To),
        text(HeaderName::From),
        text(HeaderName::CallId),
    )
}

fn summary(message: &Message) -> String {
    match message.status() {
        Some(status) => format!("{status} {}", message.method().as_str()),
        None => message.method().as_str().to_owned(),
    }
}

fn name(event: &Event) -> String {
    let text = format!("{event:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

fn text(message: &Message, name: HeaderName) -> String {
    message.text(name).unwrap_or_default().into_owned()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_same_seed_and_inputs_give_the_same_bytes() {
    let run = || {
        let mut bench = Bench::new();
        bench.answered_call();
        bench.calling();
        bench.pass(seconds(100));
        bench.transmits().into_iter().map(|transmit| transmit.payload).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
