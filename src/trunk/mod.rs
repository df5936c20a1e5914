//! The enterprise side: which peer a call comes from, what it is allowed, and where calls towards it go. It decides
//! before anything of the message is believed.

pub mod address;
pub mod admission;
pub mod binding;
pub mod health;
pub mod profile;
pub mod registrar;
pub mod table;

pub use registrar::Registrar;
pub use table::{Table, Trunk};
