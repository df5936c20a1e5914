//! An authority for one test, and a certificate for `localhost` and 127.0.0.1 that both ends use.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

/// Where the files are.
pub struct Certificates {
    folder: PathBuf,
}

// === impl Certificates ===

impl Certificates {
    /// Writes `ca.pem`, `cert.pem` and `key.pem`.
    pub fn write(folder: &Path) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test Authority");
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        Self { folder: folder.to_owned() }
    }

    /// Certificate, key, authority.
    pub fn files(&self) -> (PathBuf, PathBuf, PathBuf) {
        (self.folder.join("cert.pem"), self.folder.join("key.pem"), self.folder.join("ca.pem"))
    }
}
