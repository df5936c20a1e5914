//! Before the far side answers, and callers who are answered at another time than it: early media, PRACK, ringback tones,
//! session timers of one leg.

use super::*;
use crate::media::MediaEvent;
use crate::media::tone::Plan;
use crate::sip::endpoint::{Headers, Terms};
use crate::sip::session::reliable::Wish;
use crate::sip::session::session_timer;
use crate::sip::{HeaderName, Message};

const RELIABLE: Terms = Terms { reliable: Wish::Supported, ..Terms::PLAIN };

impl Bench {
    /// The PBX calls on terms of its own; its leg and the cloud's.
    fn call_on(&mut self, offer: Option<Body>, terms: Terms) -> (LegId, LegId) {
        let uri = format!("sip:+14155550199@{GATEWAY}");
        let hop = HopAddress::Socket(GATEWAY.parse().unwrap());
        let invite = Invite {
            request_uri: uri.clone(),
            hop: Hop { protocol: Protocol::Udp, address: hop, connection: None },
            from: "<sip:+14155550123@192.0.2.2>".to_owned(),
            to: format!("<{uri}>"),
            contact_user: "pbx".to_owned(),
            max_forwards: 70,
            headers: vec![],
            body: offer,
        };
        let a = self.pbx.invite_on(self.now, invite, &terms);
        self.pump();
        (a, self.invited_cloud())
    }

    fn progress(&mut self, leg: LegId, status: u16, body: Option<Body>) {
        let status = StatusCode::new(status).unwrap();
        self.cloud.provisional(self.now, leg, status, None, vec![], body).unwrap();
        self.pump();
    }

    /// The provisional responses that the PBX has seen: status, and whether it described a session.
    fn rung(&self) -> Vec<(u16, bool)> {
        let told = |event: &Event| match event {
            Event::Progress { response, .. } => Some((status(response), !response.body().is_empty())),
            _ => None,
        };
        self.pbx_events.iter().filter_map(told).collect()
    }

    /// Another early dialog of the cloud says this to the gateway's INVITE.
    fn other_fork(&mut self, status: &str, tag: &str, port: u16) {
        let invite = self.cloud_events.iter().rev().find_map(|event| match event {
            Event::Invited { request, .. } => Some(request.clone()),
            _ => None,
        });
        let invite = invite.expect("the cloud was called");
        let copy = |name: HeaderName| format!("{}: {}", name.as_str(), invite.text(name).unwrap());
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.8\r\ns=-\r\nc=IN IP4 192.0.2.8\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        let body = if port == 0 { String::new() } else { body };
        let response = format!(
            "SIP/2.0 {status}\r\n{}\r\n{}\r\n{};tag={tag}\r\n{}\r\n{}\r\nContact: <sip:other@{CLOUD}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            copy(HeaderName::Via),
            copy(HeaderName::From),
            copy(HeaderName::To),
            copy(HeaderName::CallId),
            copy(HeaderName::CSeq),
            body.len()
        );
        self.shard.receive(self.now, source(CLOUD, GATEWAY), response.into());
        self.pump();
    }

    fn heard_from_cloud(&mut self) {
        let owner = self.owner();
        self.shard.media(self.now, MediaEvent::FirstPacket { owner, side: Side::B });
    }

    /// The relay's name is the plane's in these tests.
    fn owner(&self) -> u64 {
        self.told.owner.get()
    }

    fn played(&self) -> Option<Plan> {
        self.told.playing.borrow().map(|score| score.plan)
    }

    fn connect(&mut self) {
        let call = self.call_id();
        self.shard.instruct(self.now, &call, Instruction::Connected);
        self.pump();
    }
}

fn status(message: &Message) -> u16 {
    message.status().map_or(0, StatusCode::get)
}

fn answered(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Answered { .. }))
}

fn hung_up(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::HungUp { .. }))
}

fn cause(bench: &Bench) -> Option<Cause> {
    bench.records.first().and_then(|record| record.termination.as_ref()).map(|termination| termination.cause)
}

