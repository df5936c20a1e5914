//! Failures in one vocabulary.

pub mod catalogue;

pub use catalogue::{Cause, Party, Termination};
