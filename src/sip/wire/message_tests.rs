//! Tests of reading one message, over the fixtures and over arbitrary bytes.

use super::*;
use crate::sip::Writer;
use crate::sip::header::{Params, Reason, Route};
use crate::sip::uri::Uri;
use proptest::prelude::*;

macro_rules! fixture {
    ($name:literal) => {
        Message::parse(Bytes::from_static(include_bytes!(concat!("../../../sip-fixtures/messages/", $name)))).unwrap()
    };
}

fn text<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<&'a str> {
    values.map(|value| std::str::from_utf8(value).unwrap()).collect()
}

#[test]
fn folding_is_undone_wherever_it_stands() {
    let message = fixture!("folded-headers.sip");
    message.check().unwrap();
    let from = message.address(HeaderName::From).unwrap();
    assert_eq!(from.display.as_deref(), Some("Anna of Accounts"));
    assert_eq!((from.uri, from.tag()), (&b"sip:+15550100@pbx.example.com"[..], Some(&b"a1"[..])));
    assert_eq!(
        text(message.elements(HeaderName::Via)),
        ["SIP/2.0/UDP 192.0.2.10:5060 ;branch=z9hG4bK1", "SIP/2.0/TCP 192.0.2.11;branch=z9hG4bK0"]
    );
    assert!(message.body().starts_with(b"v=0\r\n") && message.body().ends_with(b"RTP/AVP 0\r\n"));
}

#[test]
fn compact_forms_are_the_same_headers() {
    let message = fixture!("compact-forms.sip");
    message.check().unwrap();
    assert_eq!(message.call_id(), b"compact@192.0.2.10");
    assert_eq!(text(message.elements(HeaderName::Supported)), ["timer", "100rel"]);
    assert_eq!(message.text(HeaderName::ContentType).as_deref(), Some("application/sdp"));
    assert_eq!(text(message.named("session-expires")), ["1800;refresher=uac"]);
    assert_eq!(text(message.named("x")), ["1800;refresher=uac"]);
    assert_eq!(message.headers().next().map(|(name, ..)| name), Some(&b"v"[..]));
}

#[test]
fn line_feeds_alone_end_lines() {
    let message = fixture!("line-feed-only.sip");
    message.check().unwrap();
    assert_eq!((message.call_id(), message.body()), (&b"lf@192.0.2.10"[..], &b"hello\n"[..]));
}

#[test]
fn bytes_that_are_not_utf_8_stay_readable() {
    let message = fixture!("latin1-display-name.sip");
    message.check().unwrap();
    assert_eq!(message.address(HeaderName::From).unwrap().display.as_deref(), Some("J\u{fc}rgen"));
    assert_eq!(message.named("x-site").next(), Some(&b"Z\xfcrich"[..]));
}

#[test]
fn a_feature_code_is_a_user_part() {
    let message = fixture!("feature-code-user.sip");
    message.check().unwrap();
    let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
    assert_eq!((uri.user, uri.host), (Some(&b"*67#5550199"[..]), &b"gw.example.com"[..]));
}

#[test]
fn a_comma_in_a_display_name_separates_nothing() {
    let message = fixture!("comma-in-display-name.sip");
    message.check().unwrap();
    assert_eq!(message.address(HeaderName::From).unwrap().display.as_deref(), Some("Example, Anna; <ext 100>"));
    let asserted = text(message.elements(HeaderName::PAssertedIdentity));
    assert_eq!(asserted, ["\"Example, Anna\" <sip:100@pbx.example.com>", "<tel:+15550100>"]);
}

#[test]
fn blanks_around_the_colon_and_leading_zeros_do_not_matter() {
    let message = fixture!("blanks-before-colon.sip");
    message.check().unwrap();
    let via = message.top_via().unwrap();
    assert_eq!((via.host, via.port, via.rport), (&b"192.0.2.10"[..], Some(5060), Some(None)));
    assert_eq!(message.cseq(), Some(CSeq { number: 9, method: Method::Invite }));
    assert_eq!((message.max_forwards(), message.from_tag()), (Some(68), Some(&b"a1"[..])));
}

#[test]
fn the_body_is_what_content_length_says_or_all_that_came() {
    let missing = fixture!("missing-content-length.sip");
    missing.check().unwrap();
    assert!(missing.body().ends_with(b"RTP/AVP 0\r\n"));
    let trailing = fixture!("trailing-bytes.sip");
    trailing.check().unwrap();
    assert_eq!(trailing.body(), b"hello");
}

