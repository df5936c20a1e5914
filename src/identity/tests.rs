//! From whole messages to numbers, with the steps that explain them.

use super::shown::Viewer;
use super::*;
use crate::config::Config;
use crate::trunk::Table;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

fn trunk(more: &str) -> Arc<Trunk> {
    let text = format!("[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.10\"]\n{more}");
    let config: Config = toml::from_str(&text).unwrap();
    Table::new(&config, &HashMap::new()).by_name("pbx").unwrap()
}

fn invite(uri: &str, headers: &[&str]) -> Message {
    let text = format!("INVITE {uri} SIP/2.0\r\n{}\r\nContent-Length: 0\r\n\r\n", headers.join("\r\n"));
    Message::parse(Bytes::from(text)).unwrap()
}

/// What a target without a policy of its own sees, and what routes match on.
#[derive(Debug)]
struct Seen {
    caller: String,
    called: String,
    caller_name: Option<String>,
    caller_key: String,
    called_key: String,
    original_called: Option<String>,
    redirect_reason: Option<String>,
    numbers: Numbers,
}

fn decided(message: &Message, more: &str) -> (Result<Seen, Termination>, Vec<Step>) {
    decided_in(message, more, NumberFormat::E164)
}

fn decided_in(message: &Message, more: &str, format: NumberFormat) -> (Result<Seen, Termination>, Vec<Step>) {
    let mut steps = vec![];
    let trunk = trunk(more);
    let config = config::numbers::Numbers { format, ..config::numbers::Numbers::default() };
    let seen = decide(message, &trunk, &config, &mut steps).map(|numbers| {
        let viewer = Viewer { target: "cloud", trunk: trunk.config.privacy, own: None };
        let shown = numbers.shown(viewer, &mut steps);
        let original = numbers.original_called.as_ref();
        Seen {
            caller: shown.caller,
            called: shown.called,
            caller_name: shown.caller_name,
            caller_key: numbers.caller_key().to_owned(),
            called_key: numbers.called_key().to_owned(),
            original_called: original.map(|_| numbers.redirected_in(original, numbers.form, shown.withheld)),
            redirect_reason: original.and_then(|original| original.reason.clone()),
            numbers,
        }
    });
    (seen, steps)
}

fn numbers(headers: &[&str], more: &str) -> Seen {
    decided(&invite("sip:7000@192.0.2.1", headers), more).0.unwrap()
}

fn verdicts(headers: &[&str], more: &str) -> Vec<(String, String)> {
    let (_, steps) = decided(&invite("sip:7000@192.0.2.1", headers), more);
    let told = |step| match step {
        Step::Identity { number: Number::Caller, source, verdict, .. } => Some((source, verdict)),
        _ => None,
    };
    steps.into_iter().filter_map(told).collect()
}

const FROM: &str = "From: \"Desk\" <sip:1001@192.0.2.10>;tag=a";

