//! To be written.
/// A message.
#[derive(Debug, Clone)]
pub struct Message;
/// An error.
#[derive(Debug, Clone)]
pub struct ParseError;