// --- early media and forks

#[test]
fn ringing_after_early_media_keeps_what_was_described_and_plays_a_tone_if_nobody_is_heard() {
    let mut bench = Bench::with_lines("country = \"DE\"", "", "");
    let (_, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.progress(b, 183, Some(audio("sendrecv", "0")));
    bench.told.playing.take();
    bench.progress(b, 180, None);
    assert_eq!(bench.rung(), [(183, true), (180, false)]);
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.9:4000".parse().unwrap()), "early media goes on");
    assert_eq!(bench.told.resets.borrow().len(), 0);
}

#[test]
fn a_far_side_that_describes_itself_and_is_silent_is_covered_by_a_tone_that_waits() {
    let mut bench = Bench::with_lines("country = \"DE\"", "", "");
    let (_, b) = bench.call(Some(audio("sendrecv", "8 0")));
    bench.progress(b, 180, None);
    assert_eq!(bench.played(), None, "the PBX rings by itself");
    bench.progress(b, 183, Some(audio("sendrecv", "8")));
    let score = bench.told.playing.borrow().expect("a tone");
    assert_eq!((score.plan, score.payload_type), (Plan::ringback("DE"), 8));
    assert_eq!(score.after, Duration::from_secs(2));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "8"))).unwrap();
    bench.pump();
    assert_eq!(bench.played(), None, "the answer ends it");
}

#[test]
fn a_far_side_that_was_heard_is_not_covered() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.progress(b, 183, Some(audio("sendrecv", "0")));
    bench.heard_from_cloud();
    bench.told.playing.take();
    bench.progress(b, 180, None);
    assert_eq!(bench.played(), None);
}

#[test]
fn media_follows_the_latest_early_dialog_that_described_itself() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.progress(b, 183, Some(audio("sendrecv", "0")));
    bench.other_fork("183 Session Progress", "other", 6000);
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.8:6000".parse().unwrap()));
    bench.other_fork("180 Ringing", "third", 0);
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.8:6000".parse().unwrap()), "ringing describes nothing");
    let tags: Vec<Vec<u8>> = bench
        .pbx_events
        .iter()
        .filter_map(|event| match event {
            Event::Progress { response, .. } => response.to_tag().map(<[u8]>::to_vec),
            _ => None,
        })
        .collect();
    assert!(tags.len() == 3 && tags.windows(2).all(|pair| pair[0] == pair[1]), "one early dialog for the PBX");
}

#[test]
fn a_dialog_that_ends_with_199_gives_the_caller_back_to_the_one_before_it() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.progress(b, 183, Some(audio("sendrecv", "0")));
    bench.other_fork("183 Session Progress", "other", 6000);
    bench.other_fork("199 Early Dialog Terminated", "other", 0);
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.9:4000".parse().unwrap()));
    assert_eq!(bench.rung().len(), 2, "199 is not the PBX's business");
}

#[test]
fn when_the_only_dialog_with_media_ends_the_caller_hears_it_ring() {
    let mut bench = Bench::new("");
    bench.call(Some(audio("sendrecv", "0")));
    bench.other_fork("183 Session Progress", "other", 6000);
    bench.heard_from_cloud();
    bench.told.playing.take();
    bench.other_fork("199 Early Dialog Terminated", "other", 0);
    assert_eq!(bench.played(), Some(Plan::ringback("US")));
    assert_eq!(*bench.told.resets.borrow(), [Side::B]);
}

#[test]
fn an_answer_without_description_means_the_early_dialog_that_it_belongs_to() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.progress(b, 183, Some(audio("sendrecv", "0")));
    bench.other_fork("183 Session Progress", "other", 6000);
    bench.cloud.answer(bench.now, b, vec![], None).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.9:4000".parse().unwrap()), "not the one that was heard last");
}

// --- reliable provisional responses

