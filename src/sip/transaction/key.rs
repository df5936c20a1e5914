//! What makes two messages parts of one transaction or dialog, as keys of 128 bits: RFC 3261 §17.1.3, §17.2.3 (branch,
//! or the RFC 2543 rules without the cookie), §8.2.2.2 (merged requests) and §12 (dialogs). Apart from the tables so
//! that a message costs one hash of its own bytes and no copy of them.

use super::super::header::via::Via;
use super::super::{HeaderName, Message, Method};
use crate::clock::Entropy;

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasherDefault, Hasher};

/// A fingerprint that stands for the parts it was made of. 128 bits under two secret seeds: nobody outside can find
/// two messages with the same one, and chance will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

/// A table by [`Key`]. Its order must never show: it is only looked up, never walked.
pub type Index<V> = HashMap<Key, V, BuildHasherDefault<Passthrough>>;

/// Takes the key's own bits for its hash.
#[derive(Debug, Default, Clone, Copy)]
pub struct Passthrough(u64);

/// The methods that may share a branch: an ACK belongs to its INVITE, a CANCEL is a transaction beside the one it
/// cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// INVITE and ACK.
    Invite,
    /// CANCEL.
    Cancel,
    /// Everything else.
    Other,
}

/// Makes keys.
#[derive(Debug, Clone)]
pub struct Keyer {
    seeds: (u64, u64),
}

struct Mixer(DefaultHasher, DefaultHasher);

// === impl Passthrough ===

impl Hasher for Passthrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

// === impl Kind ===

impl Kind {
    /// The kind that a method's requests and responses are of.
    #[must_use]
    pub const fn of(method: &Method) -> Self {
        match method {
            Method::Invite | Method::Ack => Self::Invite,
            Method::Cancel => Self::Cancel,
            _ => Self::Other,
        }
    }
}

// === impl Keyer ===

impl Keyer {
    /// A keyer with secrets of its own.
    #[must_use]
    pub fn new(entropy: &mut Entropy) -> Self {
        Self { seeds: (entropy.next_u64(), entropy.next_u64()) }
    }

    /// The server transaction that a request belongs to, were it of `kind` (§17.2.3). `None` without a readable Via.
    #[must_use]
    pub fn server(&self, request: &Message, kind: Kind) -> Option<Key> {
        let element = request.elements(HeaderName::Via).next()?;
        let via = Via::parse(element).ok()?;
        let mut mixer = self.mixer(b's', kind);
        // The number is no part of §17.2.3, but every message of a transaction has the same: with it, peers that use
        // one branch for a whole dialog are understood too.
        mixer.number(request.cseq()?.number);
        match via.branch {
            Some(branch) if has_cookie(branch) => {
                mixer.part(branch);
                mixer.lower(via.host);
                mixer.number(u32::from(via.port.unwrap_or(5060)));
            }
            _ => {
                // RFC 2543: no tag of To, which the INVITE lacks and its ACK has.
                mixer.part(request.request_uri().unwrap_or_default());
                mixer.part(request.from_tag().unwrap_or_default());
                mixer.part(request.call_id());
                mixer.part(element);
            }
        }
        Some(mixer.key())
    }

    /// The client transaction with this branch (§17.1.3).
    #[must_use]
    pub fn client(&self, branch: &[u8], kind: Kind) -> Key {
        let mut mixer = self.mixer(b'c', kind);
        mixer.part(branch);
        mixer.key()
    }

    /// What merged requests have in common (§8.2.2.2).
    #[must_use]
    pub fn merge(&self, request: &Message) -> Option<Key> {
        let mut mixer = self.mixer(b'm', Kind::of(&request.method()));
        mixer.number(request.cseq()?.number);
        mixer.part(request.call_id());
        mixer.part(request.from_tag().unwrap_or_default());
        Some(mixer.key())
    }

    /// The leg with this Call-ID and tag of ours; the peer's tag is compared by the leg.
    #[must_use]
    pub fn leg(&self, call_id: &[u8], local_tag: &[u8]) -> Key {
        let mut mixer = self.mixer(b'd', Kind::Other);
        mixer.part(call_id);
        mixer.part(local_tag);
        mixer.key()
    }

    /// A tag that follows from the request alone: a stateless answer must have the same one each time (§8.2.7).
    #[must_use]
    pub fn stateless_tag(&self, request: &Message) -> String {
        let mut mixer = self.mixer(b't', Kind::Other);
        mixer.part(request.call_id());
        mixer.part(request.value(HeaderName::Via).unwrap_or_default());
        let Key(bits) = mixer.key();
        format!("{:016x}", bits as u64)
    }

    fn mixer(&self, domain: u8, kind: Kind) -> Mixer {
        let mut mixer = Mixer(DefaultHasher::new(), DefaultHasher::new());
        mixer.0.write_u64(self.seeds.0);
        mixer.1.write_u64(self.seeds.1);
        mixer.number(u32::from(domain) << 8 | kind as u32);
        mixer
    }
}

// === impl Mixer ===

impl Mixer {
    fn part(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
        self.1.write_usize(bytes.len());
        self.1.write(bytes);
    }

    fn lower(&mut self, host: &[u8]) {
        self.part(&host.iter().map(u8::to_ascii_lowercase).collect::<smallvec::SmallVec<[u8; 64]>>());
    }

    fn number(&mut self, value: u32) {
        self.0.write_u32(value);
        self.1.write_u32(value);
    }

    fn key(self) -> Key {
        Key(u128::from(self.0.finish()) << 64 | u128::from(self.1.finish()))
    }
}

fn has_cookie(branch: &[u8]) -> bool {
    branch.get(..Via::COOKIE.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(Via::COOKIE))
}
