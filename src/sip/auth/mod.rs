//! Digest authentication (RFC 7616, RFC 8760, RFC 3261 §22), both ends of it. It stands apart from the endpoint because it
//! needs one message and a little memory, and no transaction: who resends what is the business of others.

pub mod authorization;
pub mod challenge;
pub mod client;
pub mod digest;
pub mod fields;
pub mod limit;
pub mod nonce;
pub mod replay;
pub mod server;

#[cfg(test)]
mod server_tests;

pub use client::{Account, Tries};
pub use digest::{Algorithm, Hash, Qop};
pub use server::{Guard, Login, Refusal, Settings};

use std::fmt;

/// What we answer challenges with. Each trunk and each target has its own, and nothing carries one to the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password: never shown.
    pub password: String,
    /// The only realm that gets an answer; `None` for whichever asks.
    pub realm: Option<String>,
}

// === impl Credentials ===

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}
