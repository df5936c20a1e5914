//! `trunkline sim`: one simulator as a process of its own, scriptable into misbehaving.
//! JSON goes to stdout (a line a call or violation), words for people to stderr.

use crate::clock;
use crate::sim::Observer;
use crate::sim::bot::{Bot, BotMisbehaviour, BotOptions};
use crate::sim::daily::{Daily, DailyOptions, Misbehaviour, RestFault, Stage, TimestampUnit};
use crate::sim::message;
use crate::sim::pbx::{AnswerPlan, CallFaults, CallPlan, Dialect, HangUp, Hold, Identity, Pbx, PbxOptions};
use serde::Serialize;
use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::JoinSet;

/// One simulator as a process of its own
#[derive(Debug, Clone, clap::Args)]
pub struct SimArgs {
    /// Which one.
    #[command(subcommand)]
    pub which: Simulator,
}

/// The simulators.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Simulator {
    /// Daily: static SIP address, webhook, REST and rooms
    Daily(Box<DailyArgs>),
    /// A bot starter that joins the rooms of a simulated Daily
    Bot(BotArgs),
    /// A PBX that places calls, or waits for them
    Pbx(Box<PbxArgs>),
    /// Not in this version
    Signalwire(SignalwireArgs),
}

/// `sim daily`.
#[derive(Debug, Clone, clap::Args)]
pub struct DailyArgs {
    /// SIP socket
    #[arg(long, default_value = "127.0.0.1:5070")]
    pub sip: SocketAddr,
    /// REST listener
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub api: SocketAddr,
    /// room_creation_api: where the webhook goes
    #[arg(long, default_value = "http://127.0.0.1:8080/daily/dialin")]
    pub webhook_url: String,
    /// Domain webhook for dialin.ready
    #[arg(long)]
    pub events_url: Option<String>,
    /// The key that REST requests must bear
    #[arg(long, default_value = "simulated-api-key")]
    pub api_key: String,
    /// Secret of the webhook's signature, base64
    #[arg(long, default_value = "c2ltdWxhdGVkLXBpbmxlc3MtaG1hYy1zZWNyZXQ=")]
    pub hmac: String,
    /// Secret of the domain webhook's signature, base64
    #[arg(long, default_value = "c2ltdWxhdGVkLWV2ZW50cy1obWFjLXNlY3JldA==")]
    pub events_hmac: String,
    /// Unit of the webhook's timestamp
    #[arg(long, value_enum, default_value = "ms")]
    pub timestamp: TimestampUnit,
    /// Milliseconds from a bot's joining to dialin-ready
    #[arg(long, default_value_t = 50)]
    pub ready_delay_ms: u64,
    /// dialin-ready never comes
    #[arg(long)]
    pub never_ready: bool,
    /// Milliseconds before every REST answer
    #[arg(long, default_value_t = 0)]
    pub rest_delay_ms: u64,
    /// A REST failure: rooms|room|tokens|update|domain|entries|webhooks=STATUS, or =STATUSxN for the first N; writes are
    /// set-domain|set-entries|set-webhooks, whose STATUS may be `lost`: done and never answered; may be repeated
    #[arg(long = "rest-fault")]
    pub rest_faults: Vec<RestFault>,
    /// A dial-in entry that is there already, as JSON; may be repeated
    #[arg(long = "entry", value_parser = object)]
    pub entries: Vec<serde_json::Value>,
    /// A domain webhook that is there already, as JSON; may be repeated
    #[arg(long = "domain-webhook", value_parser = object)]
    pub webhooks: Vec<serde_json::Value>,
    /// Never show the secrets of entries and webhooks
    #[arg(long)]
    pub hide_secrets: bool,
    /// What is wrong with each of the first calls, as JSON; may be repeated
    #[arg(long = "call", value_parser = misbehaviour)]
    pub script: Vec<Misbehaviour>,
    /// What is wrong with all others.
    #[command(flatten)]
    pub misbehaviour: Misbehaviour,
    /// Start a bot too, here
    #[arg(long)]
    pub bot: Option<SocketAddr>,
    /// What is wrong with that bot.
    #[command(flatten)]
    pub bot_misbehaviour: BotMisbehaviour,
}

/// `sim bot`.
#[derive(Debug, Clone, clap::Args)]
pub struct BotArgs {
    /// Listener of POST /start
    #[arg(long, default_value = "127.0.0.1:8091")]
    pub listen: SocketAddr,
    /// Bearer token that the start request must carry
    #[arg(long)]
    pub token: Option<String>,
    /// What is wrong with it.
    #[command(flatten)]
    pub misbehaviour: BotMisbehaviour,
}

