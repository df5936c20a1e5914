//! Answers of the DNS for as long as their TTL says, and one question at a time for each name. Apart from what the answers
//! mean, so that no name server is asked once per call.

use super::PATIENCE;
use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest and the longest time that an answer holds, whatever its TTL.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
/// The longest time that a "no" holds, whatever its TTL: a name that was just added is to work soon (RFC 2308 §5 has
/// hours).
const LONGEST_NO: Duration = Duration::from_secs(60);
/// How long it holds that the name servers do not answer or fail.
const FAILURE: Duration = Duration::from_secs(5);
/// Most questions remembered: peers can put any name into a Contact.
const REMEMBERED: usize = 2048;

/// What a name server can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// A and AAAA of a host, and the hosts file.
    Addresses(String),
    /// SRV of `_service._protocol.domain`.
    Services(String),
    /// NAPTR of a domain.
    Pointers(String),
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// SRV (RFC 2782).
    Service {
        /// The lowest is tried first.
        priority: u16,
        /// The share among equals.
        weight: u16,
        /// The port.
        port: u16,
        /// The host; empty for "not offered" (`.`).
        target: String,
    },
    /// NAPTR (RFC 3403) with flag `s`.
    Pointer {
        /// The lowest decides.
        order: u16,
        /// Among those, the lowest is better.
        preference: u16,
        /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`, in any case.
        service: String,
        /// The name of the SRV records.
        replacement: String,
    },
}

/// An answer, and how long it holds. No records: there are none of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// In the order of the name server.
    pub records: Vec<Record>,
    /// The least of their TTLs, or the one of the "no".
    pub ttl: Duration,
}

/// What a question comes to: an answer, or why there was none.
pub type Lookup = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send>>;

/// Whoever answers questions.
pub type Source = Box<dyn Fn(Question) -> Lookup + Send + Sync>;

/// The answers that still hold.
pub(super) struct Cache {
    source: Source,
    now: Box<dyn Fn() -> Instant + Send + Sync>,
    known: Mutex<HashMap<Question, Arc<Slot>>>,
}

/// One question. Whoever holds the lock asks; the others wait for the same answer instead of asking too.
type Slot = tokio::sync::Mutex<Option<Known>>;

struct Known {
    until: Instant,
    answer: Result<Arc<[Record]>, String>,
}

// === impl Cache ===

impl Cache {
    pub(super) fn new(source: Source, now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self { source, now: Box::new(now), known: Mutex::default() }
    }

    pub(super) fn now(&self) -> Instant {
        (self.now)()
    }

    /// The records, none if there are none; the error is in words.
    pub(super) async fn ask(&self, question: Question) -> Result<Arc<[Record]>, String> {
        let slot = self.slot(&question);
        let mut known = slot.lock().await;
        if let Some(fresh) = known.as_ref().filter(|known| known.until > self.now()) {
            return fresh.answer.clone();
        }
        let asked = tokio::time::timeout(PATIENCE, (self.source)(question)).await;
        let (answer, holds) = match asked {
            Ok(Ok(answer)) => {
                let longest = if answer.records.is_empty() { LONGEST_NO } else { LONGEST };
                (Ok(Arc::from(answer.records)), answer.ttl.clamp(SHORTEST, longest))
            }
            Ok(Err(problem)) => (Err(problem), FAILURE),
            Err(_) => (Err(format!("no answer within {} s", PATIENCE.as_secs())), FAILURE),
        };
        *known = Some(Known { until: self.now() + holds, answer: answer.clone() });
        answer
    }

    fn slot(&self, question: &Question) -> Arc<Slot> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(question) {
            let now = self.now();
            // Who is being asked for stays, or two would ask.
            known.retain(|_, slot| {
                slot.try_lock().map_or(true, |known| known.as_ref().is_some_and(|it| it.until > now))
            });
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        Arc::clone(known.entry(question.clone()).or_default())
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.known.lock().unwrap().len()
    }
}
