//! Why a handshake failed, in words: what rustls and the peer's alerts mean to somebody who has to mend it.

use rustls::{AlertDescription, CertificateError, Error};
use std::io;

/// A failure as a bounded word for metrics, and as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `certificate_expired`, `unknown_authority` ...
    pub label: &'static str,
    /// What happened, and what to look at.
    pub words: String,
}

/// What a handshake that ended so means.
#[must_use]
pub fn of(error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(error) => of_rustls(error),
        None if error.kind() == io::ErrorKind::TimedOut => {
            failure("timeout", "the peer did not finish the handshake in time; does it speak TLS on this port?")
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            failure("closed", "the peer closed the connection during the handshake; its log says why")
        }
        None => failure("transport", error.to_string()),
    }
}

fn of_rustls(error: &Error) -> Failure {
    match error {
        Error::InvalidCertificate(problem) => of_certificate(problem),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::NoCertificatesPresented => {
            failure("no_certificate", "the peer shows no certificate, and `client_ca` of [sip] tls asks for one")
        }
        Error::InvalidMessage(_) => failure("not_tls", "the peer does not speak TLS on this port"),
        Error::PeerIncompatible(problem) => {
            failure("incompatible", format!("no version or cipher in common ({problem:?}); look at `min_version`"))
        }
        other => failure("protocol", other.to_string()),
    }
}

fn of_certificate(problem: &CertificateError) -> Failure {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => failure(
            "certificate_expired",
            "the peer's certificate has expired; it has to renew it (or our clock is wrong)",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            failure("certificate_not_yet_valid", "the peer's certificate begins later; look at the clocks")
        }
        CertificateError::UnknownIssuer => failure(
            "unknown_authority",
            "the peer's certificate is signed by nobody we trust; name its authority with `ca` (or `client_ca` for peers that call us), and let the peer send its intermediate certificates",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => failure(
            "wrong_name",
            format!(
                "the peer's certificate is for another name ({problem}); call it by that name, or set `tls.server_name`"
            ),
        ),
        CertificateError::Revoked => failure("certificate_revoked", "the peer's certificate is revoked"),
        other => failure("bad_certificate", format!("the peer's certificate cannot be used: {other}")),
    }
}

/// The peer's own words about us.
fn of_alert(alert: AlertDescription) -> Failure {
    let words = match alert {
        AlertDescription::UnknownCA => {
            "the peer does not know the authority of our certificate; give it that, or send the whole chain"
        }
        AlertDescription::CertificateExpired => "the peer says that our certificate has expired",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "the peer does not accept our certificate"
        }
        AlertDescription::CertificateRequired => {
            "the peer wants a certificate of ours; set `certificate` and `key` of [sip] tls"
        }
        AlertDescription::ProtocolVersion => {
            "the peer speaks only versions that `min_version` excludes, or none of ours"
        }
        AlertDescription::HandshakeFailure => "the peer finds no cipher in common",
        AlertDescription::UnrecognisedName => "the peer does not know itself by the name in our SNI",
        other => return failure("alert", format!("the peer ends the handshake: {other:?}")),
    };
    failure("refused_by_peer", words)
}

fn failure(label: &'static str, words: impl Into<String>) -> Failure {
    Failure { label, words: words.into() }
}