#[test]
fn the_caller_is_taken_from_the_first_source_that_names_one() {
    for (headers, caller, name) in [
        (vec![FROM], "1001", Some("Desk")),
        (vec![FROM, "P-Asserted-Identity: <sip:+12025550123@192.0.2.10>"], "+12025550123", Some("Desk")),
        (
            vec![FROM, "P-Asserted-Identity: \"Example, Alice\" <sip:2025550123@192.0.2.10>"],
            "+12025550123",
            Some("Example, Alice"),
        ),
        (vec![FROM, "P-Asserted-Identity: <tel:+1-202-555-0123>"], "+12025550123", Some("Desk")),
        (
            vec![FROM, "P-Asserted-Identity: \"A\" <sip:alice@example.com>, <tel:+12025550123>"],
            "+12025550123",
            Some("A"),
        ),
        (
            vec![
                FROM,
                "P-Asserted-Identity: <tel:+12025550123>",
                "P-Asserted-Identity: <sip:+12025550199@example.com>",
            ],
            "+12025550123",
            Some("Desk"),
        ),
        (vec![FROM, "P-Asserted-Identity: \"broken <sip:1002@x>"], "1002", Some("broken")),
        (
            vec![FROM, "P-Asserted-Identity: \"Bob \"The Desk\" B, Jr\" <sip:+12025550123@x>, <tel:+12025550123>"],
            "+12025550123",
            Some("Bob \"The Desk\" B, Jr"),
        ),
        (vec![FROM, "P-Asserted-Identity: <sip:\\u95>, <sip:1003@x>"], "1003", Some("Desk")),
        (vec![FROM, "P-Preferred-Identity: <sip:+12025550123@192.0.2.10>"], "+12025550123", Some("Desk")),
        (vec!["From: <sip:unavailable@unknown.invalid>;tag=a"], "anonymous", None),
        (vec!["From: <tel:+1-202-555-0123;ext=44>;tag=a"], "+12025550123", None),
        (
            vec![FROM, "Remote-Party-ID: <sip:2025550123@192.0.2.10>;party=calling;privacy=off"],
            "+12025550123",
            Some("Desk"),
        ),
        (
            vec![FROM, "Remote-Party-ID: <sip:2025550123@192.0.2.10>;privacy=off;screen=no"],
            "+12025550123",
            Some("Desk"),
        ),
        (vec![FROM, "Remote-Party-ID: <sip:2025550123@192.0.2.10>;party=called"], "1001", Some("Desk")),
        (
            vec![
                "From: \"anonymous\" <sip:anonymous@anonymous.invalid>;tag=a",
                "P-Asserted-Identity: <sip:+12025550123@192.0.2.10>",
            ],
            "anonymous",
            None,
        ),
        (vec!["From: \"anonymous\" <sip:anonymous@anonymous.invalid>;tag=a"], "anonymous", None),
        (vec!["From: <sip:192.0.2.10>;tag=a"], "anonymous", None),
        (vec![], "anonymous", None),
    ] {
        let numbers = numbers(&headers, "");
        assert_eq!((numbers.caller.as_str(), numbers.caller_name.as_deref()), (caller, name), "{headers:?}");
    }
}

#[test]
fn an_untrusted_trunk_is_not_believed_and_the_record_says_so() {
    let headers = [FROM, "P-Asserted-Identity: <sip:+12025550123@192.0.2.10>"];
    assert_eq!(numbers(&headers, "trust = false\n").caller, "1001");
    assert_eq!(
        verdicts(&headers, "trust = false\n"),
        [
            ("P-Asserted-Identity".to_owned(), "not believed: `trust` of the trunk is false".to_owned()),
            ("From".to_owned(), "taken".to_owned()),
        ]
    );
}

#[test]
fn every_source_that_was_looked_at_is_a_step() {
    let headers = [FROM, "Remote-Party-ID: <sip:1@192.0.2.10>;party=called", "P-Asserted-Identity: <sip:192.0.2.10>"];
    assert_eq!(
        verdicts(&headers, ""),
        [
            ("P-Asserted-Identity".to_owned(), "has no user part".to_owned()),
            ("Remote-Party-ID".to_owned(), "party=called is not the caller".to_owned()),
            ("P-Preferred-Identity".to_owned(), "absent".to_owned()),
            ("From".to_owned(), "taken".to_owned()),
        ]
    );
}

#[test]
fn the_order_of_sources_is_the_trunks() {
    let headers = [FROM, "P-Asserted-Identity: <sip:+12025550123@192.0.2.10>"];
    assert_eq!(numbers(&headers, "identity = [\"from\", \"p-asserted-identity\"]\n").caller, "1001");
    let request = invite("sip:7000@192.0.2.1", &[FROM, "To: <sip:8000@192.0.2.1>"]);
    assert_eq!(decided(&request, "called = [\"to\"]\n").0.unwrap().called, "8000");
}

