//! Dialogs (RFC 3261 §12): who the two ends are, which way requests go, and which of them is new. Apart from the
//! endpoint because a dialog neither sends nor waits: it answers questions.

pub mod cseq;
pub mod route_set;
pub mod state;

pub use cseq::{OutOfOrder, Sequence};
pub use route_set::{Plan, RouteSet};
pub use state::Dialog;

#[cfg(test)]
mod tests;
