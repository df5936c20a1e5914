//! Challenges: `WWW-Authenticate` and `Proxy-Authenticate`, read and written. They stand apart from the answers because a
//! message may hold several, and choosing among them is the client's business.

use super::digest::{Algorithm, Hash, Qop};
use super::fields::{Fields, FieldsWriter};

/// One challenge that we could answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Whose password is wanted.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be sent back as it is.
    pub opaque: Option<String>,
    /// The algorithm; MD5 if none is named.
    pub algorithm: Algorithm,
    /// The algorithm as written, to be written back.
    pub spelling: Option<String>,
    /// The protection to use; `None` for the form without (RFC 2069).
    pub qop: Option<Qop>,
    /// Only the nonce was too old, the password was right.
    pub stale: bool,
    /// The user name may be hidden.
    pub userhash: bool,
}

// === impl Challenge ===

impl Challenge {
    /// Reads one; `None` for a scheme, algorithm or protection that is not known, or without realm or nonce.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let fields = Fields::digest(value)?;
        let spelling = fields.get("algorithm");
        let algorithm = match &spelling {
            Some(name) => Algorithm::parse(name)?,
            None => Algorithm::plain(Hash::Md5),
        };
        let qop = match fields.get("qop") {
            None => None,
            Some(list) if list.trim().is_empty() => None,
            Some(list) => {
                let offered = |qop: &Qop| list.split(',').filter_map(Qop::parse).any(|known| known == *qop);
                // `auth-int` only where nothing else is offered: SBCs on the way change bodies.
                Some([Qop::Auth, Qop::AuthInt].into_iter().find(offered)?)
            }
        };
        Some(Self {
            realm: fields.get("realm")?,
            nonce: fields.get("nonce").filter(|nonce| !nonce.is_empty())?,
            opaque: fields.get("opaque"),
            algorithm,
            spelling,
            qop,
            stale: fields.is_true("stale"),
            userhash: fields.is_true("userhash"),
        })
    }
}

/// Writes a challenge of ours. `auth-int` is taken but not offered: older phones would choose it and get it wrong.
#[must_use]
pub fn write(realm: &str, nonce: &str, hash: Hash, stale: bool) -> String {
    let mut fields = FieldsWriter::digest();
    fields.text("realm", realm).text("nonce", nonce).word("algorithm", hash.as_str()).text("qop", Qop::Auth.as_str());
    if stale {
        fields.word("stale", "true");
    }
    fields.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_older_servers_are_known() {
        let challenge = Challenge::parse(br#"Digest realm="pbx", nonce="abc""#).unwrap();
        assert_eq!(challenge.algorithm, Algorithm::plain(Hash::Md5));
        assert_eq!((challenge.qop, challenge.spelling, challenge.stale), (None, None, false));
    }

    #[test]
    fn what_cannot_be_answered_is_passed_over() {
        for value in [
            r#"Digest realm="pbx", nonce="abc", algorithm=AKAv1-MD5"#,
            r#"Digest realm="pbx", nonce="abc", qop="token""#,
            r#"Digest realm="pbx""#,
            r#"Digest nonce="abc""#,
            r#"Negotiate realm="pbx", nonce="abc""#,
        ] {
            assert_eq!(Challenge::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn auth_is_preferred_to_auth_int() {
        let of = |qop: &str| {
            let value = format!(r#"Digest realm="pbx", nonce="abc", qop="{qop}""#);
            Challenge::parse(value.as_bytes()).unwrap().qop
        };
        assert_eq!(of("auth-int, auth"), Some(Qop::Auth));
        assert_eq!(of("auth-int"), Some(Qop::AuthInt));
        assert_eq!(of(""), None);
    }

    #[test]
    fn our_challenge_can_be_read() {
        let text = write("gw.example.com", "n", Hash::Sha256, true);
        assert_eq!(text, r#"Digest realm="gw.example.com", nonce="n", algorithm=SHA-256, qop="auth", stale=true"#);
        assert!(Challenge::parse(text.as_bytes()).unwrap().stale);
    }
}
