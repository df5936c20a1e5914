//! `trunkline demo`: the gateway between a simulated PBX and a simulated Daily, real calls, one page about them.
//! The gateway is the one that `run` starts, from a configuration file like any other.

use crate::config;
use crate::gateway::{Addresses, Gateway};
use crate::record::CallRecord;
use crate::sim::ladder::{self, Paint};
use crate::sim::scene::{CallReport, Report, Scene};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Needs no file and no account: simulated PBX, Daily and bot around a real gateway, on loopback
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct DemoArgs {
    /// How many calls to place
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub calls: u32,
    /// Stay up afterwards, so that a softphone or SIPp can call
    #[arg(long)]
    pub keep: bool,
    /// Print calls, ladder and verdict as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo on a runtime of its own.
#[must_use]
pub fn run(args: &DemoArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match runtime.block_on(play(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => fail(&problem),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("trunkline demo: {problem}");
    ExitCode::FAILURE
}

async fn play(args: &DemoArgs) -> Result<bool, String> {
    let mut scene = Scene::start().await.map_err(|error| format!("cannot start the simulators: {error}"))?;
    let config = config::parse(&scene.configuration()).map_err(|error| format!("the demo's configuration: {error}"))?;
    let mut gateway = Gateway::start(config).await.map_err(|error| format!("the gateway did not start: {error}"))?;
    let addresses = gateway.addresses().clone();
    let Some((_, sip)) = addresses.sip.first().copied() else { return Err("the gateway has no listener".to_owned()) };
    scene.connect(addresses.http);
    let plural = if args.calls == 1 { "" } else { "s" };
    eprintln!(
        "placing {} call{plural}: PBX {} -> gateway {} -> Daily {}",
        args.calls,
        scene.pbx.sip_address(),
        sip,
        scene.daily.sip_address()
    );
    let outcomes = scene.play(sip, args.calls).await.map_err(|error| format!("cannot place calls: {error}"))?;
    scene.settle(Duration::from_secs(1)).await;
    let records: Vec<CallRecord> = gateway.calls().await.iter().map(|record| (**record).clone()).collect();
    let report = scene.report(outcomes, &records);
    let text = if args.json { json(&report)? } else { page(&report, paint()) };
    print(&text);
    if args.keep {
        eprint!("{}", invitation(&scene, sip, &addresses));
        let _ = tokio::signal::ctrl_c().await;
    }
    gateway.stop().await;
    Ok(report.verdict == "bridged")
}

/// A closed pipe is the reader's decision, not a failure of ours.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn json(report: &Report) -> Result<String, String> {
    serde_json::to_string_pretty(report).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// Colour only for eyes, and not for those who said no (no-color.org).
fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !unwanted { Paint::Colour } else { Paint::Plain }
}

fn invitation(scene: &Scene, sip: SocketAddr, addresses: &Addresses) -> String {
    format!(
        "\nstill up, end with Ctrl-C. Call it with a softphone or SIPp on this machine (G.711, UDP):\n  \
           sip:2025550100@{}\n\
         admin     http://{}/\nwebhooks  http://{}/\nDaily     {}/  calls at http://{}/sim/calls\n",
        sip,
        addresses.admin,
        addresses.http,
        scene.daily.api_url(),
        scene.daily.api_url().trim_start_matches("http://").trim_end_matches("/v1"),
    )
}

/// The page for people.
fn page(report: &Report, paint: Paint) -> String {
    let mut out = format!("\n{}\n", ladder::draw(&report.ladder, paint));
    if let Some(call) = report.calls.iter().find(|call| call.pbx.call_id == report.ladder_of) {
        out.push_str(&particulars(report, call));
    }
    for (number, call) in report.calls.iter().enumerate().filter(|(_, call)| !call.bridged) {
        let _ = writeln!(out, "call {:<4} {}", number + 1, call.problems.join("; "));
    }
    for violation in &report.violations {
        let _ = writeln!(out, "violation {violation}");
    }
    let bridged = report.calls.iter().filter(|call| call.bridged).count();
    let verdict = format!("{bridged} of {} calls bridged, audio heard both ways", report.calls.len());
    let (verdict, colour) = match report.verdict {
        "bridged" => (verdict, "\x1b[1;32m"),
        other => (format!("{other}: {verdict} on those"), "\x1b[1;31m"),
    };
    match paint {
        Paint::Plain => {
            let _ = writeln!(out, "verdict   {verdict}");
        }
        Paint::Colour => {
            let _ = writeln!(out, "verdict   {colour}{verdict}\x1b[0m");
        }
    }
    out
}

fn particulars(report: &Report, call: &CallReport) -> String {
    let mut out = String::new();
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    let [caller, called] = &call.mapped;
    let pbx = &call.pbx;
    let _ = writeln!(out, "numbers   PBX sent   From {}  To {}", pbx.from, pbx.to);
    let _ = writeln!(out, "                     P-Asserted-Identity {}  Request-URI {}", pbx.caller, pbx.called);
    let _ = writeln!(out, "          bot gets   x-caller {}  x-called {}", shown(caller), shown(called));
    let heard = &pbx.heard;
    let _ = writeln!(
        out,
        "audio     to caller  {} packets: {} hold music, {} bot ({} lost)",
        heard.received, heard.hold_music, heard.bot, heard.lost
    );
    if let Some(daily) = &call.daily {
        let _ = writeln!(
            out,
            "          to Daily   {} packets: {} of the caller's voice reached the bot's room ({} lost)",
            daily.heard.received, daily.heard_in_room, daily.heard.lost
        );
    }
    let stages: Vec<String> = report.stages().iter().map(|(name, at)| format!("{name} {at:.0}")).collect();
    let _ = writeln!(out, "setup ms  {}", stages.join(" · "));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Lane, Moment};
    use crate::sim::Heard;
    use crate::sim::pbx::CallOutcome;

    fn report(problems: &[&str]) -> Report {
        let moment = |at_us, from, to, what: &str| Moment { at_us, from, to, what: what.into(), detail: None };
        let pbx = CallOutcome {
            call_id: "a".into(),
            caller: "+12025550101".into(),
            called: "2025550100".into(),
            from: "<sip:trunk-out@pbx.example.com>".into(),
            to: "<sip:trunk-in@pbx.example.com>".into(),
            status: Some(200),
            heard: Heard { received: 40, hold_music: 15, bot: 25, ..Heard::default() },
            ..CallOutcome::default()
        };
        Report {
            verdict: if problems.is_empty() { "bridged" } else { "failed" },
            calls: vec![CallReport {
                bridged: problems.is_empty(),
                problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
                trunkline_call: None,
                mapped: [Some("+12025550101".into()), Some("+12025550100".into())],
                pbx,
                daily: None,
            }],
            ladder_of: "a".into(),
            ladder: vec![
                moment(0, Lane::Pbx, Lane::Trunkline, "INVITE"),
                moment(3_000, Lane::Trunkline, Lane::Pbx, "200 OK"),
            ],
            violations: vec![],
        }
    }

    #[test]
    fn the_page_says_what_was_mapped_heard_and_how_long_it_took() {
        let page = page(&report(&[]), Paint::Plain);
        for part in [
            "From <sip:trunk-out@pbx.example.com>  To <sip:trunk-in@pbx.example.com>",
            "x-caller +12025550101  x-called +12025550100",
            "40 packets: 15 hold music, 25 bot (0 lost)",
            "setup ms  answered 3",
            "verdict   1 of 1 calls bridged, audio heard both ways",
        ] {
            assert!(page.contains(part), "{page}");
        }
        assert!(page.lines().all(|line| line.chars().count() <= ladder::WIDTH), "{page}");
    }

    #[test]
    fn a_failure_is_told_with_its_reasons() {
        let page = page(&report(&["the bot did not hear the caller"]), Paint::Plain);
        assert!(page.contains("call 1    the bot did not hear the caller"), "{page}");
        assert!(page.contains("verdict   failed: 0 of 1 calls"), "{page}");
    }

    #[test]
    fn the_json_has_calls_ladder_and_verdict() {
        let text = json(&report(&[])).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["verdict"], "bridged");
        assert_eq!(value["calls"][0]["pbx"]["heard"]["bot"], 25);
        assert_eq!(value["ladder"][1]["what"], "200 OK");
    }
}
