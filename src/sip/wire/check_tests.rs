//! Tests of the check: each mandatory part missing or broken, and optional parts that may be as broken as they like.

use super::*;
use bytes::Bytes;

const LINES: &[&str] = &[
    "INVITE sip:b@example.com SIP/2.0",
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa",
    "Max-Forwards: 70",
    "From: <sip:a@example.com>;tag=1",
    "To: <sip:b@example.com>",
    "Call-ID: x",
    "CSeq: 1 INVITE",
    "Contact: <sip:a@192.0.2.1>",
    "Content-Length: 0",
];

fn check(lines: impl IntoIterator<Item = String>) -> Result<(), Fault> {
    let text: String = lines.into_iter().flat_map(|line| [line, "\r\n".to_owned()]).collect();
    Message::parse(Bytes::from(text + "\r\n")).unwrap().check()
}

/// The good INVITE with the line of that start replaced.
fn with(start: &str, line: &str) -> Result<(), Fault> {
    assert!(LINES.iter().any(|good| good.starts_with(start)));
    check(LINES.iter().map(|good| if good.starts_with(start) { line.to_owned() } else { (*good).to_owned() }))
}

fn fault(start: &str, line: &str) -> (&'static str, u16) {
    let fault = with(start, line).expect_err(line);
    (fault.header, fault.status.get())
}

#[test]
fn a_missing_mandatory_header_is_named() {
    check(LINES.iter().map(|line| (*line).to_owned())).unwrap();
    for (start, name) in [
        ("Via", "Via"),
        ("From", "From"),
        ("To", "To"),
        ("Call-ID", "Call-ID"),
        ("CSeq", "CSeq"),
        ("Contact", "Contact"),
    ] {
        let fault = with(start, "X-Nothing: here").unwrap_err();
        assert_eq!(fault.reason(), format!("Missing {name} header field"));
        assert_eq!(fault.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(with("Max-Forwards", "X-Nothing: here"), Ok(()));
    assert_eq!(with("Content-Length", "X-Nothing: here"), Ok(()));
}

#[test]
fn a_broken_mandatory_header_is_named() {
    for (start, line) in [
        ("Via", "Via: SIP/2.0/UDP 192.0.2.15;;,;,,"),
        ("Via", "Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bK"),
        ("Via", "Via:"),
        ("From", "From: \"open <sip:a@b>"),
        ("To", "To: <>"),
        ("Call-ID", "Call-ID:"),
        ("CSeq", "CSeq: 2147483648 INVITE"),
        ("CSeq", "CSeq: 1 OPTIONS"),
        ("CSeq", "CSeq: 1 invite"),
        ("Max-Forwards", "Max-Forwards: 256"),
        ("Max-Forwards", "Max-Forwards: many"),
        ("Contact", "Contact: *"),
        ("Contact", "Contact: <tel:+15550100>"),
        ("Contact", "Contact: <sip:>"),
        ("Content-Length", "Content-Length: -999"),
        ("Content-Length", "Content-Length: 1"),
        ("Content-Length", "Content-Length: 0\r\nl: 1"),
    ] {
        assert_eq!(fault(start, line), (start, 400), "{line}");
    }
    let mismatch = with("CSeq", "CSeq: 1 BYE").unwrap_err();
    assert_eq!(mismatch.reason(), "Bad CSeq header field: it names another method than the request line");
}

#[test]
fn a_header_that_must_be_single_is_not_taken_twice() {
    for name in ["From", "To", "Call-ID", "CSeq", "Max-Forwards"] {
        let line = LINES.iter().find(|line| line.starts_with(name)).unwrap();
        assert_eq!(fault(name, &format!("{line}\r\n{line}")), (name, 400));
    }
    assert_eq!(with("Content-Length", "Content-Length: 0\r\nl: 00"), Ok(()));
}

#[test]
fn the_start_line_is_judged() {
    assert_eq!(fault("INVITE", "INVITE sip:b@example.com SIP/7.0"), ("SIP-Version", 505));
    for line in ["INVITE sip:b@example.com; lr SIP/2.0", "INVITE <sip:b@example.com> SIP/2.0", "INVITE sip: SIP/2.0"] {
        assert_eq!(fault("INVITE", line), ("Request-URI", 400), "{line}");
    }
    assert_eq!(with("INVITE", "INVITE  sip:b@example.com \tsip/2.0  "), Ok(()));
}

#[test]
fn a_broken_optional_header_costs_nothing() {
    let bytes = include_bytes!("../../../sip-fixtures/messages/broken-optional-headers.sip");
    Message::parse(Bytes::from_static(bytes)).unwrap().check().unwrap();
}

#[test]
fn a_cut_datagram_is_noticed() {
    let bytes = include_bytes!("../../../sip-fixtures/messages/content-length-too-large.sip");
    let fault = Message::parse(Bytes::from_static(bytes)).unwrap().check().unwrap_err();
    assert_eq!(fault.to_string(), "Content-Length announces more bytes than came");
}

#[test]
fn an_rfc_2543_invite_without_contact_is_reached_by_its_from() {
    let old = |line: &str| line.replace(";branch=z9hG4bKa", "");
    let lines = || LINES.iter().filter(|line| !line.starts_with("Contact"));
    assert_eq!(check(lines().map(|line| old(line))), Ok(()));
    let text: String = lines().map(|line| old(line) + "\r\n").collect();
    let message = Message::parse(Bytes::from(text)).unwrap();
    assert_eq!(message.remote_target(), Some(&b"sip:a@example.com"[..]));
    assert_eq!(check(lines().map(|line| old(line).replace("<sip:a@", "<tel:a@"))).unwrap_err().header, "Contact");
}

#[test]
fn a_reinvite_may_leave_the_target_as_it_is() {
    let lines = LINES.iter().filter(|line| !line.starts_with("Contact"));
    assert_eq!(check(lines.map(|line| line.replace("<sip:b@example.com>", "<sip:b@example.com>;tag=2"))), Ok(()));
}

#[test]
fn only_an_invite_needs_a_contact() {
    let lines = LINES.iter().filter(|line| !line.starts_with("Contact"));
    assert_eq!(check(lines.map(|line| line.replace("INVITE", "OPTIONS"))), Ok(()));
}
