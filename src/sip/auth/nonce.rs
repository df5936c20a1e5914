//! Nonces that need no memory: the time in the clear, and a keyed hash that binds it to whom it was given (RFC 7616 §3.3).
//! They stand apart from the replay window, which begins only where a password was right.

use crate::clock::Entropy;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Bytes of the time, and bytes of the hash behind it.
const TIME: usize = 8;
const HASH: usize = 16;

/// Makes nonces and knows its own again.
#[derive(Debug)]
pub struct Mint {
    key: Hmac<Sha256>,
    base: Instant,
    lifetime: Duration,
}

/// To whom a nonce is given. A nonce of one is worth nothing to another.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// The trunk that its source belongs to; empty if only its name will tell.
    pub scope: &'a str,
    /// Where it is.
    pub source: IpAddr,
    /// The Call-ID: a dialog and a registration keep it, and it decides which shard remembers the nonce. So no two shards
    /// have to share what they remember, and a nonce that was overheard is of no use for another call.
    pub call_id: &'a [u8],
}

/// A nonce of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// When it was made, in milliseconds of the mint's own time.
    pub issued: u64,
    /// Enough of its hash to tell it from others of that millisecond.
    pub name: u64,
    /// Whether it is too old.
    pub old: bool,
}

/// A key that nobody else has, and that ends with its owner.
pub(super) fn fresh_key(entropy: &mut Entropy) -> Hmac<Sha256> {
    // As long as a block of the hash, 256 bits of it random: such a key is used as it is.
    let mut secret = [0; 64];
    for chunk in secret.chunks_mut(16) {
        let (random, _) = chunk.split_at_mut(8);
        random.copy_from_slice(&entropy.next_u64().to_le_bytes());
    }
    Hmac::new(&secret.into())
}

// === impl Mint ===

impl Mint {
    /// A mint with a key of its own. A restart makes all nonces unknown, which clients take for `stale`.
    #[must_use]
    pub fn new(entropy: &mut Entropy, base: Instant, lifetime: Duration) -> Self {
        Self { key: fresh_key(entropy), base, lifetime }
    }

    /// A nonce for this bearer.
    #[must_use]
    pub fn issue(&self, now: Instant, bearer: &Bearer<'_>) -> String {
        let time = self.millis(now).to_be_bytes();
        let mut bytes = time.to_vec();
        let hash = self.hash(&time, bearer).finalize().into_bytes();
        bytes.extend(hash.iter().take(HASH));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Knows a nonce again; `None` for one that was not made here for this bearer.
    #[must_use]
    pub fn recognise(&self, now: Instant, nonce: &str, bearer: &Bearer<'_>) -> Option<Known> {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (time, hash) = bytes.split_first_chunk::<TIME>()?;
        if hash.len() != HASH {
            return None;
        }
        // Compares in constant time.
        self.hash(time, bearer).verify_truncated_left(hash).ok()?;
        let issued = u64::from_be_bytes(*time);
        let name = hash.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first));
        let age = self.millis(now).saturating_sub(issued);
        Some(Known { issued, name, old: Duration::from_millis(age) >= self.lifetime })
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX)
    }

    fn hash(&self, time: &[u8; TIME], bearer: &Bearer<'_>) -> Hmac<Sha256> {
        let source = match bearer.source.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let scope = (bearer.scope.len() as u64).to_be_bytes();
        self.key
            .clone()
            .chain_update(time)
            .chain_update(source.octets())
            .chain_update(scope)
            .chain_update(bearer.scope)
            .chain_update(bearer.call_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(300);

    fn bearer<'a>(scope: &'a str, source: &str, call_id: &'a str) -> Bearer<'a> {
        Bearer { scope, source: source.parse().unwrap(), call_id: call_id.as_bytes() }
    }

    #[test]
    fn a_nonce_is_known_again_until_it_is_old() {
        let start = crate::clock::now();
        let mint = Mint::new(&mut Entropy::seeded(1), start, LIFETIME);
        let pbx = bearer("pbx", "192.0.2.1", "a@b");
        let nonce = mint.issue(start + Duration::from_secs(1), &pbx);
        let at = |seconds| mint.recognise(start + Duration::from_secs(seconds), &nonce, &pbx).unwrap();
        assert!(!at(300).old);
        assert!(at(301).old);
        assert_eq!(at(2).issued, 1000);
    }

    #[test]
    fn a_nonce_of_another_trunk_source_call_or_process_is_not_known() {
        let now = crate::clock::now();
        let mint = Mint::new(&mut Entropy::seeded(1), now, LIFETIME);
        let nonce = mint.issue(now, &bearer("pbx", "192.0.2.1", "a@b"));
        for other in
            [bearer("pb", "192.0.2.1", "xa@b"), bearer("pbx", "192.0.2.2", "a@b"), bearer("pbx", "192.0.2.1", "a@c")]
        {
            assert_eq!(mint.recognise(now, &nonce, &other), None);
        }
        let restarted = Mint::new(&mut Entropy::seeded(2), now, LIFETIME);
        assert_eq!(restarted.recognise(now, &nonce, &bearer("pbx", "192.0.2.1", "a@b")), None);
        assert!(mint.recognise(now, &nonce, &bearer("pbx", "::ffff:192.0.2.1", "a@b")).is_some(), "the same address");
    }

    #[test]
    fn a_changed_time_and_other_text_are_no_nonce() {
        let now = crate::clock::now();
        let mint = Mint::new(&mut Entropy::seeded(1), now, LIFETIME);
        let pbx = bearer("pbx", "192.0.2.1", "a@b");
        let nonce = mint.issue(now, &pbx);
        let mut bytes = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
        bytes[7] ^= 1;
        for forged in [URL_SAFE_NO_PAD.encode(&bytes), nonce[..20].to_owned(), String::new(), "%%%".to_owned()] {
            assert_eq!(mint.recognise(now, &forged, &pbx), None, "{forged}");
        }
    }
}
