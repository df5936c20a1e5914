//! REGISTER requests of PBXs, against the steps of RFC 3261 §10.3.

use super::*;
use crate::sip::{HopAddress, Protocol};
use bytes::Bytes;

const LIMITS: Limits = Limits { shortest: Duration::from_secs(60), longest: Duration::from_secs(3600) };

struct Bench {
    registrar: Registrar,
    now: Instant,
    source: Source,
    trunk: &'static str,
}

fn source(protocol: Protocol, peer: &str) -> Source {
    let connection = (protocol != Protocol::Udp).then_some(crate::sip::ConnectionId(3));
    Source { protocol, peer: peer.parse().unwrap(), local: "192.0.2.1:5060".parse().unwrap(), connection }
}

fn bench() -> Bench {
    let source = source(Protocol::Udp, "192.0.2.10:5060");
    Bench { registrar: Registrar::default(), now: crate::clock::now(), source, trunk: "pbx" }
}

// === impl Bench ===

impl Bench {
    fn says(&self, call_id: &str, number: u32, lines: &[&str]) -> Reply {
        let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let text = format!(
            "REGISTER sip:gw.example.com SIP/2.0\r\nTo: <sip:100@gw.example.com>\r\nCall-ID: {call_id}\r\nCSeq: {number} REGISTER\r\n{more}\r\n"
        );
        let request = Message::parse(Bytes::from(text)).unwrap();
        self.registrar.register(
            self.now,
            LIMITS,
            &Register { trunk: self.trunk, request: &request, source: self.source },
        )
    }

    fn hop(&self) -> Hop {
        self.registrar.contact_of(self.now, self.trunk).unwrap().hop()
    }
}

use crate::sip::Hop;

fn contacts(reply: &Reply) -> Vec<&str> {
    reply.headers.iter().filter(|(name, _)| name == "Contact").map(|(_, value)| value.as_str()).collect()
}

#[test]
fn what_the_pbx_wrote_is_kept_byte_for_byte() {
    let bench = bench();
    let reply = bench.says(
        "a",
        1,
        &["Contact: \"Line, 1\" <sip:100@192.0.2.10:5060;rinstance=4F%2a;line=abc>;expires=600;+sip.instance=\"<urn:x;y>\";q=0.5;flag"],
    );
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        contacts(&reply),
        [
            "\"Line, 1\" <sip:100@192.0.2.10:5060;rinstance=4F%2a;line=abc>;+sip.instance=\"<urn:x;y>\";q=0.5;flag;expires=600"
        ]
    );
    let binding = bench.registrar.contact_of(bench.now, "pbx").unwrap();
    assert_eq!((binding.uri.as_str(), binding.preference), ("sip:100@192.0.2.10:5060;rinstance=4F%2a;line=abc", 500));
    assert_eq!(reply.count, (0, 1));
}

#[test]
fn each_contact_has_its_own_time_and_expires_is_for_those_without() {
    let bench = bench();
    let reply = bench.says(
        "a",
        1,
        &[
            "Contact: <sip:100@192.0.2.10>;expires=120, <sip:100@192.0.2.11>",
            "m: sip:100@192.0.2.12;expires=99999999",
            "Expires: 300",
        ],
    );
    assert_eq!(
        contacts(&reply),
        ["<sip:100@192.0.2.10>;expires=120", "<sip:100@192.0.2.11>;expires=300", "sip:100@192.0.2.12;expires=3600"]
    );
    assert_eq!(
        bench.says("b", 1, &["Contact: <sip:100@192.0.2.13>"]).headers[3].1,
        "<sip:100@192.0.2.13>;expires=3600"
    );
}

#[test]
fn too_short_a_time_is_refused_with_the_shortest_and_nothing_changes() {
    let bench = bench();
    let reply = bench.says("a", 1, &["Contact: <sip:100@192.0.2.10>;expires=600, <sip:100@192.0.2.11>;expires=59"]);
    assert_eq!((reply.status.get(), &reply.headers[..]), (423, &[("Min-Expires".into(), "60".to_owned())][..]));
    assert!(bench.registrar.contact_of(bench.now, "pbx").is_none());
}

#[test]
fn a_registration_ends_by_itself_and_is_told_once() {
    let mut bench = bench();
    bench.says("a", 1, &["Contact: <sip:100@192.0.2.10>", "Expires: 60"]);
    let end = bench.now + Duration::from_secs(60);
    assert_eq!(bench.registrar.expire(bench.now).1, Some(end));
    assert_eq!(bench.registrar.trunk_at(bench.now, "::ffff:192.0.2.10".parse().unwrap()).as_deref(), Some("pbx"));
    bench.now = end;
    assert!(bench.registrar.contact_of(end, "pbx").is_none(), "even before anybody swept");
    assert_eq!(bench.registrar.trunk_at(end, "192.0.2.10".parse().unwrap()), None);
    assert_eq!(bench.registrar.expire(end).0.len(), 1);
    assert_eq!(bench.registrar.expire(end).0.len(), 0);
    assert!(contacts(&bench.says("a", 2, &[])).is_empty());
}

