//! What a simulator saw: each message, who sent it to whom, when, and which call it belongs to.
//! It stands apart because the ladder, the tests and the command line read the same stream and no simulator knows them.

use crate::clock;
use crate::record::moment::Lane;
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// One message or event, seen by a simulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Since the observer was made.
    pub at: Duration,
    /// Who acted.
    pub from: Lane,
    /// On whom.
    pub to: Lane,
    /// What: `INVITE`, `200 OK`, `POST /v1/rooms`.
    pub what: String,
    /// More, if it helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The simulator's name for the call: a SIP Call-ID, a Daily callId or a room.
    pub call: String,
    /// Another name of the same call that this message revealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also: Option<String>,
}

/// Where simulators report to. Cheap to clone; all clones share one zero of time.
#[derive(Debug, Clone)]
pub struct Observer {
    start: Instant,
    sink: Option<mpsc::UnboundedSender<Observation>>,
}

/// A list that several tasks write to: what a peer did wrong.
#[derive(Debug, Clone, Default)]
pub struct Violations(Arc<Mutex<Vec<String>>>);

// === impl Observation ===

impl Observation {
    /// `from` did `what` to `to` in `call`; the time is filled in when it is reported.
    #[must_use]
    pub fn new(call: &str, from: Lane, to: Lane, what: impl Into<String>) -> Self {
        Self { at: Duration::ZERO, from, to, what: what.into(), detail: None, call: call.to_owned(), also: None }
    }

    /// With particulars.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same call is also known under this name.
    #[must_use]
    pub fn also(mut self, name: impl Into<String>) -> Self {
        self.also = Some(name.into());
        self
    }
}

// === impl Observer ===

impl Observer {
    /// An observer and the stream of what it is told.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Observation>) {
        let (sink, stream) = mpsc::unbounded_channel();
        (Self { start: clock::now(), sink: Some(sink) }, stream)
    }

    /// One that nobody listens to.
    #[must_use]
    pub fn silent() -> Self {
        Self { start: clock::now(), sink: None }
    }

    /// Reports. Never blocks; a listener that went away is no fault.
    pub fn saw(&self, observation: Observation) {
        if let Some(sink) = &self.sink {
            let at = clock::now().saturating_duration_since(self.start);
            let _ = sink.send(Observation { at, ..observation });
        }
    }
}

// === impl Violations ===

impl Violations {
    /// Adds one.
    pub fn add(&self, what: impl Into<String>) {
        let what = what.into();
        tracing::debug!(violation = %what, "simulator");
        locked(&self.0).push(what);
    }

    /// All so far.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        locked(&self.0).clone()
    }
}

/// The content of a lock; a panic of another holder is that task's failure, not ours.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_arrives_in_order_with_its_other_name() {
        let (observer, mut stream) = Observer::channel();
        observer.saw(Observation::new("a", Lane::Pbx, Lane::Trunkline, "INVITE").detail("to +15550100"));
        observer.clone().saw(Observation::new("a", Lane::Trunkline, Lane::Pbx, "100 Trying").also("b"));
        let first = stream.try_recv().unwrap();
        let second = stream.try_recv().unwrap();
        assert_eq!((first.what.as_str(), first.detail.as_deref()), ("INVITE", Some("to +15550100")));
        assert_eq!(second.also.as_deref(), Some("b"));
        assert!(first.at <= second.at);
    }

    #[test]
    fn a_listener_that_went_away_is_no_fault() {
        let (observer, stream) = Observer::channel();
        drop(stream);
        observer.saw(Observation::new("a", Lane::Pbx, Lane::Trunkline, "INVITE"));
        Observer::silent().saw(Observation::new("a", Lane::Pbx, Lane::Trunkline, "INVITE"));
    }
}
