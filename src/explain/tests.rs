//! The whole answer, played on a stage of one small configuration.

use super::page::{Paint, page};
use super::*;
use crate::clock;
use crate::sip::LocalAddress;
use std::path::Path;
use std::time::{Duration, SystemTime};

const FILE: &str = r#"
[sip]
listen = ["udp:203.0.113.10:5060", "tcp:203.0.113.10:5060"]
[[trunk]]
name = "avaya"
peers = ["192.0.2.10"]
[[trunk]]
name = "branch"
peers = ["198.51.100.0/24"]
trust = false
max_calls = 0
[[target]]
name = "daily"
kind = "daily"
uri = "sip:static--1@example.sip.daily.co"
[[target]]
name = "bots"
kind = "sip"
uri = "sip:bots@203.0.113.99;transport=tcp?x-tenant=north"
codecs = ["opus"]
[[route]]
called = '^\+1303'
targets = ["bots"]
[[route]]
caller = '.'
targets = ["daily", "bots"]
fallback = { status = 480, reason = "Call later" }
[[route]]
targets = ["bots"]
[daily]
api_key = "k"
hmac = "c2VjcmV0"
[[room]]
trunk = "branch"
[[room]]
bot = { start_url = "https://bots.example.com/start?key=hidden", token = "hidden", body = { secret = "hidden" } }
"#;

fn stage_of(file: &str) -> Stage {
    let config: Config = toml::from_str(file).unwrap();
    let local = |protocol| LocalAddress {
        protocol,
        bind: "203.0.113.10:5060".parse().unwrap(),
        advertised: "203.0.113.10:5060".to_owned(),
    };
    let shard = ShardSettings {
        shard: 0,
        from_host: "203.0.113.10".to_owned(),
        media_address: "203.0.113.10".parse().unwrap(),
        epoch: (clock::now(), SystemTime::UNIX_EPOCH),
        draining: false,
    };
    let sip = Settings {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        user_agent: "test".to_owned(),
        locals: vec![local(Protocol::Udp), local(Protocol::Tcp)],
        call_id_prefix: "tl00-".to_owned(),
        shard: 0,
    };
    Stage { config, resolved: HashMap::new(), shard, sip }
}

fn ask(question: &Question) -> Result<Report, AskError> {
    explain(&stage_of(FILE), question, clock::now())
}

fn fixture(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/messages").join(name);
    Bytes::from(std::fs::read(path).unwrap())
}

fn from(source: &str, input: Bytes) -> Question {
    Question { input, source: Some(source.parse().unwrap()), ..Question::default() }
}

fn only(question: &Question) -> Explanation {
    match ask(question).unwrap().invites.remove(0) {
        Case::Explained(explanation) => *explanation,
        Case::Unreadable(unreadable) => panic!("{unreadable}"),
    }
}

const AVAYA: &str = "avaya-aura/forwarded-pstn-caller.sip";

