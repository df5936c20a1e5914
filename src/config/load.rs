//! From text to a checked configuration. It stands apart from the types so that they stay plain values: whoever holds a
//! [`Config`](super::Config) holds one that passed every check here.

use super::document::Document;
use super::{Config, checks, sections};
use std::fmt;
use std::net::ToSocketAddrs as _;
use std::path::Path;

/// One problem of the file, or one warning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1; 0 if the file itself is the problem.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

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
}

/// Where a configuration reaches outside of its text; tests put their own here.
pub struct Surroundings<'s> {
    /// What relative paths of `${file:PATH}` start from.
    pub directory: &'s Path,
    /// An environment variable.
    pub env: &'s dyn Fn(&str) -> Option<String>,
    /// A file's content.
    pub read: &'s dyn Fn(&Path) -> std::io::Result<String>,
    /// Does this host name have an address?
    pub resolves: &'s dyn Fn(&str) -> bool,
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

// === impl Problem ===

impl Problem {
    /// `FILE:LINE:COLUMN: message; remedy`.
    #[must_use]
    pub fn of(&self, file: &str) -> String {
        if self.line == 0 {
            return format!("{file}: {}; {}", self.message, self.remedy);
        }
        format!("{file}:{}:{}: {}; {}", self.line, self.column, self.message, self.remedy)
    }
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("directory", &self.directory).finish_non_exhaustive()
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
    // What refers to another section is only checked when all sections could be read: a target that is unreadable
    // would make every route that names it wrong, too.
    let Some(config) = sections::read(&document, &mut problems) else {
        return Err(LoadError::new(file, problems));
    };
    let (problems, mut warnings) = checks::check(&config, &document, surroundings);
    if !problems.is_empty() {
        return Err(LoadError::new(file, problems));
    }
    warnings.sort();
    Ok(Examined { config, warnings })
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
