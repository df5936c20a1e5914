//! Text as it is pasted from each tool, and what it is mended to.

use super::*;

const INVITE: [&str; 13] = [
    "INVITE sip:5000@203.0.113.10 SIP/2.0",
    "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1",
    "From: \"Desk\" <sip:1175@192.0.2.10>;tag=1",
    "To: <sip:5000@203.0.113.10>",
    "Subject: folded",
    "  over two lines",
    "Call-ID: a@192.0.2.10",
    "CSeq: 1 INVITE",
    "Contact: <sip:1175@192.0.2.10>",
    "Content-Type: application/sdp",
    "Content-Length: 12",
    "",
    "v=0",
];

/// The message with `s=-`, so that the body has the length that Content-Length says with CRLF only.
fn text(prefix: &str, end: &str) -> String {
    let mut text = String::new();
    for line in INVITE.iter().chain(&["s=-x"]) {
        text.push_str(prefix);
        text.push_str(line);
        text.push_str(end);
    }
    text
}

fn expected() -> String {
    text("", "\r\n").replace("Content-Length: 12", "Content-Length: 11")
}

fn only(text: &str) -> Candidate {
    let mut found = invites(&Bytes::from(text.to_owned())).unwrap();
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0)
}

fn message(text: &str) -> String {
    String::from_utf8(only(text).message.to_vec()).unwrap()
}

#[test]
fn what_a_socket_could_have_delivered_is_not_touched() {
    let exact = expected();
    let candidate = only(&exact);
    assert_eq!(candidate.message, exact.as_bytes());
    assert!(candidate.mended.is_empty(), "{:?}", candidate.mended);
}

#[test]
fn line_ends_indents_and_prefixes_of_every_line_are_undone() {
    for (prefix, end) in [
        ("", "\n"),
        ("", "\r\n"),
        ("    ", "\n"),
        ("\t", "\r\n"),
        ("> ", "\n"),
        ("2026-11-21 10:00:00.123456 ", "\n"),
        ("[Nov 21 10:00:00] VERBOSE[1234] res_pjsip_logger.c: ", "\n"),
        ("10:00:00.5 |", "\n"),
        ("", "\\r\\n\n"),
    ] {
        assert_eq!(message(&text(prefix, end)), expected(), "{prefix:?} {end:?}");
    }
}

#[test]
fn times_that_go_on_within_a_message_are_cut_off_too() {
    let mut text = String::new();
    for (second, line) in INVITE.iter().chain(&["s=-x"]).enumerate() {
        text.push_str(format!("Nov 21 9:59:{second} pbx sip[77]: {line}").trim_end());
        text.push('\n');
    }
    assert_eq!(message(&text), expected());
}

#[test]
fn a_prefix_of_the_first_line_alone_is_cut_off() {
    let pasted = format!("10:00:00 SIP: {}", text("", "\n"));
    assert_eq!(message(&pasted), expected());
}

#[test]
fn doubled_line_ends_and_one_line_with_escapes_are_understood() {
    assert_eq!(message(&text("", "\n\n")), expected());
    assert_eq!(message(&text("", "\\r\\n")), expected());
    let escaped = text("", "\n").replace('<', "&lt;").replace('>', "&gt;");
    assert_eq!(message(&escaped), expected());
}

#[test]
fn the_tree_of_wireshark_is_put_together() {
    let tree = "Session Initiation Protocol (INVITE)
    Request-Line: INVITE sip:5000@203.0.113.10 SIP/2.0
        Method: INVITE
        Request-URI: sip:5000@203.0.113.10
    Message Header
        Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1
            Transport: UDP
            Sent-by Address: 192.0.2.10
        From: <sip:1175@192.0.2.10>;tag=1
            SIP from address: sip:1175@192.0.2.10
        Call-ID: a@192.0.2.10
        [Generated Call-ID: a@192.0.2.10]
        CSeq: 1 INVITE
        Content-Length: 999
    Message Body
        Session Description Protocol
            Session Description Protocol Version (v): 0
            Connection Information (c): IN IP4 192.0.2.10
                Connection Network Type: IN
            Media Description, name and address (m): audio 4000 RTP/AVP 0
            Media Attribute (a): rtpmap:0 PCMU/8000
";
    let expected = "INVITE sip:5000@203.0.113.10 SIP/2.0\r
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1\r
From: <sip:1175@192.0.2.10>;tag=1\r
Call-ID: a@192.0.2.10\r
CSeq: 1 INVITE\r
Content-Length: 78\r
\r
v=0\r
c=IN IP4 192.0.2.10\r
m=audio 4000 RTP/AVP 0\r
a=rtpmap:0 PCMU/8000\r
";
    assert_eq!(message(tree), expected.replace("78", &expected.split_once("\r\n\r\n").unwrap().1.len().to_string()));
}

#[test]
fn several_messages_of_a_log_are_told_apart_and_the_log_tells_the_source() {
    let log = format!(
        "2026/11/21 10:00:00.1 192.0.2.77:5070 -> 203.0.113.10:5060\n{}\n\n2026/11/21 10:00:00.2 203.0.113.10:5060 -> 192.0.2.77:5070\nSIP/2.0 100 Trying\nVia: x\n\n{}",
        text("", "\n"),
        text("", "\n").replace("5000", "6000")
    );
    let found = invites(&Bytes::from(log)).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].origin.peer, Some("192.0.2.77:5070".parse().unwrap()));
    assert_eq!(found[0].message, expected().as_bytes());
    assert_eq!(found[0].lines[..3], [2, 3, 4]);
    assert_eq!(found[1].origin.peer, None, "what was said of another message is not said of this one");
}

#[test]
fn what_was_mended_is_said() {
    let notes = |text: &str| only(text).mended.join("; ");
    assert!(notes(&text("", "\n")).contains("Content-Length 12 corrected to 11"));
    let headless = text("", "\n").replace("\n\nv=0", "\nv=0");
    assert!(notes(&headless).contains("the empty line before the body was missing"), "{}", notes(&headless));
    let no_body = text("", "\n").split("\n\n").next().unwrap().to_owned();
    assert!(notes(&no_body).contains("body is missing"), "{}", notes(&no_body));
    let wrapped = text("", "\n").replace("Subject: folded", "Subject: folded\nnot a header");
    assert!(notes(&wrapped).contains("line 6: it is no header"), "{}", notes(&wrapped));
}

#[test]
fn what_is_no_invite_is_named_with_its_line() {
    for (text, line, problem) in [
        ("", 1, "the input is empty"),
        ("hello\nworld", 1, "there is no INVITE"),
        ("\n\nREGISTER sip:a SIP/2.0\nVia: x", 3, "this is a request REGISTER"),
        ("x\nSIP/2.0 200 OK\n", 2, "this is a response"),
        ("x\n\nINVITE 5000\nVia: x", 3, "no first line of an INVITE"),
        ("POST /v1 HTTP/1.1\n", 1, "there is no INVITE"),
    ] {
        let error = invites(&Bytes::from(text)).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.problem.contains(problem), "{text}: {error}");
        assert!(!error.remedy.is_empty());
    }
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reading(text in "(INVITE sip:1@a SIP/2.0|[ -~]{0,20}|\r|\n|v=0|Via: x|Request-Line: |  |\\PC{0,4}){0,40}") {
        let _ = invites(&Bytes::from(text));
    }
}