#[test]
fn a_refresh_replaces_its_contact_and_two_lines_stay_two() {
    let bench = bench();
    bench.says("a", 1, &["Contact: <sip:100@192.0.2.10;line=a>", "Expires: 100"]);
    bench.says("a", 2, &["Contact: <sip:100@192.0.2.10;line=b>", "Expires: 200"]);
    let reply = bench.says("a", 3, &["Contact: <sip:%31%300@192.0.2.10;line=a>", "Expires: 300"]);
    assert_eq!(
        contacts(&reply),
        ["<sip:100@192.0.2.10;line=b>;expires=200", "<sip:%31%300@192.0.2.10;line=a>;expires=300"]
    );
    let reply = bench.says("a", 4, &["Contact: <sip:100@192.0.2.10;line=b>;expires=0"]);
    assert_eq!((contacts(&reply).len(), reply.count), (1, (2, 1)));
}

#[test]
fn a_request_that_was_overtaken_changes_nothing() {
    let bench = bench();
    bench.says("a", 5, &["Contact: <sip:100@192.0.2.10>", "Expires: 100"]);
    for (number, lines) in [
        (5, ["Contact: <sip:100@192.0.2.10>", "Expires: 200"]),
        (4, ["Contact: <sip:100@192.0.2.10>", "Expires: 0"]),
        (5, ["Contact: *", "Expires: 0"]),
    ] {
        let reply = bench.says("a", number, &lines);
        assert_eq!((reply.status.get(), reply.count), (400, (1, 1)));
        assert!(reply.reason.unwrap().starts_with("CSeq"));
    }
    assert_eq!(contacts(&bench.says("a", 6, &[])), ["<sip:100@192.0.2.10>;expires=100"]);
    let restarted = bench.says("b", 1, &["Contact: <sip:100@192.0.2.10>", "Expires: 200"]);
    assert_eq!(contacts(&restarted), ["<sip:100@192.0.2.10>;expires=200"], "another Call-ID begins anew");
}

#[test]
fn a_star_removes_all_and_only_alone_and_with_zero() {
    let bench = bench();
    bench.says("a", 1, &["Contact: <sip:100@192.0.2.10>, <sip:100@192.0.2.11>"]);
    for lines in [&["Contact: *"][..], &["Contact: *", "Expires: 60"], &["Contact: *, <sip:a@192.0.2.1>", "Expires: 0"]]
    {
        assert_eq!(bench.says("a", 2, lines).status.get(), 400, "{lines:?}");
    }
    let reply = bench.says("a", 3, &["Contact: *", "Expires: 0"]);
    assert_eq!((reply.status, contacts(&reply).len(), reply.count), (StatusCode::OK, 0, (2, 0)));
}

#[test]
fn one_trunk_does_not_touch_the_contacts_of_another() {
    let mut bench = bench();
    bench.says("a", 1, &["Contact: <sip:100@192.0.2.10>"]);
    bench.trunk = "other";
    let reply = bench.says("a", 1, &["Contact: *", "Expires: 0"]);
    assert_eq!((reply.status, reply.count), (StatusCode::OK, (0, 0)));
    bench.says("a", 2, &["Contact: <sip:100@192.0.2.10>"]);
    assert_eq!(bench.registrar.trunk_at(bench.now, "192.0.2.10".parse().unwrap()), None, "both are there");
    assert_eq!(bench.registrar.contacts_of(bench.now, "pbx").len(), 1);
}

#[test]
fn a_call_goes_to_the_preferred_contact_and_where_it_was_heard() {
    let mut bench = bench();
    let socket = |text: &str| HopAddress::Socket(text.parse().unwrap());
    bench.says("a", 1, &["Contact: <sip:100@192.0.2.10:5070>;q=0.3, <sip:100@10.0.0.5:5060>;q=0.7"]);
    assert_eq!(bench.hop().address, socket("192.0.2.10:5060"), "behind NAT: its source");
    bench.says("a", 2, &["Contact: <sip:100@10.0.0.5:5060>;expires=0"]);
    assert_eq!(bench.hop().address, socket("192.0.2.10:5070"), "at its source: the port it names");
    bench.source = source(Protocol::Tcp, "192.0.2.10:49152");
    bench.says("a", 3, &["Contact: <sip:100@192.0.2.10:5070;transport=tcp>"]);
    let hop = bench.hop();
    assert_eq!((hop.address, hop.connection), (socket("192.0.2.10:49152"), Some(crate::sip::ConnectionId(3))));
}

#[test]
fn the_path_is_kept_shown_and_taken() {
    let bench = bench();
    let path = "<sip:p1@192.0.2.20:5080;lr>,<sip:p2@192.0.2.21;lr>";
    let reply = bench.says("a", 1, &["Contact: <sip:100@10.0.0.5>", &format!("Path: {path}")]);
    assert_eq!(reply.headers[1], ("Path".into(), path.to_owned()));
    assert_eq!(bench.hop().address, HopAddress::Socket("192.0.2.20:5080".parse().unwrap()));
    assert_eq!(bench.registrar.contact_of(bench.now, "pbx").unwrap().path.len(), 2);
}

#[test]
fn what_is_no_contact_and_too_many_of_them_are_refused() {
    let bench = bench();
    assert_eq!(bench.says("a", 1, &["Contact: <mailto:anna@example.com>"]).status.get(), 400);
    let many: Vec<String> = (0..33).map(|number| format!("Contact: <sip:100@192.0.2.10;line={number}>")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(bench.says("a", 2, &many).status.get(), 403);
    assert_eq!(bench.says("a", 3, &many[1..]).status, StatusCode::OK);
}
