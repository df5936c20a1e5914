//! To be written.
/// A writer.
#[derive(Debug)]
pub struct Writer;
