//! From text to a checked configuration.

/// A problem of the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Reads and checks a file.
///
/// # Errors
/// Any problem of the file.
pub fn load(path: &std::path::Path) -> Result<super::Config, LoadError> {
    parse(&std::fs::read_to_string(path).map_err(|error| LoadError(error.to_string()))?)
}

/// Reads and checks text.
///
/// # Errors
/// Any problem of the text.
pub fn parse(text: &str) -> Result<super::Config, LoadError> {
    toml::from_str(text).map_err(|error| LoadError(error.to_string()))
}
