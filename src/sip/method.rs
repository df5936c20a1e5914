//! To be written.
/// A method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method;
