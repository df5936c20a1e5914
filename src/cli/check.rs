//! `trunkline check`: every problem of the file, or a line that says it is good.

use crate::config::{Config, Examined, examine};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// What goes to stdout when the file is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Print {
    /// Nothing.
    Nothing,
    /// The effective configuration as TOML, secrets masked.
    Effective,
}

/// Checks the file. Exit status 0 if it is good, 2 with every problem on stderr if it is not, 1 if stdout is gone.
#[must_use]
pub fn run(path: &Path, print: Print) -> ExitCode {
    let Examined { config, warnings, origins } = match examine(path) {
        Ok(examined) => examined,
        Err(error) => {
            eprintln!("{error}");
            eprintln!("{}", plural(error.problems.len(), "problem"));
            return ExitCode::from(2);
        }
    };
    let file = path.display().to_string();
    for warning in &warnings {
        eprintln!("{}", warning.of(&file));
    }
    if print == Print::Effective {
        let shown = match effective(&config) {
            Ok(shown) => origins.annotate(&shown),
            Err(error) => {
                eprintln!("{file}: the configuration cannot be shown: {error}");
                return ExitCode::FAILURE;
            }
        };
        if std::io::stdout().write_all(shown.as_bytes()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    eprintln!("{file}: {}", summary(&config, warnings.len()));
    ExitCode::SUCCESS
}

/// The effective configuration as TOML; secrets show as `***`.
///
/// # Errors
/// A value that TOML cannot hold.
pub fn effective(config: &Config) -> Result<String, toml::ser::Error> {
    toml::to_string(&config.effective())
}

fn summary(config: &Config, warnings: usize) -> String {
    let mut parts = vec![
        plural(config.sip.listen.len(), "listener"),
        plural(config.trunks.len(), "trunk"),
        plural(config.targets.len(), "target"),
        plural(config.routes.len(), "route"),
        plural(config.rooms.len(), "room plan"),
    ];
    if warnings > 0 {
        parts.push(plural(warnings, "warning"));
    }
    format!("ok: {}", parts.join(", "))
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    const GOOD: &str = "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[[trunk]]\nname = \"a\"\npeers = [\"192.0.2.1\"]\n\
        [[target]]\nname = \"b\"\nkind = \"sip\"\nuri = \"b@192.0.2.2\"\n[[route]]\ntargets = [\"b\"]\n";

    fn status(code: ExitCode) -> String {
        format!("{code:?}")
    }

    #[test]
    fn a_good_file_is_0_and_any_problem_is_2() {
        assert_eq!(status(run(file(GOOD).path(), Print::Nothing)), status(ExitCode::SUCCESS));
        let wrong = file(&GOOD.replace("peers", "pears"));
        assert_eq!(status(run(wrong.path(), Print::Nothing)), status(ExitCode::from(2)));
        assert_eq!(status(run(Path::new("/nowhere/x.toml"), Print::Nothing)), status(ExitCode::from(2)));
    }

    #[test]
    fn the_summary_counts_what_was_found() {
        let config = crate::config::parse(GOOD).unwrap();
        assert_eq!(summary(&config, 0), "ok: 1 listener, 1 trunk, 1 target, 1 route, 0 room plans");
        assert_eq!(summary(&config, 2), "ok: 1 listener, 1 trunk, 1 target, 1 route, 0 room plans, 2 warnings");
    }
}
