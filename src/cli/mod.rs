//! The command line: arguments in, exit status out. One file per command; nothing else in the house imports from here.

pub mod args;
pub mod check;
pub mod demo;
pub mod explain;
pub mod provision;
pub mod run;
pub mod schema;
pub mod sim;

use args::{Account, Arguments, Command, Provision};
use check::Print;
use clap::Parser as _;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Done,
    /// It tried and failed.
    Failed,
    /// The arguments or the configuration are wrong.
    Wrong,
}

/// Arguments to exit status.
#[must_use]
pub fn main() -> ExitCode {
    install_tls_provider();
    match Arguments::try_parse() {
        Ok(arguments) => dispatch(arguments.command),
        Err(usage) => {
            // Help goes to stdout and misuse to stderr; a closed pipe is nobody's fault.
            let _ = usage.print();
            u8::try_from(usage.exit_code()).map_or(ExitCode::from(Outcome::Wrong), ExitCode::from)
        }
    }
}

/// Rustls refuses to choose between providers, so one is named before anything may open a connection. A second
/// installation (tests, or `main` called twice) changes nothing.
fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Run(file) => run::run(&file.config).into(),
        Command::Check(check) => {
            check::run(&check.file.config, if check.print { Print::Effective } else { Print::Nothing })
        }
        Command::Demo(demo) => demo::run(&demo),
        Command::Schema => schema::run(),
        Command::Sim(sim) => sim::run(sim),
        Command::Explain(args) => explain::run(&args).into(),
        Command::Doctor(_) => not_in_this_version("doctor"),
        Command::Provision(Provision { account: Account::Daily(args) }) => provision::daily(&args).into(),
    }
}

fn not_in_this_version(command: &str) -> ExitCode {
    eprintln!("trunkline {command} is not in this version");
    Outcome::Wrong.into()
}

// === impl Outcome ===

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(1),
            Outcome::Wrong => Self::from(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_will_do_is_wrong_usage_of_this_one() {
        let later = Arguments::try_parse_from(["trunkline", "doctor"]).unwrap();
        assert_eq!(format!("{:?}", dispatch(later.command)), format!("{:?}", ExitCode::from(2)));
    }

    #[test]
    fn the_tls_provider_is_ring_and_may_be_installed_twice() {
        install_tls_provider();
        install_tls_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
