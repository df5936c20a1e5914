//! The door: is this request from who it says? It stands apart from the endpoint because which password counts depends on
//! the trunk, which the stack does not know.
//!
//! Challenges are 401 and never 407: whatever stands in front, the gateway ends the dialog, so that it is the user agent
//! server and the registrar of RFC 3261 §22.2, not a proxy of §22.3. A 407 would also be taken for the PBX's own proxy's.

use super::authorization::Authorization;
use super::challenge;
use super::digest::{Algorithm, Hash, Sum};
use super::limit::Failures;
use super::nonce::{Bearer, Mint, fresh_key};
use super::replay::{Replay, Use};
use crate::clock::Entropy;
use crate::sip::endpoint::Headers;
use crate::sip::uri::Uri;
use crate::sip::{HeaderName, Message, StatusCode};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Nonces whose counts are remembered.
const NONCES: usize = 16_384;
/// Sources whose failures are remembered.
const SOURCES: usize = 4_096;

/// What the door is set up with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The realm of all challenges: this gateway's own name.
    pub realm: String,
    /// How long a nonce is good.
    pub lifetime: Duration,
}

/// The door of one shard. A nonce is bound to its Call-ID and the Call-ID to its shard, so no two share anything.
#[derive(Debug)]
pub struct Guard {
    realm: String,
    mint: Mint,
    replay: Replay,
    failures: Failures,
    /// Tried for users that do not exist, so that they take as long as those that do.
    decoy: String,
    /// For comparisons that take the same time wherever they fail.
    key: Hmac<Sha256>,
}

/// One who may come in.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
    /// The hashes that are offered, strongest first.
    pub hashes: Vec<Hash>,
}

/// Why a request does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It brought no credentials for our realm: everybody's first time.
    Missing,
    /// They cannot be read, or speak of another request.
    Malformed,
    /// The password was right and the nonce too old, or of an earlier life of this gateway: to be tried again with the new one.
    Stale,
    /// The password was right and this count of the nonce was used before.
    Replayed,
    /// User or password are wrong: which, is nobody's business.
    Wrong,
    /// Too many failures from this address; nothing was checked.
    Limited {
        /// When to come again.
        after: Duration,
    },
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The trunk that the source belongs to; empty if its name has to tell.
    pub scope: &'a str,
    /// Where the request came from.
    pub source: IpAddr,
    /// The request.
    pub request: &'a Message,
}

// === impl Login ===

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

// === impl Refusal ===

impl Refusal {
    /// One word for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "challenged",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::Wrong => "wrong",
            Self::Limited { .. } => "limited",
        }
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    fn bearer(&self) -> Bearer<'a> {
        Bearer { scope: self.scope, source: self.source, call_id: self.request.call_id() }
    }
}

// === impl Guard ===

impl Guard {
    /// A door with keys of its own.
    #[must_use]
    pub fn new(settings: Settings, entropy: &mut Entropy, now: Instant) -> Self {
        let mint = Mint::new(entropy, now, settings.lifetime);
        Self {
            realm: settings.realm,
            mint,
            replay: Replay::new(NONCES),
            failures: Failures::new(SOURCES),
            decoy: entropy.hex(16),
            key: fresh_key(entropy),
        }
    }

    /// Which of the logins a request proves to be: its position.
    ///
    /// # Errors
    /// Why it is none of them.
    pub fn check(&mut self, now: Instant, asked: &Asked<'_>, logins: &[&Login]) -> Result<usize, Refusal> {
        let claims = asked.request.values(HeaderName::Authorization).map(Authorization::parse);
        let mut ours = None;
        let mut unreadable = false;
        for claim in claims {
            match claim {
                // RFC 3261 §22.1: credentials for other realms are for others on the way.
                Some(claim) if claim.realm == self.realm => ours = Some(claim),
                Some(_) => {}
                None => unreadable = true,
            }
        }
        let Some(claim) = ours else {
            return Err(if unreadable { self.failed(now, asked, Refusal::Malformed) } else { Refusal::Missing });
        };
        if let Some(after) = self.failures.wait(now, asked.source) {
            return Err(Refusal::Limited { after });
        }
        if !speaks_of(&claim, asked.request) {
            return Err(self.failed(now, asked, Refusal::Malformed));
        }
        let Some(position) = self.proven(&claim, asked.request, logins) else {
            return Err(self.failed(now, asked, Refusal::Wrong));
        };
        let nonce = self.mint.recognise(now, &claim.nonce, &asked.bearer()).filter(|nonce| !nonce.old);
        let Some(nonce) = nonce else { return Err(Refusal::Stale) };
        match self.replay.take(&nonce, claim.qop.and(claim.counted())) {
            Use::First => {
                self.failures.forget(asked.source);
                Ok(position)
            }
            // A client that does not count and wants to use its nonce again only needs a new one.
            Use::Again if claim.qop.is_none() => Err(Refusal::Stale),
            Use::Again => Err(Refusal::Replayed),
            Use::Forgotten => Err(Refusal::Stale),
        }
    }

