//! Where a call goes: routes, the targets they name, and what a target's address means. It decides from normalised
//! numbers and the trunk's name, so that the same file gives the same answer in `explain` and on the wire.

pub mod address;
pub mod registration;
pub mod standing;
pub mod table;
pub mod target;

pub use standing::{Standing, Standings};
pub use table::{Query, RetryOn, Route, Table};
pub use target::{Target, TargetError};