/// `sim pbx`.
#[derive(Debug, Clone, clap::Args)]
pub struct PbxArgs {
    /// Gateway to call: sip:[USER@]ADDRESS[:PORT]; without it the PBX only waits for calls
    #[arg(long)]
    pub to: Option<String>,
    /// SIP socket
    #[arg(long, default_value = "127.0.0.1:0")]
    pub sip: SocketAddr,
    /// How many calls
    #[arg(long, default_value_t = 1)]
    pub calls: u32,
    /// Calls per second
    #[arg(long, default_value_t = 1.0)]
    pub rate: f64,
    /// The true caller
    #[arg(long, default_value = "+12025550101")]
    pub caller: String,
    /// Its display name
    #[arg(long)]
    pub caller_name: Option<String>,
    /// The number that is dialled
    #[arg(long, default_value = "2025550100")]
    pub called: String,
    /// Where the true caller stands
    #[arg(long, value_enum, default_value = "asserted")]
    pub identity: Identity,
    /// Which PBX family is imitated
    #[arg(long, value_enum, default_value = "plain")]
    pub dialect: Dialect,
    /// A further header of the INVITE, NAME: VALUE; may be repeated
    #[arg(long = "header", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// Hang up this many milliseconds after the answer [after half a second of the bot]
    #[arg(long)]
    pub hang_up_after_ms: Option<u64>,
    /// Wait for the far side to hang up
    #[arg(long, conflicts_with = "hang_up_after_ms")]
    pub wait: bool,
    /// Give up this many milliseconds after the INVITE if unanswered
    #[arg(long)]
    pub cancel_after_ms: Option<u64>,
    /// Put on hold this many milliseconds after the answer, for as long again
    #[arg(long)]
    pub hold_after_ms: Option<u64>,
    /// The longest a call may take, in seconds
    #[arg(long, default_value_t = 60)]
    pub patience_s: u64,
    /// Send no audio
    #[arg(long)]
    pub no_rtp: bool,
    /// INVITE without an offer
    #[arg(long)]
    pub late_offer: bool,
    /// Never acknowledge the answer
    #[arg(long)]
    pub no_ack: bool,
    /// Do not answer BYE
    #[arg(long)]
    pub ignore_bye: bool,
    /// Vanish instead of hanging up
    #[arg(long)]
    pub vanish: bool,
    /// Calls to the PBX itself are answered with this status
    #[arg(long, default_value_t = 200)]
    pub answer: u16,
}

/// `sim signalwire`.
#[derive(Debug, Clone, clap::Args)]
pub struct SignalwireArgs {
    /// Whatever it will take one day
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<String>,
}

/// The same as a command of its own, for [`run_words`].
#[derive(Debug, clap::Parser)]
#[command(name = "trunkline sim", bin_name = "trunkline sim")]
struct Words {
    #[command(flatten)]
    args: SimArgs,
}

