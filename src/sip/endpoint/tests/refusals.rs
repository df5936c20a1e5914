//! What is refused, and how: RFC 3261 §8.2, and what is dropped without a word.

use super::*;

/// The answer to a variation of [`INVITE`].
fn answer_to(change: impl Fn(&str) -> String) -> Message {
    let mut bench = Bench::new();
    bench.receive(&change(INVITE));
    let mut sent = bench.transmits();
    assert_eq!(sent.len(), 1);
    assert!(bench.happened().is_empty());
    let answer = Message::parse(sent.remove(0).payload).unwrap();
    bench.finish();
    answer
}

#[test]
fn each_refusal_has_its_status_and_says_why() {
    let refused = |from: &str, to: &str| {
        let answer = answer_to(|text| text.replace(from, to));
        format!("{} {}", answer.status().unwrap(), answer.reason())
    };
    assert_eq!(refused("Call-ID: in-1\n", ""), "400 Missing Call-ID header field");
    assert_eq!(refused("Contact: <sip:anna@192.0.2.10:5066>\n", ""), "400 Missing Contact header field");
    assert_eq!(
        refused("10 INVITE", "10 BYE"),
        "400 Bad CSeq header field: it names another method than the request line"
    );
    assert_eq!(refused("gw.example.com SIP/2.0", "gw.example.com SIP/3.0"), "505 Version Not Supported");
    assert_eq!(refused("INVITE", "PUBLISH"), "405 Method Not Allowed");
    assert_eq!(refused("INVITE", "invite"), "405 Method Not Allowed");
    assert_eq!(refused("INVITE sip:", "INVITE http:"), "416 Unsupported URI Scheme");
    assert_eq!(refused("Max-Forwards: 70", "Max-Forwards: 0"), "483 Too Many Hops");
    assert_eq!(refused("INVITE", "BYE"), "481 Call/Transaction Does Not Exist");
    assert_eq!(
        refused("To: <sip:+15550100@gw.example.com>", "To: <sip:x@y>;tag=1"),
        "481 Call/Transaction Does Not Exist"
    );
}

#[test]
fn a_required_extension_is_named_as_unsupported() {
    let answer = answer_to(|text| text.replace("Max-Forwards", "Require: 100rel, foo\nRequire: bar\nMax-Forwards"));
    assert_eq!(summary(&answer), "420 INVITE");
    assert_eq!(text(&answer, HeaderName::Unsupported), "foo, bar");
    let in_dialog_too = {
        let mut bench = Bench::new();
        let (_, tag) = bench.answered_call();
        bench.receive(&in_dialog("INVITE", 11, &tag, "re").replace("Max-Forwards", "Require: timer\nMax-Forwards"));
        bench.said()
    };
    assert_eq!(in_dialog_too, ["420 INVITE"]);
}

#[test]
fn an_unusable_request_gets_the_same_answer_each_time_and_leaves_nothing() {
    let mut bench = Bench::new();
    let broken = INVITE.replace("Call-ID: in-1\n", "");
    bench.receive(&broken);
    bench.receive(&broken);
    let sent = bench.transmits();
    assert_eq!(sent[0].payload, sent[1].payload);
    assert_eq!(bench.endpoint.census(), Census::default());
}

#[test]
fn a_405_lists_what_is_allowed() {
    assert_eq!(text(&answer_to(|text| text.replace("INVITE", "PUBLISH")), HeaderName::Allow), ALLOW);
}

#[test]
fn tel_uris_are_taken() {
    let mut bench = Bench::new();
    bench.receive(&INVITE.replace("INVITE sip:+15550100@gw.example.com", "INVITE tel:+15550100"));
    assert_eq!(bench.happened(), ["Invited"]);
}

#[test]
fn options_outside_a_dialog_is_the_layer_aboves_to_answer_also_with_no_hops_left() {
    let mut bench = Bench::new();
    let options = INVITE.replace("INVITE", "OPTIONS").replace("Max-Forwards: 70", "Max-Forwards: 0");
    bench.receive(&options);
    bench.receive(&options);
    assert!(bench.said().is_empty(), "RFC 3261 §17.2.2: no provisional response to a non-INVITE");
    let [Event::OutOfDialog { id, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.respond(bench.now, id, StatusCode::OK, None, Headers::new(), None).unwrap();
    let again = bench.endpoint.respond(bench.now, id, StatusCode::OK, None, Headers::new(), None);
    assert_eq!(again, Err(CommandError::WrongState));
    bench.receive(&options);
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["200 OPTIONS", "200 OPTIONS"]);
    assert_eq!(
        (text(&sent[0], HeaderName::Allow).as_str(), text(&sent[0], HeaderName::Accept).as_str()),
        (ALLOW, "application/sdp, multipart/mixed")
    );
    bench.finish();
}

#[test]
fn a_question_that_nobody_answers_is_forgotten() {
    let mut bench = Bench::new();
    bench.receive(&INVITE.replace("INVITE", "OPTIONS"));
    let [Event::OutOfDialog { id, .. }] = bench.events()[..] else { panic!() };
    bench.pass(seconds(32));
    assert_eq!(bench.endpoint.census(), Census::default());
    let late = bench.endpoint.respond(bench.now, id, StatusCode::OK, None, Headers::new(), None);
    assert_eq!(late, Err(CommandError::WrongState));
}

#[test]
fn stray_acks_responses_and_noise_are_dropped() {
    let mut bench = Bench::new();
    for noise in [&b"\r\n\r\n"[..], b"\0\0\0\0", b"hello", b""] {
        bench.endpoint.receive(bench.now, bench.source, Bytes::copy_from_slice(noise));
    }
    bench.receive(&INVITE.replace("INVITE", "ACK"));
    bench.receive(&INVITE.replace("INVITE", "ACK").replace("Call-ID: in-1\n", ""));
    bench.receive(&INVITE.replace("INVITE sip:+15550100@gw.example.com SIP/2.0", "SIP/2.0 200 OK"));
    assert!(bench.transmits().is_empty());
    assert_eq!(bench.endpoint.census(), Census::default());
}
