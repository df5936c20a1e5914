//! Each PBX family with messages of its own: its INVITEs are explained with its profile, and what it sends during a call is
//! understood. And its guide: every configuration in it is one that `check` takes.

use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use trunkline::clock::{self, Entropy};
use trunkline::config;
use trunkline::config::session::{OwnTimer, Refresher, Reliable, SessionTimer};
use trunkline::explain::{Case, Explanation, Outcome, Question, explain};
use trunkline::gateway::stage;
use trunkline::sdp::{Description, Direction};
use trunkline::sip::endpoint::{Endpoint, Event};
use trunkline::sip::header::{Elements, NameAddr, Reason};
use trunkline::sip::{HeaderName, Message, Protocol, Source};
use trunkline::trunk::profile::FAMILIES;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder(family: &str) -> PathBuf {
    root().join("sip-fixtures/messages").join(family)
}

fn read(family: &str, name: &str) -> Message {
    let path = folder(family).join(format!("{name}.sip"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let message = Message::parse(Bytes::from(bytes)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    message.check().unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    message
}

async fn explained(family: &str, name: &str) -> Explanation {
    let file = format!(
        "[sip]\nlisten = [\"udp:203.0.113.10:5060\"]\n[[trunk]]\nname = \"pbx\"\nprofile = \"{family}\"\npeers = [\"192.0.2.0/24\"]\n\
         [[target]]\nname = \"bots\"\nkind = \"sip\"\nuri = \"sip:bots@198.51.100.1\"\n\
         headers = {{ x-original = \"{{original_called}} {{redirect_reason}}\" }}\n[[route]]\ntargets = [\"bots\"]\n"
    );
    let stage = stage(config::parse(&file).unwrap()).await.unwrap();
    let input = read(family, name).bytes().clone();
    let question = Question { input, source: Some("192.0.2.10".parse().unwrap()), ..Question::default() };
    match explain(&stage, &question, clock::now()).unwrap().invites.remove(0) {
        Case::Explained(explanation) => *explanation,
        Case::Unreadable(unreadable) => panic!("{family}/{name}: {unreadable}"),
    }
}

/// Family, INVITE, caller, called, number dialled first and why it was redirected.
const CALLS: [(&str, &str, &str, &str, &str); 17] = [
    ("generic", "invite", "+12025550123", "+12025550199", ""),
    ("avaya-aura", "extension-with-ucid", "1175", "71506", ""),
    ("avaya-aura", "forwarded-pstn-caller", "+12025550123", "+12025550199", "+12025550150 no-answer"),
    ("avaya-ipo", "invite-diverted", "+12025550123", "+12025550199", "+12025550150 no-answer"),
    ("avaya-ipo", "invite-from-only", "201", "7100", ""),
    ("cisco-cucm", "delayed-offer", "3427", "7359", ""),
    ("cisco-cucm", "restricted-caller", "anonymous", "+12025550199", ""),
    ("cisco-cucm", "invite-redirected", "+12025550123", "+12025550199", "+12025550150 unconditional"),
    ("asterisk", "invite", "+12025550123", "5000", ""),
    ("asterisk", "invite-without-number", "+12025550123", "+12025550199", ""),
    ("freeswitch", "remote-party-id", "1001", "1000", ""),
    ("freeswitch", "invite-account-in-from", "+12025550123", "+12025550199", ""),
    ("teams", "two-identities", "+12025550123", "+12025550199", "+12025550150 unconditional"),
    ("teams", "invite-forwarded-pai", "+12025550123", "+12025550199", "+12025550150 unconditional"),
    ("genesys", "invite", "+12025550123", "8001", "+12025550150 unknown"),
    ("genesys", "invite-without-offer", "+12025550123", "8001", ""),
    ("genesys", "invite-cloud", "+12025550123", "+12025550199", ""),
];

#[tokio::test]
async fn the_invites_of_each_family_are_explained_by_its_profile() {
    for (family, name, caller, called, original) in CALLS {
        let told = explained(family, name).await;
        let Outcome::Called { caller: found, called: dialled, .. } = &told.story.outcome else {
            panic!("{family}/{name}: {:#?}", told.story)
        };
        assert_eq!((found.as_str(), dialled.as_str()), (caller, called), "{family}/{name}");
        let sent = told.story.sent.unwrap().message;
        let header = sent.lines().find_map(|line| line.strip_prefix("x-original: ")).unwrap_or_default();
        assert_eq!(header.trim(), original, "{family}/{name}");
    }
}

#[test]
fn every_family_has_all_its_messages_and_every_invite_of_them_is_in_a_table() {
    let identity = std::fs::read_to_string(root().join("sip-fixtures/messages/identity.toml")).unwrap();
    for family in FAMILIES {
        let names: BTreeSet<String> = std::fs::read_dir(folder(family.name))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        for name in ["reinvite-hold", "options", "refer", "bye"] {
            assert!(names.contains(name), "{}/{name}", family.name);
        }
        for name in &names {
            let message = read(family.name, name);
            let begins = message.method_bytes() == b"INVITE" && message.to_tag().is_none();
            let listed = CALLS.iter().any(|(of, call, ..)| of == &family.name && call == name);
            // What its numbers are stands in the table here, or in the one of the identity tests.
            assert!(
                !begins || listed || identity.contains(&format!("\"{}/{name}.sip\"", family.name)),
                "{}/{name}",
                family.name
            );
        }
    }
}

#[test]
fn hold_is_seen_in_the_way_in_which_each_family_asks_for_it() {
    for (family, direction) in [
        // RFC 3264 §8.4: the old way is an address of zeros.
        ("generic", Direction::SendOnly),
        ("avaya-aura", Direction::SendOnly),
        ("avaya-ipo", Direction::SendOnly),
        ("cisco-cucm", Direction::Inactive),
        ("asterisk", Direction::SendOnly),
        ("freeswitch", Direction::SendOnly),
        ("teams", Direction::Inactive),
        ("genesys", Direction::SendOnly),
    ] {
        let description = Description::parse(read(family, "reinvite-hold").body()).unwrap();
        assert_eq!(description.audio().unwrap().direction, direction, "{family}");
    }
    assert!(read("cisco-cucm", "reinvite-music").body().is_empty(), "music on hold is offered by whom is asked");
}

#[test]
fn the_options_of_each_family_reach_the_layer_that_answers_them() {
    for family in FAMILIES {
        let options = read(family.name, "options");
        let settings = trunkline::sip::endpoint::Settings {
            t1: std::time::Duration::from_millis(500),
            t2: std::time::Duration::from_secs(4),
            t4: std::time::Duration::from_secs(5),
            user_agent: "test".to_owned(),
            locals: vec![],
            call_id_prefix: "tl00-".to_owned(),
            shard: 0,
        };
        let mut endpoint = Endpoint::new(settings, Entropy::seeded(1));
        let (peer, local) = ("192.0.2.10:5060".parse().unwrap(), "203.0.113.10:5060".parse().unwrap());
        let source = Source { protocol: Protocol::Udp, peer, local, connection: None };
        endpoint.receive_message(clock::now(), source, options);
        let event = endpoint.poll_event();
        assert!(matches!(event, Some(Event::OutOfDialog { .. })), "{}: {event:?}", family.name);
    }
}

#[test]
fn transfers_and_causes_of_each_family_are_read() {
    for (family, target) in [
        ("generic", "7000"),
        ("avaya-aura", "71600"),
        ("avaya-ipo", "+12025550160"),
        ("cisco-cucm", "7360"),
        ("asterisk", "7001"),
        ("freeswitch", "1001"),
        ("teams", ""),
        ("genesys", "8100"),
    ] {
        let refer = read(family, "refer");
        let to = NameAddr::parse(refer.value(HeaderName::ReferTo).unwrap()).unwrap();
        let user = to.uri().unwrap().subscriber().map(|user| String::from_utf8_lossy(&user).into_owned());
        assert_eq!(user.unwrap_or_default(), target, "{family}");
        let replaces = to.uri().unwrap().header_pairs().any(|(name, _)| name.eq_ignore_ascii_case(b"Replaces"));
        assert_eq!(replaces, family == "cisco-cucm", "{family}");

        let bye = read(family, "bye");
        let value = bye.value(HeaderName::Reason).unwrap();
        let cause = if family == "generic" { 26 } else { 16 };
        assert_eq!(Reason::q850_cause(value), Some(cause), "{family}");
        assert!(Elements::new(value).all(|element| Reason::parse(element).is_ok()), "{family}");
    }
}

#[test]
fn each_family_has_the_session_timer_and_the_provisional_responses_of_its_pbx() {
    let minutes = |minutes: u64| {
        let span = |seconds| config::value::Span::from_secs(seconds);
        SessionTimer::Own(OwnTimer { expires: span(minutes * 60), min_se: span(90), refresher: Refresher::Any })
    };
    for (family, timer, reliable) in [
        ("generic", SessionTimer::ACCEPT, None),
        ("avaya-aura", minutes(20), Some(Reliable::Supported)),
        ("avaya-ipo", SessionTimer::ACCEPT, None),
        ("cisco-cucm", minutes(30), None),
        ("asterisk", minutes(30), Some(Reliable::Supported)),
        // Its own longest session is hours, so what it asks for is taken.
        ("freeswitch", SessionTimer::ACCEPT, Some(Reliable::Off)),
        ("teams", minutes(30), None),
        ("genesys", SessionTimer::ACCEPT, None),
    ] {
        for (more, expected) in [("", (timer, reliable)), OWN] {
            let text =
                format!("{PLAIN}[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.1\"]\nprofile = \"{family}\"\n{more}");
            let config = config::parse(&text).unwrap_or_else(|error| panic!("{family}: {error}"));
            let trunk = config.trunks.first().unwrap();
            assert_eq!((trunk.session_timer, trunk.reliable), expected, "{family}: {more}");
        }
    }
}

const PLAIN: &str = "[sip]\nlisten = [\"udp:203.0.113.10:5060\"]\n[[target]]\nname = \"bots\"\nkind = \"sip\"\n\
                     uri = \"sip:bots@198.51.100.1\"\n[[route]]\ntargets = [\"bots\"]\n";

/// What stands in the file wins over every profile.
const OWN: (&str, (SessionTimer, Option<Reliable>)) = (
    "session_timer = \"off\"\nreliable = \"required\"\n",
    (SessionTimer::Plain(config::session::PlainTimer::Off), Some(Reliable::Required)),
);

#[test]
fn every_family_has_a_guide_and_every_configuration_in_it_is_taken() {
    for family in FAMILIES {
        let path = root().join(format!("docs/pbx/{}.md", family.name));
        let guide = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let blocks: Vec<&str> =
            guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(!blocks.is_empty(), "{}", path.display());
        for block in blocks {
            let text = block.replace("${env:DAILY_API_KEY}", "key").replace("${env:DAILY_PINLESS_HMAC}", "c2VjcmV0");
            let config = config::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let own = config.trunks.iter().any(|trunk| serde_json::to_value(trunk.profile).unwrap() == family.name);
            assert!(own, "{}", path.display());
        }
        for preset in family.presets {
            assert!(
                guide.contains(&format!("`{}`", preset.key)),
                "{} tells nothing of `{}`",
                path.display(),
                preset.key
            );
        }
    }
}
