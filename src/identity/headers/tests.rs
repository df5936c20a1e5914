//! Which headers leave for a target, and what the record says of those that do not.

use super::*;
use crate::config::{self, Config};
use crate::identity::decide;
use crate::identity::shown::Viewer;
use crate::sip::Message;
use crate::trunk::Table;
use bytes::Bytes;
use std::collections::HashMap;

const ASSERTED: &str = "From: \"Alice\" <sip:+12025550123@192.0.2.10>;tag=1\r\n\
    P-Asserted-Identity: \"Alice\" <tel:+1-202-555-0123>\r\nX-Site: north\r\nX-Genesys-CallUUID: 01AB\r\n\
    X-Genesys-Queue: sales\r\nX-Original-ANI: 1 (202) 555-0123\r\nb: <sip:2025550170@192.0.2.10>\r\nSubject: hello\r\n";

/// A recipe of a target, from the lines of its configuration.
fn recipe(target: &str) -> Recipe {
    let text =
        format!("[[target]]\nname = \"cloud\"\nkind = \"sip\"\nuri = \"sip:bot@192.0.2.99?x-plan=gold\"\n{target}");
    let config: Config = toml::from_str(&text).unwrap();
    crate::route::Target::new(&config.targets[0], None).unwrap().recipe
}

fn composed(target: &str, trunk: &str, headers: &str) -> (Vec<String>, Vec<Step>) {
    let text = format!("[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.10\"]\n{trunk}");
    let config: Config = toml::from_str(&text).unwrap();
    let trunk = Table::new(&config, &HashMap::new()).by_name("pbx").unwrap();
    let request = format!("INVITE sip:7000@192.0.2.1 SIP/2.0\r\n{headers}Content-Length: 0\r\n\r\n");
    let request = Message::parse(Bytes::from(request)).unwrap();
    let numbers = decide(&request, &trunk, &config::numbers::Numbers::default(), &mut vec![]).unwrap();
    let recipe = recipe(target);
    let viewer = Viewer { target: "cloud", trunk: trunk.config.privacy, own: recipe.privacy };
    let shown = numbers.shown(viewer, &mut vec![]);
    let values = Values {
        numbers: &numbers,
        shown: &shown,
        pbx_call_id: "abc@pbx",
        call_id: "tl00-1",
        trunk: &trunk,
        request: &request,
    };
    let mut steps = vec![];
    let lines = recipe.compose(&values, &mut steps);
    (lines.into_iter().map(|(name, value)| format!("{name}: {value}")).collect(), steps)
}

fn left_out(steps: &[Step]) -> Vec<&str> {
    let mut names = vec![];
    for step in steps {
        if let Step::HeaderLeftOut { name, .. } = step {
            names.push(name.as_str());
        }
    }
    names
}

#[test]
fn only_what_a_list_names_is_passed_and_nothing_of_hop_and_dialog() {
    let pass = "pass_headers = [\"X-Genesys-*\", \"referred-by\", \"Via\", \"contact\", \"*\"]\n";
    let (lines, _) = composed(pass, "", ASSERTED);
    let never_passed = |line: &&String| line.starts_with("From") || line.starts_with("Content-Length");
    assert_eq!(lines.iter().filter(never_passed).count(), 0, "{lines:#?}");
    let (lines, steps) = composed("pass_headers = [\"X-Genesys-*\", \"Referred-By\"]\n", "", ASSERTED);
    assert_eq!(
        lines,
        [
            "x-plan: gold",
            "X-Genesys-CallUUID: 01AB",
            "X-Genesys-Queue: sales",
            "Referred-By: <sip:2025550170@192.0.2.10>"
        ]
    );
    assert_eq!(steps.len(), 4);
    let (lines, _) = composed("", "pass_headers = [\"x-site\"]\n", ASSERTED);
    assert_eq!(lines, ["x-plan: gold", "X-Site: north"], "the trunk's list counts, too");
    assert_eq!(composed("", "", ASSERTED).0, ["x-plan: gold"]);
}

#[test]
fn the_targets_own_header_beats_the_one_that_would_be_passed() {
    let target = "pass_headers = [\"X-Site\"]\nheaders = { x-site = \"{header:X-Site}/1\", X-PLAN = \"silver\" }\n";
    let (lines, steps) = composed(target, "", ASSERTED);
    assert_eq!(lines, ["X-PLAN: silver", "x-site: north/1"]);
    assert_eq!(left_out(&steps), ["X-Site"]);
}

#[test]
fn a_withheld_number_leaves_in_no_header() {
    let target = "pass_headers = [\"P-Asserted-Identity\", \"X-*\"]\n\
        headers = { x-caller = \"{caller}\", x-from = \"{header:From}\", x-ani = \"{header:X-Original-ANI}\" }\n";
    let withheld = format!("{ASSERTED}Privacy: id\r\n");
    let (lines, steps) = composed(target, "", &withheld);
    assert!(lines.contains(&"x-caller: anonymous".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"X-Site: north".to_owned()), "{lines:#?}");
    let digits = |line: &String| line.chars().filter(char::is_ascii_digit).collect::<String>();
    assert!(!lines.iter().any(|line| digits(line).contains("5550123") || line.contains("Alice")), "{lines:#?}");
    assert_eq!(left_out(&steps), ["x-ani", "x-from", "P-Asserted-Identity", "X-Original-ANI"]);
    for policy in ["privacy = \"reveal\"\n", ""] {
        let trunk = if policy.is_empty() { "privacy = \"reveal\"\n" } else { "" };
        let (lines, steps) = composed(&format!("{target}{policy}"), trunk, &withheld);
        assert!(lines.contains(&"x-caller: +12025550123".to_owned()), "{lines:#?}");
        assert!(left_out(&steps).is_empty(), "{steps:#?}");
    }
}

#[test]
fn the_limit_of_the_target_holds_and_each_cut_is_a_step() {
    let target = "header_limit = 64\npass_headers = [\"X-Site\"]\n\
        headers = { x-caller = \"{caller}\", x-note = \"{header:Subject} and more that is too long for it\" }\n";
    let (lines, steps) = composed(target, "", ASSERTED);
    assert!(lines.iter().map(|line| line.len() + 2).sum::<usize>() <= 64, "{lines:#?}");
    assert_eq!(lines, ["x-caller: +12025550123", "x-note: hello and more t", "x-plan: gold"]);
    let cuts: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Budget { .. })).collect();
    assert_eq!(cuts.len(), 2, "{steps:#?}");
}

#[test]
fn an_assertion_that_is_not_believed_is_not_passed_on() {
    let target = "pass_headers = [\"P-Asserted-Identity\"]\nheaders = { x-pai = \"{header:P-Asserted-Identity}\" }\n";
    let (lines, steps) = composed(target, "trust = false\n", ASSERTED);
    assert_eq!(lines, ["x-plan: gold"]);
    assert_eq!(left_out(&steps), ["x-pai", "P-Asserted-Identity"]);
}

#[test]
fn a_hidden_caller_of_his_own_number_is_still_called() {
    let headers = "From: <sip:+12025550123@192.0.2.10>;tag=1\r\nTo: <sip:+12025550123@192.0.2.1>\r\nPrivacy: id\r\n";
    let target = "headers = { x-caller = \"{caller}\", x-called = \"{called}\", x-call = \"{call_id}\" }\n";
    let (lines, _) = composed(target, "called = [\"to\"]\n", headers);
    assert_eq!(lines, ["x-call: tl00-1", "x-called: +12025550123", "x-caller: anonymous", "x-plan: gold"]);
}
