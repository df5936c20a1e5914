//! The centre: one call joins two legs. It is kept small: a leg says what happened, one table says what follows
//! (`bridge`), and everything that can be known about a call is data in its record.

mod align;
mod at_once;
pub mod bridge;
mod commands;
pub mod desk;
mod divert;
mod door;
mod early;
mod entry;
mod events;
mod exchange;
mod inside;
pub mod journal;
mod late;
pub mod leg;
mod negotiation;
pub mod policy;
mod reach;
mod redirect;
mod refresh;
mod refusal;
mod registering;
mod setup;
pub mod shard;
mod state;
mod teardown;
mod terms;
mod transfer;
mod update;

pub use desk::{Answer, Output, ShardSettings};
pub(crate) use door::targets as obstacle_of_targets;
pub use policy::Policy;
pub(crate) use reach::retry_after;
pub use shard::{Page, Shard};

#[cfg(test)]
mod tests;
