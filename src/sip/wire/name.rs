//! To be written.
/// A name.
#[derive(Debug, Clone, Copy)]
pub struct HeaderName;
