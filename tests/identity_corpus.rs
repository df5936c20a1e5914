//! Caller and called number of every PBX we have a message of: our own fixtures with the features of each family, and the
//! shared corpus, which lies beside the repository or where `TRUNKLINE_CORPUS` says.

use bytes::Bytes;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trunkline::config::{self, Config};
use trunkline::error::Termination;
use trunkline::identity::shown::{Shown, Viewer};
use trunkline::identity::template::{Template, Values};
use trunkline::identity::{self, Numbers};
use trunkline::record::Step;
use trunkline::route::Target;
use trunkline::sip::Message;
use trunkline::trunk::{Table, Trunk};

/// A trusted trunk in the US, as the file's defaults make it.
fn trunk() -> Arc<Trunk> {
    trunk_with("")
}

fn trunk_with(more: &str) -> Arc<Trunk> {
    let text = format!("[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.0/24\"]\n{more}");
    let config: Config = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Table::new(&config, &HashMap::new()).by_name("pbx").unwrap()
}

fn read(path: &Path) -> Message {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Message::parse(Bytes::from(bytes)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decide(message: &Message) -> (Result<Numbers, Termination>, Vec<Step>) {
    decide_on(message, &trunk())
}

fn decide_on(message: &Message, trunk: &Trunk) -> (Result<Numbers, Termination>, Vec<Step>) {
    let mut steps = vec![];
    let numbers = identity::decide(message, trunk, &config::numbers::Numbers::default(), &mut steps);
    (numbers, steps)
}

/// What a target without a policy of its own sees.
fn shown(numbers: &Numbers) -> Shown {
    numbers.shown(Viewer { target: "cloud", trunk: None, own: None }, &mut vec![])
}

/// Caller, called and name; the code of the refusal instead of the called number.
fn summary(message: &Message) -> (String, String, Option<String>) {
    match decide(message).0 {
        Ok(numbers) => {
            let shown = shown(&numbers);
            (shown.caller, shown.called, shown.caller_name)
        }
        Err(termination) => (String::new(), termination.cause.entry().code.to_owned(), None),
    }
}

fn fixture(name: &str) -> Message {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/messages").join(name))
}

#[test]
fn each_pbx_family_gives_its_numbers() {
    for (name, caller, called, caller_name) in [
        ("avaya-aura/extension-with-ucid.sip", "1175", "71506", Some("Desk 1175")),
        ("avaya-aura/forwarded-pstn-caller.sip", "+12025550123", "+12025550199", Some("Example, Alice")),
        ("cisco-cucm/delayed-offer.sip", "3427", "7359", Some("Alice Example")),
        ("cisco-cucm/restricted-caller.sip", "anonymous", "+12025550199", None),
        ("cisco-ios/no-called-number.sip", "", "no_called_number", None),
        ("freepbx/default-trunk.sip", "+12025550123", "6363", Some("12025550123")),
        ("freeswitch/remote-party-id.sip", "1001", "1000", Some("Extension 1001")),
        ("audiocodes/anonymous-caller.sip", "anonymous", "5753606", None),
        ("nortel-cs1000/phone-context.sip", "2108", "5201", Some("Alice Example 2050")),
        ("3cx/account-in-from.sip", "trunk_account", "+12025550199", Some("Extension Name")),
        ("ribbon/diversion.sip", "+12025550123", "+12025550199", None),
        ("carrier-sbc/tel-identity-with-tgrp.sip", "+442079460123", "+12025550199", Some("+442079460123")),
        ("teams/two-identities.sip", "+12025550123", "+12025550199", Some("Example, Alice (\"AE\") <Sales>")),
    ] {
        let expected = (caller.to_owned(), called.to_owned(), caller_name.map(str::to_owned));
        assert_eq!(summary(&fixture(name)), expected, "{name}");
    }
}

#[test]
fn redirections_and_call_ids_reach_the_templates() {
    for (name, template, value) in [
        ("avaya-aura/extension-with-ucid.sip", "{ucid}", "00001093401581709030"),
        ("avaya-aura/extension-with-ucid.sip", "{original_called}", ""),
        ("avaya-aura/extension-with-ucid.sip", "{header:Av-Global-Session-ID}", "64bf44a0-0001"),
        ("avaya-aura/forwarded-pstn-caller.sip", "{original_called} {redirect_reason}", "+12025550150 no-answer"),
        ("ribbon/diversion.sip", "{original_called} {redirect_reason}", "+12025550150 user-busy"),
        ("teams/two-identities.sip", "{original_called} {redirect_reason}", "+12025550150 unconditional"),
        ("nortel-cs1000/phone-context.sip", "{original_called}{redirect_reason}{uui}{ucid}", ""),
    ] {
        let request = fixture(name);
        let numbers = decide(&request).0.unwrap();
        let (shown, trunk) = (shown(&numbers), trunk());
        let values =
            Values { numbers: &numbers, shown: &shown, pbx_call_id: "", call_id: "", trunk: &trunk, request: &request };
        assert_eq!(Template::parse(template).unwrap().render(&values), value, "{name} {template}");
    }
}

#[test]
fn a_withheld_caller_is_still_known_to_the_routes() {
    let (numbers, steps) = decide(&fixture("cisco-cucm/restricted-caller.sip"));
    assert_eq!(numbers.unwrap().caller_key(), "+12025550123");
    let told = steps.iter().any(|step| matches!(step, Step::Identity { source, .. } if source == "Privacy"));
    assert!(told, "{steps:#?}");
}

/// A row of `sip-fixtures/messages/identity.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    file: String,
    #[serde(default)]
    trunk: String,
    caller: String,
    called: String,
    name: Option<String>,
    key: Option<String>,
    #[serde(default)]
    templates: Vec<(String, String)>,
    target: Option<String>,
    #[serde(default)]
    sent: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Expectations {
    message: Vec<Expected>,
}

/// A target with these lines.
fn target(more: &str) -> Target {
    let text = format!("[[target]]\nname = \"cloud\"\nkind = \"sip\"\nuri = \"sip:bot@192.0.2.99\"\n{more}");
    let config: Config = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Target::new(&config.targets[0], None).unwrap()
}

/// Checks one row; what is wrong with it.
fn compare(row: &Expected) -> Vec<String> {
    let request = fixture(&row.file);
    let trunk = trunk_with(&row.trunk);
    let (numbers, mut steps) = decide_on(&request, &trunk);
    let numbers = numbers.unwrap_or_else(|end| panic!("{}: {end:?}", row.file));
    let seen = numbers.shown(Viewer { target: "cloud", trunk: trunk.config.privacy, own: None }, &mut steps);
    let mut wrong = vec![];
    let mut expect = |what: &str, is: String, expected: &str| {
        if is != expected {
            wrong.push(format!("{what}: `{is}`, expected `{expected}`"));
        }
    };
    expect("caller", seen.caller.clone(), &row.caller);
    expect("called", seen.called.clone(), &row.called);
    expect("name", seen.caller_name.clone().unwrap_or_default(), row.name.as_deref().unwrap_or_default());
    expect("key", numbers.caller_key().to_owned(), row.key.as_deref().unwrap_or(&row.caller));
    let values = |shown| Values {
        numbers: &numbers,
        shown,
        pbx_call_id: "",
        call_id: "tl00-1",
        trunk: &trunk,
        request: &request,
    };
    for (template, value) in &row.templates {
        expect(template, Template::parse(template).unwrap().render(&values(&seen)), value);
    }
    if let Some(more) = &row.target {
        let target = target(more);
        let viewer = Viewer { target: "cloud", trunk: trunk.config.privacy, own: target.recipe.privacy };
        let seen = numbers.shown(viewer, &mut steps);
        let lines = target.recipe.compose(&values(&seen), &mut steps);
        let lines: Vec<String> = lines.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        expect("sent", lines.join("\n"), &row.sent.join("\n"));
    }
    let record = serde_json::to_string(&steps).unwrap();
    for piece in row.steps.iter().filter(|piece| !record.contains(piece.as_str())) {
        wrong.push(format!("no step has {piece}:\n{}", serde_json::to_string_pretty(&steps).unwrap()));
    }
    wrong
}

#[test]
fn every_identity_header_means_what_the_table_of_the_fixtures_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/messages/identity.toml");
    let table: Expectations = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let wrong: Vec<String> = table
        .message
        .iter()
        .filter_map(|row| {
            let wrong = compare(row);
            (!wrong.is_empty()).then(|| format!("{} ({}): {}", row.file, row.trunk.trim(), wrong.join("; ")))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(table.message.len() > 25);
}

#[test]
fn every_fixture_is_decided_with_steps_that_explain_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/messages");
    let families = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = families.flat_map(|family| std::fs::read_dir(family).unwrap().map(|entry| entry.unwrap().path()));
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "sip")) {
        let message = read(&path);
        if message.method() == trunkline::sip::Method::Invite && message.is_request() {
            explained(&path, &message);
        }
    }
}

