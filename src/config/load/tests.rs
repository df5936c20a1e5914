//! What a file may hold, and what its author is told when it is wrong.

use super::*;
use std::io;

/// The documentation, whose examples must load.
const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

static EXAMPLES: std::sync::LazyLock<Vec<&str>> = std::sync::LazyLock::new(|| {
    DOCUMENTATION.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
});

/// The first example of the documentation: the smallest useful file.
static SMALLEST: std::sync::LazyLock<&str> = std::sync::LazyLock::new(|| EXAMPLES[0]);

fn environment(name: &str) -> Option<String> {
    match name {
        "HOME_OFFICE_PASSWORD" => Some("secret".to_owned()),
        "DAILY_API_KEY" => Some("key-of-the-rest-api".to_owned()),
        "DAILY_PINLESS_HMAC" => Some("c2VjcmV0IG9mIHRoZSBob29r".to_owned()),
        "TEXT" => Some("not-a-number".to_owned()),
        "OPS_TOKEN" | "BOT_TOKEN" => Some("0123456789abcdef".to_owned()),
        _ => None,
    }
}

fn file(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("/etc/trunkline/hmac") => Ok("c2VjcmV0\r\n".to_owned()),
        Some("/etc/trunkline/desks.csv") => Ok("extension,number\r\n7100,+12025550111\r\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

fn examine(text: &str) -> Result<Examined, LoadError> {
    let surroundings = Surroundings {
        directory: Path::new("/etc/trunkline"),
        env: &environment,
        read: &file,
        resolves: &|host| host == "gw.example.com",
    };
    examine_text("trunkline.toml", text, &surroundings)
}

/// A small file without Daily, with more text of the test behind it.
fn with(more: &str) -> String {
    format!(
        "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.10\"]\naddress = \"sip:192.0.2.10\"\n\
         [[target]]\nname = \"bot\"\nkind = \"sip\"\nuri = \"sip:bot@198.51.100.1\"\n[[route]]\ntargets = [\"bot\"]\n{more}"
    )
}

fn problems(text: &str) -> Vec<String> {
    match examine(text) {
        Ok(_) => vec![],
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The only problem of a file, without its place.
fn problem(text: &str) -> String {
    match problems(text).as_slice() {
        [one] => one.splitn(4, ':').nth(3).unwrap().trim().to_owned(),
        other => panic!("{other:#?}\n{text}"),
    }
}

#[test]
fn the_smallest_file_of_the_documentation_loads() {
    let examined = examine(&SMALLEST).unwrap();
    let config = examined.config;
    assert_eq!(config.media_host().as_deref(), Some("203.0.113.10"));
    assert_eq!(config.sip_host(&config.sip.listen[0]).as_deref(), Some("203.0.113.10"));
    assert_eq!(config.daily.unwrap().api_key.expose(), "key-of-the-rest-api");
    assert_eq!(examined.warnings.len(), 1, "{:?}", examined.warnings);
    assert!(examined.warnings[0].message.contains("report ready"));
}

#[test]
fn all_examples_of_the_documentation_load_together() {
    let whole = EXAMPLES.concat().replace("[[route]]\ntargets = [\"daily\"]\n", "");
    let whole = format!("{whole}[[route]]\ntargets = [\"daily\"]\n").replace("pbx.example.com", "gw.example.com");
    let config = examine(&whole).unwrap_or_else(|error| panic!("{error}\n{whole}")).config;
    assert_eq!((config.trunks.len(), config.targets.len(), config.routes.len(), config.rooms.len()), (3, 3, 2, 2));
}

#[test]
fn the_documentation_names_every_key() {
    let schema = serde_json::to_value(crate::cli::schema::schema()).unwrap();
    let mut keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    for definition in schema["$defs"].as_object().unwrap().values() {
        keys.extend(definition["properties"].as_object().into_iter().flatten().map(|(key, _)| key));
    }
    for key in keys {
        let named = [
            format!("`{key}`"),
            format!("[{key}]"),
            format!("{key} ="),
            format!("] {key}`"),
            format!(" {key},"),
            format!(" {key} }}"),
        ];
        assert!(named.iter().any(|form| DOCUMENTATION.contains(form)), "{key}");
    }
}

#[test]
fn a_mistyped_key_is_named_with_its_place_and_the_key_that_was_meant() {
    let text = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n  advertize = \"192.0.2.1\"\n";
    assert_eq!(problems(text)[0], "trunkline.toml:3:3: unknown key `advertize` in [sip]; did you mean `advertise`?");
}

#[test]
fn every_problem_of_every_section_is_told_in_the_order_of_the_lines() {
    let text = r#"[sip]
listen = ["udp:0.0.0.0:5060", "udp:nowhere", "tls:0.0.0.0"]
t1 = 500
t2 = "4 sec"
[media]
ports = "30000-20000"
workers = 300
[[trunk]]
name = "a"
profile = "avaya-aurora"
peers = ["10.0.0.300"]
srtp = "optional"
[[trunk]]
peer = ["192.0.2.1"]
[[target]]
name = "t"
kind = "sipp"
uri = "t.example.com"
[[route]]
targets = [{ name = "t", weight = 2 }]
fallback = { trunk = "a", status = 480 }
[bogus]
[store]
path = "x"
"#;
    assert_eq!(
        problems(text),
        [
            r#"trunkline.toml:2:31: `listen` of [sip]: `udp:nowhere` is no listener; write udp:ADDR:PORT, tcp:ADDR:PORT or tls:ADDR:PORT, for example "udp:0.0.0.0:5060""#,
            "trunkline.toml:2:46: `listen` of [sip]: `tls:0.0.0.0` is no listener; write udp:ADDR:PORT, tcp:ADDR:PORT or tls:ADDR:PORT, for example \"udp:0.0.0.0:5060\"",
            "trunkline.toml:3:6: `t1` of [sip]: invalid type: integer `500`; write a string in quotes",
            r#"trunkline.toml:4:6: `t2` of [sip]: `4 sec` is no duration; write a whole number and ms, s, m or h, for example "30s""#,
            "trunkline.toml:6:9: `ports` of [media]: `30000-20000` has no room for a call; a call takes four ports, so name at least four",
            "trunkline.toml:7:11: `workers` of [media]: invalid value: integer `300`; write a whole number from 0 to 255",
            "trunkline.toml:10:11: `avaya-aurora` is no value of `profile` of [[trunk]]; did you mean `avaya-aura`?",
            "trunkline.toml:12:1: `srtp` is not in this version; remove it",
            "trunkline.toml:13:1: `name` is missing in [[trunk]]; add `name = ...`",
            "trunkline.toml:14:1: unknown key `peer` in [[trunk]]; did you mean `peers`?",
            "trunkline.toml:17:8: `sipp` is no value of `kind` of [[target]]; did you mean `sip`?",
            "trunkline.toml:20:12: weighted targets are not in this version; write a list of names",
            r#"trunkline.toml:21:12: `fallback` of [[route]]: a fallback is either a call or a status; write { trunk = "..", number = ".." } or { status = 480, reason = ".." }"#,
            "trunkline.toml:22:2: unknown section or key `bogus`; known sections: [sip], [media], [http], [admin], [numbers], [[trunk]], [[target]], [[route]], [daily], [[room]], [guard], [observe], [signalwire], [store], [cluster]",
            "trunkline.toml:23:2: `store` is not in this version; remove it",
        ]
    );
}

#[test]
fn a_mistyped_required_key_is_one_problem_and_not_two() {
    let told = problem(&with("[[target]]\nnmae = \"x\"\nkind = \"sip\"\nuri = \"a@192.0.2.1\"\n"));
    assert_eq!(told, "unknown key `nmae` in [[target]]; did you mean `name`?");
    let told = problem(&SMALLEST.replace("start_url", "start_ulr"));
    assert_eq!(told, "unknown key `start_ulr` in `bot` of [[room]]; did you mean `start_url`?");
}

#[test]
fn keys_of_later_versions_are_refused_by_name() {
    for (more, key) in [
        ("[observe]\nhep = \"x\"\n", "hep"),
        ("[signalwire]\nspace = \"x\"\n", "signalwire"),
        ("[[route]]\ntargets = [\"bot\"]\ntarget = \"bot\"\n", "target"),
        ("[[target]]\nname = \"x\"\nkind = \"sip\"\nuri = \"sip:a@192.0.2.1\"\nsrtp = \"off\"\n", "srtp"),
    ] {
        assert_eq!(problem(&with(more)), format!("`{key}` is not in this version; remove it"));
    }
}

#[test]
fn syntax_errors_have_a_place() {
    let told = problems("[sip]\nlisten = [\"udp:127.0.0.1:5060\"\nt1 = \"1s\"\n");
    assert!(told[0].starts_with("trunkline.toml:3:1: not valid TOML: "), "{told:?}");
    let twice = problems("[sip]\nt1 = \"1s\"\nt1 = \"2s\"\n");
    assert!(twice[0].starts_with("trunkline.toml:3:1: not valid TOML: "), "{twice:?}");
}

#[test]
fn environment_and_files_are_read_and_their_absence_is_a_problem() {
    let text = SMALLEST.replace("${env:DAILY_PINLESS_HMAC}", "${file:hmac}");
    assert_eq!(examine(&text).unwrap().config.daily.unwrap().hmac.0[0].expose(), "c2VjcmV0");

    let text = with(
        "[http]\npublic_url = \"https://${env:MISSING}/x\"\n[observe]\nlog = \"${file:gone}\"\n[numbers]\ncountry = \"${env:OPEN\"\n",
    );
    assert_eq!(
        problems(&text),
        [
            "trunkline.toml:14:14: environment variable `MISSING` is not set; set MISSING in the environment of the gateway, or use ${file:PATH}",
            "trunkline.toml:16:7: file `gone` cannot be read: entity not found; check the path, which is relative to the configuration file, and its permissions",
            "trunkline.toml:18:11: `${env:` has no closing brace; write the `}`",
        ]
    );
}

#[test]
fn a_message_shows_the_placeholder_and_never_what_stood_behind_it() {
    let text = with("[observe]\nredact_numbers = \"${env:TEXT}\"\n");
    assert_eq!(
        problem(&text),
        "`redact_numbers` of [observe]: invalid type: string \"${env:TEXT}\"; write true or false"
    );
    let hmac = SMALLEST.replace("${env:DAILY_PINLESS_HMAC}", "${env:TEXT}");
    assert!(!examine(&hmac).unwrap_err().to_string().contains("not-a-number"));
}

#[test]
fn what_refers_to_nothing_is_told_with_the_nearest_name() {
    for (more, expected) in [
        ("[[route]]\ntargets = [\"bott\"]\n", "there is no [[target]] `bott`; did you mean `bot`?"),
        ("[[route]]\ntargets = [\"elsewhere\"]\n", "there is no [[target]] `elsewhere`; known names: bot"),
        ("[[route]]\ntrunk = \"pbx2\"\ntargets = [\"bot\"]\n", "there is no [[trunk]] `pbx2`; did you mean `pbx`?"),
        ("[[route]]\ntargets = []\n", "`targets` of [[route]] is empty; name at least one [[target]]"),
        ("[[route]]\ntargets = [\"bot\", \"bot\"]\n", "target `bot` stands twice in this route; remove one of them"),
        (
            "[[route]]\ntargets = [\"bot\"]\nfallback = { trunk = \"pbs\", number = \"1\" }\n",
            "there is no [[trunk]] `pbs`; did you mean `pbx`?",
        ),
        (
            "[[trunk]]\nname = \"in\"\npeers = [\"192.0.2.11\"]\n[[route]]\ntargets = [\"bot\"]\nfallback = { trunk = \"in\", number = \"1\" }\n",
            "the fallback calls trunk `in`, which has no `address`; add `address = \"sip:HOST\"` or `register = true` to that [[trunk]]",
        ),
        (
            "[[route]]\ntargets = [\"bot\"]\nfallback = { status = 200 }\n",
            "200 is no SIP status of a refusal; write a status from 400 to 699",
        ),
        (
            "[[route]]\ntargets = [\"bot\"]\nretry_on = [486, 200]\n",
            "200 in `retry_on` is no final status of a failure; write statuses from 300 to 699",
        ),
        (
            "[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.11\"]\n",
            "`pbx` is the name of two [[trunk]]; rename one of them",
        ),
        (
            "[[trunk]]\nname = \"x\"\npeers = [\"192.0.2.10\"]\n",
            "192.0.2.10 is a peer of both `pbx` and `x`; remove it from one of them; a call belongs to one trunk",
        ),
        (
            "[[trunk]]\nname = \"x\"\n",
            "no call can come from or go to trunk `x`; add `peers` (where its calls come from), `auth` (who its calls come from) or `address` (where calls to it go)",
        ),
    ] {
        assert_eq!(problem(&with(more)), expected);
    }
}

#[test]
fn a_daily_target_needs_the_account_and_a_room_plan() {
    let text = with("[[target]]\nname = \"d\"\nkind = \"daily\"\nuri = \"x@example.sip.daily.co\"\n");
    let told = problems(&text);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("there is no [[room]]") && told[1].contains("there is no [daily]"), "{told:?}");
}

#[test]
fn what_this_version_does_not_do_is_refused_and_not_ignored() {
    for (from, to, expected) in [
        (
            "kind = \"daily\"",
            "kind = \"signalwire\"",
            "kind `signalwire` is not in this version; use \"daily\" or \"sip\"",
        ),
        (
            "kind = \"daily\"",
            "kind = \"daily-trunk\"",
            "kind `daily-trunk` is not in this version; use \"daily\" or \"sip\"",
        ),
        (
            "bot = {",
            "connect = \"bot\"\nbot = {",
            "`connect = \"bot\"` without `events_hmac` of [daily]: nothing would show that the bot connected the caller; set up Daily's domain webhook and write its secret to `events_hmac`, or let the gateway connect",
        ),
        (
            "bot = {",
            "on_failure = \"announce\"\nbot = {",
            "`on_failure = \"announce\"` is not in this version; use \"fallback\" or \"hangup\"",
        ),
        (
            "bot = {",
            "use = \"r\"\ncreate = {}\nbot = {",
            "`use` and `create` exclude each other: a call has one room; remove one of them",
        ),
    ] {
        assert_eq!(problem(&SMALLEST.replace(from, to)), expected);
    }
}

#[test]
fn bots_budgets_and_shares_are_checked() {
    let start = "bot = { start_url = \"https://bots.example.com/start\" }";
    for (from, to, expected) in [
        (start, "bot = {}", "`bot` does not say where it is started; add `start_url`, or `agent` of Pipecat Cloud"),
        (
            start,
            "bot = { agent = \"a\" }",
            "`agent` names an agent of Pipecat Cloud, but the bot is of another kind; add kind = \"pipecat-cloud\", or remove it",
        ),
        (
            start,
            "bot = { kind = \"pipecat-cloud\", agent = \"a\" }",
            "a bot at Pipecat Cloud needs a `token`; write a public key of the organisation (pk_...) to `token`",
        ),
        (
            start,
            "bot = { kind = \"pipecat-cloud\", agent = \"a/b\", token = \"pk\" }",
            "`agent` is `a/b`, which is no name of an agent; write letters, digits and hyphens, as in its start URL",
        ),
        (
            start,
            "bot = { kind = \"pipecat-cloud\", agent = \"a\", start_url = \"https://a.example.com\", token = \"pk\" }",
            "`agent` and `start_url` exclude each other: either says where the bot is started; remove one of them",
        ),
        ("bot = {", "share = 0\nbot = {", "`share` is no percentage from 1 to 100; write 30 for 30% of the calls"),
        (
            "[daily]",
            "[daily]\nupdate_budget = 0",
            "`update_budget` of [daily] is 0: no caller would ever be connected; write how many requests a second Daily takes: 20 of most kinds",
        ),
    ] {
        assert_eq!(problem(&SMALLEST.replace(from, to)), expected, "{to}");
    }
    for (from, to) in [
        (start, "bot = { kind = \"pipecat-cloud\", agent = \"a\", token = \"pk\" }"),
        ("bot = {", "connect = \"bot\"\nbot = {"),
        ("bot = {", "share = 30\nbot = { start_url = \"https://a.example.com\" }\n[[room]]\nbot = {"),
    ] {
        let text = SMALLEST.replace("[daily]", "[daily]\nevents_hmac = \"c2VjcmV0\"").replace(from, to);
        assert_eq!(problems(&text), Vec::<String>::new(), "{to}");
    }
}

#[test]
fn values_are_checked_for_what_they_are_used_for() {
    for (more, expected) in [
        ("[media]\nadvertise = \"0.0.0.0\"\n", "`advertise` of [media] is 0.0.0.0, which nobody can reach"),
        ("[media]\nadvertise = \"nowhere.example.com\"\n", "`advertise` of [media] does not resolve"),
        ("[media]\nadvertise = \"192.0.2.1:5060\"\n", "`advertise` of [media] is no host"),
        ("[media]\nports = \"5000-6000\"\n", "media ports 5000-6000 contain the SIP port 5060"),
        ("[http]\npublic_url = \"bots.example.com\"\n", "`public_url` is no usable URL"),
        ("[http]\nlisten = \"127.0.0.1:8081\"\n", "[http] and [admin] both listen on 127.0.0.1:8081"),
        ("[admin]\nlisten = \"0.0.0.0:8081\"\n", "[admin] listens on 0.0.0.0:8081 without tokens"),
        ("[admin]\ntokens = [{ name = \"a\", role = \"admin\", token = \" \" }]\n", "the token is empty"),
        ("[numbers]\ncountry = \"UK\"\n", "`UK` is no country we know"),
        ("[daily]\napi_key = \"k\"\nhmac = \"not base64!\"\n", "`hmac` of [daily] is not base64"),
        ("[daily]\napi_key = \"k\"\nhmac = []\n", "`hmac` of [daily]: the list is empty"),
        ("[daily]\napi_key = \"k\"\nhmac = \"c2Vj\"\napi_url = \"ftp://x\"\n", "`api_url` is no usable URL"),
        (
            "[[route]]\ncalled = \"(\"\ntargets = [\"bot\"]\n",
            "`called` of [[route]]: `(` is no regular expression: unclosed group",
        ),
        ("[[route]]\nheader = { name = \"a b\", match = \".\" }\ntargets = [\"bot\"]\n", "`name` is no header name"),
        (
            "[[trunk]]\nname = \"x\"\npeers = [\"192.0.2.11\"]\nkeepalive = \"30s\"\n",
            "trunk `x` has `keepalive` but no `address` to ask",
        ),
        (
            "[[trunk]]\nname = \"x\"\naddress = \"192.0.2.11\"\nkeepalive = { interval = \"30s\", up_after = 0 }\n",
            "`up_after` is zero",
        ),
        (
            "[[trunk]]\nname = \"x\"\naddress = \"192.0.2.11\"\nkeepalive = { intervall = \"30s\", interval = \"30s\" }\n",
            "unknown key `intervall` in `keepalive` of [[trunk]]; did you mean `interval`?",
        ),
        (
            "[[trunk]]\nname = \"x\"\naddress = \"192.0.2.11\"\nkeepalive = \"often\"\n",
            "`keepalive` of [[trunk]]: `often` is no duration",
        ),
        ("[guard]\nunknown = \"refused\"\n", "`refused` is no value of `unknown` of [guard]; did you mean `refuse`?"),
        ("[guard]\ndeny = [\"evil.example.com\"]\n", "`deny` of [guard]: `evil.example.com` is no address or network"),
        ("[guard]\nscanners = [\"a\"]\n", "`a` in `scanners` is part of many names"),
        ("[guard]\nban_time = \"0s\"\n", "`ban_time` is zero"),
        (
            "[[target]]\nname = \"x\"\nkind = \"sip\"\nuri = \"sip:a@192.0.2.1;transport=sctp\"\n",
            "`uri` of target `x`: transport is not udp, tcp or tls",
        ),
        (
            "[[target]]\nname = \"x\"\nkind = \"sip\"\nuri = \"a@b\"\noutbound_proxy = \"sip:\"\n",
            "`outbound_proxy` of target `x`: the URI is empty",
        ),
        (
            "[[target]]\nname = \"x\"\nkind = \"sip\"\nuri = \"a@b\"\nheaders = { x-a = \"{caler}\" }\n",
            "template of `x-a`: unknown placeholder {caler}; did you mean {caller}?",
        ),
        (
            "[[target]]\nname = \"x\"\nkind = \"sip\"\nuri = \"a@b\"\nheaders = { contact = \"y\" }\n",
            "header `contact` is written by the gateway itself",
        ),
        (
            "[[target]]\nname = \"x\"\nkind = \"sip\"\nuri = \"a@b?Via=y\"\n",
            "header `Via` is written by the gateway itself",
        ),
        (
            "[[trunk]]\nname = \"x\"\npeers = [\"192.0.2.11\"]\ntranslate = [{ number = \"caller\", match = \"^9(.*)\", replace = \"$1555\" }]\n",
            "`replace` names group `1555`, which `match` has not",
        ),
        (
            "[[trunk]]\nname = \"x\"\npeers = [\"192.0.2.11\"]\ntranslate = [{ number = \"caller\", match = \"^9(.*)\", replace = \"$1x\" }]\n",
            "`replace` names group `1x`, which `match` has not; write ${1} with braces before what follows",
        ),
    ] {
        let told = problem(&with(more));
        assert!(told.starts_with(expected), "{told}\nexpected: {expected}");
        assert!(told.contains("; "), "has no remedy: {told}");
    }
}

#[test]
fn an_empty_file_says_what_is_needed() {
    let told = problems("");
    for needed in ["no listener", "no [[trunk]]", "no [[target]]", "no [[route]]"] {
        assert!(told.iter().any(|line| line.contains(needed)), "{needed}: {told:?}");
    }
}

#[test]
fn without_any_address_for_media_the_file_is_refused() {
    let text = with("").replace("udp:127.0.0.1:5060", "udp:0.0.0.0:5060");
    assert!(problem(&text).starts_with("there is no address for media"), "{}", problem(&text));
    assert!(examine(&format!("{text}[media]\nadvertise = \"gw.example.com\"\n")).is_ok());
}

#[test]
fn doubtful_things_are_warnings() {
    let text = with(
        "[[trunk]]\nname = \"open\"\npeers = [\"0.0.0.0/0\"]\ncodecs = [\"PCMX\"]\nmax_calls = 0\naddress = \"192.0.2.9\"\nkeepalive = \"1s\"\n[guard]\ndeny = [\"192.0.2.0/24\"]\n[[target]]\nname = \"idle\"\nkind = \"sip\"\nuri = \"a@192.0.2.1\"\n[[route]]\ntargets = [\"bot\"]\n",
    );
    let told: Vec<String> = examine(&text).unwrap().warnings.iter().map(|warning| warning.of("f")).collect();
    for expected in [
        "peer 0.0.0.0/0 of trunk `open` lets almost anyone call",
        "codec `PCMX` is not one we know; did you mean `PCMU`?",
        "`max_calls` of 0 refuses every call",
        "no [[route]] uses target `idle`",
        "this [[route]] is never reached",
        "`keepalive` asks every 1s",
        "`deny` has 192.0.2.0/24, but 0.0.0.0/0 is a peer of a trunk and stays welcome",
    ] {
        assert!(told.iter().any(|line| line.contains(expected)), "{expected}: {told:#?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let error = super::examine(Path::new("/nowhere/trunkline.toml")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/trunkline.toml: cannot be read: "), "{error}");
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let config = examine(&with("[[trunk]]\nname = \"x\"\npeers = [\"2001:db8::/64\", \"pbx.example.com\"]\ntranslate = [{ number = \"called\", match = '^(\\d+)$', replace = \"+${1}\" }]\n")).unwrap().config;
    let shown = crate::cli::check::effective(&config).unwrap();
    let again = examine(&shown).unwrap().config;
    assert_eq!(crate::cli::check::effective(&again).unwrap(), shown);
    for line in [
        "advertise = \"127.0.0.1\"",
        "t1 = \"500ms\"",
        "max_duration = \"4h\"",
        "ports = \"20000-29999\"",
        "country = \"US\"",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn secrets_are_masked_where_the_configuration_is_shown() {
    let config = examine(&SMALLEST).unwrap().config;
    let shown = crate::cli::check::effective(&config).unwrap();
    assert!(shown.contains("api_key = \"***\"") && shown.contains("hmac = \"***\""), "{shown}");
    for text in [shown, format!("{config:?}")] {
        assert!(!text.contains("key-of-the-rest-api") && !text.contains("c2VjcmV0"), "{text}");
    }
}

#[test]
fn a_missing_variable_hides_no_other_problem() {
    let text = "[sip]\nadvertize = \"x\"\n[daily]\napi_key = \"${env:NOT_THERE_FOR_SURE}\"\nhmac = \"c2VjcmV0\"\n";
    let error = parse(text).unwrap_err().to_string();
    assert!(error.contains("NOT_THERE_FOR_SURE"), "{error}");
    assert!(error.contains("unknown key `advertize`"), "{error}");
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn what_provisioning_is_told_is_checked() {
    let daily = |more: &str| with(&format!("[daily]\napi_key = \"k\"\nhmac = \"aaaa\"\n[daily.provision]\n{more}\n"));
    for (more, told) in [
        ("numbers = [\"0711 123\"]", "`0711 123` is no number in E.164; write it as bought"),
        ("numbers = [\"+15550100\", \"+15550100\"]", "`+15550100` stands twice in `numbers`; remove one"),
        ("interconnect = false", "[daily.provision] wants no entry at all; write `interconnect = true`"),
        ("hold_music = \"hold.mp3\"", "`hold_music` is no usable URL"),
        ("name = \" \"", "`name` of [daily.provision] is empty"),
        ("target = \"bott\"", "there is no [[target]] `bott`; did you mean `bot`?"),
        ("api = \"arrays\"", "`arrays` is no value of `provision.api` of [daily]; did you mean `array`?"),
    ] {
        assert!(problem(&daily(more)).starts_with(told), "{more}: {}", problem(&daily(more)));
    }
    assert_eq!(problems(&daily("numbers = [\"+15550100\"]")), Vec::<String>::new());
}

#[test]
fn headers_that_pass_and_their_limit_are_checked() {
    let target = |more: &str| with("").replace("kind = \"sip\"\n", &format!("kind = \"sip\"\n{more}\n"));
    for (more, told) in [
        ("pass_headers = [\"Via\"]", "header `Via` belongs to one hop or dialog and cannot pass"),
        ("pass_headers = [\"m\"]", "header `m` belongs to one hop or dialog and cannot pass"),
        ("pass_headers = [\"X-*-Id\"]", "`X-*-Id` is no header name"),
        ("pass_headers = [\"\"]", "`` is no header name"),
        ("header_limit = 64", "`header_limit` of target `bot` has no room"),
        ("privacy = \"revel\"", "did you mean `reveal`?"),
        ("headers = { x-caller = \"{caller:digit}\" }", "forms of {caller}: e164, digits, national, as-received, ext"),
        ("headers = { x-caller = \"{ucid|sesion_id}\" }", "did you mean {session_id}?"),
    ] {
        let problem = problem(&target(more));
        assert!(problem.contains(told), "{more}: {problem}");
    }
    let warned = examine(&target("pass_headers = [\"*\"]")).unwrap().warnings;
    assert!(warned[0].message.contains("every header of the PBX"), "{warned:?}");
    assert!(problems(&target("pass_headers = [\"X-*\", \"User-to-User\"]\nheader_limit = 500")).is_empty());
}

#[test]
fn extensions_are_read_from_the_file_and_from_a_list_beside_it() {
    let trunk = |more: &str| with("").replace("name = \"pbx\"\n", &format!("name = \"pbx\"\n{more}\n"));
    let config =
        examine(&trunk("extensions = { 7000 = \"+12025550110\" }\nextensions_csv = \"${file:desks.csv}\"")).unwrap();
    let list = config.config.trunks[0].extensions_csv.clone().unwrap();
    assert_eq!(list.iter().collect::<Vec<_>>(), [("7100", "+12025550111")]);
    for (more, told) in [
        ("extensions = { 7000 = \" \" }", "`extensions` of trunk `pbx` has an empty entry"),
        ("extensions_csv = \"7000\"", "line 1 of the list has one column"),
        ("extensions_csv = \"${file:none.csv}\"", "file `none.csv` cannot be read"),
    ] {
        let problem = problem(&trunk(more));
        assert!(problem.contains(told), "{more}: {problem}");
    }
}

const WITH_PROFILE: &str = "[sip]\nlisten = [\"udp:192.0.2.1:5060\"]\n[[trunk]]\nname = \"a\"\npeers = [\"192.0.2.10\"]\nPROFILE\n\
    [[target]]\nname = \"b\"\nkind = \"sip\"\nuri = \"b@192.0.2.2\"\n[[route]]\ntargets = [\"b\"]\n";

fn with_profile(lines: &str) -> Examined {
    let examined = examine(&WITH_PROFILE.replace("PROFILE", lines)).unwrap();
    assert!(examined.warnings.is_empty(), "{:?}", examined.warnings);
    examined
}

#[test]
fn a_profile_fills_in_what_the_trunk_leaves_out_and_nothing_else() {
    use crate::config::origin::Origin;
    use crate::config::trunk::CallerSource;
    let examined = with_profile("profile = \"freeswitch\"\ncalled = [\"to\"]");
    let trunk = &examined.config.trunks[0];
    assert_eq!(trunk.identity[0], CallerSource::RemotePartyId);
    assert_eq!(trunk.called.len(), 1);
    let origin = |key: &str| examined.origins.of("trunk", 0, key);
    assert_eq!(origin("identity"), Origin::Profile("freeswitch"));
    assert_eq!(origin("called"), Origin::File);
    assert_eq!(origin("trust"), Origin::Standard);
    assert!(trunk.keepalive.is_none(), "there is no address to ask");
    let asked = with_profile("profile = \"freeswitch\"\naddress = \"192.0.2.10\"");
    assert!(asked.config.trunks[0].keepalive.is_some());
    let own = with_profile("profile = \"freeswitch\"\nidentity = [\"from\"]");
    assert_eq!(own.config.trunks[0].identity, [CallerSource::From]);
}

#[test]
fn every_profile_passes_the_checks_and_generic_changes_nothing() {
    let plain = toml::to_string(&with_profile("").config.trunks[0]).unwrap();
    for family in crate::trunk::profile::FAMILIES {
        let trunk = with_profile(&format!("profile = \"{}\"", family.name)).config.trunks.remove(0);
        let text = toml::to_string(&trunk).unwrap();
        assert_eq!(text == plain, family.presets.is_empty(), "{}", family.name);
    }
}

#[test]
fn what_a_pbx_is_told_is_checked_against_the_catalogue() {
    for (causes, said) in [
        ("{ no_rout = { status = 503 } }", "did you mean `no_route`?"),
        ("{ no_route = { status = 200 } }", "`status` is no status of a refusal"),
        ("{ no_route = { q850 = 128 } }", "`q850` is no cause of Q.850"),
    ] {
        let text = problem(&WITH_PROFILE.replace("PROFILE", &format!("causes = {causes}")));
        assert!(text.contains(said), "{text}");
    }
    assert_eq!(with_profile("causes = { no_route = { status = 503, q850 = 38 } }").config.trunks[0].causes.len(), 1);
}
