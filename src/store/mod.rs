//! What outlives a call: this version keeps the records of finished calls in memory (`recent`). It stands apart because
//! a later store on disk answers the same questions.

pub mod recent;

pub use recent::{Filter, Recent};