    /// The challenges of a 401, strongest first (RFC 8760 §2.3), each in a line of its own (RFC 3261 §7.3.1).
    #[must_use]
    pub fn challenges(&self, now: Instant, asked: &Asked<'_>, hashes: &[Hash], refusal: Refusal) -> Headers {
        let nonce = self.mint.issue(now, &asked.bearer());
        let stale = matches!(refusal, Refusal::Stale | Refusal::Replayed);
        let offered = Hash::ALL.into_iter().filter(|hash| hashes.contains(hash));
        offered.map(|hash| ("WWW-Authenticate".into(), challenge::write(&self.realm, &nonce, hash, stale))).collect()
    }

    /// Status and header fields of the answer to a request that does not come in.
    #[must_use]
    pub fn turn_away(
        &self,
        now: Instant,
        asked: &Asked<'_>,
        hashes: &[Hash],
        refusal: Refusal,
    ) -> (StatusCode, Headers) {
        match refusal {
            // No challenge: there is nothing to try now.
            Refusal::Limited { after } => {
                let seconds = after.as_secs() + 1;
                (StatusCode::FORBIDDEN, vec![("Retry-After".into(), seconds.to_string())])
            }
            _ => (StatusCode::UNAUTHORIZED, self.challenges(now, asked, hashes, refusal)),
        }
    }

    fn failed(&mut self, now: Instant, asked: &Asked<'_>, refusal: Refusal) -> Refusal {
        self.failures.note(now, asked.source);
        refusal
    }

    /// The login whose password gives this response. One sum is done for each request, whether the user exists or not.
    fn proven(&self, claim: &Authorization, request: &Message, logins: &[&Login]) -> Option<usize> {
        let named = logins.iter().position(|login| names(claim, login));
        let login = named.and_then(|position| logins.get(position));
        let (username, password) = match login {
            Some(login) => (login.username.as_str(), login.password.as_str()),
            None => (claim.username.as_str(), self.decoy.as_str()),
        };
        let method = String::from_utf8_lossy(request.method_bytes());
        let sum = Sum {
            algorithm: claim.algorithm,
            username,
            realm: &self.realm,
            password,
            nonce: &claim.nonce,
            cnonce: &claim.cnonce,
            count: &claim.count,
            qop: claim.qop,
            method: &method,
            uri: &claim.uri,
            body: request.body(),
        };
        let right = self.same(&sum.response(), &claim.response.to_ascii_lowercase());
        // An algorithm that was not offered would be a way down to a weaker one.
        let offered = login.is_some_and(|login| login.hashes.contains(&claim.algorithm.hash));
        named.filter(|_| right && offered)
    }

    fn same(&self, one: &str, other: &str) -> bool {
        let expected = self.key.clone().chain_update(one).finalize().into_bytes();
        self.key.clone().chain_update(other).verify(&expected).is_ok()
    }
}

fn names(claim: &Authorization, login: &Login) -> bool {
    if claim.userhash {
        let hidden = Algorithm::plain(claim.algorithm.hash).hidden_user(&login.username, &claim.realm);
        return hidden.eq_ignore_ascii_case(&claim.username);
    }
    claim.username == login.username
}

/// Whether the URI that was hashed can be the one that is asked for (RFC 7616 §3.4.6). SBCs on the way change the host, so
/// only the user part counts, the number that is called; some clients hash the host alone (SIPp does).
fn speaks_of(claim: &Authorization, request: &Message) -> bool {
    let user = |uri: &[u8]| Uri::parse(uri).ok().and_then(|uri| uri.subscriber().map(std::borrow::Cow::into_owned));
    let hashed = user(claim.uri.as_bytes());
    hashed.is_none() || hashed == request.request_uri().and_then(user)
}
