//! To be written.
pub mod check;
pub mod schema;

/// Arguments to exit status.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