#[test]
fn a_caller_who_asks_for_privacy_is_hidden_from_the_cloud_but_still_routed_by_number() {
    let asserted = "P-Asserted-Identity: \"Alice\" <sip:+12025550123@192.0.2.10>";
    for privacy in [
        "Privacy: id",
        "Privacy: none, user",
        "Privacy: ID;critical",
        "Privacy: full",
        "Privacy: header",
        "Remote-Party-ID: <sip:+12025550123@192.0.2.10>;privacy=full",
        "Remote-Party-ID: <sip:+12025550123@192.0.2.10>;party=calling;privacy=\"uri-network\"",
    ] {
        let numbers = numbers(&[FROM, asserted, privacy], "");
        assert_eq!((numbers.caller.as_str(), numbers.caller_name.as_deref()), ("anonymous", None), "{privacy}");
        assert_eq!(numbers.caller_key, "+12025550123");
        let told = verdicts(&[FROM, asserted, privacy], "");
        assert!(told.iter().any(|(_, verdict)| verdict.contains("withheld")), "{told:?}");
    }
    for open in ["Privacy: none", "Privacy: session", "Remote-Party-ID: <sip:1@x>;party=called;privacy=full"] {
        assert_eq!(numbers(&[FROM, asserted, open], "").caller, "+12025550123", "{open}");
    }
}

#[test]
fn the_called_number_falls_back_to_to_and_then_to_a_refusal() {
    for (uri, to, called) in [
        ("sip:+12025550199@192.0.2.1;user=phone", "<sip:1@x>", Some("+12025550199")),
        ("sip:2025550199;npdi;rn=+12025550100@192.0.2.1", "<sip:1@x>", Some("+12025550199")),
        ("sip:192.0.2.1", "<sip:7100@192.0.2.1>", Some("7100")),
        ("sip:s@192.0.2.1", "<sip:7100@192.0.2.1>", Some("7100")),
        ("tel:+1-202-555-0199", "<sip:1@x>", Some("+12025550199")),
        ("sip:*67#@192.0.2.1", "<sip:1@x>", Some("*67#")),
        ("sip:192.0.2.1", "<sip:192.0.2.1>", None),
        ("urn:service:sos", "", None),
    ] {
        let request = invite(uri, &[FROM, &format!("To: {to}")]);
        match decided(&request, "").0 {
            Ok(numbers) => assert_eq!(Some(numbers.called.as_str()), called, "{uri}"),
            Err(termination) => {
                assert_eq!((termination.cause, called), (Cause::NoCalledNumber, None), "{uri}");
            }
        }
    }
}

#[test]
fn translations_run_in_order_before_normalisation_and_each_is_a_step() {
    let more = r#"translate = [
        { number = "caller", match = "^8(\\d{10})$", replace = "$1" },
        { number = "called", match = "^7", replace = "57" },
        { number = "called", match = "^57(\\d+)$", replace = "+1202555${1}9" },
    ]
"#;
    let request = invite("sip:7010@192.0.2.1", &["From: <sip:82025550123@192.0.2.10>;tag=a"]);
    let (numbers, steps) = decided(&request, more);
    let numbers = numbers.unwrap();
    assert_eq!((numbers.caller.as_str(), numbers.called.as_str()), ("+12025550123", "+12025550109"));
    let rewrites: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Rewrite { rule, before, after, .. } => Some(format!("{rule}: {before} -> {after}")),
            _ => None,
        })
        .collect();
    assert_eq!(
        rewrites,
        [
            "translate[0]: 82025550123 -> 2025550123",
            "normalise: 2025550123 -> +12025550123",
            "translate[1]: 7010 -> 57010",
            "translate[2]: 57010 -> +12025550109",
        ]
    );
}

