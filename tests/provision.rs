//! `trunkline provision daily`: the built command against a simulated Daily with all the sharp edges that are known of the
//! real one. What it must never do (remove an entry, rotate a secret) the simulation records as a violation.

use axum::http::StatusCode;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;
use trunkline::gateway::Gateway;
use trunkline::sim::bot::{Bot, BotOptions};
use trunkline::sim::daily::{Daily, DailyOptions, Endpoint, RestFault};
use trunkline::sim::pbx::{CallPlan, HangUp, Pbx, PbxOptions};

const OWN_HMAC: &str = "b3duLXNlY3JldA==";

/// A folder with a configuration, and a simulated Daily.
struct Account {
    daily: Daily,
    folder: TempDir,
    public_url: String,
    /// Lines of `[daily]` in the place of the usual ones.
    secrets: &'static str,
    uri: &'static str,
    provision: String,
    rest_timeout: &'static str,
    env: Vec<(&'static str, String)>,
}

/// What a run of the command left.
struct Run {
    status: i32,
    report: Value,
    told: String,
}

// === impl Account ===

impl Account {
    async fn with(options: DailyOptions) -> Self {
        Self {
            daily: Daily::start(options).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            public_url: "https://gw.example.com".to_owned(),
            secrets: "hmac = \"${file:hmac}\"",
            uri: "${file:sip-uri}",
            provision: String::new(),
            rest_timeout: "30s",
            env: vec![],
        }
    }

    async fn empty() -> Self {
        Self::with(DailyOptions::default()).await
    }

    /// With two entries of others, one of which has fields that nobody knows.
    async fn shared() -> Self {
        Self::with(DailyOptions { entries: others(), ..DailyOptions::default() }).await
    }

    fn configuration(&self) -> String {
        let Self { public_url, secrets, uri, provision, rest_timeout, .. } = self;
        let api_url = self.daily.api_url();
        format!(
            "# a comment that has to stay\n[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[http]\npublic_url = \"{public_url}\"\n\
             [[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.1\"]\n[[target]]\nname = \"daily\"\nkind = \"daily\"\nuri = \"{uri}\"\n\
             [[route]]\ntargets = [\"daily\"]\n[daily]\napi_key = \"${{env:KEY}}\"\napi_url = \"{api_url}\"\n\
             rest_timeout = \"{rest_timeout}\"\n{secrets}\n[daily.provision]\n{provision}\n[[room]]\n"
        )
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        let output = self.command(&[&["provision", "daily"], arguments].concat()).await;
        let told = String::from_utf8(output.stderr).unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Run { status: output.status.code().unwrap(), report, told }
    }

    async fn command(&self, arguments: &[&str]) -> Output {
        std::fs::write(self.path("t.toml"), self.configuration()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.args(arguments).arg("--config").arg(self.path("t.toml"));
        command.env("KEY", "simulated-api-key").env_remove("HMAC").envs(self.env.clone());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok().map(|text| text.trim_end().to_owned())
    }

    fn entries(&self) -> Vec<Value> {
        self.daily.account()["entries"].as_array().unwrap().clone()
    }

    fn writes(&self) -> u64 {
        self.daily.account()["writes"].as_u64().unwrap()
    }

    /// The only entry that posts to this gateway.
    fn own(&self) -> Value {
        let url = format!("{}/daily/dialin", self.public_url);
        let own: Vec<Value> =
            self.entries().into_iter().filter(|entry| entry["room_creation_api"] == url.as_str()).collect();
        assert_eq!(own.len(), 1, "{own:?}");
        own[0].clone()
    }

    fn nobody_was_harmed(&self) {
        assert_eq!(self.daily.violations(), Vec::<String>::new());
    }
}

// === impl Run ===

impl Run {
    #[track_caller]
    fn is_done(&self, changed: bool) {
        assert_eq!((self.status, &self.report["changed"]), (0, &json!(changed)), "{}", self.told);
    }

    #[track_caller]
    fn failed(&self, word: &str) {
        assert_eq!(self.status, 1, "{}", self.told);
        assert!(self.told.contains(word), "{word} in {}", self.told);
        assert!(self.report["error"].as_str().is_some_and(|error| error.contains(word)), "{}", self.report);
    }

