//! From whole messages to numbers, with the steps that explain them.

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

fn decided(message: &Message, more: &str) -> (Result<Numbers, Termination>, Vec<Step>) {
    let mut steps = vec![];
    let numbers = decide(message, &trunk(more), &config::numbers::Numbers::default(), &mut steps);
    (numbers, steps)
}

fn numbers(headers: &[&str], more: &str) -> Numbers {
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
            Some("Desk"),
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
        (vec![FROM, "P-Asserted-Identity: \"broken <sip:1@x>"], "1001", Some("Desk")),
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
            "+12025550123",
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
        let config = config::numbers::Numbers { format, ..config::numbers::Numbers::default() };
        let numbers = decide(&request, &trunk(""), &config, &mut vec![]).unwrap();
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