#[test]
fn a_response_needs_no_reason_phrase() {
    let message = fixture!("response-without-reason.sip");
    message.check().unwrap();
    assert_eq!((message.status(), message.reason().as_ref()), (Some(StatusCode::BUSY_HERE), ""));
    assert_eq!((message.method(), message.request_uri()), (Method::Invite, None));
    assert_eq!((message.from_tag(), message.to_tag()), (Some(&b"a1"[..]), Some(&b"b1"[..])));
    for (line, reason) in [("SIP/2.0 200 ", ""), ("SIP/2.0 200  All is, \u{fc} well ", "All is, \u{fc} well")] {
        assert_eq!(Message::parse(Bytes::copy_from_slice(line.as_bytes())).unwrap().reason(), reason);
    }
}

#[test]
fn an_rfc_2543_peer_is_understood() {
    let message = fixture!("rfc2543-peer.sip");
    message.check().unwrap();
    assert_eq!((message.from_tag(), message.max_forwards()), (None, None));
    assert_eq!(message.top_via().unwrap().branch, None);
}

#[test]
fn other_schemes_and_address_families_are_understood() {
    let tel = fixture!("tel-uris.sip");
    tel.check().unwrap();
    assert_eq!(tel.address(HeaderName::To).unwrap().uri, b"tel:911;phone-context=+1");
    let v6 = fixture!("ipv6-hosts.sip");
    v6.check().unwrap();
    assert_eq!(v6.top_via().unwrap().received, Some(&b"2001:db8::3"[..]));
    let contact = v6.address(HeaderName::Contact).unwrap();
    assert_eq!(contact.uri().unwrap().ip(), Some("2001:db8::2".parse().unwrap()));
}

#[test]
fn a_method_in_small_letters_stays_another_method() {
    let message = fixture!("small-letter-method.sip");
    message.check().unwrap();
    assert_eq!(message.method(), Method::Other("invite".into()));
}

#[test]
fn line_ends_in_front_are_skipped_and_alone_they_are_a_keep_alive() {
    let bytes = b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\n\r\n";
    assert_eq!(Message::parse(Bytes::from_static(bytes)).unwrap().request_uri(), Some(&b"sip:a"[..]));
    assert_eq!(Message::parse(Bytes::from_static(b"\r\n\r\n")).unwrap_err(), ParseError::KeepAlive);
    assert_eq!(Message::parse(Bytes::new()).unwrap_err(), ParseError::KeepAlive);
}

#[test]
fn what_is_no_sip_is_refused() {
    for bytes in [
        "GET / HTTP/1.1\r\n\r\n",
        "INVITE sip:a@b\r\n\r\n",
        "INVITE SIP/2.0\r\n\r\n",
        "IN(VITE sip:a@b SIP/2.0\r\n\r\n",
        "jaK\0",
        " OPTIONS sip:a SIP/2.0\r\n\r\n",
        "SIP/2.0\r\n\r\n",
    ] {
        let error = Message::parse(Bytes::copy_from_slice(bytes.as_bytes())).unwrap_err();
        assert_eq!(error, ParseError::NotSip, "{bytes}");
    }
    for line in ["SIP/2.0 99 Low", "SIP/2.0 700 High", "SIP/2.0 4294967301 x", "SIP/2.0 2x0 x", "SIP/2.0  "] {
        let error = Message::parse(Bytes::copy_from_slice(line.as_bytes())).unwrap_err();
        assert_eq!(error, ParseError::StatusCode, "{line}");
    }
}

#[test]
fn an_ordinary_invite_is_neither_copied_nor_does_its_index_allocate() {
    let bytes = Bytes::from_static(include_bytes!("../../../sip-fixtures/messages/comma-in-display-name.sip"));
    let message = Message::parse(bytes.clone()).unwrap();
    assert_eq!(message.bytes().as_ptr(), bytes.as_ptr());
    assert!(!message.index.spilled());
    assert!(message.headers().count() <= 24);
}

