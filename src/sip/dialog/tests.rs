//! Dialogs by the examples of RFC 3261 §12.

use super::*;
use crate::sip::Message;
use bytes::Bytes;

fn message(text: &str) -> Message {
    Message::parse(Bytes::from(text.trim_start().replace('\n', "\r\n") + "\r\n\r\n")).unwrap()
}

const ANSWER: &str = "
SIP/2.0 200 OK
Via: SIP/2.0/UDP gw.example.com;branch=z9hG4bK1
Record-Route: <sip:p2.example.com;lr;x=\"a,b\">, \"Proxy\" <sip:p1.example.com;lr=on>
Record-Route:   <sip:192.0.2.1:5070;lr;vendor=%41>
From: <sip:a@example.com>;tag=1
To: <sip:b@example.com>;tag=2
Call-ID: c
CSeq: 7 INVITE
Contact: \"Bob; B\" <sip:b@198.51.100.9:5066;transport=tcp>;expires=60";

#[test]
fn the_route_set_of_a_caller_is_the_reversed_record_route_byte_for_byte() {
    let dialog = Dialog::of_answer(&message(ANSWER), b"<sip:a@example.com>;tag=1", b"sip:x@y");
    let routes: Vec<_> =
        dialog.routes().elements().map(|element| String::from_utf8_lossy(element).into_owned()).collect();
    assert_eq!(
        routes,
        [
            "<sip:192.0.2.1:5070;lr;vendor=%41>",
            "\"Proxy\" <sip:p1.example.com;lr=on>",
            "<sip:p2.example.com;lr;x=\"a,b\">"
        ]
    );
    assert_eq!(dialog.target(), b"sip:b@198.51.100.9:5066;transport=tcp");
    let plan = dialog.plan();
    assert_eq!(plan.request_uri.as_slice(), dialog.target());
    assert_eq!(plan.next, b"sip:192.0.2.1:5070;lr;vendor=%41");
    assert_eq!(plan.routes.len(), 3);
}

#[test]
fn a_strict_router_becomes_the_request_uri_and_the_target_goes_last() {
    let request = message(
        "
INVITE sip:b@example.com SIP/2.0
Via: SIP/2.0/UDP p.example.com;branch=z9hG4bK1
Record-Route: <sip:strict.example.com;method=INVITE;x=1?Subject=hi>
Record-Route: <sip:loose.example.com;lr>
From: <sip:a@example.com>;tag=1
To: <sip:b@example.com>
Call-ID: c
CSeq: 7 INVITE
Contact: <sip:a@203.0.113.5>",
    );
    let dialog = Dialog::of_invite(&request, "ours", b"");
    let plan = dialog.plan();
    assert_eq!(plan.request_uri.as_slice(), b"sip:strict.example.com;x=1");
    assert_eq!(plan.routes.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>(), [b"<sip:loose.example.com;lr>"]);
    assert_eq!(plan.last.as_deref(), Some(&b"<sip:a@203.0.113.5>"[..]));
    assert_eq!(dialog.local(), b"<sip:b@example.com>;tag=ours");
    assert_eq!(dialog.remote(), b"<sip:a@example.com>;tag=1");
}

#[test]
fn without_record_route_requests_go_to_the_target() {
    let answer =
        message(&ANSWER.lines().filter(|line| !line.starts_with("Record-Route")).collect::<Vec<_>>().join("\n"));
    let dialog = Dialog::of_answer(&answer, b"<sip:a@example.com>;tag=1", b"sip:x@y");
    assert_eq!(dialog.plan().next, b"sip:b@198.51.100.9:5066;transport=tcp");
    assert!(dialog.plan().routes.is_empty());
}

#[test]
fn an_answer_without_contact_leaves_the_request_uri_as_target() {
    let answer = message(&ANSWER.lines().filter(|line| !line.starts_with("Contact")).collect::<Vec<_>>().join("\n"));
    assert_eq!(Dialog::of_answer(&answer, b"", b"sip:x@y").target(), b"sip:x@y");
}

#[test]
fn a_refresh_moves_the_target_and_never_the_routes() {
    let mut dialog = Dialog::of_answer(&message(ANSWER), b"", b"");
    let routes = dialog.routes().clone();
    dialog.refresh(&message(&ANSWER.replace("198.51.100.9", "198.51.100.77").replace("192.0.2.1", "192.0.2.2")));
    assert_eq!(dialog.target(), b"sip:b@198.51.100.77:5066;transport=tcp");
    assert_eq!(dialog.routes(), &routes);
}

#[test]
fn the_peers_numbers_may_jump_but_not_go_back() {
    let mut sequence = Sequence::new(0, Some(5));
    assert_eq!(sequence.take(9), Ok(()));
    assert_eq!(sequence.take(8), Err(OutOfOrder));
    assert_eq!(sequence.take(9), Ok(()));
    assert_eq!((sequence.advance(), sequence.advance()), (1, 2));
    assert_eq!(Sequence::new(0x7fff_ffff, None).advance(), 1);
}
