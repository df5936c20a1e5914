//! The answer to challenges: which of them, with what, and when to stop (RFC 3261 §22.2, §22.3). It stands apart from the
//! transactions because what it remembers, nonces and their counts, belongs to a dialog or a registration.

use super::Credentials;
use super::challenge::Challenge;
use super::digest::{Algorithm, Sum};
use super::fields::{Fields, FieldsWriter};
use crate::clock::Entropy;
use crate::sip::endpoint::Headers;
use crate::sip::{HeaderName, Message};

use smallvec::SmallVec;
use std::sync::Arc;

/// Realms that are answered in one dialog: a server and the proxies before it.
const SPACES: usize = 4;

/// What one dialog or registration knows about those who challenged it. Never shared: credentials of one target must not
/// reach another, and the counts of a nonce belong to one line of requests.
#[derive(Debug, Clone)]
pub struct Account {
    credentials: Arc<Credentials>,
    spaces: SmallVec<[Space; 1]>,
}

/// One who challenged us.
#[derive(Debug, Clone)]
struct Space {
    role: Role,
    challenge: Challenge,
    cnonce: String,
    count: u32,
}

/// Who challenges: the user agent server or registrar by 401, a proxy by 407.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Proxy,
}

/// The challenges that were answered for one request, across its repetitions with other credentials.
#[derive(Debug, Clone, Default)]
pub struct Tries {
    answered: SmallVec<[(Role, String, Again); 1]>,
}

/// Whether a realm may challenge the same request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Once, if only the nonce was too old.
    IfStale,
    No,
}

/// The request that credentials are for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its Request-URI.
    pub uri: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

// === impl Account ===

impl Account {
    /// Nobody challenged yet.
    #[must_use]
    pub fn new(credentials: Arc<Credentials>) -> Self {
        Self { credentials, spaces: SmallVec::new() }
    }

    /// Takes the challenges of a 401 or 407. True if the request is worth sending again, with what
    /// [`Account::authorize`] then gives; false if it has been refused what it can bring.
    #[must_use]
    pub fn challenged(&mut self, response: &Message, tries: &mut Tries, entropy: &mut Entropy) -> bool {
        let mut answerable = false;
        for (role, header) in
            [(Role::Server, HeaderName::WwwAuthenticate), (Role::Proxy, HeaderName::ProxyAuthenticate)]
        {
            let challenges: Vec<Challenge> = response.values(header).filter_map(Challenge::parse).collect();
            for challenge in strongest_of_each_realm(challenges) {
                if self.credentials.realm.as_ref().is_some_and(|realm| *realm != challenge.realm) {
                    continue;
                }
                if !tries.allow(role, &challenge) {
                    return false;
                }
                answerable |= self.enter(role, challenge, entropy);
            }
        }
        answerable
    }

    /// The credentials for a request, each nonce counted. None before the first challenge.
    #[must_use]
    pub fn authorize(&mut self, subject: &Subject<'_>) -> Headers {
        let credentials = &self.credentials;
        self.spaces.iter_mut().map(|space| space.write(credentials, subject)).collect()
    }

    /// Takes the next nonce that an answer names (RFC 7616 §3.5), so that the next request needs no challenge.
    pub fn learn(&mut self, response: &Message) {
        for (role, header) in [(Role::Server, "Authentication-Info"), (Role::Proxy, "Proxy-Authentication-Info")] {
            let next = response.named(header).find_map(|value| Fields::bare(value).get("nextnonce"));
            let Some(next) = next.filter(|next| !next.is_empty()) else { continue };
            let mut spaces = self.spaces.iter_mut().filter(|space| space.role == role);
            // The header has no realm: among several it cannot be said whose it is.
            if let (Some(space), None) = (spaces.next(), spaces.next())
                && space.challenge.nonce != next
            {
                space.challenge.nonce = next;
                space.count = 0;
            }
        }
    }

    /// Whether anybody has challenged.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.spaces.is_empty()
    }

    fn enter(&mut self, role: Role, challenge: Challenge, entropy: &mut Entropy) -> bool {
        let cnonce = entropy.hex(16);
        let full = self.spaces.len() >= SPACES;
        let known = self.spaces.iter_mut().find(|space| space.role == role && space.challenge.realm == challenge.realm);
        match known {
            // The same nonce again is counted on.
            Some(space) if space.challenge.nonce == challenge.nonce => space.challenge = challenge,
            Some(space) => *space = Space { role, challenge, cnonce, count: 0 },
            None if full => return false,
            None => self.spaces.push(Space { role, challenge, cnonce, count: 0 }),
        }
        true
    }
}

