//! Credentials on the wire: `Authorization` and `Proxy-Authorization`, read. They stand apart because a server must know
//! what a client claims before it knows whose password to try.

use super::digest::{Algorithm, Hash, Qop};
use super::fields::Fields;

/// What a client claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The user, or its hash.
    pub username: String,
    /// Whether it is the hash.
    pub userhash: bool,
    /// For which realm.
    pub realm: String,
    /// Our nonce.
    pub nonce: String,
    /// Its own nonce; empty without.
    pub cnonce: String,
    /// How often it has used our nonce, as written; empty without.
    pub count: String,
    /// The URI that it hashed.
    pub uri: String,
    /// The protection.
    pub qop: Option<Qop>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The proof.
    pub response: String,
}

// === impl Authorization ===

impl Authorization {
    /// Reads one; `None` if it is no Digest, or not complete enough to be checked.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let fields = Fields::digest(value)?;
        let algorithm = match fields.get("algorithm") {
            Some(name) => Algorithm::parse(&name)?,
            None => Algorithm::plain(Hash::Md5),
        };
        let qop = match fields.get("qop") {
            Some(qop) => Some(Qop::parse(&qop)?),
            None => None,
        };
        let authorization = Self {
            username: fields.get("username")?,
            userhash: fields.is_true("userhash"),
            realm: fields.get("realm")?,
            nonce: fields.get("nonce")?,
            cnonce: fields.get("cnonce").unwrap_or_default(),
            count: fields.get("nc").unwrap_or_default(),
            uri: fields.get("uri")?,
            qop,
            algorithm,
            response: fields.get("response")?,
        };
        // RFC 7616 §3.4: both are needed when there is a qop.
        let complete = qop.is_none() || !authorization.cnonce.is_empty() && authorization.counted().is_some();
        complete.then_some(authorization)
    }

    /// `nc` as a number.
    #[must_use]
    pub fn counted(&self) -> Option<u32> {
        let digits = self.count.len() == 8 && self.count.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits { u32::from_str_radix(&self.count, 16).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"Digest username="pbx", realm="gw", nonce="n", uri="sip:gw", response="r", algorithm=SHA-256, cnonce="c", qop=auth, nc=0000000A"#;

    #[test]
    fn all_that_is_claimed_is_read() {
        let read = Authorization::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!((read.username.as_str(), read.counted(), read.qop), ("pbx", Some(10), Some(Qop::Auth)));
        assert_eq!(read.algorithm, Algorithm::plain(Hash::Sha256));
    }

    #[test]
    fn quoted_words_of_older_clients_are_read_too() {
        let text = WHOLE.replace("qop=auth", "qop=\"auth\"").replace("algorithm=SHA-256", "algorithm=\"MD5\"");
        let read = Authorization::parse(text.as_bytes()).unwrap();
        assert_eq!((read.qop, read.algorithm.hash), (Some(Qop::Auth), Hash::Md5));
    }

    #[test]
    fn what_cannot_be_checked_is_not_read() {
        for (part, instead) in [
            ("response=\"r\", ", ""),
            ("nc=0000000A", "nc=A"),
            ("nc=0000000A", "nc=+000000A"),
            ("cnonce=\"c\", ", ""),
            ("qop=auth", "qop=x"),
            ("SHA-256", "SHA-1"),
        ] {
            assert_eq!(Authorization::parse(WHOLE.replace(part, instead).as_bytes()), None, "{part}");
        }
    }
}