fn refused(outcome: &Outcome) -> (u16, Option<&str>) {
    match outcome {
        Outcome::Refused { status, code, .. } => (*status, code.as_deref()),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn a_call_is_told_from_its_trunk_to_the_invite_that_would_leave() {
    let told = only(&from("192.0.2.10", fixture(AVAYA)));
    let story = &told.story;
    let called = Outcome::Called {
        trunk: "avaya".to_owned(),
        target: "daily".to_owned(),
        caller: "+12025550123".to_owned(),
        called: "+12025550199".to_owned(),
    };
    assert_eq!(story.outcome, called);
    assert!(told.otherwise.is_none());
    let sent = story.sent.as_ref().unwrap();
    assert_eq!(sent.to, "example.sip.daily.co");
    for line in
        ["INVITE sip:static--1@example.sip.daily.co SIP/2.0", "x-caller: +12025550123", "m=audio 20002 RTP/AVP 0 8 101"]
    {
        assert!(sent.message.lines().any(|found| found == line), "{line}: {}", sent.message);
    }
    assert_eq!(sent.bytes, sent.message.len());
    let failed = |step: &Step| match step {
        Step::Route { failed, .. } | Step::Room { failed, .. } | Step::Trunk { failed, .. } => failed.clone(),
        step => panic!("{step:?}"),
    };
    assert_eq!(failed(&story.passed_over[0]).as_deref(), Some("would fit, but route 2 stands before it"));
    assert_eq!(failed(&story.room[0]).as_deref(), Some("the trunk is `avaya`, not `branch`"));
    assert_eq!(failed(&story.room[1]), None);
    assert!(story.afterwards[0].contains("target `bots` at tcp 203.0.113.99:5060"), "{:?}", story.afterwards);
    assert!(story.afterwards[1].contains("480 Call later"), "{:?}", story.afterwards);
}

#[test]
fn the_same_question_has_the_same_answer_and_no_secret_in_it() {
    let question = from("192.0.2.10", fixture(AVAYA));
    let text = |report: Report| serde_json::to_string(&report).unwrap();
    let first = text(ask(&question).unwrap());
    assert_eq!(first, text(ask(&question).unwrap()));
    assert!(!first.contains("hidden"), "{first}");
}

#[test]
fn a_stranger_is_refused_and_a_named_trunk_tells_what_would_have_come() {
    let stranger = from("203.0.113.200", fixture(AVAYA));
    let told = only(&stranger);
    assert_eq!(refused(&told.story.outcome), (403, Some("unknown_source")));
    assert!(told.story.response.as_ref().unwrap().contains("SIP/2.0 403"));
    assert!(told.otherwise.is_none(), "nothing is supposed unless a trunk is named");
    let told = only(&Question { trunk: Some("avaya".to_owned()), ..stranger });
    assert_eq!(refused(&told.story.outcome), (403, Some("unknown_source")));
    let otherwise = told.otherwise.unwrap();
    assert_eq!(otherwise.supposing, "it came from trunk `avaya`");
    assert!(otherwise.story.sent.is_some());
}

#[test]
fn limits_of_a_trunk_are_told_without_taking_a_slot() {
    let told = only(&from("198.51.100.5", fixture(AVAYA)));
    assert_eq!(refused(&told.story.outcome), (503, Some("trunk_full")));
}

#[test]
fn an_unusable_session_description_does_not_hide_what_comes_behind_it() {
    let text = String::from_utf8(fixture("avaya-aura/extension-with-ucid.sip").to_vec()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or_else(|| text.split_once("\n\n").unwrap());
    let head: String =
        head.lines().filter(|line| !line.starts_with("Content-Length")).map(|line| format!("{line}\r\n")).collect();
    let video = format!(
        "{head}\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    );
    let told = only(&from("192.0.2.10", Bytes::from(video)));
    assert_eq!(refused(&told.story.outcome), (488, Some("no_usable_media")));
    let otherwise = told.otherwise.unwrap();
    assert!(otherwise.supposing.contains("without a session description"), "{}", otherwise.supposing);
    assert!(otherwise.story.sent.is_some());
}

#[test]
fn what_the_stack_refuses_before_a_call_exists_is_told_too() {
    let text = String::from_utf8(fixture(AVAYA).to_vec()).unwrap().replacen(
        "Max-Forwards:",
        "Require: nothing-known\r\nMax-Forwards:",
        1,
    );
    let told = only(&from("192.0.2.10", Bytes::from(text)));
    assert_eq!(refused(&told.story.outcome), (420, None));
    assert!(told.story.response.unwrap().contains("Unsupported: nothing-known"));
    assert_eq!(told.otherwise.unwrap().supposing, "it came without Require");
}

#[test]
fn a_message_that_cannot_be_used_is_named_with_line_and_remedy() {
    let text = "  INVITE sip:5000@203.0.113.10 SIP/2.0\n  Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\n  From: <sip:1@192.0.2.10>;tag=1\n  \
        To: <sip:5000@203.0.113.10>\n  Call-ID: a\n  CSeq: 1 BYE\n  Contact: <sip:1@192.0.2.10>\n\n";
    let report = ask(&Question { input: Bytes::from(text), ..Question::default() }).unwrap();
    let [Case::Unreadable(unreadable)] = report.invites.as_slice() else { panic!("{report:?}") };
    assert_eq!(unreadable.line, 6);
    assert!(!unreadable.remedy.is_empty());
    assert!(unreadable.response.as_ref().unwrap().starts_with("400 "), "{unreadable}");
    assert!(!report.is_complete());
    let missing = text.replace("  Contact: <sip:1@192.0.2.10>\n", "").replace("BYE", "INVITE");
    let report = ask(&Question { input: Bytes::from(missing), ..Question::default() }).unwrap();
    assert!(page(&report, Paint::Plain).contains("paste the message with its"), "{}", page(&report, Paint::Plain));
}

#[test]
fn questions_that_name_what_does_not_exist_are_refused() {
    let question = |trunk: Option<&str>, call_id: Option<&str>| Question {
        trunk: trunk.map(str::to_owned),
        call_id: call_id.map(str::to_owned),
        ..from("192.0.2.10", fixture(AVAYA))
    };
    let error = ask(&question(Some("nobody"), None)).unwrap_err().to_string();
    assert!(error.contains("avaya, branch"), "{error}");
    let error = ask(&question(None, Some("nothing"))).unwrap_err().to_string();
    assert!(error.contains("65c2a587"), "{error}");
    assert!(ask(&question(Some("avaya"), Some("65c2a587"))).is_ok());
    assert!(ask(&Question::default()).is_err());
}

#[test]
fn what_a_gateway_like_this_one_sent_is_left_out_unless_asked_for() {
    let told = only(&from("192.0.2.10", fixture(AVAYA)));
    let both = [&fixture(AVAYA)[..], b"\r\n", told.story.sent.unwrap().message.as_bytes()].concat();
    let report = ask(&from("192.0.2.10", Bytes::from(both))).unwrap();
    assert_eq!(report.invites.len(), 1);
    assert!(report.remarks[0].starts_with("1 INVITE(s) that a gateway like this one sent"), "{:?}", report.remarks);
}

#[test]
fn the_page_keeps_to_its_columns_and_has_colour_only_for_eyes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/messages");
    let mut pages = 0;
    for family in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(family).unwrap().map(|entry| entry.unwrap().path()) {
            let question = Question {
                trunk: Some("avaya".to_owned()),
                ..from("203.0.113.200", Bytes::from(std::fs::read(&path).unwrap()))
            };
            let Ok(report) = ask(&question) else { continue };
            let plain = page(&report, Paint::Plain);
            pages += 1;
            assert!(!plain.contains('\x1b'), "{}", path.display());
            for line in plain.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", path.display());
            }
            assert!(page(&report, Paint::Colour).contains("\x1b["), "{}", path.display());
        }
    }
    assert!(pages >= 10, "{pages}");
}

#[test]
fn a_capture_is_explained_with_the_addresses_of_its_packets() {
    let invite = fixture(AVAYA);
    let mut packet = vec![];
    let builder = etherparse::PacketBuilder::ipv4([192, 0, 2, 10], [203, 0, 113, 10], 64).udp(5070, 5060);
    builder.write(&mut packet, &invite).unwrap();
    let word = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let header = [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 8], &word(65_535), &word(101)].concat();
    let capture = [&header[..], &[0; 8], &word(packet.len()), &word(packet.len()), &packet].concat();
    let told = only(&Question { input: Bytes::from(capture), ..Question::default() });
    assert_eq!(told.given.source, "192.0.2.10:5070".parse().unwrap());
    assert_eq!(told.given.destination, Some("203.0.113.10:5060".parse().unwrap()));
    assert_eq!(told.given.source_known_by, "the capture");
    assert!(told.story.sent.is_some());
}