#[test]
fn the_form_of_the_headers_does_not_change_what_routes_match_on() {
    let request = invite("sip:2025550199@192.0.2.1", &["From: <sip:(202)555-0123@192.0.2.10>;tag=a"]);
    for (format, caller, called) in [
        (NumberFormat::E164, "+12025550123", "+12025550199"),
        (NumberFormat::Digits, "12025550123", "12025550199"),
        (NumberFormat::National, "2025550123", "2025550199"),
        (NumberFormat::AsReceived, "(202)555-0123", "2025550199"),
    ] {
        let numbers = decided_in(&request, "", format).0.unwrap();
        assert_eq!((numbers.caller.as_str(), numbers.called.as_str()), (caller, called), "{format:?}");
        assert_eq!((numbers.caller_key.as_str(), numbers.called_key.as_str()), ("+12025550123", "+12025550199"));
    }
}

#[test]
fn the_first_redirection_gives_the_original_number_and_its_reason() {
    for (headers, original, reason) in [
        (
            vec!["Diversion: <sip:2025550150@x>;reason=user-busy, <sip:2025550160@x>;reason=\"no-answer\""],
            Some("+12025550160"),
            Some("no-answer"),
        ),
        (
            vec!["Diversion: <sip:2025550150@x>;privacy=off; reason=unknown; counter=1"],
            Some("+12025550150"),
            Some("unknown"),
        ),
        (
            vec!["History-Info: <sip:2025550150@x>;index=1, <sip:7000@x;cause=408>;index=1.1"],
            Some("+12025550150"),
            Some("no-answer"),
        ),
        (vec!["History-Info: <sip:7000@x>;index=1, \"7000\" <sip:7000@y>;index=1.1"], None, None),
        (vec!["History-Info: <sip:broken"], None, None),
        (vec![], None, None),
    ] {
        let mut all = vec![FROM];
        all.extend(headers);
        let numbers = numbers(&all, "");
        assert_eq!(
            (numbers.original_called.as_deref(), numbers.redirect_reason.as_deref()),
            (original, reason),
            "{all:?}"
        );
    }
    let untrusted = numbers(&[FROM, "Diversion: <sip:2025550150@x>;reason=user-busy"], "trust = false\n");
    assert_eq!(untrusted.original_called, None);
}

#[test]
fn nothing_that_a_header_value_must_not_hold_comes_out() {
    let numbers = numbers(&["From: \"A\tB\" <sip:1001%0d%0aX-Evil%3A%201@192.0.2.10>;tag=a"], "");
    assert_eq!(numbers.caller, "1001  X-Evil: 1");
    assert_eq!(numbers.caller_name.as_deref(), Some("A B"));
    assert_eq!(clean(&"9".repeat(5000)).len(), LONGEST);
}

