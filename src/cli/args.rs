//! The words of the command line. They are apart from what the commands do, so that the whole grammar is on one page.

use super::demo::DemoArgs;
use super::sim::SimArgs;
use crate::config::provision::ProvisionApi;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// The configuration file if nobody names one.
pub const STANDARD_FILE: &str = "trunkline.toml";

/// The SIP gateway at the enterprise edge that brings PBX callers, with their true numbers, to voice bots in Daily rooms.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, propagate_version = true)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 wrong usage or configuration.")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run the gateway; SIGTERM and SIGINT drain it
    Run(File),
    /// Check the configuration and name every problem
    Check(Check),
    /// Place calls from a simulated PBX to a simulated Daily through the gateway; needs no file and no account
    Demo(DemoArgs),
    /// Run one simulator as a process of its own
    Sim(SimArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Explain what would become of an INVITE, and why; nothing is sent
    Explain(Explain),
    /// Look over machine, network, accounts and peers (not in this version)
    Doctor(Later),
    /// Create or update what this gateway needs of an account, and touch nothing else there
    Provision(Provision),
}

/// Which configuration.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct File {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = STANDARD_FILE)]
    pub config: PathBuf,
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Check {
    /// Which configuration.
    #[command(flatten)]
    pub file: File,
    /// Also print the configuration as it takes effect, secrets masked
    #[arg(long)]
    pub print: bool,
}

/// `provision`.
#[derive(Debug, Clone, Args)]
pub struct Provision {
    /// Whose account.
    #[command(subcommand)]
    pub account: Account,
}

/// Whose account.
#[derive(Debug, Clone, Subcommand)]
pub enum Account {
    /// This gateway's dial-in entries and its domain webhook at Daily
    Daily(ProvisionDaily),
}

/// `provision daily`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProvisionDaily {
    /// Which configuration.
    #[command(flatten)]
    pub file: File,
    /// Show the difference, secrets masked; send nothing that writes, and write no file
    #[arg(long)]
    pub dry_run: bool,
    /// Which of Daily's two interfaces [default: `api` of [daily.provision]]
    #[arg(long, value_enum)]
    pub api: Option<ProvisionApi>,
    /// Take over an entry that has this gateway's name or number and posts elsewhere
    #[arg(long)]
    pub adopt: bool,
}

/// `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Explain {
    /// Which configuration.
    #[command(flatten)]
    pub file: File,
    /// Go on as if the call came from this trunk where its source does not make it so
    #[arg(long, value_name = "NAME")]
    pub trunk: Option<String>,
    /// Where the INVITE came from; else the log, the capture or the topmost Via says it
    #[arg(long, value_name = "ADDRESS")]
    pub source: Option<IpAddr>,
    /// Only the INVITE with this Call-ID
    #[arg(long, value_name = "ID")]
    pub call_id: Option<String>,
    /// Print the answer for machines
    #[arg(long)]
    pub json: bool,
    /// Text with SIP INVITEs as they are pasted, or a pcap or pcapng; - is stdin
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
}

/// Whatever a command of a later version will be given.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sim::Simulator;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace()).map(|arguments| arguments.command)
    }

    #[test]
    fn the_grammar_holds_together() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn run_takes_the_standard_file_unless_told() {
        assert!(matches!(parse("trunkline run"), Ok(Command::Run(file)) if file.config == *STANDARD_FILE));
        let named = parse("trunkline run --config /etc/trunkline/edge.toml");
        assert!(matches!(named, Ok(Command::Run(file)) if file.config == *"/etc/trunkline/edge.toml"));
    }

    #[test]
    fn check_and_demo_know_their_switches() {
        assert!(matches!(parse("trunkline check --print"), Ok(Command::Check(check)) if check.print));
        let Ok(Command::Demo(demo)) = parse("trunkline demo --calls 3 --keep") else { panic!("demo") };
        assert!((demo.calls, demo.keep, demo.json) == (3, true, false));
        assert!(parse("trunkline demo --calls 0").is_err());
    }

    #[test]
    fn provision_names_the_account_and_changes_nothing_unless_it_may() {
        let parsed = parse("trunkline provision daily --dry-run --api array --config a.toml");
        let Ok(Command::Provision(Provision { account: Account::Daily(daily) })) = parsed else { panic!("provision") };
        assert!(daily.dry_run && !daily.adopt && daily.file.config == *"a.toml");
        assert_eq!(daily.api, Some(ProvisionApi::Array));
        assert!(parse("trunkline provision").is_err());
    }

    #[test]
    fn explain_takes_a_file_or_stdin_and_an_address_as_source() {
        let Ok(Command::Explain(explain)) = parse("trunkline explain --trunk pbx --source 192.0.2.1 --json -") else {
            panic!("explain")
        };
        assert_eq!((explain.trunk.as_deref(), explain.json), (Some("pbx"), true));
        assert_eq!(explain.input, *"-");
        assert_eq!(parse("trunkline explain --source pbx.example.com -").unwrap_err().exit_code(), 2);
        assert_eq!(parse("trunkline explain").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn commands_of_a_later_version_take_whatever_comes() {
        assert!(matches!(parse("trunkline doctor"), Ok(Command::Doctor(_))));
        let sim = parse("trunkline sim signalwire --port 1");
        assert!(matches!(sim, Ok(Command::Sim(SimArgs { which: Simulator::Signalwire(_) }))));
    }

    #[test]
    fn wrong_usage_is_status_two_and_help_is_not_wrong() {
        assert_eq!(parse("trunkline fly").unwrap_err().exit_code(), 2);
        assert_eq!(parse("trunkline").unwrap_err().exit_code(), 2);
        assert_eq!(parse("trunkline --help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("trunkline run --version").unwrap_err().exit_code(), 0);
    }
}
