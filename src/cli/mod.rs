//! To be written.
pub mod demo;
pub mod sim;
/// Arguments to exit status.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
