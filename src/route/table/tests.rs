//! Cases of routing.

use super::*;
use crate::trunk::admission::Refused;
use bytes::Bytes;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn request() -> Message {
    let text = "INVITE sip:7000@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
        X-Tenant: north\r\nx-tenant: south\r\nContent-Length: 0\r\n\r\n";
    Message::parse(Bytes::from_static(text.as_bytes())).unwrap()
}

fn routes() -> Table {
    Table::new(&config(
        r#"
        [[target]]
        name = "a"
        kind = "sip"
        uri = "a.example.com"
        max_calls = 1
        [[target]]
        name = "b"
        kind = "daily"
        uri = "static--1@example.sip.daily.co"
        [[route]]
        trunk = "other"
        targets = ["a"]
        [[route]]
        called = '^\+1555'
        targets = ["a"]
        [[route]]
        caller = '^\+49'
        header = { name = "X-Tenant", match = "^south$" }
        targets = ["b", "a"]
        retry_on = [486]
        ring_timeout = "5s"
        fallback = { status = 480, reason = "later" }
        [[route]]
        header = { name = "X-Missing", match = "." }
        targets = ["a"]
        [[route]]
        header = { name = "X-Tenant", match = "^west$" }
        targets = ["a"]
        "#,
    ))
    .unwrap()
}

fn pick(table: &Table, caller: &str, called: &str) -> (Option<usize>, Vec<Option<String>>) {
    let request = request();
    let mut steps = vec![];
    let route = table.pick(&Query { trunk: "pbx", caller, called, request: &request }, &mut steps);
    let failed = steps
        .into_iter()
        .map(|step| match step {
            Step::Route { failed, .. } => failed,
            other => panic!("{other:?}"),
        })
        .collect();
    (route.map(|route| route.index), failed)
}

#[test]
fn the_first_route_whose_conditions_all_hold_is_taken() {
    let table = routes();
    assert_eq!(pick(&table, "+12025550123", "+15550100123").0, Some(1));
    assert_eq!(pick(&table, "+493023125123", "7000").0, Some(2));
    assert_eq!(pick(&table, "7001", "7000").0, None);
}

#[test]
fn each_route_that_was_looked_at_names_the_first_condition_that_failed() {
    let (_, failed) = pick(&routes(), "7001", "7000");
    assert_eq!(
        failed,
        [
            "trunk is `pbx`, not `other`",
            r"called `7000` does not match `^\+1555`",
            r"caller `7001` does not match `^\+49`",
            "header X-Missing is absent",
            "header X-Tenant does not match `^west$`",
        ]
        .map(|why| Some(why.to_owned()))
    );
    let (_, failed) = pick(&routes(), "+493023125123", "7000");
    assert_eq!(failed.len(), 3, "what comes behind the taken route is not looked at");
    assert_eq!(failed[2], None);
}

#[test]
fn a_route_carries_what_its_calls_need() {
    let table = routes();
    let request = request();
    let query = Query { trunk: "pbx", caller: "+493023125123", called: "7000", request: &request };
    let route = table.pick(&query, &mut vec![]).unwrap();
    let names: Vec<&str> = route.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(route.ring_timeout, Duration::from_secs(5));
    assert!(route.retry_on.includes(486) && !route.retry_on.includes(503));
    assert!(matches!(&route.fallback, Some(config::route::Fallback::Status(status)) if status.status == 480));
    assert!(RetryOn::Usual.includes(503) && RetryOn::Usual.includes(408) && !RetryOn::Usual.includes(486));
}

#[test]
fn daily_gets_its_headers_and_codecs_unless_told_otherwise() {
    let table = routes();
    let daily = table.target("b").unwrap();
    let names: Vec<&str> = daily.recipe.templates.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-caller", "x-called", "x-trunkline-call"]);
    assert_eq!(daily.codecs.as_deref().unwrap(), ["PCMU", "PCMA", "G722", "opus"]);
    let sip = table.target("a").unwrap();
    assert!(sip.recipe.templates.is_empty() && sip.codecs.is_none());
}

#[test]
fn two_routes_to_one_target_share_its_limit_and_a_reload_keeps_it() {
    let table = routes();
    let now = crate::clock::now();
    let slot = table.target("a").unwrap().admission.admit(now).unwrap();
    let after = Table::after(
        &table,
        &config("[[target]]\nname = \"a\"\nkind = \"sip\"\nuri = \"a.example.com\"\nmax_calls = 1\n"),
    )
    .unwrap();
    assert_eq!(after.target("a").unwrap().admission.admit(now).unwrap_err(), Refused::Calls);
    drop(slot);
    assert!(after.target("a").unwrap().admission.admit(now).is_ok());
}

#[test]
fn a_target_that_cannot_be_read_is_an_error_and_not_a_silent_gap() {
    let broken = config("[[target]]\nname = \"a\"\nkind = \"sip\"\nuri = \"sip:\"\n");
    assert!(matches!(Table::new(&broken), Err(TargetError::Address(..))));
    let broken =
        config("[[target]]\nname = \"a\"\nkind = \"sip\"\nuri = \"a.example.com\"\nheaders = { x-a = \"{no}\" }\n");
    assert!(matches!(Table::new(&broken), Err(TargetError::Template(..))));
}
