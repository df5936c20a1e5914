//! From text to a checked configuration. It stands apart from the types so that they stay plain values: whoever holds a
//! [`Config`](super::Config) holds one that passed every check here.

use super::document::Document;
use super::origin::Origins;
use super::problem::Problem;
use super::surroundings::Surroundings;
use super::{Config, checks, sections};
use std::fmt;
use std::net::ToSocketAddrs as _;
use std::path::Path;

/// A file that cannot be used: everything that is wrong with it, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// The file, as it was named.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// A usable configuration, and what in it is probably not meant.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The configuration.
    pub config: Config,
    /// In the order of the lines.
    pub warnings: Vec<Problem>,
    /// Where its values come from.
    pub origins: Origins,
}

// === impl LoadError ===

impl LoadError {
    fn new(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { file: file.to_owned(), problems }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", problem.of(&self.file))?;
        }
        Ok(())
    }
}

/// Reads and checks a file; warnings go to the log.
///
/// # Errors
/// Every problem of the file.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let examined = examine(path)?;
    let file = path.display().to_string();
    for warning in &examined.warnings {
        tracing::warn!("{}", warning.of(&file));
    }
    Ok(examined.config)
}

/// Reads and checks a file.
///
/// # Errors
/// Every problem of the file.
pub fn examine(path: &Path) -> Result<Examined, LoadError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot be read: {error}");
        let remedy = "name the configuration with --config FILE".to_owned();
        LoadError { file: file.clone(), problems: vec![Problem { line: 0, column: 0, message, remedy }] }
    })?;
    let directory = path.parent().unwrap_or(Path::new("."));
    examine_text(&file, &text, &Surroundings { directory, env: &env, read: &read, resolves: &resolves })
}

/// Reads and checks text; `${file:PATH}` is relative to the working directory.
///
/// # Errors
/// Every problem of the text.
pub fn parse(text: &str) -> Result<Config, LoadError> {
    let directory = Path::new(".");
    examine_text("trunkline.toml", text, &Surroundings { directory, env: &env, read: &read, resolves: &resolves })
        .map(|examined| examined.config)
}

/// Reads and checks text in surroundings of the caller's choice; `file` is what problems name.
///
/// # Errors
/// Every problem of the text.
pub fn examine_text(file: &str, text: &str, surroundings: &Surroundings<'_>) -> Result<Examined, LoadError> {
    let document = Document::parse(text, surroundings).map_err(|problems| LoadError::new(file, problems))?;
    let mut problems = vec![];
    let read = sections::read(&document, &mut problems);
    if !document.unresolved().is_empty() {
        // What is wrong with a value that is not there is not worth a second line.
        let placeless = |problem: &Problem| document.unresolved().iter().all(|known| known.line != problem.line);
        problems.retain(placeless);
        problems.extend_from_slice(document.unresolved());
        return Err(LoadError::new(file, problems));
    }
    // What refers to another section is only checked when all sections could be read: a target that is unreadable
    // would make every route that names it wrong, too.
    let Some(mut config) = read else {
        return Err(LoadError::new(file, problems));
    };
    config.rebase(surroundings.directory);
    let (problems, mut warnings) = checks::check(&config, &document, surroundings);
    if !problems.is_empty() {
        return Err(LoadError::new(file, problems));
    }
    warnings.sort();
    Ok(Examined { config, warnings, origins: document.origins().clone() })
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

fn resolves(host: &str) -> bool {
    (host, 0).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some())
}

#[cfg(test)]
mod tests;