/// RFC 8760 §2.4 wants the topmost that is known; the strongest is taken wherever it stands, or an attacker on the way
/// could put MD5 first.
fn strongest_of_each_realm(challenges: Vec<Challenge>) -> Vec<Challenge> {
    let mut best: Vec<Challenge> = Vec::new();
    for challenge in challenges {
        match best.iter_mut().find(|known| known.realm == challenge.realm) {
            Some(known) if known.algorithm.hash >= challenge.algorithm.hash => {}
            Some(known) => *known = challenge,
            None => best.push(challenge),
        }
    }
    best
}

// === impl Space ===

impl Space {
    fn write(&mut self, credentials: &Credentials, subject: &Subject<'_>) -> (std::borrow::Cow<'static, str>, String) {
        self.count += 1;
        let count = format!("{:08x}", self.count);
        let challenge = &self.challenge;
        let sum = Sum {
            algorithm: challenge.algorithm,
            username: &credentials.username,
            realm: &challenge.realm,
            password: &credentials.password,
            nonce: &challenge.nonce,
            cnonce: &self.cnonce,
            count: &count,
            qop: challenge.qop,
            method: subject.method,
            uri: subject.uri,
            body: subject.body,
        };
        let mut fields = FieldsWriter::digest();
        if challenge.userhash {
            let hidden = Algorithm::plain(challenge.algorithm.hash);
            fields.text("username", &hidden.hidden_user(&credentials.username, &challenge.realm));
        } else {
            fields.text("username", &credentials.username);
        }
        fields.text("realm", &challenge.realm).text("nonce", &challenge.nonce);
        fields.text("uri", subject.uri).text("response", &sum.response());
        if let Some(spelling) = &challenge.spelling {
            fields.word("algorithm", spelling);
        }
        if let Some(opaque) = &challenge.opaque {
            fields.text("opaque", opaque);
        }
        if let Some(qop) = challenge.qop {
            fields.word("qop", qop.as_str()).word("nc", &count).text("cnonce", &self.cnonce);
        } else if challenge.algorithm.session {
            fields.text("cnonce", &self.cnonce);
        }
        if challenge.userhash {
            fields.word("userhash", "true");
        }
        let name = match self.role {
            Role::Server => "Authorization",
            Role::Proxy => "Proxy-Authorization",
        };
        (name.into(), fields.finish())
    }
}

// === impl Tries ===

