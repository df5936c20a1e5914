//! What is remembered of a call: why each decision fell (`step`), what happened when (`moment`), and the whole (`call`).
//! It stands at the bottom of the house because everybody writes into it and nobody it.

pub mod call;
pub mod facts;
pub mod id;
pub mod moment;
pub mod step;

pub use call::{CallRecord, CallState};
pub use facts::CallFacts;
pub use id::CallId;
pub use moment::{Lane, Moment};
pub use step::Step;