/// Whether trusted or not: there must be a step about both numbers, and a caller or a reason.
fn explained(path: &Path, message: &Message) {
    for more in ["", "trust = false\n", "privacy = \"reveal\"\n"] {
        let (_, steps) = decide_on(message, &trunk_with(more));
        for number in ["caller", "called"] {
            let told = steps.iter().any(|step| serde_json::to_value(step).unwrap()["number"] == number);
            assert!(told, "{}: {number}: {steps:#?}", path.display());
        }
    }
}

fn corpus(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let path = std::env::var_os("TRUNKLINE_CORPUS").map_or_else(beside, PathBuf::from).join(name);
    if !path.is_dir() {
        eprintln!("the shared corpus is absent: {} was not looked at", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn the_traces_of_real_pbxs_give_their_numbers() {
    let Some(folder) = corpus("pbx-invites") else { return };
    for (name, caller, called, caller_name) in [
        ("01-avaya-sm-invite", "1175", "71506", Some("User1175")),
        ("02-cucm125-delayed-offer", "3427", "7359", Some("Alice Example")),
        ("07-cisco-ios-gateway-isdn", "", "no_called_number", None),
        ("08-freepbx13-pjsip", "+15555550138", "6363", Some("15555550138")),
        ("10-freeswitch185", "1001", "1000", Some("Extension 1001")),
        ("13-audiocodes-mediant1000", "anonymous", "5753606", None),
        ("16-nortel-cs1000-multipart-capneg", "2108", "5201", Some("Alice Example2050")),
        ("17-3cx-base-invite", "auth_ID", "123456789", Some("Extension Name")),
        ("20-ribbon-carrier-diversion", "+1302109762259", "+12055305520", None),
        ("25-carrier-sbc-tel-pai-tgrp", "+2695550148", "967555500167", Some("+2695550148")),
    ] {
        let expected = (caller.to_owned(), called.to_owned(), caller_name.map(str::to_owned));
        assert_eq!(summary(&read(&folder.join(format!("{name}.sip")))), expected, "{name}");
    }
}

#[test]
fn every_number_of_the_corpus_has_a_step_that_explains_it() {
    let Some(folder) = corpus("pbx-invites") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sip") {
            continue;
        }
        explained(&path, &read(&path));
    }
}

#[test]
fn no_message_of_the_corpus_is_too_strange() {
    let mut seen = 0;
    for name in ["pbx-invites", "sip-features", "torture", "rfc4475", "malformed"] {
        let Some(folder) = corpus(name) else { continue };
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = Bytes::from(std::fs::read(&path).unwrap());
                let Ok(message) = Message::parse(bytes) else { continue };
                if message.is_request() && message.method() == trunkline::sip::Method::Invite {
                    explained(&path, &message);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen == 0 || seen > 30, "{seen}");
}