#[test]
fn any_number_of_header_lines_is_kept_in_order() {
    let mut bytes = String::from("OPTIONS sip:a SIP/2.0\r\n");
    for number in 0..3000 {
        bytes.push_str(&format!("X-{number}: {number}\r\n"));
    }
    let message = Message::parse(Bytes::from(bytes)).unwrap();
    assert_eq!(message.headers().count(), 3000);
    assert_eq!(text(message.named("x-2999")), ["2999"]);
    assert!(message.headers().enumerate().all(|(number, (_, _, value))| value == number.to_string().as_bytes()));
}

/// Asks a message everything that can be asked, and checks that the answers lie within it.
fn interrogate(bytes: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(bytes)) else { return };
    let _ = message.check().map_err(|fault| fault.reason());
    let _ = (message.method(), message.request_uri(), message.status(), message.reason(), message.version());
    let _ = (message.call_id(), message.cseq(), message.from_tag(), message.to_tag(), message.max_forwards());
    assert!(message.body().len() <= bytes.len());
    let lines: Vec<_> = message.headers().map(|(_, name, value)| (name, value.to_vec())).collect();
    for (name, value) in lines {
        assert_eq!(value, value.trim_ascii());
        for element in Elements::new(&value) {
            assert!(!element.is_empty());
            let _ = (Via::parse(element), Reason::parse(element).map(|reason| reason.to_string()));
            let _ = Route::parse(element).map(|route| route.is_loose());
            if let Ok(address) = NameAddr::parse(element) {
                assert!(!address.uri.is_empty());
                let _ =
                    address.uri().map(|uri| (crate::sip::uri::hop(&uri), uri.header_pairs().count(), uri.subscriber()));
            }
            let _ = crate::sip::header::via::stamped(element, "192.0.2.1:5060".parse().unwrap());
        }
        let _ = (Params::new(&value).iter().count(), message.elements(name).count(), message.address(name));
    }
}

const PIECES: &[&str] = &[
    "INVITE sip:a@b SIP/2.0\r\n",
    "SIP/2.0 200 OK\r\n",
    "Via: SIP/2.0/UDP h;branch=z9hG4bKa\r\n",
    "From: ",
    "t:",
    "CSeq: 1 INVITE\r\n",
    "Call-ID: x\r\n",
    "Contact: ",
    "Content-Length: ",
    "5",
    "-1",
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "\"",
    "\\",
    "<",
    ">",
    ";",
    ",",
    "=",
    ":",
    "?",
    "@",
    "[",
    "]",
    "%",
    "%41",
    "sip:",
    "tel:",
    "tag=",
    "[::1]",
    "\u{fc}",
    "\0",
    "x",
];

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        interrogate(&bytes);
        let _ = (Uri::parse(&bytes), Via::parse(&bytes), NameAddr::parse(&bytes), CSeq::parse(&bytes));
    }

    #[test]
    fn arbitrary_pieces_of_sip_never_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let bytes: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        interrogate(bytes.as_bytes());
        interrogate(format!("OPTIONS sip:a SIP/2.0\r\n{bytes}\r\n\r\n").as_bytes());
        let _ = (Uri::parse(bytes.as_bytes()), Via::parse(bytes.as_bytes()), NameAddr::parse(bytes.as_bytes()));
    }

    #[test]
    fn what_is_written_is_read_back(
        headers in proptest::collection::vec(("X-[A-Za-z0-9-]{1,20}", "[ -~\u{e4}\r\n]{0,40}"), 0..40),
        body in proptest::collection::vec(any::<u8>(), 0..100),
        early in any::<bool>(),
    ) {
        let mut writer = Writer::request(&Method::Invite, "sip:a@b");
        if early { writer.body("application/sdp", &body); }
        for (name, value) in &headers { writer.header(name, value); }
        if !early { writer.body("application/sdp", &body); }
        let message = Message::parse(writer.finish()).unwrap();
        prop_assert_eq!(message.body(), &body[..]);
        let read: Vec<_> = message.headers().filter(|(name, ..)| name.starts_with(b"X-"))
            .map(|(name, _, value)| (name.to_vec(), value.to_vec())).collect();
        let written: Vec<_> = headers.iter()
            .map(|(name, value)| (name.clone().into_bytes(), value.replace(['\r', '\n'], " ").trim_ascii().as_bytes().to_vec()))
            .collect();
        prop_assert_eq!(read, written);
        prop_assert_eq!(message.values(HeaderName::ContentLength).count(), 1);
    }
}