    fn actions(&self) -> Vec<&str> {
        self.report["entries"].as_array().unwrap().iter().map(|part| part["action"].as_str().unwrap()).collect()
    }
}

fn others() -> Vec<Value> {
    vec![
        json!({ "name_prefix": "shop", "room_creation_api": "https://shop.example.com/hook", "hmac": "c2hvcA==", "phone_number": "+15550101" }),
        json!({ "name_prefix": "desk", "room_creation_api": "https://desk.example.com/hook", "hmac": "ZGVzaw==", "future": { "n": 1.0, "x": [null] } }),
    ]
}

fn own_entry() -> Value {
    json!({ "name_prefix": "trunkline-gw-example-com", "room_creation_api": "https://gw.example.com/daily/dialin", "hmac": OWN_HMAC })
}

/// The bytes in which the simulation holds the entries of others.
fn texts(entries: &[Value]) -> Vec<String> {
    entries.iter().take(2).map(Value::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_configuration_that_loads_and_a_second_run_that_changes_nothing() {
    for api in ["entries", "array"] {
        let account = Account::shared().await;
        let before = account.entries();
        let dry = account.run(&["--dry-run", "--api", api]).await;
        dry.is_done(true);
        assert_eq!((dry.actions(), account.writes()), (vec!["create"], 0));
        assert_eq!((account.file("hmac"), account.file("sip-uri")), (None, None), "a dry run writes no file");
        assert!(dry.told.contains("would create") && dry.told.contains("hmac: ***"), "{}", dry.told);
        assert_eq!(account.command(&["check"]).await.status.code(), Some(2), "it is not provisioned yet");

        account.run(&["--api", api]).await.is_done(true);
        let own = account.own();
        assert_eq!(account.file("hmac").as_deref(), own["hmac"].as_str());
        assert_eq!(account.file("sip-uri"), Some(format!("sip:{}", own["sip_uri"].as_str().unwrap())));
        for name in ["hmac", "sip-uri"] {
            let mode = std::fs::metadata(account.path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(account.file("t.toml"), Some(account.configuration().trim_end().to_owned()));
        assert_eq!(texts(&account.entries()), texts(&before), "{api}");
        assert_eq!(account.command(&["check"]).await.status.code(), Some(0));

        let writes = account.writes();
        let again = account.run(&["--api", api]).await;
        again.is_done(false);
        assert_eq!((again.actions(), account.writes()), (vec!["none"], writes));
        assert_eq!((&again.report["files"], &again.report["set"]), (&json!([]), &json!([])));
        assert!(again.told.contains("nothing to change"), "{}", again.told);
        account.nobody_was_harmed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_the_list_is_provisioned_through_the_array() {
    let account = Account::shared().await;
    account.daily.break_rest(vec![RestFault::always(Endpoint::Entries, 404)]);
    let run = account.run(&[]).await;
    run.is_done(true);
    assert_eq!((&run.report["api"], account.entries().len()), (&json!("array"), 3));
    account.run(&["--api", "entries"]).await.failed("no /domain-dialin-config");
    account.nobody_was_harmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_ours_is_changed_without_a_new_secret_or_address() {
    for api in ["entries", "array"] {
        let mut own = own_entry();
        own["future"] = json!({ "keep": true });
        own["phone_number"] = json!("+15550102");
        let entries = [others(), vec![own]].concat();
        let mut account = Account::with(DailyOptions { entries, ..DailyOptions::default() }).await;
        account.provision = "interconnect = false\nnumbers = [\"+15550102\"]\nname = \"edge\"\n\
             hold_music = \"https://gw.example.com/hold.mp3\"\ntimeout_message = \"Please call again.\""
            .to_owned();
        let (before, address) = (account.entries(), account.own()["sip_uri"].clone());
        let run = account.run(&["--api", api]).await;
        run.is_done(true);
        assert_eq!(run.actions(), ["update"]);
        let own = account.own();
        assert_eq!((&own["hmac"], &own["sip_uri"], &own["name_prefix"]), (&json!(OWN_HMAC), &address, &json!("edge")));
        assert_eq!(own["hold_music_url"], "https://gw.example.com/hold.mp3");
        assert_eq!(own["timeout_config"], json!({ "message": "Please call again." }));
        assert_eq!(own["future"], json!({ "keep": true }));
        assert_eq!(account.file("hmac").as_deref(), Some(OWN_HMAC));
        assert_eq!(texts(&account.entries()), texts(&before));
        account.run(&["--api", api]).await.is_done(false);
        account.nobody_was_harmed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_somebody_else_is_not_taken_over_unasked() {
    let mut account = Account::shared().await;
    account.provision = "interconnect = false\nnumbers = [\"+15550101\"]".to_owned();
    account.run(&[]).await.failed("--adopt");
    assert_eq!(account.writes(), 0);
    account.run(&["--adopt"]).await.is_done(true);
    assert_eq!((&account.own()["hmac"], account.file("hmac").as_deref()), (&json!("c2hvcA=="), Some("c2hvcA==")));
    account.nobody_was_harmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_a_file_is_told_and_not_written() {
    let entries = vec![own_entry()];
    let mut account = Account::with(DailyOptions { entries, ..DailyOptions::default() }).await;
    account.secrets = "hmac = \"${env:HMAC}\"";
    account.uri = "sip:static-address--1@example.sip.daily.co";
    let dry = account.run(&["--dry-run"]).await;
    assert!(!dry.report.to_string().contains(OWN_HMAC), "a dry run shows no secret: {}", dry.report);
    let run = account.run(&[]).await;
    run.is_done(false);
    let uri = account.daily.sip_uri();
    let expected = json!([
        { "key": "daily.hmac", "env": "HMAC", "value": OWN_HMAC },
        { "key": "target.daily.uri", "value": uri },
    ]);
    assert_eq!(run.report["set"], expected);
    assert!(run.told.contains("set the environment variable HMAC") && run.told.contains("stdout holds secrets"));
    assert!(!run.told.contains(OWN_HMAC), "{}", run.told);
    account.env = vec![("HMAC", OWN_HMAC.to_owned())];
    let set = account.run(&[]).await.report["set"].clone();
    assert_eq!(set, json!([{ "key": "target.daily.uri", "value": uri }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_configured_already_becomes_the_secret_of_a_new_entry() {
    let mut account = Account::empty().await;
    account.secrets = "hmac = \"${env:HMAC}\"";
    account.env = vec![("HMAC", OWN_HMAC.to_owned())];
    let run = account.run(&[]).await;
    run.is_done(true);
    assert_eq!((&account.own()["hmac"], &run.report["set"]), (&json!(OWN_HMAC), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_held_something_else_is_replaced_and_it_is_said() {
    let account = Account::with(DailyOptions { entries: vec![own_entry()], ..DailyOptions::default() }).await;
    std::fs::write(account.path("hmac"), "c29tZXRoaW5nIGVsc2U=\n").unwrap();
    let run = account.run(&[]).await;
    run.is_done(false);
    assert_eq!(account.file("hmac").as_deref(), Some(OWN_HMAC));
    assert!(run.told.contains("replace") && run.told.contains("read something else"), "{}", run.told);
    assert_eq!(run.report["files"][0]["action"], "replace");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_daily_does_not_show_are_not_rotated() {
    let options = DailyOptions { entries: others(), hide_secrets: true, ..DailyOptions::default() };
    let account = Account::with(options).await;
    account.run(&["--api", "array"]).await.failed("does not show the secret");
    assert_eq!(account.writes(), 0);
    account.run(&["--api", "entries"]).await.is_done(true);
    assert_eq!(account.file("hmac").as_deref(), account.own()["hmac"].as_str(), "we made it, so we know it");
    account.nobody_was_harmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_between_reading_and_writing_stops_it() {
    for (api, reads) in [("entries", 1), ("array", 2)] {
        let account = Account::shared().await;
        account.daily.meddle_after(reads);
        account.run(&["--api", api]).await.failed("changed by somebody else");
        assert_eq!(account.writes(), 0, "{api}");
        account.run(&["--api", api]).await.is_done(true);
        assert_eq!(account.entries().len(), 4, "{api}");
        account.nobody_was_harmed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_with_their_remedy() {
    for (status, word) in
        [(401, "api_key"), (403, "may not do this"), (429, "wait a minute"), (500, "Daily has trouble")]
    {
        let account = Account::empty().await;
        account.daily.break_rest(vec![RestFault::always(Endpoint::Entries, status)]);
        account.run(&[]).await.failed(word);
        assert_eq!(account.writes(), 0, "{status}");
    }
    let account = Account::empty().await;
    account.daily.break_rest(vec![RestFault::always(Endpoint::SetEntries, 400)]);
    account.run(&[]).await.failed("POST /domain-dialin-config");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again() {
    let account = Account::shared().await;
    account.daily.break_rest(vec![
        RestFault::first(Endpoint::Entries, 503, 1),
        RestFault::first(Endpoint::Domain, 429, 1),
        RestFault::first(Endpoint::SetEntries, 429, 2),
    ]);
    account.run(&[]).await.is_done(true);
    assert_eq!((account.writes(), account.entries().len()), (1, 3));
    let account = Account::shared().await;
    account.daily.break_rest(vec![RestFault::first(Endpoint::SetDomain, 500, 2)]);
    account.run(&["--api", "array"]).await.is_done(true);
    assert_eq!(account.entries().len(), 3, "setting the same again changes nothing");
    account.nobody_was_harmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_failed_in_doubt_is_not_repeated() {
    let account = Account::empty().await;
    account.daily.break_rest(vec![RestFault::first(Endpoint::SetEntries, 500, 1)]);
    account.run(&[]).await.failed("may still take effect");
    assert_eq!(account.writes(), 0);
    let kept = account.file("hmac").unwrap();
    account.run(&[]).await.is_done(true);
    assert_eq!(account.own()["hmac"], kept.as_str(), "the secret was in its file before Daily was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_write_took_effect_does_it_once() {
    for (api, endpoint) in [("entries", Endpoint::SetEntries), ("array", Endpoint::SetDomain)] {
        let mut account = Account::shared().await;
        account.rest_timeout = "2s";
        account.daily.break_rest(vec![RestFault::first(endpoint, RestFault::LOST, 1)]);
        account.run(&["--api", api]).await.is_done(true);
        assert_eq!((account.writes(), account.entries().len()), (1, 3), "{api}");
        assert_eq!(account.file("hmac").as_deref(), account.own()["hmac"].as_str());
        account.nobody_was_harmed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_in_the_file_is_wrong_configuration() {
    let mut account = Account::empty().await;
    account.secrets = "hmac = \"${file:no/such/folder/hmac}\"";
    for arguments in [&["--dry-run"][..], &[]] {
        let run = account.run(arguments).await;
        assert_eq!((run.status, account.writes()), (2, 0), "{}", run.told);
        assert!(run.told.contains("make the folder"), "{}", run.told);
    }
    account.secrets = "";
    let run = account.run(&[]).await;
    assert!(run.status == 2 && run.told.contains("`hmac` is missing"), "{}", run.told);
    account.secrets = "hmac = \"${file:hmac}\"";
    account.provision = "numbers = [\"555-0100\"]".to_owned();
    let run = account.run(&[]).await;
    assert!(run.status == 2 && run.told.contains("E.164"), "{}", run.told);
}

// --- the domain webhook

/// A gateway's listener: answers every test request.
async fn listener() -> String {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let router = axum::Router::new().fallback(|| async { StatusCode::OK });
    tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
    url
}

const WITH_EVENTS: &str = "hmac = \"${file:hmac}\"\nevents_hmac = \"${file:events}\"";

fn hook(url: &str, state: &str) -> Value {
    json!({ "url": format!("{url}/daily/events"), "hmac": "ZXZlbnRz", "retryType": "circuit-breaker", "state": state, "eventTypes": ["room.ended"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_webhook_is_created_with_its_own_secret() {
    let mut account = Account::empty().await;
    account.public_url = listener().await;
    account.secrets = WITH_EVENTS;
    let dry = account.run(&["--dry-run"]).await;
    assert_eq!((dry.report["events"]["action"].as_str(), account.writes()), (Some("create"), 0));
    account.run(&[]).await.is_done(true);
    let hook = account.daily.account()["webhooks"][0].clone();
    assert_eq!(hook["url"], format!("{}/daily/events", account.public_url));
    assert_eq!((&hook["retryType"], account.file("events").as_deref()), (&json!("exponential"), hook["hmac"].as_str()));
    assert_ne!(account.file("events"), account.file("hmac"));
    account.run(&[]).await.is_done(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_daily_switched_off_is_armed_again_and_others_are_not() {
    let url = listener().await;
    let webhooks = vec![hook("https://other.example.com", "FAILED"), hook(&url, "FAILED")];
    let mut account = Account::with(DailyOptions { webhooks, ..DailyOptions::default() }).await;
    account.public_url = url;
    account.secrets = WITH_EVENTS;
    account.daily.break_rest(vec![RestFault::first(Endpoint::SetWebhooks, 500, 1)]);
    let run = account.run(&[]).await;
    run.is_done(true);
    assert!(run.told.contains("state: FAILED -> ACTIVE"), "{}", run.told);
    let hooks = account.daily.account()["webhooks"].clone();
    assert_eq!((&hooks[0]["state"], &hooks[1]["state"]), (&json!("FAILED"), &json!("ACTIVE")));
    assert_eq!((&hooks[1]["hmac"], &hooks[1]["eventTypes"][0]), (&json!("ZXZlbnRz"), &json!("room.ended")));
    assert_eq!(account.file("events").as_deref(), Some("ZXZlbnRz"));
    account.run(&[]).await.is_done(false);
    account.nobody_was_harmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_nobody_answers_says_to_start_the_gateway() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut account = Account::empty().await;
    account.public_url = format!("http://{closed}");
    account.secrets = WITH_EVENTS;
    account.run(&[]).await.failed("start the gateway");
    assert_eq!(account.file("hmac").as_deref(), account.own()["hmac"].as_str(), "the entry is there");
    assert_eq!(account.daily.account()["webhooks"], json!([]));
}

// --- what was provisioned, used

/// Thirty-two ports in a row that nobody holds, below the ephemeral ones.
fn media_ports() -> String {
    let free = |port: u16| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
    let start = u16::try_from(std::process::id() % 38).unwrap();
    let mut firsts = (0..38_u16).map(|at| 31_520 + (start + at) % 38 * 32);
    let first = firsts.find(|first| (*first..first + 32).all(free)).expect("free media ports");
    format!("{first}-{}", first + 31)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_the_provisioned_address_and_secret_brings_a_caller_to_the_bot() {
    let mut account = Account::empty().await;
    account.provision = "events = false".to_owned();
    account.run(&[]).await.is_done(true);
    let bot = Bot::start(BotOptions::default()).await.unwrap();
    let pbx = Pbx::start(PbxOptions::default()).await.unwrap();
    let text = account.configuration().replace("192.0.2.1", "127.0.0.1").replace("${env:KEY}", "simulated-api-key");
    let text = text
        .replace("[http]\n", "[http]\nlisten = \"127.0.0.1:0\"\n")
        .replace("[[room]]\n", &format!("[[room]]\nbot = {{ start_url = \"{}\" }}\n", bot.start_url()))
        // Bots reach it where it listens.
        .replace("public_url = \"https://gw.example.com\"\n", "");
    let media = format!("[media]\nbind = \"127.0.0.1\"\nports = \"{}\"\nworkers = 1\n", media_ports());
    std::fs::write(account.path("t.toml"), format!("{text}\n{media}[admin]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
    let config = trunkline::config::load(&account.path("t.toml")).unwrap_or_else(|problem| panic!("{problem}"));
    let mut gateway = Gateway::start(config).await.unwrap_or_else(|problem| panic!("{problem}"));
    // Only the host of the public address is missing here; the secret of the entry signs.
    account.daily.announce_to(format!("http://{}/daily/dialin", gateway.addresses().http));
    let mut plan = CallPlan::new(gateway.addresses().sip[0].1, "+12025550101", "2025550100");
    plan.hang_up = HangUp::AfterBot(25);
    plan.patience = Duration::from_secs(45);
    pbx.call(plan).await.unwrap();
    let calls = account.daily.calls();
    assert_eq!((calls.len(), &calls[0].webhook_answers), (1, &vec![200]), "{calls:#?}");
    assert!(calls[0].room.is_some() && calls[0].heard_in_room > 0, "{calls:#?}");
    account.nobody_was_harmed();
    gateway.stop().await;
}