#[test]
fn both_legs_acknowledge_their_provisional_responses_for_themselves() {
    let mut bench = Bench::new_with("reliable = \"supported\"", "");
    let (a, b) = bench.call_on(Some(audio("sendrecv", "0 8")), RELIABLE);
    bench.cloud.agree(b, RELIABLE).unwrap();
    bench.progress(b, 183, Some(audio("sendrecv", "0")));
    assert_eq!(bench.rung(), [(183, true)]);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert!(answered(&bench.pbx_events), "the cloud's answer did not wait in vain for a PRACK");
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.state(), CallState::Held);
}

#[test]
fn a_pbx_that_never_acknowledges_is_refused_with_504() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call_on(Some(audio("sendrecv", "0")), RELIABLE);
    bench
        .cloud
        .provisional(bench.now, b, StatusCode::SESSION_PROGRESS, None, vec![], Some(audio("sendrecv", "0")))
        .unwrap();
    // Its PRACK never arrives.
    let carry = |bench: &mut Bench| {
        while let Some(transmit) = bench.cloud.poll_transmit() {
            bench.shard.receive(bench.now, source(CLOUD, GATEWAY), transmit.payload);
        }
        let mut to_pbx = Vec::new();
        while let Some(Transmit { hop, payload, .. }) = bench.shard.poll_transmit() {
            if hop.address == HopAddress::Socket(PBX.parse().unwrap()) {
                to_pbx.push(payload);
            } else {
                bench.cloud.receive(bench.now, source(GATEWAY, CLOUD), payload);
            }
        }
        to_pbx
    };
    carry(&mut bench);
    bench.now += Duration::from_secs(32);
    bench.shard.expire(bench.now);
    let refusals = carry(&mut bench);
    assert!(refusals.iter().any(|bytes| bytes.starts_with(b"SIP/2.0 504 ")), "{refusals:?}");
    bench.pump();
    assert_eq!(cause(&bench), Some(Cause::NoPrack));
}

