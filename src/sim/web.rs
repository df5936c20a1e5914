//! The HTTP both ways that simulators share: a listener that ends with its owner, a client, and Daily's signature.

use super::task::Task;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A listener. Stops when dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    _task: Task,
}

// === impl Server ===

impl Server {
    pub(super) async fn start(listen: SocketAddr, router: axum::Router) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let task = Task::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "simulator's listener ended");
            }
        });
        Ok(Self { address, _task: task })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A client with a deadline.
pub(super) fn client(deadline: Duration) -> io::Result<reqwest::Client> {
    // reqwest asks rustls for its one provider even if only http is spoken; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(deadline).build().map_err(io::Error::other)
}

/// Daily's signature: base64(HMAC-SHA256(base64-decoded secret, timestamp "." body)).
///
/// # Errors
/// When the secret is no base64.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> Result<String, String> {
    let key = STANDARD.decode(secret).map_err(|error| format!("secret is no base64: {error}"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| error.to_string())?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_a_known_body_and_secret() {
        // Computed with `printf '1717171717.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:... -binary | base64`.
        let secret = STANDARD.encode(b"0123456789abcdef");
        assert_eq!(sign(&secret, "1717171717", b"{\"a\":1}").unwrap(), KNOWN);
        assert!(sign("not base64!", "1", b"").is_err());
    }

    const KNOWN: &str = "c/gPTaQCxf1P9KzwAoqsQs9Tgc+ZBlpEzyb8NrQlvYc=";

    #[test]
    fn the_signatures_of_the_shared_corpus() {
        let base = std::env::var_os("TRUNKLINE_CORPUS").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
            std::path::PathBuf::from,
        );
        let folder = base.join("webhook/daily-pinless");
        let Ok(text) = std::fs::read_to_string(folder.join("signature_cases.json")) else {
            eprintln!("the shared corpus is absent");
            return;
        };
        let table: serde_json::Value = serde_json::from_str(&text).unwrap();
        let secret = table["secret_base64"].as_str().unwrap();
        for case in table["cases"].as_array().unwrap() {
            let body = std::fs::read(folder.join(case["body_file"].as_str().unwrap())).unwrap();
            let Some(timestamp) = case["timestamp"].as_str() else { continue };
            let agrees = sign(secret, timestamp, &body).unwrap() == case["signature"].as_str().unwrap();
            assert_eq!(agrees, case["valid"].as_bool().unwrap(), "{}", case["name"]);
        }
    }
}