#[test]
fn the_way_through_the_history_is_found() {
    for (history, original, reason, last, count) in [
        // Index 1 is the dialled number, whatever the order of the lines.
        (
            "<sip:7000@x;cause=486>;index=1.2;mp=1.1, <sip:2025550150@x>;index=1, <sip:2025550160@x;cause=302>;index=1.1;mp=1",
            Some("+12025550150"),
            Some("unconditional"),
            Some("+12025550160"),
            2,
        ),
        // Two attempts beside each other: the one that failed is not on the way.
        (
            "<sip:2025550150@x>;index=1, <sip:2025550160@x?Reason=SIP%3Bcause%3D486>;index=1.1, <sip:7000@x;cause=408>;index=1.2",
            Some("+12025550150"),
            Some("no-answer"),
            Some("+12025550150"),
            1,
        ),
        // The reason of the entry that was left.
        (
            "<sip:2025550150@x?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%22>;index=1, <sip:7000@x>;index=1.1",
            Some("+12025550150"),
            Some("unconditional"),
            Some("+12025550150"),
            1,
        ),
        (
            "<sip:2025550150@x?Reason=Q.850%3Bcause%3D17>;index=1, <sip:7000@x>;index=1.1",
            Some("+12025550150"),
            Some("user-busy"),
            Some("+12025550150"),
            1,
        ),
        // The same number at other hosts, and on the way to a contact.
        ("<sip:7000@a>;index=1, <sip:7000@b>;index=1.1;np=1, <sip:7000@c>;index=1.1.1;rc=1.1", None, None, None, 0),
        // The proxy behind it keeps no history.
        (
            "<sip:2025550150@x?Reason=SIP%3Bcause%3D480>;index=1",
            Some("+12025550150"),
            Some("deflection"),
            Some("+12025550150"),
            1,
        ),
        ("<sip:2025550150@x>;index=1", None, None, None, 0),
        // RFC 4244: no index, and an entry that cannot be read.
        (
            "<sip:2025550150@x>, <sip:\\u95>, <sip:7000@x;cause=404>",
            Some("+12025550150"),
            Some("unknown"),
            Some("+12025550150"),
            1,
        ),
        // An entry that names itself as the one it came from.
        (
            "<sip:2025550150@x>;index=1;mp=1, <sip:7000@x>;index=1.1;mp=1.1",
            Some("+12025550150"),
            None,
            Some("+12025550150"),
            1,
        ),
    ] {
        let numbers = numbers(&[FROM, &format!("History-Info: {history}")], "").numbers;
        let key = |redirected: &Option<Redirected>| redirected.as_ref().map(|redirected| redirected.number.key.clone());
        assert_eq!(key(&numbers.original_called).as_deref(), original, "{history}");
        assert_eq!(numbers.original_called.as_ref().and_then(|first| first.reason.as_deref()), reason, "{history}");
        assert_eq!(key(&numbers.last_redirecting).as_deref(), last, "{history}");
        assert_eq!(numbers.redirect_count, count, "{history}");
    }
}

#[test]
fn diversions_are_counted_and_the_first_usable_header_tells_of_them() {
    let both = [
        FROM,
        "Diversion: \"Unreadable\" <urn:x>;reason=away",
        "History-Info: <sip:2025550150@x>;index=1, <sip:7000@x;cause=302>;index=1.1",
        "Remote-Party-ID: <sip:2025550180@x>;party=x-cisco-original-called",
    ];
    assert_eq!(numbers(&both, "").original_called.as_deref(), Some("+12025550150"));
    assert_eq!(numbers(&[FROM, both[3]], "").original_called.as_deref(), Some("+12025550180"));
    let lines = [
        FROM,
        "Diversion: <sip:2025550170@x>;reason=Follow-Me;counter=2",
        "Diversion: <sip:2025550160@x>;reason=\"no-answer\", <tel:2025550150>;reason=time-of-day;counter=3",
    ];
    let seen = numbers(&lines, "");
    assert_eq!(
        (seen.original_called.as_deref(), seen.redirect_reason.as_deref()),
        (Some("+12025550150"), Some("time-of-day"))
    );
    let last = seen.numbers.last_redirecting.unwrap();
    assert_eq!((last.number.key.as_str(), last.reason.as_deref()), ("+12025550170", Some("follow-me")));
    assert_eq!(seen.numbers.redirect_count, 6);
}

#[test]
fn a_redirecting_party_that_hides_is_hidden() {
    for (headers, shown) in [
        (vec!["Diversion: <sip:2025550150@x>;privacy=full;reason=away"], "anonymous"),
        (vec!["Diversion: <sip:2025550150@x>;privacy=off;reason=away"], "+12025550150"),
        (vec!["Diversion: <sip:2025550150@x>;reason=away", "Privacy: history"], "anonymous"),
        (vec!["History-Info: <sip:2025550150@x?Privacy=history>;index=1, <sip:7000@x>;index=1.1"], "anonymous"),
        (vec!["History-Info: <sip:anonymous@anonymous.invalid>;index=1, <sip:7000@x>;index=1.1"], "anonymous"),
    ] {
        let headers = [vec![FROM], headers].concat();
        let seen = numbers(&headers, "");
        assert_eq!(seen.original_called.as_deref(), Some(shown), "{headers:?}");
        assert_eq!(seen.caller, "1001", "the caller hides nothing");
    }
    let diversion = "Diversion: <sip:2025550150@x>;privacy=full";
    assert_eq!(numbers(&[FROM, diversion], "privacy = \"reveal\"\n").original_called.as_deref(), Some("+12025550150"));
}