#[test]
fn a_pbx_without_offer_gets_ours_in_the_reliable_ringing_and_answers_it_in_the_prack() {
    let mut bench = Bench::new("");
    let required = Terms { reliable: Wish::Required, ..Terms::PLAIN };
    let (a, b) = bench.call_on(None, required);
    bench.progress(b, 180, None);
    let Some(Event::Progress { response, .. }) = bench.pbx_events.last() else { panic!("{:?}", bench.pbx_events) };
    assert_eq!((status(response), response.body().is_empty()), (180, false), "a reliable 180 has to bring the offer");
    let response = response.clone();
    bench.pbx.prack(bench.now, a, &response, Some(&audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    let Some(Event::Answered { response, .. }) = bench.pbx_events.last() else { panic!("{:?}", bench.pbx_events) };
    assert_eq!(response.body(), b"", "another description would be another offer");
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert_eq!((bench.told(Side::A).remote, bench.records.len()), (Some("192.0.2.9:4000".parse().unwrap()), 0));
}

#[test]
fn a_trunk_that_switches_reliability_off_or_on_refuses_who_does_not_fit() {
    let refusal = |trunk: &str, terms: Terms| {
        let mut bench = Bench::with_lines(trunk, "", "");
        let invite = Invite {
            request_uri: format!("sip:+14155550199@{GATEWAY}"),
            hop: Hop {
                protocol: Protocol::Udp,
                address: HopAddress::Socket(GATEWAY.parse().unwrap()),
                connection: None,
            },
            from: "<sip:+14155550123@192.0.2.2>".to_owned(),
            to: format!("<sip:+14155550199@{GATEWAY}>"),
            contact_user: "pbx".to_owned(),
            max_forwards: 70,
            headers: vec![],
            body: Some(audio("sendrecv", "0")),
        };
        bench.pbx.invite_on(bench.now, invite, &terms);
        bench.pump();
        let Some(Event::Refused { response, .. }) = bench.pbx_events.first() else { panic!("{:?}", bench.pbx_events) };
        let told = |name| response.text(name).map(std::borrow::Cow::into_owned);
        let explained = told(HeaderName::Unsupported).or(told(HeaderName::Require)).or(told(HeaderName::MinSe));
        (status(response), explained.unwrap_or_default(), cause(&bench).unwrap())
    };
    let required = Terms { reliable: Wish::Required, ..Terms::PLAIN };
    assert_eq!(refusal("reliable = \"off\"", required), (420, "100rel".to_owned(), Cause::ExtensionOff));
    assert_eq!(refusal("reliable = \"required\"", Terms::PLAIN), (421, "100rel".to_owned(), Cause::ExtensionMissing));
}

#[test]
fn a_pbx_that_asks_for_too_short_a_session_is_told_the_shortest_and_asks_again() {
    let mut bench = Bench::with_lines("session_timer = { min_se = \"5m\" }", "", "");
    let refresher = session_timer::Preference::Any;
    let wish = session_timer::Wish::Ask { expires: Duration::from_secs(90), refresher };
    let session_timer = session_timer::Policy { wish, min_se: Duration::from_secs(90) };
    bench.call_on(Some(audio("sendrecv", "0")), Terms { session_timer, ..Terms::PLAIN });
    assert_eq!(cause(&bench), Some(Cause::SessionTooShort), "the first INVITE");
    assert_eq!(bench.state(), CallState::Calling, "the second one asks for enough");
}

// --- who is answered when

#[test]
fn a_caller_who_is_answered_at_once_hears_the_tone_until_the_far_side_answers() {
    let mut bench = Bench::with_lines("answer = \"immediate\"\ncountry = \"GB\"", "", "");
    let (a, b) = bench.call(Some(audio("sendrecv", "9 8 0")));
    assert!(answered(&bench.pbx_events));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    let score = bench.told.playing.borrow().expect("a tone");
    assert_eq!((score.plan, score.payload_type, score.after), (Plan::ringback("GB"), 0, Duration::ZERO));
    let offer = bench.cloud_events.iter().find_map(|event| match event {
        Event::Invited { request, .. } => Some(String::from_utf8_lossy(request.body()).into_owned()),
        _ => None,
    });
    assert!(offer.unwrap().contains("RTP/AVP 0\r\n"), "the codec that the caller was answered with, and no other");
    bench.progress(b, 180, None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!((bench.played(), bench.state()), (None, CallState::Held));
    assert!(bench.reports.iter().any(|report| matches!(report, Report::Answered(_))), "the companion goes to work");
    assert_eq!(bench.told(Side::A).payload_map.0[0], Some(0));
    bench.connect();
    assert_eq!(bench.state(), CallState::Connected);
    bench.cloud.bye(bench.now, b, vec![]).unwrap();
    bench.pump();
    assert!(hung_up(&bench.pbx_events));
    assert_eq!(cause(&bench), Some(Cause::CalleeHungUp));
}

#[test]
fn a_caller_without_offer_can_be_answered_at_once_too() {
    let mut bench = Bench::with_lines("answer = \"immediate\"", "", "");
    let (a, b) = bench.call(None);
    bench.pbx.acknowledge(bench.now, a, Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.told(Side::A).remote, Some("192.0.2.9:4000".parse().unwrap()));
    assert!(bench.played().is_some());
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.state(), CallState::Held);
}

#[test]
fn a_caller_who_was_answered_at_once_and_in_vain_is_hung_up_with_the_reason() {
    let mut bench = Bench::with_lines("answer = \"immediate\"", "", "retry_on = []");
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.cloud.reject(bench.now, b, StatusCode::BUSY_HERE, None, vec![]).unwrap();
    bench.pump();
    let bye = bench.pbx_events.iter().find_map(|event| match event {
        Event::HungUp { request, .. } => request.text(HeaderName::Reason).map(std::borrow::Cow::into_owned),
        _ => None,
    });
    assert!(bye.expect("a BYE with its reason").contains("Q.850;cause=17"));
}

#[test]
fn a_caller_rings_until_it_has_met_the_bot() {
    let mut bench = Bench::with_lines("answer = \"ringing\"", "", "");
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.progress(b, 183, Some(audio("sendrecv", "0")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.rung(), [(180, false)], "no media before the answer");
    assert!(!answered(&bench.pbx_events));
    assert_eq!(bench.state(), CallState::Held);
    assert!(bench.reports.iter().any(|report| matches!(report, Report::Answered(_))));
    bench.connect();
    assert!(answered(&bench.pbx_events));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert_eq!(bench.state(), CallState::Connected);
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.9:4000".parse().unwrap()));
}

#[test]
fn a_bot_that_is_never_met_is_a_refusal_for_a_caller_who_still_rings() {
    let mut bench = Bench::with_lines("answer = \"ringing\"", "", "");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Hangup);
    assert_eq!(status_of_refusal(&bench.pbx_events).map(|(status, _)| status), Some(504), "the truth, not an answer");
    assert!(hung_up(&bench.cloud_events));
}

#[test]
fn a_caller_who_still_rings_is_taken_by_the_fallback() {
    let mut bench = Bench::with_lines("answer = \"ringing\"", "", TO_PBX);
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    assert!(hung_up(&bench.cloud_events), "nobody heard it: it is let go at once");
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert!(answered(&bench.pbx_events));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert_eq!(bench.state(), CallState::Connected);
}

#[test]
fn a_caller_who_gives_up_while_the_bot_is_awaited_ends_the_call() {
    let mut bench = Bench::with_lines("answer = \"ringing\"", "", "");
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.cancel(bench.now, a, vec![]).unwrap();
    bench.pump();
    assert_eq!(cause(&bench), Some(Cause::CallerCancelled));
    assert!(hung_up(&bench.cloud_events));
}

#[test]
fn a_caller_whose_music_ends_while_the_fallback_rings_hears_a_tone() {
    let mut bench = Bench::new(TO_PBX);
    let (_, b) = bench.connected();
    bench.fail(OnFailure::Fallback);
    assert_eq!(bench.played(), None, "the old leg plays");
    bench.cloud.bye(bench.now, b, vec![]).unwrap();
    bench.pump();
    assert_eq!(bench.played(), Some(Plan::ringback("US")));
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.played(), None);
}

// --- session timers

#[test]
fn a_leg_that_nobody_refreshes_ends_the_call_on_both_sides() {
    for (trunk, target, gone, expected) in [
        ("session_timer = { expires = \"90s\", refresher = \"us\" }", "", "pbx", Cause::PbxLostDialog),
        ("", "session_timer = { expires = \"90s\", refresher = \"us\" }", "cloud", Cause::CloudLostDialog),
    ] {
        let mut bench = Bench::with_lines(trunk, target, "");
        bench.connected();
        bench.pass(Duration::from_secs(44));
        assert!(bench.records.is_empty());
        // From here on one of them is dead.
        for _ in 0..40 {
            bench.now += Duration::from_secs(1);
            bench.shard.expire(bench.now);
            while let Some(Transmit { hop, payload, .. }) = bench.shard.poll_transmit() {
                let to_pbx = hop.address == HopAddress::Socket(PBX.parse().unwrap());
                if to_pbx && gone != "pbx" {
                    bench.pbx.receive(bench.now, source(GATEWAY, PBX), payload);
                } else if !to_pbx && gone != "cloud" {
                    bench.cloud.receive(bench.now, source(GATEWAY, CLOUD), payload);
                }
            }
        }
        bench.pump();
        assert_eq!(
            cause(&bench),
            Some(if expected == Cause::PbxLostDialog { Cause::SessionExpiredPbx } else { Cause::SessionExpiredCloud })
        );
        assert!(hung_up(if gone == "pbx" { &bench.cloud_events } else { &bench.pbx_events }), "the other one is told");
    }
}

#[test]
fn our_refreshes_change_nothing_and_keep_the_call_alive() {
    let mut bench = Bench::new_with("session_timer = { expires = \"90s\", refresher = \"us\" }", "");
    let (_, b) = bench.connected();
    let before = bench.told(Side::B);
    let mut refreshed = 0;
    for _ in 0..300 {
        bench.pass(Duration::from_secs(1));
        let asked = bench.cloud_events.drain(..).filter(|event| matches!(event, Event::Reinvited { .. })).count();
        if asked > 0 {
            refreshed += asked;
            bench.cloud.answer(bench.now, b, Headers::new(), Some(audio("sendrecv", "0"))).unwrap();
            bench.pump();
        }
    }
    assert!(bench.records.is_empty(), "{:?}", bench.records.first().and_then(|record| record.termination.clone()));
    assert!(!bench.pbx_events.iter().any(|event| matches!(event, Event::Reinvited { .. })), "not the PBX's business");
    assert_eq!(bench.told(Side::B).remote, before.remote);
    assert!(refreshed >= 5 || bench.cloud.census().legs == 1, "{refreshed}");
}

// --- UPDATE before the answer

/// The PBX sends this UPDATE in its early dialog; the gateway's response.
fn update_early(bench: &mut Bench, offer: &Body) -> String {
    let rung = bench.pbx_events.iter().rev().find_map(|event| match event {
        Event::Progress { response, .. } => Some(response),
        _ => None,
    });
    let rung = rung.expect("an early dialog");
    let copy = |name: HeaderName| format!("{}: {}", name.as_str(), rung.text(name).unwrap());
    let request = format!(
        "UPDATE sip:{GATEWAY} SIP/2.0\r\nVia: SIP/2.0/UDP {PBX};branch=z9hG4bK-update\r\n{}\r\n{}\r\n{}\r\n\
         CSeq: 3 UPDATE\r\nMax-Forwards: 70\r\nContact: <sip:pbx@{PBX}>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{}",
        copy(HeaderName::From),
        copy(HeaderName::To),
        copy(HeaderName::CallId),
        offer.bytes.len(),
        String::from_utf8_lossy(&offer.bytes)
    );
    bench.shard.receive(bench.now, source(PBX, GATEWAY), request.into());
    let mut said = String::new();
    while let Some(transmit) = bench.shard.poll_transmit() {
        said += &String::from_utf8_lossy(&transmit.payload);
    }
    said
}

#[test]
fn a_call_that_begins_inactive_gets_audio_by_an_update_before_the_answer() {
    let mut bench = Bench::new_with("reliable = \"supported\"", "");
    let (a, b) = bench.call_on(Some(audio("inactive", "0 8")), RELIABLE);
    bench.progress(b, 183, Some(audio("inactive", "0")));
    let said = update_early(&mut bench, &audio("sendrecv", "0 8"));
    assert!(
        said.starts_with("SIP/2.0 200 ") && said.contains("a=sendrecv"),
        "the cloud only followed the caller, and will again: {said}"
    );
    bench.cloud.answer(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    let told = bench.cloud_events.iter().any(|event| match event {
        Event::Reinvited { request, .. } => String::from_utf8_lossy(request.body()).contains("a=sendrecv"),
        _ => false,
    });
    assert!(told, "the cloud is told once the call is up");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    for side in [Side::A, Side::B] {
        assert_eq!((bench.told(side).send, bench.told(side).receive), (Flow::Open, Flow::Open));
    }
}

#[test]
fn an_update_before_the_answer_does_not_end_a_hold_of_the_far_side() {
    let mut bench = Bench::new_with("reliable = \"supported\"", "");
    let (_, b) = bench.call_on(Some(audio("sendrecv", "0 8")), RELIABLE);
    bench.progress(b, 183, Some(audio("inactive", "0")));
    let said = update_early(&mut bench, &audio("sendrecv", "0"));
    assert!(said.starts_with("SIP/2.0 200 ") && said.contains("a=inactive"), "{said}");
}
