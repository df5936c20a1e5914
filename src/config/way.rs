//! How a peer is reached: the keys that trunks and targets share, and the certificates of `[sip]` and `[http]`. Apart from
//! the sections, because the two ends of a call are configured alike.

use super::Config;
use super::target::Target;
use super::trunk::Trunk;
use crate::sip::endpoint::aim;
use crate::sip::uri::{Uri, hop};
use crate::sip::{HopAddress, Protocol};
use crate::trunk::address::with_scheme;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::Path;

/// Is the address in a peer's Contact believed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// Unless it is private while its message came from an address that is not.
    #[default]
    Auto,
    /// Never: requests go to where the peer was last heard.
    On,
    /// Always.
    Off,
}

/// What becomes of a request that is too large for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Oversize {
    /// It goes by TCP, and by UDP if the peer refuses that (RFC 3261 §18.1.1).
    #[default]
    Stream,
    /// It goes by UDP: the peer has nothing else.
    Datagram,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
pub enum TlsVersion {
    /// 1.2 and 1.3.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// 1.3 alone.
    #[serde(rename = "1.3")]
    V13,
}

/// A PEM file by its path, relative to the configuration file, or PEM text put there by `${env:..}` or `${file:..}`.
#[derive(Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Pem(String);

/// `tls` of `[sip]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SipTls {
    /// Our chain, our own certificate first; shown to callers, and to peers we call that ask for one.
    pub certificate: Option<Pem>,
    /// Its key.
    pub key: Option<Pem>,
    /// Authorities of peers that call us: then each must show a certificate of theirs (mutual TLS).
    pub client_ca: Option<Pem>,
    /// Authorities of peers that we call; default: those that this machine trusts.
    pub ca: Option<Pem>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// `tls` of `[http]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTls {
    /// The chain, the listener's own certificate first.
    pub certificate: Pem,
    /// Its key.
    pub key: Pem,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: TlsVersion,
}

/// `tls` of a trunk or a target: how it is called by TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PeerTls {
    /// Authorities of its certificate; default: `ca` of `tls` of `[sip]`.
    pub ca: Option<Pem>,
    /// Is its certificate looked at? Without, calls are encrypted, but to whom is not known.
    pub verify: bool,
    /// The name that its certificate is for, if not the host that is called.
    pub server_name: Option<String>,
}

// === impl Config ===

impl Config {
    /// The files that the configuration names start from its own place.
    pub(super) fn rebase(&mut self, directory: &Path) {
        let sip = self
            .sip
            .tls
            .iter_mut()
            .flat_map(|tls| [&mut tls.certificate, &mut tls.key, &mut tls.client_ca, &mut tls.ca]);
        let http = self.http.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        let trunks = self.trunks.iter_mut().filter_map(|trunk| trunk.tls.as_mut()?.ca.as_mut());
        let targets = self.targets.iter_mut().filter_map(|target| target.tls.as_mut()?.ca.as_mut());
        for pem in sip.flatten().chain(http).chain(trunks).chain(targets) {
            pem.rebase(directory);
        }
    }
}

// === impl Trunk ===

impl Trunk {
    /// The hosts that are called by TLS for its sake.
    #[must_use]
    pub fn tls_hosts(&self) -> Vec<String> {
        self.address.iter().filter_map(|address| tls_host(address)).collect()
    }

    /// How it is reached in signalling.
    #[must_use]
    pub fn path(&self) -> aim::Path {
        path(self.advertise.as_deref(), self.nat, self.oversize)
    }

    /// The address that it sends media to, if it has one of its own.
    #[must_use]
    pub fn media_address(&self) -> Option<IpAddr> {
        media_address(self.advertise_media, self.advertise.as_deref())
    }
}

// === impl Target ===

impl Target {
    /// The hosts that are called by TLS for its sake.
    #[must_use]
    pub fn tls_hosts(&self) -> Vec<String> {
        let called = self.outbound_proxy.as_ref().unwrap_or(&self.uri);
        tls_host(called).into_iter().collect()
    }

    /// How it is reached in signalling.
    #[must_use]
    pub fn path(&self) -> aim::Path {
        path(self.advertise.as_deref(), self.nat, self.oversize)
    }

    /// The address that it sends media to, if it has one of its own.
    #[must_use]
    pub fn media_address(&self) -> Option<IpAddr> {
        media_address(self.advertise_media, self.advertise.as_deref())
    }
}

fn path(advertise: Option<&str>, nat: Nat, oversize: Oversize) -> aim::Path {
    let nat = match nat {
        Nat::Auto => aim::Nat::Auto,
        Nat::On => aim::Nat::On,
        Nat::Off => aim::Nat::Off,
    };
    let large = match oversize {
        Oversize::Stream => aim::Large::Stream,
        Oversize::Datagram => aim::Large::Datagram,
    };
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    aim::Path { advertised: advertise.map(bare), nat, large }
}

fn media_address(own: Option<IpAddr>, advertise: Option<&str>) -> Option<IpAddr> {
    own.or_else(|| advertise.and_then(|host| host.trim_matches(['[', ']']).parse().ok()))
}

/// The host of an address that TLS may be spoken with: said by the address, or left to its domain (NAPTR).
fn tls_host(address: &str) -> Option<String> {
    let text = with_scheme(address);
    let uri = Uri::parse(text.as_bytes()).ok()?;
    let hop = hop(&uri)?;
    let left_open = matches!(hop.address, HopAddress::Domain { .. });
    let name = hop.address.name().map(str::to_owned);
    (hop.protocol == Protocol::Tls || left_open)
        .then(|| name.or_else(|| hop.address.socket().map(|address| address.ip().to_string())))
        .flatten()
}

// === impl PeerTls ===

impl Default for PeerTls {
    fn default() -> Self {
        Self { ca: None, verify: true, server_name: None }
    }
}

// === impl Pem ===

impl Pem {
    /// Path or text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is it the text itself?
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.0.contains("-----BEGIN")
    }

    /// Relative paths start from the configuration file.
    pub(super) fn rebase(&mut self, directory: &Path) {
        if !self.is_inline() && Path::new(&self.0).is_relative() {
            self.0 = directory.join(&self.0).to_string_lossy().into_owned();
        }
    }
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_inline() { "***" } else { &self.0 })
    }
}

impl Serialize for Pem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_inline() { "***" } else { &self.0 })
    }
}
