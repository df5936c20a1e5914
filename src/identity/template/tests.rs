//! What templates take, refuse, and come out as.

use super::*;
use crate::config::{self, Config};
use crate::identity::decide;
use crate::identity::shown::Viewer;
use crate::trunk::Table;
use bytes::Bytes;
use std::collections::HashMap;

const HEADERS: &str = "From: \"Line\tBreak\" <sip:+12025550123@192.0.2.10;ext=44>;tag=1\r\nX-Tenant: north\r\nX-Odd: a\x01b\r\n\
    User-to-User: 04C80441424344FA080001247C5E46F6E6;encoding=hex\r\n\
    Cisco-Guid: 0717996032-0000065536-0000000002-0503423168\r\n\
    Diversion: <sip:2025550160@192.0.2.10>;reason=deflection;counter=2, <tel:2025550150>;reason=user-busy\r\n\
    Referred-By: <sip:2025550170@192.0.2.10>\r\n";

fn render_with(template: &str, headers: &str) -> String {
    let config: Config = toml::from_str("[[trunk]]\nname = \"avaya\"\npeers = [\"192.0.2.10\"]\n").unwrap();
    let trunk = Table::new(&config, &HashMap::new()).by_name("avaya").unwrap();
    let request = format!("INVITE sip:7000@192.0.2.1 SIP/2.0\r\n{headers}Content-Length: 0\r\n\r\n");
    let request = Message::parse(Bytes::from(request)).unwrap();
    let numbers = decide(&request, &trunk, &config::numbers::Numbers::default(), &mut vec![]).unwrap();
    let shown = numbers.shown(Viewer { target: "cloud", trunk: None, own: None }, &mut vec![]);
    let values = Values {
        numbers: &numbers,
        shown: &shown,
        pbx_call_id: "abc@pbx",
        call_id: "tl00-1",
        trunk: &trunk,
        request: &request,
    };
    Template::parse(template).unwrap().render(&values)
}

fn render(template: &str) -> String {
    render_with(template, HEADERS)
}

#[test]
fn placeholders_are_filled_and_unknown_facts_are_empty() {
    for (template, value) in [
        ("{caller}", "+12025550123"),
        ("{caller:digits}|{caller:national}|{caller:e164}", "12025550123|2025550123|+12025550123"),
        ("{caller:as-received}/{caller:ext}", "+12025550123/44"),
        ("{called:digits}{called:ext}", "7000"),
        ("{trunk}/{header:x-tenant}/{called}", "avaya/north/7000"),
        ("{session_id}{icid}{header:X-None}", ""),
        ("{pbx_call_id} {call_id}", "abc@pbx tl00-1"),
        ("{{not}} {called}", "{not} 7000"),
        ("{uui}", "04C80441424344FA080001247C5E46F6E6;encoding=hex"),
        ("{uui:text} {uui:hex}", "ABCD 04C80441424344FA080001247C5E46F6E6"),
        ("{ucid}", "00001093401581709030"),
        ("{cisco_guid:hex}", "2ACBC00000010000000000021E01A0C0"),
        ("{original_called:national} {redirect_reason}", "2025550150 user-busy"),
        ("{last_redirecting} {last_redirect_reason} {redirect_count}", "+12025550160 deflection 3"),
        ("{referred_by:digits}", "12025550170"),
        ("plain", "plain"),
        ("", ""),
    ] {
        assert_eq!(render(template), value, "{template}");
    }
}

#[test]
fn the_first_alternative_that_the_call_has_is_taken() {
    for (template, value) in [
        ("{header:X-None|header:X-Tenant|'none'}", "north"),
        ("{session_id|icid|'none | at } all'}", "none | at } all"),
        ("{ session_id | \"it's\" }!", "it's!"),
        ("{session_id|ucid}", "00001093401581709030"),
        ("{session_id|''}", ""),
    ] {
        assert_eq!(render(template), value, "{template}");
    }
}

#[test]
fn a_withheld_caller_comes_out_of_no_placeholder() {
    let headers = format!("{HEADERS}Privacy: id; history\r\n");
    for (template, value) in [
        ("{caller}{caller:ext} {caller:digits} {caller:as-received} {caller_name}", "anonymous anonymous anonymous"),
        ("{original_called} {last_redirecting:digits}", "anonymous anonymous"),
        ("{called} {ucid}", "7000 00001093401581709030"),
    ] {
        assert_eq!(render_with(template, &headers), value, "{template}");
    }
}

#[test]
fn no_value_can_break_out_of_its_header() {
    assert_eq!(render("{caller_name}|{header:X-Odd}"), "Line Break|a b");
}

#[test]
fn a_misspelt_placeholder_is_an_error_that_names_the_near_one() {
    for (template, error, remedy) in [
        ("{caler}", "unknown placeholder {caler}", "did you mean {caller}?"),
        ("{caller:e146}", "{caller} has no form `e146`", "forms of {caller}: e164, digits, national, as-received, ext"),
        ("{trunk:hex}", "{trunk} has no form `hex`", "write {trunk}"),
    ] {
        let problem = Template::parse(template).unwrap_err();
        assert_eq!((problem.to_string().as_str(), problem.remedy().as_str()), (error, remedy));
    }
    assert_eq!(Template::parse("{unheard_of_thing}").unwrap_err().remedy().matches('{').count(), 23);
    for broken in ["{caller", "caller}", "{header:}", "{header:a b}", "{}", "{caller|}", "{'open}", "{caller|'x' y}"] {
        assert!(Template::parse(broken).is_err(), "{broken}");
    }
}

#[test]
fn a_header_matters_as_much_as_the_least_of_its_parts() {
    for (template, weight) in [
        ("{caller}", Weight::Number),
        ("{caller} {caller_name}", Weight::Text),
        ("{ucid|header:X-Ucid}", Weight::Text),
        ("{uui}", Weight::UserToUser),
        ("{trunk}", Weight::Fact),
        ("{call_id|'none'}", Weight::Call),
        ("always the same", Weight::Fact),
    ] {
        assert_eq!(Template::parse(template).unwrap().weight(), weight, "{template}");
    }
}
