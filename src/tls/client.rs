//! The calling side: whom we trust, for each peer, and what we show if we are asked. Apart from the listening side, whose
//! one certificate serves everybody.

use super::identity::{self, Identity, LoadError, Read};
use super::{MinVersion, provider};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Those of the authorities that this machine trusts.
    #[default]
    System,
    /// Those of the authorities in this PEM file, or PEM text.
    Authority(String),
    /// Anybody's: encrypted, but to whom is not known.
    Anybody,
}

/// How one peer is called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The name that its certificate is for, if not the one in its URI.
    pub server_name: Option<String>,
}

/// What calls by TLS work with. Clones are one: a replacement reaches all, and no connection that stands.
#[derive(Debug, Clone)]
pub struct Clients(Arc<RwLock<Arc<Profiles>>>);

#[derive(Debug)]
struct Profiles {
    usual: Arc<ClientConfig>,
    /// By host, in lower case.
    special: HashMap<String, (Arc<ClientConfig>, Option<String>)>,
}

/// Believes everything but the signature of the handshake.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

// === impl Clients ===

impl Clients {
    /// `usual` holds for all hosts but those in `special`; `identity` is shown to servers that ask for one.
    ///
    /// # Errors
    /// What of the authorities cannot be used.
    pub fn new(
        usual: &Trust,
        special: &[(String, Profile)],
        identity: Option<&Identity>,
        min_version: MinVersion,
        read: Read<'_>,
    ) -> Result<Self, LoadError> {
        let mut by_host = HashMap::new();
        for (host, profile) in special {
            let config = config(&profile.trust, identity, min_version, read)?;
            by_host.insert(host.to_ascii_lowercase(), (config, profile.server_name.clone()));
        }
        let usual = config(usual, identity, min_version, read)?;
        Ok(Self(Arc::new(RwLock::new(Arc::new(Profiles { usual, special: by_host })))))
    }

    /// Takes over what another one holds: from the next handshake on.
    pub fn replace(&self, other: &Self) {
        let new = Arc::clone(&other.0.read().unwrap_or_else(PoisonError::into_inner));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// What a call to this host works with, and the name that the certificate has to be for.
    ///
    /// # Errors
    /// The host is neither a name nor an address.
    pub fn towards(&self, host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let profiles = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let host = host.to_ascii_lowercase();
        let (config, name) = match profiles.special.get(&host) {
            Some((config, name)) => (Arc::clone(config), name.clone().unwrap_or(host)),
            None => (Arc::clone(&profiles.usual), host),
        };
        let server =
            ServerName::try_from(name.clone()).map_err(|_| format!("`{name}` is no name for a certificate"))?;
        Ok((config, server))
    }
}

fn config(
    trust: &Trust,
    identity: Option<&Identity>,
    min_version: MinVersion,
    read: Read<'_>,
) -> Result<Arc<ClientConfig>, LoadError> {
    let wrong = |file: &str, problem: String| LoadError {
        what: "ca",
        file: file.to_owned(),
        problem,
        remedy: "name the PEM file of the authority that signed the peer's certificate",
    };
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(min_version.versions());
    let builder = builder.map_err(|error| wrong("", error.to_string()))?;
    let builder = match trust {
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider()))),
        Trust::System => builder.with_root_certificates(system_roots()),
        Trust::Authority(source) => {
            let mut roots = RootCertStore::empty();
            for certificate in identity::certificates("ca", source, read)? {
                roots.add(certificate).map_err(|error| wrong(source, format!("cannot be used: {error}")))?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(identity.key.as_ref().clone()));
            builder.with_client_cert_resolver(resolver)
        }
    };
    // A reload must be able to take trust away: no session of before goes on.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// What this machine trusts. A broken certificate among them is left out: the others are worth no less.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of this machine cannot be read");
    }
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            "this machine has no certificates of authorities: TLS peers are believed only under a `ca` of the configuration (Debian: apt-get install ca-certificates)"
        );
    }
    roots
}

// === impl Anybody ===

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