impl Tries {
    /// Whether a realm may challenge this request (once more).
    fn allow(&mut self, role: Role, challenge: &Challenge) -> bool {
        let full = self.answered.len() >= SPACES;
        let before = self.answered.iter_mut().find(|(known, realm, _)| *known == role && *realm == challenge.realm);
        match before {
            None if full => false,
            None => {
                self.answered.push((role, challenge.realm.clone(), Again::IfStale));
                true
            }
            Some((_, _, again @ Again::IfStale)) if challenge.stale => {
                *again = Again::No;
                true
            }
            // Refused with a fresh nonce: the password is wrong there, and would be again.
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn account(realm: Option<&str>) -> Account {
        let credentials =
            Credentials { username: "gw".to_owned(), password: "secret".to_owned(), realm: realm.map(str::to_owned) };
        Account::new(Arc::new(credentials))
    }

    fn response(headers: &str) -> Message {
        let text = format!("SIP/2.0 401 Unauthorized\r\n{headers}Content-Length: 0\r\n\r\n");
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn challenge(header: &str, more: &str) -> String {
        format!("{header}: Digest realm=\"cloud\", nonce=\"n1\", qop=\"auth\"{more}\r\n")
    }

    const SUBJECT: Subject<'_> = Subject { method: "INVITE", uri: "sip:bot@cloud.example.com", body: b"" };

    fn field(headers: &Headers, at: usize, name: &str) -> Option<String> {
        Fields::digest(headers[at].1.as_bytes()).unwrap().get(name)
    }

    #[test]
    fn the_strongest_known_algorithm_is_answered_wherever_it_stands() {
        let all = [", algorithm=MD5", ", algorithm=SHA-256", ", algorithm=SHA-512", ", algorithm=MD5-sess"]
            .map(|more| challenge("WWW-Authenticate", more))
            .concat();
        let mut account = account(None);
        assert!(account.challenged(&response(&all), &mut Tries::default(), &mut Entropy::seeded(1)));
        let headers = account.authorize(&SUBJECT);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].0, "Authorization");
        assert_eq!(field(&headers, 0, "algorithm").as_deref(), Some("SHA-256"));
    }

    #[test]
    fn a_nonce_is_counted_and_the_next_one_begins_anew() {
        let mut account = account(None);
        let mut entropy = Entropy::seeded(1);
        assert!(account.challenged(&response(&challenge("WWW-Authenticate", "")), &mut Tries::default(), &mut entropy));
        let counts: Vec<_> = (0..2).map(|_| field(&account.authorize(&SUBJECT), 0, "nc").unwrap()).collect();
        assert_eq!(counts, ["00000001", "00000002"]);
        account.learn(&response("Authentication-Info: nextnonce=\"n2\"\r\n"));
        let headers = account.authorize(&SUBJECT);
        assert_eq!(field(&headers, 0, "nonce").as_deref(), Some("n2"));
        assert_eq!(field(&headers, 0, "nc").as_deref(), Some("00000001"));
    }

    #[test]
    fn a_second_refusal_ends_unless_only_the_nonce_was_old_and_that_but_once() {
        let mut entropy = Entropy::seeded(1);
        let (plain, stale) = (challenge("WWW-Authenticate", ""), challenge("WWW-Authenticate", ", stale=TRUE"));
        let mut try_with = |responses: &[&String]| {
            let (mut account, mut tries) = (account(None), Tries::default());
            let mut answers = responses.iter();
            answers.all(|headers| account.challenged(&response(headers), &mut tries, &mut entropy))
        };
        assert!(try_with(&[&plain]));
        assert!(try_with(&[&stale]));
        assert!(!try_with(&[&plain, &plain]));
        assert!(try_with(&[&plain, &stale]));
        assert!(!try_with(&[&plain, &stale, &stale]));
    }

    #[test]
    fn a_proxy_and_the_server_behind_it_each_get_their_own() {
        let mut account = account(None);
        let mut entropy = Entropy::seeded(1);
        let mut tries = Tries::default();
        assert!(account.challenged(&response(&challenge("Proxy-Authenticate", "")), &mut tries, &mut entropy));
        assert!(account.challenged(&response(&challenge("WWW-Authenticate", "")), &mut tries, &mut entropy));
        let names: Vec<_> = account.authorize(&SUBJECT).into_iter().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names, ["Proxy-Authorization", "Authorization"]);
    }

    #[test]
    fn a_realm_that_is_not_ours_gets_nothing() {
        let mut account = account(Some("elsewhere"));
        let mut tries = Tries::default();
        let challenge = response(&challenge("WWW-Authenticate", ""));
        assert!(!account.challenged(&challenge, &mut tries, &mut Entropy::seeded(1)));
        assert!(!account.is_known());
        assert!(account.authorize(&SUBJECT).is_empty());
    }

    #[test]
    fn no_more_than_a_few_realms_are_answered() {
        let mut account = account(None);
        let (mut tries, mut entropy) = (Tries::default(), Entropy::seeded(1));
        let mut answered = 0;
        for number in 0..100 {
            let headers = format!("WWW-Authenticate: Digest realm=\"r{number}\", nonce=\"n\"\r\n");
            answered += usize::from(account.challenged(&response(&headers), &mut tries, &mut entropy));
        }
        assert_eq!(answered, SPACES);
    }

    #[test]
    fn what_was_not_asked_for_is_not_sent() {
        let mut account = account(None);
        let bare = response("WWW-Authenticate: Digest realm=\"cloud\", nonce=\"n\", opaque=\"o\"\r\n");
        assert!(account.challenged(&bare, &mut Tries::default(), &mut Entropy::seeded(1)));
        let headers = account.authorize(&SUBJECT);
        for absent in ["qop", "nc", "cnonce", "algorithm", "userhash"] {
            assert_eq!(field(&headers, 0, absent), None, "{absent}");
        }
        assert_eq!(field(&headers, 0, "opaque").as_deref(), Some("o"));
        assert!(!headers[0].1.contains("secret"));
        assert!(!format!("{account:?}").contains("secret"));
    }
}