/// Runs the simulator that the words after `trunkline sim` ask for; help is status 0, misuse 2.
#[must_use]
pub fn run_words(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let program = OsString::from("trunkline sim");
    match <Words as clap::Parser>::try_parse_from(std::iter::once(program).chain(words)) {
        Ok(words) => run(words.args),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

/// Runs the simulator until it is done or Ctrl-C.
#[must_use]
pub fn run(args: SimArgs) -> ExitCode {
    if let Simulator::Signalwire(_) = args.which {
        eprintln!("trunkline sim signalwire: not in this version");
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("trunkline sim: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match args.which {
        Simulator::Daily(args) => runtime.block_on(daily(*args)),
        Simulator::Bot(args) => runtime.block_on(bot(args)),
        Simulator::Pbx(args) => runtime.block_on(pbx(*args)),
        Simulator::Signalwire(_) => return ExitCode::from(2),
    };
    match outcome {
        Ok(code) => code,
        Err(Problem { code, text }) => {
            eprintln!("trunkline sim: {text}");
            ExitCode::from(code)
        }
    }
}

/// Why a simulator could not run: exit status 1 failed, 2 wrong usage.
struct Problem {
    code: u8,
    text: String,
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self { code: 1, text: error.to_string() }
    }
}

fn usage(text: impl Into<String>) -> Problem {
    Problem { code: 2, text: text.into() }
}

fn object(text: &str) -> Result<serde_json::Value, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if value.is_object() { Ok(value) } else { Err("write a JSON object".to_owned()) }
}

fn misbehaviour(text: &str) -> Result<Misbehaviour, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("`{text}`: write NAME: VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// One line of machine output; a closed pipe is the reader's decision.
fn line(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    }
}

async fn daily(args: DailyArgs) -> Result<ExitCode, Problem> {
    let (bot_listen, bot_misbehaviour) = (args.bot, args.bot_misbehaviour.clone());
    let daily = Daily::start(daily_options(args)).await?;
    eprintln!("target uri  {}\napi_url     {}", daily.sip_uri(), daily.api_url());
    let bot = match bot_listen {
        Some(listen) => Some(start_bot(listen, None, bot_misbehaviour).await?),
        None => None,
    };
    let (mut told_calls, mut told_violations) = (vec![], 0);
    let mut ended = std::pin::pin!(tokio::signal::ctrl_c());
    let mut last = false;
    while !last {
        tokio::select! {
            _ = &mut ended => last = true,
            () = clock::sleep(Duration::from_millis(100)) => {}
        }
        for call in daily.calls() {
            if (last || call.stage == Stage::Ended) && !told_calls.contains(&call.call_id) {
                told_calls.push(call.call_id.clone());
                line(&serde_json::json!({ "call": call }));
            }
        }
        let mut violations = daily.violations();
        violations.extend(bot.iter().flat_map(Bot::violations));
        for violation in violations.iter().skip(told_violations) {
            line(&serde_json::json!({ "violation": violation }));
        }
        told_violations = violations.len();
    }
    Ok(if told_violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn daily_options(args: DailyArgs) -> DailyOptions {
    DailyOptions {
        sip: args.sip,
        api: args.api,
        webhook: Some(args.webhook_url),
        events: args.events_url,
        api_key: args.api_key,
        hmac: args.hmac,
        events_hmac: args.events_hmac,
        timestamp: args.timestamp,
        ready_delay: Duration::from_millis(args.ready_delay_ms),
        never_ready: args.never_ready,
        rest_delay: Duration::from_millis(args.rest_delay_ms),
        rest_faults: args.rest_faults,
        entries: args.entries,
        webhooks: args.webhooks,
        hide_secrets: args.hide_secrets,
        misbehaviour: args.misbehaviour,
        script: args.script,
        ..DailyOptions::default()
    }
}

async fn start_bot(listen: SocketAddr, token: Option<String>, misbehaviour: BotMisbehaviour) -> Result<Bot, Problem> {
    let bot = Bot::start(BotOptions { listen, token, misbehaviour, observer: Observer::silent() }).await?;
    eprintln!("start_url   {}", bot.start_url());
    Ok(bot)
}

async fn bot(args: BotArgs) -> Result<ExitCode, Problem> {
    let bot = start_bot(args.listen, args.token, args.misbehaviour).await?;
    let _ = tokio::signal::ctrl_c().await;
    bot.starts().iter().for_each(|start| line(&serde_json::json!({ "start": start })));
    bot.violations().iter().for_each(|violation| line(&serde_json::json!({ "violation": violation })));
    Ok(if bot.violations().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn pbx(args: PbxArgs) -> Result<ExitCode, Problem> {
    let answer = AnswerPlan { status: Some(args.answer), ..AnswerPlan::default() };
    let pbx = Pbx::start(PbxOptions { sip: args.sip, answer, ..PbxOptions::default() }).await?;
    eprintln!("trunk address  sip:{}", pbx.sip_address());
    let mut good = true;
    match &args.to {
        Some(to) => good &= place(std::sync::Arc::new(pbx), plan(&args, to)?, &args).await?,
        None => {
            let _ = tokio::signal::ctrl_c().await;
            pbx.taken().iter().for_each(|call| line(&serde_json::json!({ "taken": call })));
            good &= report_violations(&pbx);
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report_violations(pbx: &Pbx) -> bool {
    pbx.violations().iter().for_each(|violation| line(&serde_json::json!({ "violation": violation })));
    pbx.violations().is_empty()
}

async fn place(pbx: std::sync::Arc<Pbx>, plan: CallPlan, args: &PbxArgs) -> Result<bool, Problem> {
    if !(args.rate > 0.0 && args.rate <= 1_000.0) {
        return Err(usage("--rate is calls per second, above 0 and at most 1000"));
    }
    let mut good = true;
    let mut open = JoinSet::new();
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate));
    let mut left = args.calls;
    while left > 0 || !open.is_empty() {
        tokio::select! {
            _ = pace.tick(), if left > 0 => {
                left -= 1;
                let (pbx, plan) = (std::sync::Arc::clone(&pbx), plan.clone());
                open.spawn(async move { pbx.call(plan).await });
            }
            Some(ended) = open.join_next() => {
                let outcome = ended.map_err(|error| Problem { code: 1, text: error.to_string() })??;
                good &= outcome.status == Some(200);
                line(&outcome);
            }
        }
    }
    pbx.taken().iter().for_each(|call| line(&serde_json::json!({ "taken": call })));
    Ok(report_violations(&pbx) && good)
}

fn plan(args: &PbxArgs, to: &str) -> Result<CallPlan, Problem> {
    let uri = if to.starts_with("sip:") { to.to_owned() } else { format!("sip:{to}") };
    let milliseconds = Duration::from_millis;
    let mut plan = CallPlan::new(message::hop(&uri).map_err(usage)?, &args.caller, &args.called);
    plan.request_user = message::user(&uri);
    plan.caller_name.clone_from(&args.caller_name);
    plan.identity = args.identity;
    plan.dialect = args.dialect;
    plan.extra.clone_from(&args.headers);
    plan.cancel_after = args.cancel_after_ms.map(milliseconds);
    plan.patience = Duration::from_secs(args.patience_s);
    plan.hold = args.hold_after_ms.map(milliseconds).map(|after| Hold { after, lasts: after });
    plan.hang_up = match (args.wait, args.hang_up_after_ms) {
        (true, _) => HangUp::Never,
        (false, Some(after)) => HangUp::After(milliseconds(after)),
        (false, None) => plan.hang_up,
    };
    plan.faults = CallFaults {
        no_rtp: args.no_rtp,
        late_offer: args.late_offer,
        no_ack: args.no_ack,
        ignore_bye: args.ignore_bye,
        vanish: args.vanish,
    };
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::daily::WebhookFault;
    use clap::{Args as _, FromArgMatches as _};

    fn parse(words: &[&str]) -> Result<SimArgs, clap::Error> {
        let command = SimArgs::augment_args(clap::Command::new("sim"));
        let matches = command.try_get_matches_from(std::iter::once(&"sim").chain(words))?;
        SimArgs::from_arg_matches(&matches)
    }

    #[test]
    fn the_command_line_is_consistent() {
        SimArgs::augment_args(clap::Command::new("sim")).debug_assert();
        crate::cli::demo::DemoArgs::augment_args(clap::Command::new("demo")).debug_assert();
    }

    #[test]
    fn misbehaviour_of_daily_is_read_from_flags_and_from_json() {
        let args =
            parse(&["daily", "--webhook", "stale", "--rest-fault", "rooms=429x2", "--call", r#"{"reject":486}"#]);
        let Simulator::Daily(args) = args.unwrap().which else { panic!("another simulator") };
        let options = daily_options(*args);
        assert_eq!(options.misbehaviour.webhook, WebhookFault::Stale);
        assert_eq!(options.script[0].reject, Some(486));
        assert_eq!(options.rest_faults, ["rooms=429x2".parse().unwrap()]);
        assert!(parse(&["daily", "--call", "{}x"]).is_err());
    }

    #[test]
    fn a_call_is_planned_from_flags() {
        let args = parse(&["pbx", "--to", "sip:7000@127.0.0.1:5080", "--header", "X-A: b", "--wait", "--no-rtp"]);
        let Simulator::Pbx(args) = args.unwrap().which else { panic!("another simulator") };
        let plan = plan(&args, args.to.as_deref().unwrap()).ok().unwrap();
        assert_eq!((plan.hop, plan.request_user.as_deref()), ("127.0.0.1:5080".parse().unwrap(), Some("7000")));
        assert_eq!(plan.extra, [("X-A".to_owned(), "b".to_owned())]);
        assert_eq!(plan.hang_up, HangUp::Never);
        assert!(plan.faults.no_rtp);
    }

    #[test]
    fn words_of_another_command_line_are_read_too() {
        let status = |words: &[&str]| format!("{:?}", run_words(words.iter().map(OsString::from)));
        assert_eq!(status(&["daily", "--help"]), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(status(&["telephone"]), format!("{:?}", ExitCode::from(2)));
    }

    #[test]
    fn signalwire_is_refused_as_wrong_usage() {
        let args = parse(&["signalwire", "--anything"]).unwrap();
        assert_eq!(format!("{:?}", run(args)), format!("{:?}", ExitCode::from(2)));
    }
}
