//! Certificates, keys and whom to trust, from files to what rustls works with. Apart from the transports, because SIP and
//! the webhook listener load alike, and because the check of the configuration must find what the start would find.

pub mod client;
pub mod failure;
pub mod identity;
pub mod server;
mod validity;

pub use client::{Clients, Profile, Trust};
pub use identity::{Identity, LoadError, Read};
pub use server::Server;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246), and 1.3.
    #[default]
    V12,
    /// TLS 1.3 (RFC 8446) alone.
    V13,
}

// === impl MinVersion ===

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
        match self {
            Self::V12 => &BOTH,
            Self::V13 => BOTH.get(..1).unwrap_or(&BOTH),
        }
    }
}

/// ring, named: nothing depends on which provider the process installed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
