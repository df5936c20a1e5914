//! The listening side: our certificate, and whose we want to see.

use super::identity::{self, Identity, LoadError, Read};
use super::{MinVersion, provider};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig};
use std::sync::{Arc, PoisonError, RwLock};

/// What handshakes of a listener work with. Clones are one: a replacement reaches all, and no connection that stands.
#[derive(Debug, Clone)]
pub struct Server(Arc<RwLock<Arc<ServerConfig>>>);

// === impl Server ===

impl Server {
    /// From an identity; peers must show a certificate under `client_ca` if that is given (mutual TLS).
    ///
    /// # Errors
    /// What of `client_ca` cannot be used.
    pub fn new(
        identity: &Identity,
        client_ca: Option<&str>,
        min_version: MinVersion,
        read: Read<'_>,
    ) -> Result<Self, LoadError> {
        let config = config(identity, client_ca, min_version, read)?;
        Ok(Self(Arc::new(RwLock::new(config))))
    }

    /// Takes over what another one holds: from the next handshake on.
    pub fn replace(&self, other: &Self) {
        let new = other.current();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// What the next handshake works with.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config(
    identity: &Identity,
    client_ca: Option<&str>,
    min_version: MinVersion,
    read: Read<'_>,
) -> Result<Arc<ServerConfig>, LoadError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(min_version.versions());
    // It fails only for a provider that lacks the cipher suites of a version, and ring has both.
    let builder = builder.map_err(|error| unusable(String::new(), &error))?;
    let verifier: Arc<dyn ClientCertVerifier> = match client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(source) => {
            let mut roots = RootCertStore::empty();
            for certificate in identity::certificates("client_ca", source, read)? {
                roots.add(certificate).map_err(|error| unusable(source.to_owned(), &error))?;
            }
            let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            built.map_err(|error| LoadError {
                what: "client_ca",
                file: source.to_owned(),
                problem: format!("cannot be used: {error}"),
                remedy: "name the certificate of the authority that signs those of the peers",
            })?
        }
    };
    let resolver = Arc::new(SingleCertAndKey::from(identity.key.as_ref().clone()));
    Ok(Arc::new(builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver)))
}

fn unusable(file: String, error: &rustls::Error) -> LoadError {
    LoadError {
        what: "client_ca",
        file,
        problem: format!("cannot be used: {error}"),
        remedy: "name the certificate of the authority that signs those of the peers",
    }
}
