//! `trunkline explain`: what would become of an INVITE, from a text or a capture, without a gateway and without sending.

use super::Outcome;
use super::args::Explain;
use crate::clock;
use crate::config;
use crate::explain::page::{Paint, page};
use crate::explain::{AskError, Question, Report, explain};
use bytes::Bytes;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

/// Explains. Done if every INVITE could be explained, whatever becomes of it.
#[must_use]
pub fn run(args: &Explain) -> Outcome {
    let config = match config::examine(&args.file.config) {
        Ok(examined) => examined.config,
        Err(error) => {
            eprintln!("{error}");
            return Outcome::Wrong;
        }
    };
    let input = match read(&args.input) {
        Ok(input) => input,
        Err(error) => {
            eprintln!(
                "{}: cannot be read: {error}; name a file with an INVITE or a capture, or - for stdin",
                args.input.display()
            );
            return Outcome::Wrong;
        }
    };
    let question = Question { input, trunk: args.trunk.clone(), source: args.source, call_id: args.call_id.clone() };
    let report = match ask(config, &question) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{}: {error}", args.input.display());
            return match error {
                Trouble::Ask(AskError::NoSuchTrunk(..)) => Outcome::Wrong,
                Trouble::Ask(_) | Trouble::Start(_) => Outcome::Failed,
            };
        }
    };
    show(&report, args)
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{0}")]
    Start(String),
}

fn ask(config: config::Config, question: &Question) -> Result<Report, Trouble> {
    let start = |error: &dyn std::fmt::Display| Trouble::Start(error.to_string());
    // For the names in `peers` and `advertise`.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| start(&error))?;
    let stage = runtime.block_on(crate::gateway::stage(config)).map_err(|error| start(&error))?;
    Ok(explain(&stage, question, clock::now())?)
}

fn read(path: &Path) -> std::io::Result<Bytes> {
    if path.as_os_str() != "-" {
        return std::fs::read(path).map(Bytes::from);
    }
    let mut input = vec![];
    std::io::stdin().lock().read_to_end(&mut input)?;
    Ok(Bytes::from(input))
}

fn show(report: &Report, args: &Explain) -> Outcome {
    let text = if args.json {
        match serde_json::to_string_pretty(report) {
            Ok(text) => text + "\n",
            Err(error) => {
                eprintln!("the answer cannot be written: {error}");
                return Outcome::Failed;
            }
        }
    } else {
        page(report, paint())
    };
    // A closed pipe is the reader's decision, not a failure of ours.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if report.is_complete() { Outcome::Done } else { Outcome::Failed }
}

/// Colour only for eyes, and not for those who said no (no-color.org).
fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !unwanted { Paint::Colour } else { Paint::Plain }
}
