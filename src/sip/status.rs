//! To be written.
/// A status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusCode(u16);
