//! The arithmetic of Digest: which hash, over what, in which order (RFC 7616 §3.4). It stands apart because both ends do
//! the same sum, and because the vectors of the RFCs are about nothing else.

use md5::Md5;
use sha2::{Sha256, Sha512_256};
use std::fmt::Write as _;

/// A hash that a challenge can name, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// RFC 2617; all that many PBXs know.
    Md5,
    /// RFC 7616.
    Sha256,
    /// RFC 7616: SHA-512 with the initial values of its 256-bit form, not one cut short.
    Sha512_256,
}

/// A hash, and whether its user part holds the nonces too (`-sess`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm {
    /// The hash.
    pub hash: Hash,
    /// `-sess`.
    pub session: bool,
}

/// What the response protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qop {
    /// Method and URI.
    Auth,
    /// The body too.
    AuthInt,
}

/// Everything that goes into a response.
#[derive(Debug, Clone, Copy)]
pub struct Sum<'a> {
    /// The hash.
    pub algorithm: Algorithm,
    /// The user as it is known, not its hash.
    pub username: &'a str,
    /// The realm of the challenge.
    pub realm: &'a str,
    /// The password.
    pub password: &'a str,
    /// The server's nonce.
    pub nonce: &'a str,
    /// The client's nonce; empty without qop and `-sess`.
    pub cnonce: &'a str,
    /// `nc` as written, eight digits.
    pub count: &'a str,
    /// `None` for the older form without a client's nonce (RFC 2069).
    pub qop: Option<Qop>,
    /// The method of the request.
    pub method: &'a str,
    /// `uri` of the credentials.
    pub uri: &'a str,
    /// The body, for `auth-int`.
    pub body: &'a [u8],
}

// === impl Hash ===

impl Hash {
    /// Strongest first: the order in which they are offered (RFC 8760 §2.3).
    pub const ALL: [Self; 3] = [Self::Sha512_256, Self::Sha256, Self::Md5];

    /// As a challenge names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// The hash of the parts, joined by colons, in lower-case hexadecimal digits.
    fn of(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => hex(&joined::<Md5>(parts)),
            Self::Sha256 => hex(&joined::<Sha256>(parts)),
            Self::Sha512_256 => hex(&joined::<Sha512_256>(parts)),
        }
    }
}

fn joined<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = D::new();
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hash.finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

// === impl Algorithm ===

impl Algorithm {
    /// The hash without `-sess`.
    #[must_use]
    pub const fn plain(hash: Hash) -> Self {
        Self { hash, session: false }
    }

    /// Reads the `algorithm` of a challenge, in any case. `None` for one that is not known, whose challenge is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let (name, session) = match lower.strip_suffix("-sess") {
            Some(name) => (name, true),
            None => (lower.as_str(), false),
        };
        let hash = Hash::ALL.into_iter().find(|hash| hash.as_str().eq_ignore_ascii_case(name))?;
        Some(Self { hash, session })
    }

    /// RFC 7616 §3.4.4: the user name as `userhash` hides it.
    #[must_use]
    pub fn hidden_user(self, username: &str, realm: &str) -> String {
        self.hash.of(&[username.as_bytes(), realm.as_bytes()])
    }
}

// === impl Qop ===

impl Qop {
    /// As a message writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    /// Reads one value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt].into_iter().find(|qop| qop.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

// === impl Sum ===

impl Sum<'_> {
    /// The `response` (RFC 7616 §3.4.1 to §3.4.3).
    #[must_use]
    pub fn response(&self) -> String {
        let hash = self.algorithm.hash;
        let user = hash.of(&[self.username.as_bytes(), self.realm.as_bytes(), self.password.as_bytes()]);
        let user = match self.algorithm.session {
            true => hash.of(&[user.as_bytes(), self.nonce.as_bytes(), self.cnonce.as_bytes()]),
            false => user,
        };
        let what = match self.qop {
            Some(Qop::AuthInt) => {
                let body = hash.of(&[self.body]);
                hash.of(&[self.method.as_bytes(), self.uri.as_bytes(), body.as_bytes()])
            }
            Some(Qop::Auth) | None => hash.of(&[self.method.as_bytes(), self.uri.as_bytes()]),
        };
        let (user, nonce, what) = (user.as_bytes(), self.nonce.as_bytes(), what.as_bytes());
        match self.qop {
            None => hash.of(&[user, nonce, what]),
            Some(qop) => {
                let (count, cnonce) = (self.count.as_bytes(), self.cnonce.as_bytes());
                hash.of(&[user, nonce, count, cnonce, qop.as_str().as_bytes(), what])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1.
    const MUFASA: Sum<'_> = Sum {
        algorithm: Algorithm::plain(Hash::Md5),
        username: "Mufasa",
        realm: "http-auth@example.org",
        password: "Circle of Life",
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count: "00000001",
        qop: Some(Qop::Auth),
        method: "GET",
        uri: "/dir/index.html",
        body: b"",
    };

    #[test]
    fn the_vectors_of_rfc_7616_come_out() {
        assert_eq!(MUFASA.response(), "8ca523f5e9506fed4657c9700eebdbec");
        let sha = Sum { algorithm: Algorithm::plain(Hash::Sha256), ..MUFASA };
        assert_eq!(sha.response(), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    /// RFC 7616 §3.9.2, with the values of its erratum 4897: those of the RFC itself are of a SHA-512 cut short.
    #[test]
    fn the_vector_with_a_hidden_user_comes_out_with_its_erratum() {
        let algorithm = Algorithm::plain(Hash::Sha512_256);
        let sum = Sum {
            algorithm,
            username: "J\u{e4}s\u{f8}n Doe",
            realm: "api@example.org",
            password: "Secret, or not?",
            nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            uri: "/doe.json",
            ..MUFASA
        };
        assert_eq!(
            algorithm.hidden_user(sum.username, sum.realm),
            "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        );
        assert_eq!(sum.response(), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
    }

    /// RFC 2617 §3.5, whose user, realm and nonce RFC 8760 and RFC 3261 build on.
    #[test]
    fn the_vector_of_rfc_2617_comes_out_with_and_without_qop() {
        let sum = Sum {
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            cnonce: "0a4f113b",
            ..MUFASA
        };
        assert_eq!(sum.response(), "6629fae49393a05397450978507c4ef1");
        assert_eq!(Sum { qop: None, ..sum }.response(), "670fd8c2df070c60b045671b8b24ff02");
    }

    #[test]
    fn the_body_counts_with_auth_int_alone() {
        let other = Sum { body: b"v=0", ..MUFASA };
        assert_eq!(other.response(), MUFASA.response());
        let int = Sum { qop: Some(Qop::AuthInt), ..MUFASA };
        assert_ne!(int.response(), Sum { body: b"v=0", ..int }.response());
    }

    #[test]
    fn algorithms_are_read_in_any_case_and_unknown_ones_are_not() {
        assert_eq!(Algorithm::parse("md5"), Some(Algorithm::plain(Hash::Md5)));
        assert_eq!(Algorithm::parse("SHA-512-256"), Some(Algorithm::plain(Hash::Sha512_256)));
        assert_eq!(Algorithm::parse("sha-256-SESS"), Some(Algorithm { hash: Hash::Sha256, session: true }));
        assert_eq!(Algorithm::parse("SHA-512"), None);
        assert_eq!(Algorithm::parse("AKAv1-MD5"), None);
    }
}
