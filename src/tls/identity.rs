//! A certificate chain with its key, read and held against each other. Apart from the two sides that use it, because a
//! server and a client show the same one.

use super::{provider, validity};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Reads a file; tests put their own here.
pub type Read<'r> = &'r dyn Fn(&Path) -> std::io::Result<String>;

/// Who we are.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// When the first certificate of the chain ends.
    pub expires: Option<SystemTime>,
    /// When it begins.
    pub begins: Option<SystemTime>,
}

/// Files that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {file}: {problem}")]
pub struct LoadError {
    /// The key of the configuration: `certificate`, `key`, `client_ca`, `ca`.
    pub what: &'static str,
    /// The file as configured; `(inline)` for PEM text.
    pub file: String,
    /// What is wrong, in words.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

const READABLE: &str = "name a PEM file that this process may read";

// === impl Identity ===

impl Identity {
    /// Reads a chain and its key: each the path of a PEM file, or PEM text.
    ///
    /// # Errors
    /// What cannot be read, or does not belong together.
    pub fn load(certificate: &str, key: &str, read: Read<'_>) -> Result<Self, LoadError> {
        let chain = certificates("certificate", certificate, read)?;
        let wrong = |problem: String, remedy| LoadError { what: "key", file: shown(key), problem, remedy };
        let text = pem("key", key, read)?;
        let private = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            wrong(
                "holds no private key in PEM".to_owned(),
                "write the key that the certificate was made for, unencrypted",
            )
        })?;
        let (expires, begins) = match chain.first().and_then(|first| validity::of(first)) {
            Some((begins, expires)) => (Some(expires), Some(begins)),
            None => (None, None),
        };
        let certified = CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong("does not belong to the certificate".to_owned(), "name the key that the certificate was made for")
            }
            other => wrong(format!("cannot be used: {other}"), "use an RSA, ECDSA (P-256, P-384) or Ed25519 key"),
        })?;
        Ok(Self { key: Arc::new(certified), expires, begins })
    }
}

/// The certificates of a PEM file, or PEM text; at least one.
pub(super) fn certificates(
    what: &'static str,
    source: &str,
    read: Read<'_>,
) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let text = pem(what, source, read)?;
    let wrong = |problem: String| LoadError { what, file: shown(source), problem, remedy: READABLE };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong("holds no certificate in PEM".to_owned())),
        Err(error) => Err(wrong(format!("is no PEM: {error:?}"))),
    }
}

fn pem(what: &'static str, source: &str, read: Read<'_>) -> Result<String, LoadError> {
    if is_inline(source) {
        return Ok(source.to_owned());
    }
    read(Path::new(source)).map_err(|error| LoadError {
        what,
        file: source.to_owned(),
        problem: format!("cannot be read: {error}"),
        remedy: READABLE,
    })
}

/// `${file:..}` and `${env:..}` put the text itself here.
pub(super) fn is_inline(source: &str) -> bool {
    source.contains("-----BEGIN")
}

fn shown(source: &str) -> String {
    if is_inline(source) { "(inline)".to_owned() } else { source.to_owned() }
}
