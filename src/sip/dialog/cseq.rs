//! The two sequences of a dialog (RFC 3261 §12.2): ours counts up, the peer's must not go back. Apart because the rule
//! is small, asked everywhere, and easily got wrong by one.

/// The sequence numbers of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    local: u32,
    remote: Option<u32>,
}

/// The peer's number is lower than an earlier one: §12.2.2 wants 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sequence number is lower than an earlier one")]
pub struct OutOfOrder;

// === impl Sequence ===

impl Sequence {
    /// `local` is the number that was last used here, 0 if none; `remote` the peer's last one.
    #[must_use]
    pub const fn new(local: u32, remote: Option<u32>) -> Self {
        Self { local, remote }
    }

    /// The number for our next request.
    pub fn advance(&mut self) -> u32 {
        // §8.1.1.5: below 2^31. A dialog that long starts over rather than break the grammar.
        self.local = if self.local >= 0x7fff_ffff { 1 } else { self.local + 1 };
        self.local
    }

    /// Takes the number of a request of the peer (not ACK, not CANCEL). Gaps are legal: a proxy may have answered.
    ///
    /// # Errors
    /// [`OutOfOrder`] if it is lower than an earlier one.
    pub fn take(&mut self, number: u32) -> Result<(), OutOfOrder> {
        match self.remote {
            Some(last) if number < last => Err(OutOfOrder),
            _ => {
                self.remote = Some(number);
                Ok(())
            }
        }
    }
}