#[test]
fn whoever_redirected_or_transferred_can_be_the_caller_or_the_called_one() {
    let headers = [
        FROM,
        "Diversion: <sip:2025550160@x>;reason=away, <sip:2025550150@x>;reason=away",
        "Referred-By: \"Bob\" <sip:2025550170@x>",
        "P-Called-Party-ID: <sip:2025550180@x>",
    ];
    for (more, caller, called) in [
        ("", "1001", "7000"),
        ("identity = [\"diversion\", \"from\"]\ncalled = [\"diversion\"]\n", "+12025550160", "+12025550150"),
        ("identity = [\"referred-by\"]\ncalled = [\"p-called-party-id\"]\n", "+12025550170", "+12025550180"),
        (
            "identity = [\"history-info\", \"from\"]\ncalled = [\"history-info\", \"to\", \"request-uri\"]\n",
            "1001",
            "7000",
        ),
        (
            "trust = false\nidentity = [\"diversion\", \"from\"]\ncalled = [\"p-called-party-id\", \"request-uri\"]\n",
            "1001",
            "7000",
        ),
    ] {
        let seen = numbers(&headers, more);
        assert_eq!((seen.caller.as_str(), seen.called.as_str()), (caller, called), "{more}");
    }
    assert_eq!(numbers(&headers, "").numbers.referred_by.unwrap().key, "+12025550170");
    assert!(numbers(&headers, "trust = false\n").numbers.referred_by.is_none());
}

#[test]
fn extensions_become_numbers_behind_the_translations() {
    let more = r#"translate = [{ number = "original-called", match = "^8", replace = "7" }]
extensions = { 7000 = "+12025550110", 1001 = "202-555-0111" }
extensions_csv = """
extension,number
7000,+12025550190
7100,+12025550112
"""
"#;
    let (seen, steps) = decided(&invite("sip:7000@192.0.2.1", &[FROM, "Diversion: <sip:8100@x>;reason=away"]), more);
    let seen = seen.unwrap();
    assert_eq!((seen.caller.as_str(), seen.called.as_str()), ("+12025550111", "+12025550110"));
    assert_eq!(seen.original_called.as_deref(), Some("+12025550112"));
    assert_eq!(seen.called_key, "+12025550110", "routes match on it, too");
    let by_list = |step: &&Step| matches!(step, Step::Rewrite { rule, .. } if rule == "extensions");
    assert_eq!(steps.iter().filter(by_list).count(), 3, "{steps:#?}");
}

#[test]
fn a_name_can_be_hidden_without_the_number() {
    let rpid = "Remote-Party-ID: \"Alice\" <sip:+12025550123@192.0.2.10>;party=calling;privacy=name";
    let seen = numbers(&[FROM, rpid], "");
    assert_eq!((seen.caller.as_str(), seen.caller_name), ("+12025550123", None));
}

#[test]
fn a_history_without_end_is_looked_at_so_far_only() {
    let entries: Vec<String> = (1..500).map(|index| format!("<sip:20255501{index:02}@x>;index={index}")).collect();
    let (_, steps) =
        decided(&invite("sip:7000@192.0.2.1", &[FROM, &format!("History-Info: {}", entries.join(", "))]), "");
    let looked = |step: &&Step| matches!(step, Step::Identity { source, .. } if source == "History-Info");
    assert_eq!(steps.iter().filter(looked).count(), 65);
}
