//! `auth` and `register` of trunks and targets. They stand apart because the two ends mean opposite things by the same
//! words: a trunk is asked for a password, a target asks us.

use super::value::{Secret, Span};
use serde::{Deserialize, Serialize};

/// What a trunk has to prove (Digest, RFC 7616 and 8760).
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkAuth {
    /// The user; a trunk without `peers` is found by it.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// The hashes that are offered; always in the order of their strength.
    #[serde(default = "Algorithm::all")]
    pub algorithms: Vec<Algorithm>,
}

/// What the challenges of a target are answered with.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetAuth {
    /// The user.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// The only realm that is answered; default: any that this target names.
    #[serde(default)]
    pub realm: Option<String>,
}

/// A hash that a challenge offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum Algorithm {
    /// All that many PBXs know.
    #[serde(rename = "MD5")]
    Md5,
    /// RFC 7616.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// RFC 7616.
    #[serde(rename = "SHA-512-256")]
    Sha512,
}

/// Our registration at a target.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// How long a registration is asked for; it is refreshed in time.
    #[serde(default = "Register::hour")]
    pub expires: Span,
}

// === impl Algorithm ===

impl Algorithm {
    /// Strongest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::Sha512, Self::Sha256, Self::Md5]
    }
}

// === impl Register ===

impl Register {
    const fn hour() -> Span {
        Span::from_secs(3600)
    }
}
