//! RFC 3261 §17.2.3 and §8.2.2.2: what belongs together and what does not.

use super::super::key::{Key, Keyer, Kind};
use crate::clock::Entropy;
use crate::sip::Message;
use bytes::Bytes;

const INVITE: &str = "INVITE sip:b@example.com SIP/2.0
Via: SIP/2.0/UDP pbx.example.com:5060;branch=z9hG4bKaa
From: <sip:a@example.com>;tag=1
To: <sip:b@example.com>
Call-ID: c
CSeq: 7 INVITE
Contact: <sip:a@192.0.2.1>";

fn key(text: &str) -> Key {
    let message = Message::parse(Bytes::from(text.replace('\n', "\r\n") + "\r\n\r\n")).unwrap();
    Keyer::new(&mut Entropy::seeded(1)).server(&message, Kind::of(&message.method())).unwrap()
}

#[test]
fn the_branch_decides_with_sent_by_and_method_and_nothing_else() {
    let invite = key(INVITE);
    assert_eq!(invite, key(&INVITE.replace("pbx.example", "PBX.Example")), "hosts have no case");
    assert_eq!(invite, key(&INVITE.replace(":5060", "")), "the default port may be left out");
    assert_eq!(invite, key(&INVITE.replace("sip:b@example.com SIP", "sip:x@example.com SIP")));
    assert_eq!(invite, key(&INVITE.replace("INVITE", "ACK").replace("b@example.com>", "b@example.com>;tag=2")));
    assert_ne!(invite, key(&INVITE.replace("z9hG4bKaa", "z9hG4bKab")));
    assert_ne!(invite, key(&INVITE.replace("pbx.", "sbc.")));
    assert_ne!(invite, key(&INVITE.replace(":5060", ":5070")));
    assert_ne!(invite, key(&INVITE.replace("INVITE", "CANCEL")));
    assert_ne!(invite, key(&INVITE.replace("INVITE", "BYE")));
}

#[test]
fn a_peer_that_uses_one_branch_for_a_whole_dialog_is_understood() {
    assert_ne!(key(INVITE), key(&INVITE.replace("CSeq: 7", "CSeq: 8")));
}

#[test]
fn without_the_cookie_the_rules_of_rfc_2543_hold() {
    let old = INVITE.replace(";branch=z9hG4bKaa", ";branch=1");
    let invite = key(&old);
    assert_eq!(invite, key(&old.replace("INVITE", "ACK").replace("b@example.com>", "b@example.com>;tag=2")));
    for (part, other) in [
        ("sip:b@example.com SIP", "sip:x@example.com SIP"),
        ("tag=1", "tag=9"),
        ("Call-ID: c", "Call-ID: d"),
        ("CSeq: 7", "CSeq: 8"),
        ("branch=1", "branch=2"),
        ("INVITE", "CANCEL"),
    ] {
        assert_ne!(invite, key(&old.replace(part, other)), "{part}");
    }
    assert_ne!(invite, key(INVITE));
}
