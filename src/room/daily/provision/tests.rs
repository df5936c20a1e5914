//! State and wish in, requests out: what is recognised, what is changed, and what must never be sent.

use super::entry::{read_domain, read_page};
use super::plan::{Verb, Write, choose, plan};
use super::*;
use crate::config::provision::ProvisionApi;
use crate::config::value::Secret;
use serde_json::json;

const HOOK: &str = "https://gw.example.com/daily/dialin";

fn wanted() -> Wanted {
    Wanted {
        name: "trunkline-gw".into(),
        webhook: HOOK.into(),
        lines: vec![Line::Interconnect],
        hold_music: None,
        timeout_message: None,
        hmac: Secret::new("bmV3"),
        adopt: Adopt::No,
    }
}

fn list(entries: &[Value]) -> Vec<Entry> {
    let with_ids = entries
        .iter()
        .enumerate()
        .map(|(at, config)| json!({ "id": format!("id-{at}"), "type": "pinless_dialin", "config": config }));
    read_page(json!({ "data": with_ids.collect::<Vec<_>>() }).to_string().as_bytes()).unwrap().entries
}

fn array(text: &str) -> Vec<Entry> {
    read_domain(format!(r#"{{"config":{{"pinless_dialin":{text}}}}}"#).as_bytes()).unwrap()
}

fn entries_of(entries: &[Value]) -> Current {
    Current { entries: Some(list(entries)), array: None }
}

fn array_of(text: &str) -> Current {
    Current { entries: None, array: Some(array(text)) }
}

fn ours() -> Value {
    json!({ "name_prefix": "trunkline-gw", "room_creation_api": HOOK, "hmac": "b3Vycw==", "sip_uri": "s1@d.example.com" })
}

fn with(mut entry: Value, field: &str, value: Value) -> Value {
    entry[field] = value;
    entry
}

fn write(api: Api, current: &Current, wanted: &Wanted) -> Result<Option<Write>, Refusal> {
    plan(api, current, wanted)?.next(current)
}

fn body(write: &Write) -> Value {
    serde_json::from_str(&write.body).unwrap()
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let other = with(ours(), "room_creation_api", json!("https://other.example.com/x"));
    let other = with(other, "name_prefix", json!("other"));
    let current = entries_of(&[other, ours()]);
    assert_eq!(write(Api::Entries, &current, &wanted()), Ok(None));
    let text = format!("[{}]", with(ours(), "room_creation_api", json!("https://GW.example.com:443/daily/dialin")));
    assert_eq!(write(Api::Array, &array_of(&text), &wanted()), Ok(None), "the same URL in other words");
}

#[test]
fn an_entry_that_is_missing_is_created_with_a_secret_of_ours() {
    let write = write(Api::Entries, &entries_of(&[]), &wanted()).unwrap().unwrap();
    assert_eq!((write.verb, write.path.as_str()), (Verb::Create, "/domain-dialin-config"));
    let expected =
        json!({ "name_prefix": "trunkline-gw", "room_creation_api": HOOK, "hmac": "bmV3", "type": "pinless_dialin" });
    assert_eq!(body(&write), expected);
}

#[test]
fn an_entry_that_differs_is_sent_whole_with_its_own_secret() {
    let wanted = Wanted {
        hold_music: Some("https://gw.example.com/hold.mp3".into()),
        timeout_message: Some("Please call again.".into()),
        ..wanted()
    };
    let entry = with(ours(), "timeout_config", json!({ "message": "old", "voice": "x" }));
    let current = entries_of(&[with(entry, "future_field", json!({ "deep": [1, null] }))]);
    let plan = plan(Api::Entries, &current, &wanted).unwrap();
    let lines: Vec<String> = plan.steps[0].differences.iter().map(Difference::line).collect();
    assert_eq!(
        lines,
        ["hold_music_url: https://gw.example.com/hold.mp3", "timeout_config.message: old -> Please call again."]
    );
    let write = plan.next(&current).unwrap().unwrap();
    assert_eq!((write.verb, write.path.as_str()), (Verb::Put, "/domain-dialin-config/id-0"));
    let body = body(&write);
    assert_eq!(body["hmac"], "b3Vycw==");
    assert_eq!(body["future_field"], json!({ "deep": [1, null] }));
    assert_eq!(body["timeout_config"], json!({ "message": "Please call again.", "voice": "x" }));
    assert_eq!(body.get("sip_uri"), None, "read-only");
}

#[test]
fn the_array_carries_every_other_entry_byte_for_byte() {
    let others = [
        r#"{"name_prefix":"a","room_creation_api":"https://a.example.com","hmac":"YQ==","n":1.0,"big":12345678901234567890123,"e":1e2}"#,
        "{ \"hmac\" : \"Yg==\",\n \"sip_uri\":\"s2@d.example.com\", \"uni\":\"\\u00e9\\/\" , \"twice\":1, \"twice\":2 }",
    ];
    let current = array_of(&format!("[ {} , {}]", others[0], others[1]));
    let write = write(Api::Array, &current, &wanted()).unwrap().unwrap();
    assert_eq!((write.verb, write.path.as_str()), (Verb::Set, "/"));
    let new = format!(r#"{{"name_prefix":"trunkline-gw","room_creation_api":"{HOOK}","hmac":"bmV3"}}"#);
    assert_eq!(write.body, format!(r#"{{"properties":{{"pinless_dialin":[{},{},{new}]}}}}"#, others[0], others[1]));
}

#[test]
fn our_entry_in_the_array_changes_in_its_place_and_keeps_its_address() {
    let old = with(ours(), "name_prefix", json!("by hand"));
    let other = r#"{"hmac":"YQ==","name_prefix":"z"}"#;
    let write = write(Api::Array, &array_of(&format!("[{old},{other}]")), &wanted()).unwrap().unwrap();
    let list = body(&write)["properties"]["pinless_dialin"].clone();
    assert_eq!(list[0], ours());
    assert!(write.body.contains(other));
}

#[test]
fn nobody_s_secret_is_rotated_because_daily_does_not_show_it() {
    for hidden in
        [r#"{"name_prefix":"a"}"#, r#"{"name_prefix":"a","hmac":"****"}"#, r#"{"name_prefix":"a","hmac":null}"#]
    {
        let refusal = write(Api::Array, &array_of(&format!("[{hidden}]")), &wanted()).unwrap_err();
        assert!(refusal.message.contains("does not show the secret of the entry `a`"), "{refusal}");
        assert!(refusal.remedy.contains("--api entries"), "{refusal}");
    }
    let mut own = with(ours(), "name_prefix", json!("by hand"));
    own.as_object_mut().unwrap().shift_remove("hmac");
    for (api, current) in [(Api::Entries, entries_of(&[own.clone()])), (Api::Array, array_of(&format!("[{own}]")))] {
        assert!(write(api, &current, &wanted()).unwrap_err().message.contains("secret"), "{api:?}");
    }
    let text = r#"[{"name_prefix":"a","hmac":"x y"}]"#;
    assert!(
        plan(Api::Array, &array_of(text), &Wanted { lines: vec![], ..wanted() }).is_ok(),
        "nothing to write, nothing to rotate"
    );
}

#[test]
fn an_array_that_hides_an_entry_of_the_list_is_not_set() {
    let other = with(with(ours(), "room_creation_api", json!("https://b.example.com")), "name_prefix", json!("b"));
    let current = Current { entries: Some(list(&[other])), array: Some(vec![]) };
    assert!(write(Api::Array, &current, &wanted()).unwrap_err().message.contains("does not show the entry `b`"));
}

#[test]
fn an_entry_that_posts_elsewhere_is_somebody_else_s_until_the_operator_says_otherwise() {
    let elsewhere = with(ours(), "room_creation_api", json!("https://old.example.com/daily/dialin"));
    let number = with(elsewhere.clone(), "phone_number", json!("+1 555 0100"));
    let lines = [Line::Interconnect, Line::Number("+15550100".into())];
    for (entry, line) in [elsewhere, number].into_iter().zip(lines) {
        let wanted = Wanted { lines: vec![line], ..wanted() };
        let current = entries_of(&[entry]);
        let refusal = write(Api::Entries, &current, &wanted).unwrap_err();
        assert!(
            refusal.message.contains("posts to https://old.example.com") && refusal.remedy.contains("--adopt"),
            "{refusal}"
        );
        let adopting = Wanted { adopt: Adopt::Yes, ..wanted };
        let write = write(Api::Entries, &current, &adopting).unwrap().unwrap();
        assert_eq!((&body(&write)["room_creation_api"], &body(&write)["hmac"]), (&json!(HOOK), &json!("b3Vycw==")));
    }
}

#[test]
fn two_that_could_be_ours_are_told_apart_by_name_or_not_at_all() {
    let second = with(ours(), "sip_uri", json!("s2@d.example.com"));
    let refusal = write(Api::Entries, &entries_of(&[ours(), second.clone()]), &wanted()).unwrap_err();
    assert!(refusal.message.contains("2 entries could be this gateway's"), "{refusal}");
    let named = entries_of(&[with(second, "name_prefix", json!("by hand")), ours()]);
    let plan = plan(Api::Entries, &named, &wanted()).unwrap();
    assert_eq!(plan.steps[0].before.as_ref().and_then(|entry| entry.id.as_deref()), Some("id-1"));
    assert_eq!(plan.strays, ["`by hand`"]);
}

#[test]
fn numbers_share_the_secret_of_the_entry_that_is_there() {
    let wanted = Wanted { lines: vec![Line::Interconnect, Line::Number("+15550100".into())], ..wanted() };
    let write = write(Api::Entries, &entries_of(&[ours()]), &wanted).unwrap().unwrap();
    assert_eq!((&body(&write)["phone_number"], &body(&write)["hmac"]), (&json!("+15550100"), &json!("b3Vycw==")));
}

#[test]
fn entries_with_a_pin_are_never_ours() {
    let answer = json!({ "data": [{ "id": "p", "type": "pin_dialin", "config": ours() }] });
    let entries = read_page(answer.to_string().as_bytes()).unwrap().entries;
    let write = write(Api::Entries, &Current { entries: Some(entries), array: None }, &wanted()).unwrap().unwrap();
    assert_eq!(write.verb, Verb::Create);
}

#[test]
fn the_interface_is_chosen_by_what_is_there() {
    use ProvisionApi::{Array, Auto, Entries};
    let ours_in_array = array(&format!("[{}]", ours()));
    let seen = |entries: Option<&[Value]>, array: Option<&[Entry]>| Current {
        entries: entries.map(list),
        array: array.map(<[Entry]>::to_vec),
    };
    for (asked, current, expected) in [
        (Auto, seen(Some(&[]), Some(&[])), Some(Api::Entries)),
        (Auto, seen(Some(&[ours()]), None), Some(Api::Entries)),
        (Auto, seen(Some(&[]), Some(&ours_in_array)), Some(Api::Array)),
        (Auto, seen(None, Some(&[])), Some(Api::Array)),
        (Auto, seen(None, None), None),
        (Entries, seen(Some(&[]), None), Some(Api::Entries)),
        (Entries, seen(None, Some(&[])), None),
        (Array, seen(Some(&[ours()]), Some(&[])), Some(Api::Array)),
        (Array, seen(Some(&[]), None), None),
    ] {
        assert_eq!(choose(asked, &current, &wanted()).ok(), expected, "{asked:?} {current:?}");
    }
}

#[test]
fn both_shapes_of_an_entry_are_read() {
    let nested = json!({ "id": "i", "type": "pinless_dialin", "config": ours() });
    let mut flat = ours();
    flat["id"] = json!("i");
    flat["type"] = json!("pinless_dialin");
    for answer in [json!([nested.clone()]), json!({ "total_count": 1, "data": [flat] })] {
        let entry = read_page(answer.to_string().as_bytes()).unwrap().entries.remove(0);
        assert_eq!((entry.id.as_deref(), entry.hmac()), (Some("i"), Some("b3Vycw==")));
        assert_eq!(entry.sip_uri().as_deref(), Some("sip:s1@d.example.com"));
    }
    for wrong in ["{}", "no", r#"{"data":[{"type":"x"}]}"#, r#"[[]]"#] {
        assert!(read_page(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_domain_that_shows_no_configuration_is_not_an_empty_one() {
    assert!(read_domain(br#"{"domain_name":"d"}"#).is_err());
    assert!(read_domain(br#"{"config":{"pinless_dialin":[7]}}"#).is_err());
    assert!(read_domain(br#"{"config":{}}"#).unwrap().is_empty());
    assert!(read_domain(br#"{"config":{"pinless_dialin":null}}"#).unwrap().is_empty());
}

// --- the domain webhook

fn hook(change: Value) -> Value {
    let mut hook = json!({
        "uuid": "u-1", "url": "https://gw.example.com/daily/events", "hmac": "ZXZlbnRz", "state": "ACTIVE", "retryType": "exponential",
        "eventTypes": ["dialin.ready", "dialin.connected", "dialin.stopped", "dialin.warning", "dialin.error"],
    });
    for (field, value) in change.as_object().unwrap() {
        hook[field] = value.clone();
    }
    hook
}

fn hook_plan(hooks: &[Value]) -> Result<DomainPlan, Refusal> {
    let wanted = DomainWanted { url: "https://gw.example.com/daily/events".into(), hmac: Secret::new("bmV3") };
    DomainPlan::new(&domain::read(json!(hooks).to_string().as_bytes()).unwrap(), &wanted)
}

#[test]
fn the_domain_webhook_is_created_changed_and_armed_again() {
    let other = hook(json!({ "uuid": "u-2", "url": "https://other.example.com/x", "state": "FAILED" }));
    for (hooks, path, differences) in [
        (vec![other.clone()], Some("/webhooks"), vec!["url", "eventTypes", "retryType", "hmac"]),
        (vec![other, hook(json!({}))], None, vec![]),
        (vec![hook(json!({ "state": "FAILED" }))], Some("/webhooks/u-1"), vec!["state"]),
        (vec![hook(json!({ "retryType": "circuit-breaker" }))], Some("/webhooks/u-1"), vec!["retryType"]),
        (vec![hook(json!({ "eventTypes": ["room.ended"] }))], Some("/webhooks/u-1"), vec!["eventTypes"]),
    ] {
        let plan = hook_plan(&hooks).unwrap();
        let fields: Vec<&str> = plan.differences.iter().map(|difference| difference.field).collect();
        assert_eq!(fields, differences);
        assert_eq!(plan.next().map(|write| write.path).as_deref(), path);
    }
}

#[test]
fn a_changed_webhook_keeps_its_secret_its_login_and_its_other_events() {
    let plan = hook_plan(&[hook(json!({ "eventTypes": ["room.ended", "dialin.ready"], "basicAuth": "u:p" }))]).unwrap();
    let body = body(&plan.next().unwrap());
    assert_eq!((&body["hmac"], &body["basicAuth"]), (&json!("ZXZlbnRz"), &json!("u:p")));
    let events = body["eventTypes"].as_array().unwrap();
    assert_eq!((events.len(), &events[0], &events[1]), (6, &json!("room.ended"), &json!("dialin.ready")));
    assert!(hook_plan(&[hook(json!({ "state": "FAILED", "hmac": null }))]).is_err());
}

#[test]
fn differences_never_show_a_secret() {
    let wanted = Wanted { lines: vec![Line::Interconnect, Line::Number("+15550100".into())], ..wanted() };
    let dialin = plan(Api::Entries, &entries_of(&[]), &wanted).unwrap();
    let hook = hook_plan(&[]).unwrap();
    let lines = dialin.steps.iter().flat_map(|step| &step.differences).chain(&hook.differences).map(Difference::line);
    let text = lines.collect::<Vec<_>>().join("\n");
    assert!(text.contains("hmac: ***") && !text.contains("bmV3"), "{text}");
}
